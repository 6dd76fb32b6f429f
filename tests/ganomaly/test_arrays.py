"""Arrays in files: any NumPy reads ours, and ours reads nothing but plain arrays."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganomaly.arrays import pack_arrays, unpack_arrays


def zip_of(
    file: Path, entries: list[tuple[zipfile.ZipInfo | str, bytes]], compression: int = zipfile.ZIP_STORED
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of duplicate names, which are the point
        for name, data in entries:
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.float64(2.5),
        np.zeros((0, 4), np.uint8),
        np.array([True]),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">f4"),
        np.arange(5)[::2],
        np.ones(1),
        np.array([np.nan, -np.inf, -0.0]),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_come_back_from_an_npz(array) -> None:
    data = pack_arrays({"encoder/first kernel": array})
    ours, numpys = unpack_arrays(data), np.load(io.BytesIO(data), allow_pickle=False)
    for back in (ours["encoder/first kernel"], numpys["encoder/first kernel"]):
        assert back.shape == np.shape(array)
        assert back.dtype == np.asarray(array).dtype.newbyteorder("<")
        assert back.tobytes() == np.asarray(array, back.dtype).tobytes()


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.array(["text"]), np.array([1j]), np.array(["2026"], "M8[D]")]
)
def test_only_numbers_are_packed(array) -> None:
    with pytest.raises(ValueError, match="not of numbers"):
        pack_arrays({"a": array})


def npy(header: bytes, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "member",
    [
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", b"1234567"),
        npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"12345678"),
        npy(b"{'descr': '<f1', 'fortran_order': False, 'shape': (1,), }\n", b"1"),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': __import__('os')}\n", b"12345678"),
        npy(b"(" * 9000),
        npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", b"12345678", b"\x03\x00"),
        b"",
        b"\x93NUMPY",
    ],
    ids=lambda member: repr(member[10:60]),
)
def test_an_array_that_lies_about_itself_is_refused(tmp_path, member) -> None:
    with pytest.raises(ValueError, match="array"):
        unpack_arrays(zip_of(tmp_path / "a.npz", [("a.npy", member)]).read_bytes())


def test_npz_with_compressed_double_or_foreign_members_is_refused(tmp_path) -> None:
    zeros = np.zeros(2**20)
    bomb = io.BytesIO()
    np.savez_compressed(bomb, a=zeros)
    with pytest.raises(ValueError, match="compressed"):
        unpack_arrays(bomb.getvalue())
    member = zipfile.ZipFile(io.BytesIO(pack_arrays({"a": np.ones(2)}))).read("a.npy")
    for names, reason in ((["a.npy", "a.npy"], "twice"), (["a.npy", "code.py"], "not an array")):
        with pytest.raises(ValueError, match=reason):
            unpack_arrays(zip_of(tmp_path / "a.npz", [(name, member) for name in names]).read_bytes())


def test_no_damaged_byte_of_an_npz_gives_a_wrong_array() -> None:
    data = pack_arrays({"a": np.arange(8.0), "b": np.ones((2, 3), np.float32)})
    good = {array.tobytes() for array in unpack_arrays(data).values()}
    refused = 0
    for position in range(len(data)):
        for value in (0, 255, data[position] ^ 1):
            damaged = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                back = unpack_arrays(damaged)
            except ValueError:
                refused += 1
            else:  # names, dates and counts are outside of a zip's checksums
                assert {array.tobytes() for array in back.values()} <= good
    assert refused > len(data)
