"""The read-only HTTP interface: JSON for other programs, under `/api/v1`. Documented in docs/queries.md.

The application around it gives `app.state.engine`, and asks who comes.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

import oddlot
from db import jobs, models, nightly_summary, verdicts
from db.items import get_item
from db.jobs import JobRow
from db.results import ResultFilter, iter_results
from oddlot.errors import DatabaseError, NotFoundError, OddlotError
from review import filters, records
from review.filters import Number, VersionNumber, cursor, place_of
from review.records import all_readable, readable
from review.visits import COOKIE


class _OneLine(APIRoute):
    """A route whose every error is one line in JSON, for people and programs alike."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return _problem(422, "; ".join(map(_said, error.errors())))
            except NotFoundError as error:
                return _problem(404, str(error))
            except DatabaseError as error:
                return _problem(503, str(error))
            except OddlotError as error:
                return _problem(422, str(error))
            except DataError:
                return _problem(422, "a value that no database can look up")
            except SQLAlchemyError:
                return _problem(503, "the database does not answer: `oddlot doctor` looks for the cause")

        return handle


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": readable(" ".join(text.split()))}, status)


def _said(error: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in error["loc"][1:])
    said = "there is no such filter" if error["type"] == "extra_forbidden" else error["msg"]
    return f"{where or 'the request'}: {said}"


router = APIRouter(
    prefix="/api/v1", route_class=_OneLine, tags=["oddlot"],
    responses={
        401: {"model": records.Problem, "description": "Nobody, or nobody who is known, asks."},
        403: {"model": records.Problem, "description": "Whoever asks may not."},
        404: {"model": records.Problem, "description": "There is none."},
        422: {"model": records.Problem, "description": "The question cannot be understood."},
        429: {"model": records.Problem, "description": "Too many questions; `Retry-After` says when to ask again."},
        503: {"model": records.Problem, "description": "The database does not answer."},
    },
)  # fmt: skip


@router.get("/jobs")
def list_jobs(request: Request, query: Annotated[filters.JobQuery, Query()]) -> records.JobPage:
    """Jobs, the newest first."""
    after = place_of(query.after, int)
    found = jobs.find_jobs(
        _engine(request), state=query.state, model_name=query.model, line=query.line, lot=query.lot,
        night=query.night, before=after[0] if after else None, limit=query.limit + 1,
    )  # fmt: skip
    page, more = found[: query.limit], len(found) > query.limit
    return records.JobPage(jobs=[_job(row) for row in page], next=cursor(page[-1].id) if more else None)


@router.get("/jobs/{job_id}")
def show_job(request: Request, job_id: Number) -> records.JobRecord:
    """One job with its completeness record."""
    return _job(jobs.get_job(_engine(request), job_id))


@router.get("/jobs/{job_id}/results")
def list_job_results(
    request: Request, job_id: Number, query: Annotated[filters.JobItemQuery, Query()]
) -> records.ItemPage:
    """Items of one job in the order of its listing, or the flagged ones, the most suspicious first."""
    jobs.get_job(_engine(request), job_id)
    wanted = filters.result_filter(query, job_id=job_id, state=query.state, flagged_only=query.flagged)
    return _items(request, wanted, query)


@router.get("/flagged")
def list_flagged(request: Request, query: Annotated[filters.FlaggedQuery, Query()]) -> records.ItemPage:
    """Flagged items, the most suspicious first."""
    return _items(request, filters.result_filter(query, job_id=query.job, flagged_only=True), query)


@router.get("/results")
def list_results(request: Request, query: Annotated[filters.ResultQuery, Query()]) -> records.ItemPage:
    """Items of all jobs, in the order in which they were listed."""
    return _items(request, filters.result_filter(query, job_id=query.job, state=query.state), query)


@router.get("/items/{item_id}")
def show_item(request: Request, item_id: Number) -> records.ItemDetailRecord:
    """One item with its model, where it was scored, and all verdicts on it."""
    engine = _engine(request)
    detail = get_item(engine, item_id)
    said = verdicts.verdicts_of(engine, item_id)
    return records.ItemDetailRecord(
        **{name: getattr(detail, name) for name in records.ItemDetailRecord.model_fields if hasattr(detail, name)}
        | {
            "item": detail.item_id, "job": detail.job_id, "path": readable(detail.path), "model": detail.model_name,
            "version": detail.model_version, "verdict": said[0].verdict if said else None,
            "has_map": detail.map_uri is not None, "verdicts": [dataclasses.asdict(row) for row in said],
        }
    )  # fmt: skip


