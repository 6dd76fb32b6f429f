"""Good pictures as they are read, and the sets that a fit refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganomaly.room import Room
from oddlot.errors import TrainingError
from oddlot.settings import load_settings
from pictures.preprocessing import Preprocessing
from trainer.training_set import check_usable, find_good_pictures, read_pictures


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_SETTLE_SECONDS": "0"})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    return folder


def write_pictures(folder, count, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(folder / f"{i:03}.png")


def read(folder, settings, threads=2):
    files = find_good_pictures(folder, settings)
    return read_pictures(files, folder, Preprocessing(32, 1), settings, Room(), threads=threads)


def test_an_empty_folder_is_refused(folder, settings):
    with pytest.raises(TrainingError, match="holds no files"):
        find_good_pictures(folder, settings)


def test_fewer_than_twenty_usable_pictures_are_refused_with_the_reason(folder, settings):
    write_pictures(folder, 19)
    with pytest.raises(TrainingError, match="holds 19 pictures"):
        find_good_pictures(folder, settings)
    (folder / "x.png").write_bytes(b"not a picture")
    (folder / "y.png").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"only 19 of the 21 files .* \(first: x\.png: "):
        check_usable(read(folder, settings), folder)


def test_a_frozen_camera_is_refused(folder, settings):
    for i in range(20):
        Image.new("L", (40, 40), 90).save(folder / f"{i}.png")
    with pytest.raises(TrainingError, match="are equal"):
        check_usable(read(folder, settings), folder)


def test_what_is_read_does_not_depend_on_threads_and_unreadable_files_leave_no_hole(folder, settings):
    write_pictures(folder, 30)
    (folder / "005.png").write_bytes(b"broken")
    one = read(folder, settings, threads=1)
    pixels, fingerprint = np.array(one.pixels), one.fingerprint
    four = read(folder, settings, threads=4)
    assert np.array_equal(pixels, four.pixels)
    assert fingerprint == four.fingerprint
    assert len(pixels) == len(one.hashes) == 29
    assert [Path(file.path).name for file in one.files] == [f"{i:03}.png" for i in range(30) if i != 5]
    assert [path for path, _ in one.refused] == [str(folder / "005.png")]
