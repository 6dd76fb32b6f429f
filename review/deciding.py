"""What a person says: verdicts on items, and a word on held jobs."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from db.items import ItemDetail, get_item
from db.review_words import give_verdict, take_back
from db.validity import discard_job, release_job
from oddlot.errors import OddlotError
from oddlot.words import Verdict
from review.filters import Number
from review.reviewer import own_page, reviewer_of
from review.visits import actor_of
from review.wording import p_value, score

router = APIRouter()
TEXT_LENGTH = 1000
KIND_LENGTH = 60


@router.post("/items/{item_id}/verdict")
def verdict(
    request: Request, item_id: Number, word: Annotated[Verdict, Form()], kind: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/queue",
) -> Response:  # fmt: skip
    """A verdict by form leads on to `next`; asked by the script of the page, it answers with what the item was."""
    reviewer = reviewer_of(request)
    if reviewer is None:
        return _nameless(request, next)
    engine = request.app.state.engine
    kind, note = " ".join(kind.split())[:KIND_LENGTH], note.strip()[:TEXT_LENGTH]
    given = give_verdict(
        engine, item_id, word, kind=kind or None if word == Verdict.DEFECT else None, note=note or None,
        reviewer=reviewer,
    )  # fmt: skip
    if not _by_script(request):
        return RedirectResponse(_with(own_page(next), f"said={given}&of={item_id}"), 303)
    return JSONResponse({"verdict": given, "item": item_id, "word": str(word), "kind": kind or None,
                         "was": what_it_was(get_item(engine, item_id))})  # fmt: skip


@router.post("/items/{item_id}/verdicts/{verdict_id}/undo")
def undo(request: Request, item_id: Number, verdict_id: Number, next: Annotated[str, Form()] = "/queue") -> Response:
    reviewer = reviewer_of(request)
    if reviewer is None:
        return _nameless(request, next)
    try:
        take_back(request.app.state.engine, verdict_id, item_id=item_id, reviewer=reviewer)
    except OddlotError as error:
        if not _by_script(request):
            raise
        return JSONResponse({"error": str(error)}, 409)
    if _by_script(request):
        return JSONResponse({"item": item_id})
    return RedirectResponse(_with(own_page(next), f"taken_back={item_id}"), 303)


@router.post("/jobs/{job_id}/{word}")
def decide(
    request: Request, job_id: Number, word: Literal["release", "discard"], note: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:  # fmt: skip
    """A held job is released, or discarded."""
    reviewer = reviewer_of(request)
    if reviewer is None:
        return _nameless(request, next)
    act = release_job if word == "release" else discard_job
    note = note.strip()[:TEXT_LENGTH]
    act(request.app.state.engine, job_id, by=reviewer, note=note or None, actor=actor_of(request, reviewer))
    return RedirectResponse(own_page(next), 303)


def what_it_was(item: ItemDetail) -> str:
    """What is told of an item once its verdict has been given."""
    if item.score is None:
        return "not scored"
    numbers = f"score {score(item.score)}, p-value {p_value(item.p_value)}"
    return f"flagged, {numbers}" if item.flagged else f"audit sample: was not flagged, {numbers}"


def _by_script(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _nameless(request: Request, next: str) -> Response:
    if _by_script(request):
        return JSONResponse({"error": "say who you are first"}, 409)
    return RedirectResponse(f"/name?next={quote(own_page(next), safe='')}", 303)


def _with(address: str, more: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{more}"
