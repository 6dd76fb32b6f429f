"""Bundles that are damaged, changed or made up are refused by the name of the file."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganomaly.arrays import pack_arrays, unpack_arrays
from ganomaly.bundle import open_bundle, read_bundle_head, read_card, read_sheet
from ganomaly.manifest import LIMITS, MANIFEST, make_manifest
from oddlot.errors import BundleError

FILES = [MANIFEST, *LIMITS]
CARD = {"name": "flange", "note": "Größe µ"}


def resealed(folder: Path, name: str, data: bytes) -> None:
    """Change a file as somebody would who knows about the manifest."""
    files = {known: (folder / known).read_bytes() for known in FILES[1:]} | {name: data}
    (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(make_manifest(files))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_flipped_byte_is_refused_by_name(bundle, written, name, where) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle, written[1])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 0.5, -1])
def test_a_truncated_file_is_refused_by_name(bundle, written, name, keep) -> None:
    size = (bundle / name).stat().st_size
    os.truncate(bundle / name, int(size * keep) if keep >= 0 else size - 1)
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle, written[1])


@pytest.mark.parametrize("name", FILES)
def test_a_longer_file_is_refused_by_name(bundle, written, name) -> None:
    with open(bundle / name, "ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle, written[1])


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(bundle, written, name) -> None:
    (bundle / name).unlink()
    for refuse in (open_bundle, read_bundle_head, read_card):
        with pytest.raises(BundleError, match=f"{name} is missing"):
            refuse(bundle, written[1])


@pytest.mark.parametrize("name", FILES)
def test_links_folders_and_pipes_are_no_files_of_a_bundle(bundle, written, name) -> None:
    original = bundle.parent / "original"
    (bundle / name).rename(original)
    (bundle / name).symlink_to(original)
    with pytest.raises(BundleError, match=f"{name} cannot be read: it is a link"):
        open_bundle(bundle, written[1])
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match=f"{name} is not a plain file"):
        open_bundle(bundle, written[1])
    (bundle / name).unlink()
    (bundle / name).mkdir()
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        open_bundle(bundle, written[1])


def test_a_damaged_sheet_stops_whoever_scores_or_shows_it_and_not_who_reads_the_card(bundle, written) -> None:
    (bundle / "synthetic.png").write_bytes(b"another")
    for refuse in (open_bundle, read_sheet):
        with pytest.raises(BundleError, match=r"synthetic\.png is damaged"):
            refuse(bundle, written[1])
    assert read_card(bundle, written[1]) == CARD


@pytest.mark.parametrize("extra", ["weights.npy", ".hidden", "card.json~"])
def test_an_extra_file_is_refused_by_name(bundle, written, extra) -> None:
    (bundle / extra).write_bytes(b"")
    with pytest.raises(BundleError, match=extra):
        open_bundle(bundle, written[1])


@pytest.mark.parametrize("name", FILES[1:])
def test_the_registered_hash_guards_a_file_changed_with_its_manifest(bundle, written, name) -> None:
    resealed(bundle, name, (bundle / name).read_bytes() + b" ")
    for refuse in (open_bundle, read_bundle_head, read_card):
        with pytest.raises(BundleError, match=r"manifest\.json has the hash"):
            refuse(bundle, written[1])


def _manifest_changes() -> dict[str, object]:
    entry = {"bytes": 1, "sha256": "0" * 64}
    files = dict.fromkeys(LIMITS, entry)
    good = {"format": "oddlot bundle 1", "files": files}
    return {
        "another format": good | {"format": "oddlot bundle 2"},
        "more than it should": good | {"run": "rm"},
        "no files": {"format": "oddlot bundle 1"},
        "files as a list": good | {"files": list(files)},
        "a file too few": good | {"files": {"card.json": entry}},
        "a sheet of another name": good | {"files": files | {"sheet.png": entry}},
        "a file outside": good | {"files": files | {"../../etc/passwd": entry}},
        "a negative size": good | {"files": files | {"card.json": entry | {"bytes": -1}}},
        "a size beyond its limit": good | {"files": files | {"card.json": entry | {"bytes": 2**40}}},
        "a hash that is a number": good | {"files": files | {"card.json": entry | {"sha256": 1}}},
        "not a table": [1],
    }


@pytest.mark.parametrize("change", _manifest_changes().values(), ids=list(_manifest_changes()))
def test_a_manifest_that_is_none_of_ours_is_refused(bundle, change) -> None:
    (bundle / MANIFEST).write_text(json.dumps(change), encoding="utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}', b"3", b"null"]
)
@pytest.mark.parametrize("name", [MANIFEST, *(name for name in LIMITS if name.endswith("json"))])
def test_json_that_is_not_a_table_is_refused_by_name(bundle, name, text) -> None:
    if name == MANIFEST:
        (bundle / name).write_bytes(text)
    else:
        resealed(bundle, name, text)
    with pytest.raises(BundleError, match=name) as refusal:
        open_bundle(bundle)
    assert "\n" not in str(refusal.value)


def test_an_unknown_network_is_refused(bundle) -> None:
    network = json.loads((bundle / "network.json").read_bytes())
    resealed(bundle, "network.json", json.dumps(network | {"run": "rm"}).encode())
    with pytest.raises(BundleError):
        open_bundle(bundle)


def test_weights_of_another_network_are_refused(bundle) -> None:
    weights = unpack_arrays((bundle / "weights.npz").read_bytes())
    first = next(iter(weights))
    for changed in (
        {name: array for name, array in weights.items() if name != first},
        weights | {"one_more": np.zeros(3, np.float32)},
        weights | {first: np.zeros((2, 2), np.float32)},
    ):
        resealed(bundle, "weights.npz", pack_arrays(changed))
        with pytest.raises(BundleError, match=r"weights\.npz"):
            open_bundle(bundle)


def test_a_network_that_is_larger_than_its_weights_is_not_even_built(bundle, monkeypatch) -> None:
    def built(config, *_):
        raise AssertionError("memory was taken for it")

    monkeypatch.setattr("ganomaly.member.build_encoder", built)
    network = json.loads((bundle / "network.json").read_bytes())
    resealed(bundle, "network.json", json.dumps(network | {"latent": 1000}).encode())
    with pytest.raises(BundleError, match=r"weights\.npz .* fewer numbers than such a network has"):
        open_bundle(bundle)


def test_golden_pictures_with_other_scores_are_refused(bundle) -> None:
    golden = unpack_arrays((bundle / "golden.npz").read_bytes())
    raw = golden["raw"].copy()
    raw[1] *= 1.001
    resealed(bundle, "golden.npz", pack_arrays(golden | {"raw": raw}))
    with pytest.raises(BundleError, match=r"golden\.npz: picture 1 now scores"):
        open_bundle(bundle)
    assert open_bundle(bundle, check_golden=False).card == CARD


def test_weights_that_give_no_numbers_are_refused(bundle) -> None:
    weights = unpack_arrays((bundle / "weights.npz").read_bytes())
    resealed(bundle, "weights.npz", pack_arrays({name: array * np.nan for name, array in weights.items()}))
    with pytest.raises(BundleError):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": np.zeros((2, 32, 32, 1), np.uint8)},
        {"pictures": np.zeros((2, 32, 32, 1), np.uint8), "raw": np.zeros(3)},
        {"pictures": np.zeros((2, 32, 32), np.uint8), "raw": np.zeros(2)},
        {"pictures": np.zeros((2, 48, 48, 3), np.uint8), "raw": np.zeros(2)},
        {"pictures": np.zeros((2, 32, 32, 1), np.uint8), "raw": np.array([0, np.nan])},
    ],
    ids=["no scores", "too many scores", "no channels", "another size", "no number"],
)
def test_golden_pictures_of_another_shape_are_refused(bundle, arrays) -> None:
    resealed(bundle, "golden.npz", pack_arrays(arrays))
    with pytest.raises(BundleError, match=r"golden\.npz"):
        open_bundle(bundle)


class Trap:
    """Unpickling this makes the folder `sprung` in the current one."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("name", ["weights.npz", "golden.npz"])
@pytest.mark.parametrize("how", ["object array", "pickle in an npy", "bare pickle", "pickle in a zip"])
def test_a_pickle_is_refused_and_never_run(bundle, tmp_path, monkeypatch, name, how) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    buffer = io.BytesIO()
    if how == "object array":
        np.savez(buffer, raw=objects, pictures=objects)
    elif how == "bare pickle":
        pickle.dump(Trap(), buffer)
    else:
        payload = io.BytesIO()
        np.save(payload, objects) if how == "pickle in an npy" else pickle.dump(Trap(), payload)
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("raw.npy", payload.getvalue())
    resealed(bundle, name, buffer.getvalue())
    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)
    assert not Path("sprung").exists()
