"""A bundle as one file: it travels whole, and a made-up one does no harm."""

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganomaly.bundle import open_bundle
from ganomaly.manifest import LIMITS, MANIFEST, make_manifest
from ganomaly.transport import export_bundle, import_bundle
from oddlot.errors import BundleError

FILES = [MANIFEST, *LIMITS]


def zip_of(
    file: Path, entries: list[tuple[zipfile.ZipInfo | str, bytes]], compression: int = zipfile.ZIP_STORED
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of duplicate names, which are the point
        for name, data in entries:
            archive.writestr(name, data)
    return file


def entries_of(folder: Path) -> list[tuple[zipfile.ZipInfo | str, bytes]]:
    return [(name, (folder / name).read_bytes()) for name in FILES]


def resealed(folder: Path, name: str, data: bytes) -> None:
    """Change a file as somebody would who knows about the manifest."""
    files = {known: (folder / known).read_bytes() for known in FILES[1:]} | {name: data}
    (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(make_manifest(files))


class Trap:
    """Unpickling this makes the folder `sprung` in the current one."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("sprung",)


@pytest.fixture(scope="module")
def exported(written, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("export") / "flange.oddlot"
    assert export_bundle(written[0], file) == written[1]
    return file


def test_bundle_travels_as_one_file(exported, written, tmp_path, pictures) -> None:
    folder = tmp_path / "other plant" / "flange"
    assert import_bundle(exported, folder, written[1]) == written[1]
    here, there = open_bundle(*written), open_bundle(folder, written[1])
    assert here.detector.score(pictures).raw.tobytes() == there.detector.score(pictures).raw.tobytes()
    assert export_bundle(folder, tmp_path / "back.oddlot", written[1]) == written[1]
    assert (tmp_path / "back.oddlot").read_bytes() == exported.read_bytes()


def test_import_checks_the_hash_that_was_told(exported, tmp_path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json has the hash"):
        import_bundle(exported, tmp_path / "new", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_import_and_export_write_over_nothing(exported, written, tmp_path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("precious", encoding="utf-8")
    with pytest.raises(BundleError, match="already exists"):
        import_bundle(exported, tmp_path / "there")
    with pytest.raises(BundleError, match="already exists"):
        export_bundle(written[0], tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "precious"


def test_a_damaged_bundle_is_not_exported(bundle, tmp_path) -> None:
    with open(bundle / "weights.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"weights\.npz"):
        export_bundle(bundle, tmp_path / "new.oddlot")
    assert not (tmp_path / "new.oddlot").exists()


def refused_import(file: Path, tmp_path: Path, reason: str) -> None:
    target = tmp_path / "store" / "new"
    with pytest.raises(BundleError, match=reason) as refusal:
        import_bundle(file, target)
    assert "\n" not in str(refusal.value)
    assert not target.parent.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({file.name, "bundle"})


@pytest.mark.parametrize(
    "name",
    ["../outside", "/outside", "a/../../outside", "..\\outside", "sub/card.json", "card.json\0.exe", ""],
)
def test_import_refuses_names_that_lead_elsewhere(bundle, tmp_path, name) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = name
    file = zip_of(tmp_path / "evil.zip", [*entries_of(bundle), (info, b"gotcha")])
    refused_import(file, tmp_path, "does not belong in it|not a file written by")


@pytest.mark.parametrize("name", FILES)
def test_import_refuses_links_and_double_or_missing_files(bundle, tmp_path, name) -> None:
    link = zipfile.ZipInfo(name)
    link.external_attr = 0o120777 << 16
    others = [entry for entry in entries_of(bundle) if entry[0] != name]
    file = zip_of(tmp_path / "evil.zip", [*others, (link, b"/etc/passwd")])
    refused_import(file, tmp_path, f"{name} is not a plain file")
    file = zip_of(tmp_path / "evil.zip", [*entries_of(bundle), (name, b"other")])
    refused_import(file, tmp_path, f"{name} stands in it twice")
    file = zip_of(tmp_path / "evil.zip", others)
    refused_import(file, tmp_path, f"{name} is missing")


def test_import_refuses_bombs_before_they_are_unpacked(bundle, tmp_path) -> None:
    others = [entry for entry in entries_of(bundle) if entry[0] != "card.json"]
    bomb = zip_of(tmp_path / "bomb.zip", [*others, ("card.json", bytes(10**8))], zipfile.ZIP_DEFLATED)
    refused_import(bomb, tmp_path, "is compressed")


def test_import_refuses_a_file_that_claims_to_be_larger_than_the_zip(bundle, tmp_path) -> None:
    file = zip_of(tmp_path / "evil.zip", entries_of(bundle))
    data = bytearray(file.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 20 : central + 28] = (2**31).to_bytes(4, "little") * 2
    file.write_bytes(data)
    refused_import(file, tmp_path, "claim more bytes")


def test_import_refuses_oversized_members(bundle, tmp_path) -> None:
    others = [entry for entry in entries_of(bundle) if entry[0] != "card.json"]
    file = zip_of(tmp_path / "big.zip", [*others, ("card.json", b" " * (LIMITS["card.json"] + 1))])
    refused_import(file, tmp_path, r"card\.json is damaged")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100], ids=["empty", "short", "text"])
def test_import_refuses_what_is_no_zip(bundle, tmp_path, data) -> None:
    file = tmp_path / "file.oddlot"
    file.write_bytes(data)
    refused_import(file, tmp_path, "not a file written by")


def test_import_of_a_file_that_is_not_there_is_one_line(bundle, tmp_path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        import_bundle(tmp_path / "nothing", tmp_path / "new")


def test_import_verifies_what_is_inside(bundle, tmp_path) -> None:
    resealed(bundle, "weights.npz", pickle.dumps(Trap()))
    refused_import(zip_of(tmp_path / "evil.zip", entries_of(bundle)), tmp_path, r"weights\.npz cannot be used")


def test_import_of_a_file_with_any_damaged_byte_is_refused_or_right(bundle, exported, tmp_path) -> None:
    data = exported.read_bytes()
    rng = np.random.default_rng(0)
    central = data.rindex(b"manifest.json", 0, data.rindex(b"PK\x01\x02"))
    spots = [
        *rng.integers(0, len(data), 60).tolist(),
        *rng.integers(central, len(data), 60).tolist(),
        *range(0, 80, 4),
    ]
    file = tmp_path / "damaged.oddlot"
    for number, position in enumerate(spots):
        file.write_bytes(data[:position] + bytes([data[position] ^ (1 << number % 8)]) + data[position + 1 :])
        folder = tmp_path / f"new{number}"
        try:
            import_bundle(file, folder)
        except BundleError:
            assert not folder.exists()
        else:
            assert all((folder / name).read_bytes() == (bundle / name).read_bytes() for name in FILES)
