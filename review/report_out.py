"""The report of a job as a file to keep. Made by a process of its own: it decodes pictures."""

import os
import subprocess
import sys

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException, Request, Response

from db.jobs import get_job
from oddlot.errors import OddlotError
from oddlot.settings import Settings, environment_of
from review.filters import Number

router = APIRouter()
SECONDS = 180.0
"""How long a report may take."""
AT_ONCE, WAITING = 2, 8
"""Reports that are made at the same time, and such as wait for that: each takes a core and some hundred megabytes."""
_MAKING = CapacityLimiter(AT_ONCE)
_PROGRAM = (
    "import sys; from db.engine import open_database; from oddlot.settings import load_settings; "
    "from report.job_report import make_report; settings = load_settings(); "
    "text = make_report(settings, open_database(settings.database_url), int(sys.argv[1])); "
    "sys.stdout.buffer.write(text.encode('utf-8', 'backslashreplace'))"
)


@router.get("/jobs/{job_id}/report.html")
async def report(request: Request, job_id: Number) -> Response:
    """Downloaded, not shown: its style stands in the file, which no page here may have."""
    row = await to_thread.run_sync(get_job, request.app.state.engine, job_id)
    if _MAKING.statistics().tasks_waiting >= WAITING:
        raise HTTPException(503, "Many reports are being made just now: ask again in a minute.", {"Retry-After": "60"})
    async with _MAKING:
        if await request.is_disconnected():  # by who has asked again, say
            return Response(status_code=503)
        made = await to_thread.run_sync(_made, request.app.state.settings, row.id)
    name = f"attachment; filename=oddlot-job-{row.id}.html"
    return Response(made, media_type="text/html; charset=utf-8", headers={"Content-Disposition": name})


def _made(settings: Settings, job_id: int) -> bytes:
    try:
        return subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(job_id)], env=_environment(settings),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True,
        ).stdout  # fmt: skip
    except subprocess.SubprocessError:
        raise OddlotError(f"the report could not be made here: try `oddlot report {job_id}`") from None


def _environment(settings: Settings) -> dict[str, str]:
    """The same settings, wherever this process has them from."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return environment_of(settings) | {"PYTHONPATH": path, "PYTHONUTF8": "1"}
