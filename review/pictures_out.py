"""Pictures for the browser, by the number of an item and never by a path; each a fresh WebP of pixels."""

import contextlib
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response

from db.items import ItemDetail, get_item
from oddlot.errors import NotFoundError
from oddlot.replacing import replace_file
from oddlot.settings import Settings
from pictures.thumbnail import EDGE, size_of
from report.thumbnails import thumbnail_path
from review.filters import Number
from review.picture_process import PictureProcesses, PictureTrouble

router = APIRouter()
SHOWN, LARGE = 1600, 6000
"""Longer side in pixels of a picture on its page, and of one that is looked at closely."""
LAYER = 960
Made = tuple[bytes, bool]
"""A picture, and whether it is the one that was asked for or stands in for it."""
# Pictures wait for two processes, in threads of their own: verdicts and pages must not wait behind them.
_WAITING = CapacityLimiter(12)
_KEPT = {"Cache-Control": "private, max-age=604800, immutable"}
# A picture opened by its own address must not be able to do anything either.
_ALONE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}


@router.get("/items/{item_id}/thumb.webp")
async def thumb(request: Request, item_id: Number) -> Response:
    return await _answer(lambda: (_thumbnail(request, get_item(request.app.state.engine, item_id)), True))


@router.get("/items/{item_id}/picture.webp")
async def picture(request: Request, item_id: Number) -> Response:
    return await _whole(request, item_id, SHOWN)


@router.get("/items/{item_id}/large.webp")
async def large(request: Request, item_id: Number) -> Response:
    return await _whole(request, item_id, LARGE)


@router.get("/items/{item_id}/heat.webp")
async def heat(request: Request, item_id: Number, relative: bool = False) -> Response:
    """The heat as a layer to be laid over the picture; `relative` draws it by its own hottest place."""

    def make() -> Made:
        item, settings = get_item(request.app.state.engine, item_id), _settings(request)
        if item.map_uri is None:
            raise PictureTrouble("no heat map is kept of this picture")
        width, height = 0, 0  # without its picture the heat stands alone
        with contextlib.suppress(PictureTrouble):
            small = size_of(_thumbnail(request, item))
            width, height = (max(1, round(side * LAYER / max(small))) for side in small)
        layer = _ask(request, what="heat", map=str(settings.map_store / item.map_uri), relative=relative, width=width,
                     height=height, preprocessing=_looks(item))  # fmt: skip
        return layer, width > 0

    return await _answer(make)


@router.get("/items/{item_id}/nearest.webp")
async def nearest(request: Request, item_id: Number) -> Response:
    """The good picture that the model keeps which is most like this one."""

    def make() -> Made:
        item, settings = get_item(request.app.state.engine, item_id), _settings(request)
        found = _ask(request, what="nearest", bundle=str(settings.model_store / item.bundle_uri),
                     bundle_sha256=item.bundle_sha256, home=str(settings.home), **_file(settings, item))  # fmt: skip
        return found, True

    return await _answer(make)


async def _whole(request: Request, item_id: int, edge: int) -> Response:
    def make() -> Made:
        item, settings = get_item(request.app.state.engine, item_id), _settings(request)
        try:
            return _ask(request, what="picture", edge=edge, **_file(settings, item)), True
        except PictureTrouble:
            with contextlib.suppress(OSError):
                return thumbnail_path(settings, item.job_id, item.item_id).read_bytes(), False
            raise

    return await _answer(make)


def _thumbnail(request: Request, item: ItemDetail) -> bytes:
    """The one of the store; made, and kept there, where there is none yet. Raises PictureTrouble."""
    settings = _settings(request)
    path = thumbnail_path(settings, item.job_id, item.item_id)
    with contextlib.suppress(OSError):
        return path.read_bytes()
    data = _ask(request, what="picture", edge=EDGE, **_file(settings, item))
    with contextlib.suppress(OSError):  # a store that cannot be written costs time alone
        replace_file(path, data)
    return data


def _file(settings: Settings, item: ItemDetail) -> dict[str, Any]:
    if item.sha256 is None:
        raise PictureTrouble("the file could not be read when it was inspected")
    return {"path": item.path, "root": item.source, "sha256": item.sha256, "preprocessing": _looks(item),
            "max_pixels": settings.max_pixels, "max_file_bytes": settings.max_file_bytes}  # fmt: skip


def _looks(item: ItemDetail) -> Any:
    return item.card.get("preprocessing") if isinstance(item.card, dict) else None


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _ask(request: Request, **wanted: Any) -> bytes:
    processes: PictureProcesses = request.app.state.pictures
    return processes.ask(**wanted)[1]


async def _answer(make: Callable[[], Made]) -> Response:
    """The picture; or, where there is none, a drawing that says why, so that no page shows a broken one."""
    try:
        data, whole = await to_thread.run_sync(make, limiter=_WAITING)
        # What stands in for a picture that cannot be read just now is not to be kept in its place.
        kept = _KEPT if whole else {"Cache-Control": "no-store"}
        return Response(data, media_type="image/webp", headers=kept | _ALONE)
    except PictureTrouble as trouble:
        return Response(_said(str(trouble)), 404, {"Cache-Control": "no-store", **_ALONE}, "image/svg+xml")
    except NotFoundError as missing:
        return Response(_said(str(missing)), 404, {"Cache-Control": "no-store", **_ALONE}, "image/svg+xml")


def _said(text: str) -> str:
    """A gray picture with a sentence in it, in lines of some thirty characters."""
    words, lines = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).split(), [""]
    for word in words:
        word = word.encode("utf-8", "replace").decode()[:40]
        if len(lines[-1]) + len(word) > 30:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    lines = ["No picture:", *lines[:6]]
    top = 120 - 11 * (len(lines) - 1)
    drawn = "".join(
        f'<text x="160" y="{top + 22 * number}" text-anchor="middle" font-family="sans-serif" font-size="16" '
        f'fill="#f4f4f5">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240" viewBox="0 0 320 240">'
        f'<rect width="320" height="240" fill="#52525b"/>{drawn}</svg>'
    )
