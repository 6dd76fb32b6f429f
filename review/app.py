"""The review page: an application of FastAPI that needs nothing from outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from db.engine import open_database
from oddlot.errors import NotFoundError, OddlotError, StateError, UnstorableValue
from oddlot.settings import Settings
from report.charts import stylesheet
from review import (
    deciding,
    entry,
    flagged_pages,
    interface,
    item_pages,
    metrics_out,
    model_pages,
    night_pages,
    people_pages,
    pictures_out,
    quality_page,
    report_out,
)
from review.comparing import Comparisons
from review.connections import PunctualProtocol
from review.guard import Guard
from review.picture_process import PictureProcesses
from review.rendering import page

_STATUS = {NotFoundError: 404, StateError: 409, UnstorableValue: 422}
STATIC = Path(__file__).parent / "static"


def server_config(settings: Settings) -> uvicorn.Config:
    """How the page is served. Only the proxies of the settings are believed about who asks and whether by https."""
    proxies = [one.strip() for one in settings.review_proxies.split(",") if one.strip()]
    return uvicorn.Config(
        make_app(settings), log_config=None, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=5, proxy_headers=bool(proxies), forwarded_allow_ips=proxies,
        http=PunctualProtocol,
    )  # fmt: skip


def make_app(settings: Settings) -> FastAPI:
    """The application, with `app.state.engine`, `.settings`, `.guard`, `.pictures` and `.comparisons`.

    Raises SettingsError where it would be open to others without a password, DatabaseError where there is no database
    of this version, RuntimeError where a route has no role.
    """
    engine = open_database(settings.database_url)
    try:
        guard = Guard(settings, engine)
    except BaseException:
        engine.dispose()
        raise
    pictures = PictureProcesses()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.comparisons.close()
        pictures.close()
        engine.dispose()

    app = FastAPI(title="Oddlot", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.state.engine, app.state.settings = engine, settings
    app.state.guard, app.state.pictures, app.state.comparisons = guard, pictures, Comparisons(settings)
    app.middleware("http")(guard)
    for room in (
        night_pages, flagged_pages, item_pages, pictures_out, report_out, deciding, quality_page, model_pages,
        people_pages, entry, interface, metrics_out,
    ):  # fmt: skip
        app.include_router(room.router)
    colours = stylesheet()

    @app.get("/static/charts.css")
    def charts_css() -> Response:
        return Response(colours, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    guard.learn_routes(app.routes)
    _explain_errors(app)
    return app


def _explain_errors(app: FastAPI) -> None:
    """Every error is a page with one plain sentence."""

    @app.exception_handler(OddlotError)
    def of_ours(request: Request, error: OddlotError) -> Response:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
        return page(request, "problem.html", status=status, problem=str(error))

    @app.exception_handler(RequestValidationError)
    def not_understood(request: Request, error: RequestValidationError) -> Response:
        return page(request, "problem.html", status=422, problem="This address is not one that can be understood.")

    @app.exception_handler(HTTPException)
    def of_http(request: Request, error: HTTPException) -> Response:
        words = {404: "There is no such page.", 405: "That cannot be done here."}
        said = words.get(error.status_code, str(error.detail))
        answer = page(request, "problem.html", status=error.status_code, problem=said)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(SQLAlchemyError)
    def of_database(request: Request, error: SQLAlchemyError) -> Response:
        text = "The database does not answer. Nothing is lost; `oddlot doctor` looks for the cause."
        return page(request, "problem.html", status=503, problem=text)
