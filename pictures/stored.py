"""Pictures in an object store: read as they were listed, and named like files."""

import hashlib

from oddlot.errors import ObjectTrouble, UnreadablePicture
from oddlot.places import ObjectPath


def read_listed(
    address: str, *, max_file_bytes: int, root: str | None, expected: tuple[int, int] | None, etag: str | None
) -> tuple[bytes, str]:
    """`decoding.read_bytes` for an object."""
    from oddlot import objects

    if root is not None and not address.startswith(f"{root}/"):
        raise UnreadablePicture("the address leads out of the submitted prefix")
    size = None if expected is None else expected[0]
    if size == 0:
        raise UnreadablePicture("the file is empty")
    if size is not None and size > max_file_bytes:
        raise UnreadablePicture(f"the file has {size} bytes, more than the limit of {max_file_bytes}")
    try:
        data = objects.read_object(ObjectPath(address), most=max_file_bytes, size=size, etag=etag)
    except ObjectTrouble as reason:
        raise UnreadablePicture(str(reason)) from None
    if not data:
        raise UnreadablePicture("the file is empty")
    return data, hashlib.sha256(data).hexdigest()
