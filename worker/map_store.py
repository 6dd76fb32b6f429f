"""The map store: one small file for each flagged or audited item, `<job>/<item>.png`, written before its result is."""

import structlog

from oddlot.places import Place
from oddlot.replacing import replace_file

log = structlog.get_logger()


class MapWriter:
    """Writes the heat maps of one batch.

    A map can be computed again from its picture, a night cannot: where one cannot be written, that is logged once, the
    batch goes on without maps, and its results say so by having no map.
    """

    def __init__(self, store: Place, job_id: int) -> None:
        self._store, self._job_id = store, job_id
        self._works = True

    def write(self, item_id: int, data: bytes) -> str | None:
        """Put the map there, over an older one, whole or not at all; its name in the store, or None."""
        if not self._works:
            return None
        uri = f"{self._job_id}/{item_id}.png"
        try:
            replace_file(self._store / uri, data)
        except OSError as error:
            self._works = False
            log.warning(
                "heat maps not stored: the results are, without them", job=self._job_id, store=str(self._store),
                error=error.strerror or str(error),
            )  # fmt: skip
            return None
        return uri


def read_map(store: Place, uri: str) -> bytes:
    """The bytes of a map. Raises OSError."""
    return (store / uri).read_bytes()