@router.get("/models")
def list_models(request: Request, query: Annotated[filters.ModelQuery, Query()]) -> records.ModelPage:
    """Versions of models, by name and version."""
    after = place_of(query.after, str, int)
    rows = models.list_models(_engine(request), query.name, cards=False)
    rows = sorted(rows, key=lambda row: (row.name, row.version))
    if after:
        rows = [row for row in rows if (row.name, row.version) > (after[0], after[1])]
    page, more = rows[: query.limit], len(rows) > query.limit
    return records.ModelPage(
        models=[records.ModelRecord.model_validate(row) for row in page],
        next=cursor(page[-1].name, page[-1].version) if more else None,
    )


@router.get("/models/{name}/{version}")
def show_model(request: Request, name: filters.Text, version: VersionNumber) -> records.ModelDetailRecord:
    """One version of a model with its card."""
    row = models.get_model(_engine(request), name, version)
    return records.ModelDetailRecord.model_validate(dataclasses.replace(row, card=all_readable(row.card)))


@router.get("/nights")
def list_nights(request: Request, query: Annotated[filters.NightQuery, Query()]) -> records.NightPage:
    """What each night came to, on each line and by each model version; the latest first."""
    after = place_of(query.after, str, (str, type(None)), str, int)
    found = nightly_summary.list_nights(
        _engine(request), since=query.since, until=query.until, line=query.line, model=query.model,
        after=(_date(after[0]), after[1], after[2], after[3]) if after else None, limit=query.limit + 1,
    )  # fmt: skip
    page, more = found[: query.limit], len(found) > query.limit
    last = page[-1] if page else {}
    return records.NightPage(
        nights=[records.NightRecord(**row) for row in page],
        next=cursor(last["night"].isoformat(), last["line"], last["model"], last["model_version"]) if more else None,
    )


@router.get("/openapi.json", include_in_schema=False)
def openapi() -> JSONResponse:
    """This interface, described for programs."""
    return JSONResponse(document())


def document() -> dict[str, Any]:
    """The OpenAPI document of this interface alone, whatever else the application around it serves."""
    described = get_openapi(
        title="Oddlot", version=oddlot.__version__, routes=router.routes,
        description="What was inspected, what was flagged, and what people said of it. Read only. All times are UTC. "
        "Pages are followed by `next` and `after`; a page shows the rows as they are when it is asked for.",
    )  # fmt: skip
    described["components"]["securitySchemes"] = {
        "token": {
            "type": "http", "scheme": "bearer",
            "description": "A token of `oddlot tokens add`; where there are no users, the password of the page.",
        },
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A browser that is signed in."},
    }  # fmt: skip
    described["security"] = [{"token": []}, {"session": []}, {}]  # the last: on one PC nobody may be asked
    return described


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _items(request: Request, wanted: ResultFilter, query: filters.ItemQuery) -> records.ItemPage:
    after: Any = None
    if wanted.flagged_only and (place := place_of(query.after, (float, int), int)):
        after = float(place[0]), place[1]
    elif not wanted.flagged_only and (place := place_of(query.after, int)):
        after = place[0]
    found = list(iter_results(_engine(request), dataclasses.replace(wanted, after=after)))
    page, more = found[: query.limit], len(found) > query.limit
    last = page[-1] if page else {}
    return records.ItemPage(
        items=[records.ItemRecord(**row | {"path": readable(row["path"])}) for row in page],
        next=(cursor(last["score"], last["item"]) if wanted.flagged_only else cursor(last["item"])) if more else None,
    )


def _job(row: JobRow) -> records.JobRecord:
    values = {name: getattr(row, name) for name in records.JobRecord.model_fields if hasattr(row, name)}
    return records.JobRecord(
        **values | {"job": row.id, "model": row.model_name, "version": row.model_version,
                    "source": readable(row.source), "validity": all_readable(row.validity)}
    )  # fmt: skip


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise OddlotError("after: give `next` of the page before") from None
