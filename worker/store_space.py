"""How much room the stores have, asked so that a share that hangs does not take whoever asks with it."""

import shutil
import threading
from pathlib import Path

from oddlot.settings import Settings

SECONDS = 1.0
"""How long one look may take; then nothing is said until it comes back."""


class StoreSpace:
    """Free and whole bytes of the file systems on which the stores are."""

    def __init__(self, settings: Settings) -> None:
        stores = {
            "home": settings.home, "models": settings.model_store, "maps": settings.map_store,
            "thumbnails": settings.thumb_store,
        }  # fmt: skip
        # An object store has no room that could be asked for.
        self._stores = {name: store for name, store in stores.items() if isinstance(store, Path)}
        self._looking: threading.Thread | None = None
        self._found: dict[str, tuple[int, int]] = {}

    def look(self) -> dict[str, tuple[int, int]]:
        """By store; without those that are not there, and empty while a look hangs."""
        if self._looking is None or not self._looking.is_alive():
            # Of a look that hangs there is one: nobody could end its thread.
            self._looking = threading.Thread(target=self._look, name="store space", daemon=True)
            self._looking.start()
        self._looking.join(SECONDS)
        return {} if self._looking.is_alive() else self._found

    def _look(self) -> None:
        found = {}
        for name, store in self._stores.items():
            # Where it would be made: a store is made when the first file is put into it.
            folder = next((one for one in (store, *store.parents) if one.is_dir()), None)
            if folder is not None:
                try:
                    usage = shutil.disk_usage(folder)
                except OSError:
                    continue
                found[name] = (usage.free, usage.total)
        self._found = found
