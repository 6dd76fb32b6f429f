"""The page of one item: all that is known of it."""

import os

from fastapi import APIRouter, Request, Response

from db.items import ItemDetail, get_item
from db.review_nights import same_name
from db.review_words import recent_kinds
from db.verdicts import verdicts_of
from oddlot.places import is_address
from review.deciding import what_it_was
from review.filters import Number
from review.flagged_pages import picture_address
from review.rendering import page

router = APIRouter()


@router.get("/items/{item_id}")
def item_page(request: Request, item_id: Number) -> Response:
    engine = request.app.state.engine
    item = get_item(engine, item_id)
    return page(
        request, "item.html", item=item, picture=picture_address(item.item_id, item.sha256),
        large=f"/items/{item.item_id}/large.webp?v={(item.sha256 or '')[:12]}",
        trouble=_trouble(item), was=what_it_was(item), words=verdicts_of(engine, item_id),
        earlier=same_name(engine, item), kinds=recent_kinds(engine),
    )  # fmt: skip


def _trouble(item: ItemDetail) -> str | None:
    """Why the picture cannot be shown as it was, as far as that can be told without reading it."""
    if item.sha256 is None:
        return "The file could not be read when it was inspected."
    if not is_address(item.path) and not os.path.isfile(item.path):
        return "The file is not there any more. What you see is a small copy, where one was made before."
    return None
