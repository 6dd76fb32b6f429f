"""Bundles: what was written comes back, whole or not at all."""

import os
import subprocess
import sys

import pytest

from ganomaly import bundle_folder
from ganomaly.bundle import open_bundle, read_card, read_sheet, write_bundle
from ganomaly.manifest import LIMITS, MANIFEST, sha256_of
from oddlot.errors import BundleError
from oddlot.words import Runtime

FILES = [MANIFEST, *LIMITS]
PREPROCESSING = {"size": 32, "channels": 1, "depth": 8, "window": [0.0, 1.0], "canvas": None, "region": None}
CARD = {"name": "flange", "note": "Größe µ"}
SHEET = b"no picture, and nobody looks"


def test_bundle_comes_back_with_equal_scores(written, detector, calibration, pictures) -> None:
    opened = open_bundle(*written, runtime=Runtime.TENSORFLOW)  # what it was written by: the same to the bit
    assert opened.sha256 == written[1]
    assert opened.calibration == calibration
    assert opened.preprocessing == PREPROCESSING
    assert opened.card == CARD
    assert opened.detector.config == detector.config
    before, after = detector.score(pictures), opened.detector.score(pictures)
    assert before.raw.tobytes() == after.raw.tobytes()
    assert before.maps.tobytes() == after.maps.tobytes()


def test_hash_is_that_of_the_manifest_and_needs_not_be_known(written) -> None:
    folder, sha256 = written
    assert sha256 == sha256_of((folder / MANIFEST).read_bytes())
    assert open_bundle(folder).sha256 == sha256


def test_the_same_fit_writes_the_same_bytes(written, tmp_path, detector, calibration, pictures) -> None:
    again = write_bundle(
        tmp_path / "again",
        detector=detector,
        calibration=calibration,
        preprocessing=PREPROCESSING,
        card=CARD,
        golden=pictures[:3],
        sheet=SHEET,
    )
    assert again == written[1]


def test_the_sheet_comes_back_as_it_was(written) -> None:
    assert read_sheet(*written) == SHEET


def test_head_and_card_are_read_without_tensorflow(written) -> None:
    folder, sha256 = written
    program = (
        "import sys; from pathlib import Path; from ganomaly.bundle import read_bundle_head, read_card\n"
        "head = read_bundle_head(Path(sys.argv[1]), sys.argv[2])\n"
        "print(head.card['name'], head.calibration.n, read_card(Path(sys.argv[1]))['name'])\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(folder), sha256], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["flange 40 flange", "[]"]


def test_a_bundle_is_never_written_over_another(written, detector, calibration, pictures) -> None:
    before = sorted((path.name, path.read_bytes()) for path in written[0].iterdir())
    with pytest.raises(BundleError, match="already exists"):
        write_bundle(
            written[0],
            detector=detector,
            calibration=calibration,
            preprocessing={},
            card={},
            golden=pictures[:1],
            sheet=SHEET,
        )
    assert sorted((path.name, path.read_bytes()) for path in written[0].iterdir()) == before
    assert [path.name for path in written[0].parent.iterdir()] == [written[0].name]


def test_a_card_keeps_names_that_are_no_text(tmp_path, detector, calibration, pictures) -> None:
    card = {"good_dir": os.fsdecode(b"/data/Gr\xf6\xdfe 1"), "note": "µ"}
    write_bundle(
        tmp_path / "new",
        detector=detector,
        calibration=calibration,
        preprocessing={},
        card=card,
        golden=pictures[:0],
        sheet=SHEET,
    )
    assert read_card(tmp_path / "new") == card
    assert open_bundle(tmp_path / "new").card == card


def test_a_folder_that_cannot_be_is_one_line(tmp_path, detector, calibration, pictures) -> None:
    (tmp_path / "file").write_text("precious", encoding="utf-8")
    with pytest.raises(BundleError, match="cannot be written") as refusal:
        write_bundle(
            tmp_path / "file" / "new", detector=detector, calibration=calibration, preprocessing={}, card={},
            golden=pictures[:1],
            sheet=SHEET,
        )  # fmt: skip
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("card", [{"loss": float("nan")}, {"what": object()}])
def test_a_card_that_is_not_json_leaves_nothing(tmp_path, detector, calibration, pictures, card) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_bundle(
            tmp_path / "new",
            detector=detector,
            calibration=calibration,
            preprocessing={},
            card=card,
            golden=pictures[:1],
            sheet=SHEET,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fsyncs", range(9))
def test_a_full_disk_leaves_no_bundle(tmp_path, monkeypatch, written, fsyncs) -> None:
    """The disk fills up at each of the moments at which something is made durable."""
    calls = iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == fsyncs:
            raise OSError(28, "No space left on device")

    files = {name: (written[0] / name).read_bytes() for name in FILES}
    monkeypatch.setattr(bundle_folder.os, "fsync", full)
    with pytest.raises(BundleError, match="cannot be written: No space left on device"):
        bundle_folder.write_folder(tmp_path / "new", files)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_bundle(tmp_path, written) -> None:
    """kill -9 of the program before its rename, at each file that it syncs."""
    program = (
        "import os, sys, signal; from pathlib import Path; from ganomaly import bundle_folder\n"
        "source, target, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])\n"
        "calls = iter(range(100)); sync = os.fsync\n"
        "def fsync(d):\n"
        "    if next(calls) == kill_at: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    sync(d)\n"
        "bundle_folder.os.fsync = fsync\n"
        "bundle_folder.write_folder(target, {p.name: p.read_bytes() for p in source.iterdir()})\n"
    )
    for kill_at in (0, 3, 7):
        ran = subprocess.run(
            [sys.executable, "-c", program, str(written[0]), str(tmp_path / "new"), str(kill_at)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == -9, ran.stderr
        assert not (tmp_path / "new").exists()
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
