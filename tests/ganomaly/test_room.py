"""Arrays that do not fit into memory stand on disk, hold the same numbers, and leave nothing behind."""

import gc
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganomaly.config import config_for, paper
from ganomaly.room import Picked, Room
from ganomaly.training import train
from oddlot.errors import TrainingError


def mapped_files(pid: int | str, folder: Path) -> list[str]:
    """What the process has mapped from `folder`, files without a name included."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return [line for line in maps.splitlines() if str(folder) in line]


def test_beyond_its_bound_a_room_maps_files_that_have_no_name_and_says_so_once(tmp_path) -> None:
    said: list[str] = []
    with Room(tmp_path, 5000, said.append) as room:
        small = room.array("pictures", (4, 250), np.float32)
        assert (said, mapped_files("self", tmp_path)) == ([], [])
        large = room.array("features", (2, 1000), np.uint8)
        other = room.array("features", (300,), np.float64)
        small[:], large[:], other[:] = 1.5, 7, np.arange(300)
        assert len(mapped_files("self", tmp_path)) == 2
        assert list(tmp_path.iterdir()) == []
        room._give_pages_back()
        assert (small.sum(), large.sum(), other.sum()) == (1500, 14000, 44850)
    assert re.fullmatch(r"features stand on disk in .*: .* the 0\.0 MB of memory .*\(ODDLOT_FIT_MEGABYTES\)", said[0])
    assert len(said) == 1
    other += 1
    del large, other
    gc.collect()
    assert mapped_files("self", tmp_path) == []


def test_what_is_no_longer_used_makes_room_for_what_comes(tmp_path) -> None:
    room = Room(tmp_path, 5000)
    part = room.array("features", (1000,), np.float32)[10:20]
    other = room.array("features", (1000,), np.float32)
    assert len(mapped_files("self", tmp_path)) == 1
    del part, other
    for _ in range(3):
        array = room.array("features", (1000,), np.float32)
        assert mapped_files("self", tmp_path) == []
        del array


def test_a_disk_that_is_too_small_is_one_clear_error(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    words = r"has no room for 12\.0 GB of features: No space left on device; .*ODDLOT_FIT_MEGABYTES"
    with pytest.raises(TrainingError, match=words):
        Room(tmp_path, 0).array("features", (3, 10**9), np.float32)


def test_picked_pictures_are_those_of_the_array(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)
    numbers = np.array([1, 2, 5, 8])
    picked = Picked(pixels, numbers)
    assert (len(picked), picked.shape, picked.dtype) == (4, (4, 4, 4, 1), np.uint8)
    for which in (slice(1, 3), slice(2, 99), np.array([3, 0, 0]), 1):
        assert np.array_equal(picked[which], pixels[numbers][which])
    assert np.array_equal(picked, pixels[numbers])


@pytest.mark.parametrize("masked", [False, True], ids=["all places", "masked"])
def test_a_training_beyond_the_bound_gives_the_very_same_network(tmp_path, masked: bool) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (50, 128, 128, 1), dtype=np.uint8)
    config = replace(config_for("features", 128, 1), memory=(100, 50))
    inside = np.broadcast_to(np.arange(64).reshape(8, 8) % 3 > 0, (50, 8, 8)) if masked else None

    def trained(room: Room | None):
        return train(
            pictures[:40], pictures[40:], config, seed=1, epochs=2, room=room,
            inside=None if inside is None else inside[:40],
            inside_validation=None if inside is None else inside[40:],
        )  # fmt: skip

    within = trained(None)
    with Room(tmp_path, 0) as room:
        beyond = trained(room)
    assert beyond.history == within.history
    weights = within.detector.weights()
    for name, array in beyond.detector.weights().items():
        assert np.array_equal(array, weights[name]), name
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_are_picked_are_learnt_as_if_they_stood_in_memory() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 1), dtype=np.uint8)
    numbers = np.sort(np.random.default_rng(1).permutation(40))[::2]
    config = replace(paper(32, 1), width=8, latent=12, batch_size=8)
    stood = train(pixels[numbers[:16]], pixels[numbers[16:]], config, seed=0, epochs=2)
    picked = train(Picked(pixels, numbers[:16]), Picked(pixels, numbers[16:]), config, seed=0, epochs=2)
    assert picked.history == stood.history


HOLD = """
import sys
from pathlib import Path
import numpy as np
from ganomaly.room import Room
array = Room(Path(sys.argv[1]), 0).array("features", (1000, 1000), np.float32)
array[:] = 1
print("stands", flush=True)
sys.stdin.read()
"""


def test_a_process_that_is_killed_leaves_nothing_behind(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "stands\n"
    assert len(mapped_files(process.pid, tmp_path)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []
