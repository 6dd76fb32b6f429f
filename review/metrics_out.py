"""For what watches Oddlot: `/metrics`, behind the password where there is one, and `/healthz` for everybody."""

import threading
import time
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db.engine import version_of
from db.schema import HEAD
from worker import health
from worker.metrics import CONTENT_TYPE, BusyError, Exporter

router = APIRouter()
KEPT_SECONDS = 2.0
"""Anybody may ask `/healthz`, as often as he likes: the database is asked that often at most."""
STALE_SECONDS = 15.0
"""How long the last judgement stands while somebody waits for the next."""
NO_DATABASE = "the database does not answer"
_making = threading.Lock()


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """All metrics in the text format of Prometheus."""
    try:
        return Response(_of(request.app, "exporter", Exporter).text(), media_type=CONTENT_TYPE)
    except BusyError as error:
        return PlainTextResponse(f"{error}\n", 503)


@router.api_route("/healthz", methods=["GET", "HEAD"])
def healthz(request: Request) -> Response:
    """200 where the database answers and what waits goes on, else 503 with what stalls."""
    found = _of(request.app, "health", Health).look()
    return JSONResponse(found, 200 if found["status"] == "ok" else 503)


class Health:
    """The judgement of a moment ago, or a new one."""

    def __init__(self, engine: Any, settings: Any) -> None:
        self._engine, self._settings = engine, settings
        self._alone = threading.Lock()
        self._found: dict[str, Any] = {}
        self._until = 0.0

    def look(self) -> dict[str, Any]:
        """`status` (ok, stalled, no database), `database` (whether it answers) and `problems`, a sentence each."""
        if not self._alone.acquire(timeout=KEPT_SECONDS):  # somebody asks already, and waits for database or queue
            known = self._found and time.monotonic() - self._until < STALE_SECONDS
            return self._found if known else _says(NO_DATABASE, database=False)
        try:
            if time.monotonic() > self._until:
                self._found = self._ask()
                self._until = time.monotonic() + KEPT_SECONDS
            return self._found
        finally:
            self._alone.release()

    def _ask(self) -> dict[str, Any]:
        try:
            if version_of(self._engine) != HEAD:
                return _says("the database is of another version: `oddlot db upgrade`", database=False)
            return _says(*health.of_everything(self._engine, self._settings), database=True)
        except (DBAPIError, PoolTimeoutError):
            return _says(NO_DATABASE, database=False)


def _says(*problems: str, database: bool) -> dict[str, Any]:
    status = "ok" if not problems else "stalled" if database else "no database"
    return {"status": status, "database": database, "problems": list(problems)}


def _of(app: FastAPI, name: str, kind: Any) -> Any:
    """What is made when it is first asked for, and kept as long as the application."""
    with _making:
        if not hasattr(app.state, name):
            setattr(app.state, name, kind(app.state.engine, app.state.settings))
        return getattr(app.state, name)
