"""The store of thumbnails: `<job>/<item>.webp`, made when somebody first looks, then only read."""

import structlog

from db.items import ItemDetail
from oddlot.errors import BundleError, UnreadablePicture
from oddlot.places import Place
from oddlot.replacing import replace_file
from oddlot.settings import Settings
from pictures.preprocessing import Preprocessing
from pictures.thumbnail import make_thumbnail

log = structlog.get_logger()


def thumbnail_of(settings: Settings, item: ItemDetail) -> bytes | None:
    """The thumbnail of an item as WebP; None where its picture is gone, has changed or cannot be read.

    One that was made stays, also where the picture is gone later. A store that cannot be written costs time alone.
    """
    path = thumbnail_path(settings, item.job_id, item.item_id)
    try:
        return path.read_bytes()
    except OSError:
        pass
    if item.sha256 is None:
        return None  # it was never read
    try:
        data = make_thumbnail(
            item.path, sha256=item.sha256, root=item.source, window=window_of(item),
            max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes,
        )  # fmt: skip
    except (UnreadablePicture, MemoryError):
        return None
    try:
        replace_file(path, data)
    except OSError as error:
        log.warning("thumbnail not kept", store=str(settings.thumb_store), error=error.strerror or str(error))
    return data


def thumbnail_path(settings: Settings, job_id: int, item_id: int) -> Place:
    """Where the thumbnail of an item is kept, or would be."""
    return settings.thumb_store / f"{job_id}/{item_id}.webp"


def window_of(item: ItemDetail) -> tuple[float, float]:
    """Which part of the range from black to white the item's model looks at; all of it where its card does not say."""
    try:
        return Preprocessing.from_dict(item.card.get("preprocessing")).window
    except BundleError:
        return (0.0, 1.0)
