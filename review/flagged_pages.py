"""The gallery of what was flagged, and the queue in which it is judged one by one."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from db.items import get_item
from db.review import UNREVIEWED, Seen, choices, flagged_page, latest_words, progress, queue_page
from db.review_words import recent_kinds
from db.verdicts import verdicts_of
from oddlot.errors import NotFoundError
from review.deciding import what_it_was
from review.rendering import page
from review.reviewer import reviewer_of
from review.selection import pack_key, read_key, read_selection
from review.wording import file_name, folder_name, line_name, readable

router = APIRouter()
PAGE = 48
"""Pictures of a page of the gallery."""
AHEAD = 12
"""Items of the queue that the page asks for at a time."""


@router.get("/flagged")
def gallery(request: Request) -> Response:
    engine = request.app.state.engine
    selection = read_selection(engine, request.query_params)
    after = read_key(request.query_params.get("after"))
    found = flagged_page(engine, selection.choice, after, PAGE + 1)
    shown = found[:PAGE]
    following = None
    if len(found) > PAGE:
        following = selection.address("/flagged", after=pack_key(shown[-1].key))
    lines, models = choices(engine)
    return page(
        request, "gallery.html", items=shown, words=latest_words(engine, [one.item_id for one in shown]),
        selection=selection, following=following, first=selection.address("/flagged") if after else None,
        queue=selection.address("/queue"), lines=lines, models=models,
    )  # fmt: skip


@router.get("/queue")
def queue(request: Request) -> Response:
    """One item, and forms that need no script; `at` is the place behind which it stands."""
    if reviewer_of(request) is None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/name?next={quote(target, safe='')}", 303)
    engine = request.app.state.engine
    selection = read_selection(engine, request.query_params, verdict=UNREVIEWED)
    at = request.query_params.get("at")
    found = queue_page(engine, selection.choice, read_key(at), 2)
    reviewed, total = progress(engine, selection.choice)
    lines, models = choices(engine)
    return page(
        request, "queue.html", item=_for_page(found[0]) if found else None, at=at or "",
        following=selection.address("/queue", at=pack_key(found[0].key)) if len(found) > 1 else None,
        stay=selection.address("/queue", at=at), start=selection.address("/queue"), selection=selection,
        gallery=selection.address("/flagged"), reviewed=reviewed, total=total, kinds=recent_kinds(engine),
        last=_last_word(request), lines=lines, models=models,
    )  # fmt: skip


@router.get("/queue/next")
def queue_next(request: Request) -> Response:
    """The next items of the queue for the script of the page, and the place behind the last of them."""
    engine = request.app.state.engine
    selection = read_selection(engine, request.query_params, verdict=UNREVIEWED)
    found = queue_page(engine, selection.choice, read_key(request.query_params.get("at")), AHEAD)
    items = [_for_page(one) for one in found]
    return JSONResponse({"items": items, "at": pack_key(found[-1].key) if len(found) == AHEAD else None})


def _for_page(one: Seen) -> dict[str, object]:
    """What is shown of an item before its verdict: nothing that says whether it was flagged."""
    return {
        "id": one.item_id, "name": file_name(one.path), "folder": folder_name(one.path),
        "line": line_name(one.line) if one.line else "", "lot": readable(one.lot), "job": one.job_id,
        "picture": picture_address(one.item_id, one.sha256), "heat": heat_address(one.item_id) if one.has_map else None,
        "place": pack_key(one.key),
    }  # fmt: skip


def picture_address(item_id: int, sha256: str | None) -> str:
    """The hash in it makes an address of its own for each content, which may be kept."""
    return f"/items/{item_id}/picture.webp?v={(sha256 or '')[:12]}"


def heat_address(item_id: int) -> str:
    return f"/items/{item_id}/heat.webp?relative=1"


def _last_word(request: Request) -> dict[str, object] | None:
    """The verdict that was given by the form before this page, with what the item was."""
    said, item_id = request.query_params.get("said", ""), request.query_params.get("of", "")
    if not (said.isdecimal() and item_id.isdecimal() and len(said) < 19 and len(item_id) < 19):
        return None
    engine = request.app.state.engine
    try:
        item = get_item(engine, int(item_id))
    except NotFoundError:
        return None
    words = verdicts_of(engine, item.item_id)
    if not words:
        return None
    return {"verdict": int(said), "item": item.item_id, "name": file_name(item.path), "word": str(words[0].verdict),
            "kind": words[0].kind, "was": what_it_was(item)}  # fmt: skip
