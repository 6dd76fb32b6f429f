"""The report of a job as a file to keep. Made by a process of its own: it decodes pictures."""

import os
import subprocess
import sys

from fastapi import APIRouter, Request, Response

from db.jobs import get_job
from oddlot.errors import OddlotError
from oddlot.settings import Settings, environment_of

router = APIRouter()
SECONDS = 180.0
"""How long a report may take."""
_PROGRAM = (
    "import sys; from db.engine import open_database; from oddlot.settings import load_settings; "
    "from report.job_report import make_report; settings = load_settings(); "
    "text = make_report(settings, open_database(settings.database_url), int(sys.argv[1])); "
    "sys.stdout.buffer.write(text.encode('utf-8', 'backslashreplace'))"
)


@router.get("/jobs/{job_id}/report.html")
def report(request: Request, job_id: int) -> Response:
    """Downloaded, not shown: its style stands in the file, which no page here may have."""
    row = get_job(request.app.state.engine, job_id)
    try:
        made = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(row.id)], env=_environment(request.app.state.settings),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True,
        )  # fmt: skip
    except subprocess.SubprocessError:
        raise OddlotError(f"the report could not be made here: try `oddlot report {row.id}`") from None
    name = f"attachment; filename=oddlot-job-{row.id}.html"
    return Response(made.stdout, media_type="text/html; charset=utf-8", headers={"Content-Disposition": name})


def _environment(settings: Settings) -> dict[str, str]:
    """The same settings, wherever this process has them from."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return environment_of(settings) | {"PYTHONPATH": path, "PYTHONUTF8": "1"}
