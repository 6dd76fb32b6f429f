"""Named arrays as the bytes of an .npz file, without pickle: equal arrays give equal bytes.

Any NumPy can read such a file. Our reader trusts nothing in it, where NumPy's own would parse the header as
Python and allocate whatever it claims.
"""

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

ZIP_ERRORS = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
"""All that `zipfile` was seen to raise on damaged files, beside OSError."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, 'shape': \(((?:\d{1,12},? ?){0,8})\), \} *\n"
)


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays of numbers as an uncompressed .npz. Raises ValueError for an array of anything else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{name} is an array of {array.dtype}, not of numbers")
            array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            with archive.open(zipfile.ZipInfo(name + _SUFFIX, _EARLIEST), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays in the bytes of an uncompressed .npz, read-only.

    Raises ValueError where it is damaged, compressed, names an array twice, or holds anything but numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, len(data))
            contents = {member.filename: archive.read(member) for member in members}
    except (*ZIP_ERRORS, OSError) as error:
        raise ValueError(f"it is not a readable .npz: {error}") from error
    return {_name(filename): _array(content) for filename, content in contents.items()}


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len({member.filename for member in members}) != len(members):
        raise ValueError("an array is named twice")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its arrays are compressed")
    # With nothing compressed, this leaves no room for a bomb, not even an overlapping one.
    if sum(member.file_size for member in members) > size:
        raise ValueError("its arrays claim more bytes than there are")


def _name(filename: str) -> str:
    if not filename.endswith(_SUFFIX):
        raise ValueError("it holds something that is not an array")
    return filename.removesuffix(_SUFFIX)


def _array(data: bytes) -> np.ndarray:
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data, start, end)
    if not data.startswith(_MAGIC) or header is None:
        raise ValueError("it holds something that is not a plain array of numbers")
    try:
        dtype = np.dtype(header[1].decode())
    except TypeError as error:
        raise ValueError("an array is of a type that is not known") from error
    shape = tuple(int(length) for length in re.findall(rb"\d+", header[2]))
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise ValueError("an array has another size than it says")
    return np.frombuffer(data, dtype, offset=end).reshape(shape)
