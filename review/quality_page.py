"""How well it does, as far as people have said: precision of the flags, and what the audit found."""

import datetime as dt

from fastapi import APIRouter, Request, Response

from db.quality import quality, says
from db.review import choices
from review.rendering import page

router = APIRouter()


@router.get("/quality")
def quality_page(request: Request, model: str = "", line: str = "", since: str = "") -> Response:
    engine = request.app.state.engine
    lines, models = choices(engine)
    trouble, moment = None, None
    try:
        moment = dt.datetime.fromisoformat(since).astimezone() if since else None
    except (ValueError, OverflowError):
        trouble = "A day is written as 2026-11-24."
    report = quality(engine, model_name=model or None, line=line or None, since=moment)
    return page(
        request, "quality.html", report=report, says=says(report.total), lines=lines, models=models, trouble=trouble,
        chosen={"model": model, "line": line, "since": since},
    )  # fmt: skip
