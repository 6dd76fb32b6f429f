"""Files that appear whole or not at all."""

import contextlib
import os
import secrets

from oddlot.places import ObjectPath, Place


def replace_file(path: Place, data: bytes) -> None:
    """Write a file in the place of an older one, if there is one; missing folders are made. Raises OSError.

    Not forced onto the disk: for what is made again where it is missing after a power cut.
    """
    if isinstance(path, ObjectPath):
        path.write_bytes(data)
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
