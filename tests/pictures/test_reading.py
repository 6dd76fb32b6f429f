"""One file of a folder becomes the array of the model, or an unreadable picture with a reason a person understands."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlot.errors import UnreadablePicture
from pictures.decoding import DRAFT_RATIO, decode
from pictures.drawing import draw_part
from pictures.preprocessing import Preprocessing
from pictures.reading import preprocess, read_picture

ROOT = Path(__file__).resolve().parents[2]
MODEL = Preprocessing(32, 3)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = (tmp_path / "tonight").resolve()
    folder.mkdir()
    return folder


@pytest.fixture
def part(folder) -> Path:
    Image.fromarray(draw_part(np.random.default_rng(0))).save(folder / "part.png")
    return folder / "part.png"


def read(path, model=MODEL, **options):
    return read_picture(str(path), model, max_pixels=10**8, max_file_bytes=10**8, **options)


def reason_for(path, **options) -> str:
    with pytest.raises(UnreadablePicture) as refused:
        read(path, **options)
    return str(refused.value)


def test_a_picture_comes_with_the_hash_of_its_bytes_and_its_size(part):
    picture = read(part)
    assert (picture.pixels.shape, picture.pixels.dtype) == ((32, 32, 3), np.uint8)
    assert picture.sha256 == hashlib.sha256(part.read_bytes()).hexdigest()
    assert (picture.width, picture.height, picture.note) == (160, 160, None)


def test_reading_twice_gives_the_same_array(part):
    assert np.array_equal(read(part).pixels, read(part).pixels)


def test_a_damaged_picture_still_says_which_bytes_it_was(part):
    part.write_bytes(part.read_bytes()[:500])
    with pytest.raises(UnreadablePicture, match="truncated") as refused:
        read(part)
    assert refused.value.sha256 == hashlib.sha256(part.read_bytes()).hexdigest()


def test_an_empty_file_is_called_empty(folder):
    (folder / "a.png").touch()
    assert reason_for(folder / "a.png") == "the file is empty"


def test_a_file_that_is_too_large_is_refused_with_the_limit(part):
    size = part.stat().st_size
    with pytest.raises(UnreadablePicture, match=f"the file has {size} bytes, more than the limit of {size - 1}"):
        read_picture(str(part), MODEL, max_pixels=10**8, max_file_bytes=size - 1)


def test_a_file_that_changed_since_it_was_listed_waits_for_the_next_run(part):
    listed = part.stat()
    expected = (listed.st_size, listed.st_mtime_ns)
    assert read(part, expected=expected).width == 160
    os.utime(part, ns=(listed.st_atime_ns, listed.st_mtime_ns + 1))
    assert "changed after it was listed; the next run inspects it" in reason_for(part, expected=expected)
    with part.open("ab") as stream:
        stream.write(b"more")
    os.utime(part, ns=(listed.st_atime_ns, listed.st_mtime_ns))
    assert "changed after it was listed" in reason_for(part, expected=expected)


def test_a_file_that_is_gone_is_called_gone(folder):
    assert reason_for(folder / "a.png") == "the file is not there any more"


def test_a_pipe_a_folder_or_a_socket_in_place_of_the_file_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    assert "not a regular file" in reason_for(folder / "pipe.png")
    assert "not a regular file" in reason_for(folder / "folder.png")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s.png")
        assert "cannot be opened" in reason_for(f"{short}/s.png")


def test_refused_files_leave_nothing_open(folder):
    (folder / "folder.png").mkdir()
    (folder / "empty.png").touch()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        reason_for(folder / "folder.png")
        reason_for(folder / "empty.png")
    assert len(os.listdir("/proc/self/fd")) == before


def test_links_are_followed_inside_the_folder_and_not_out_of_it(folder, part, tmp_path):
    outside = tmp_path / "elsewhere.png"
    outside.write_bytes(part.read_bytes())
    beside = tmp_path / "tonight-2"
    beside.mkdir()
    (beside / "a.png").write_bytes(part.read_bytes())
    for name, target in {
        "inside": "part.png", "out": outside, "dots": "../elsewhere.png", "beside": beside / "a.png",
        "nowhere": "gone.png", "loop": "loop",
    }.items():  # fmt: skip
        (folder / name).symlink_to(target)
    root = str(folder)
    assert np.array_equal(read(folder / "inside", root=root).pixels, read(part).pixels)
    for name in ("out", "dots", "beside", "../elsewhere.png"):
        assert "leads out of the submitted folder" in reason_for(folder / name, root=root)
    assert reason_for(folder / "nowhere", root=root) == "the link leads to a file that is not there"
    assert reason_for(folder / "loop", root=root) == "cannot be opened: Too many levels of symbolic links"


@pytest.mark.parametrize(
    "name", [b"TEIL 7.PNG", "größe µ 部品.png".encode(), b"teil-\xff\xe9.png", b"two\nlines.png", b"no suffix"]
)
def test_any_name_is_read(folder, part, name):
    path = os.fsdecode(os.fsencode(folder) + b"/" + name)
    part.rename(path)
    assert read(path, root=str(folder)).width == 160


def test_what_the_account_may_not_read_is_unreadable_with_that_reason():
    """In a process of its own, which takes off the rights of root where the tests have them."""
    program = (
        "import json, os, sys\n"
        "from oddlot.errors import UnreadablePicture\n"
        "from pictures.decoding import read_bytes\n"
        "if os.geteuid() == 0:\n    os.seteuid(65534)\n"
        "try:\n    read_bytes(sys.argv[1], max_file_bytes=10**6)\n"
        "except UnreadablePicture as reason:\n    print(json.dumps(str(reason)))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "secret.png")
        Image.new("L", (8, 8)).save(path)
        path.chmod(0)
        run = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT
        )  # fmt: skip
    assert json.loads(run.stdout) == "cannot be opened: Permission denied"


def large_jpeg(path, side):
    picture = Image.fromarray(draw_part(np.random.default_rng(5), "scratch", 320))
    picture.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=92)
    return path.read_bytes()


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(folder):
    data = large_jpeg(folder / "large.jpg", 3000)
    small, full = decode(data, max_pixels=10**8, target=MODEL.size), decode(data, max_pixels=10**8)
    assert full.pixels.shape == (3000, 3000, 3)
    assert 2 * MODEL.size <= min(small.pixels.shape[:2]) < 3000 / 2
    assert (small.width, small.height) == (3000, 3000)
    off = np.abs(read(folder / "large.jpg").pixels.astype(int) - preprocess(full, MODEL))
    assert off.max() <= 3
    assert off.mean() < 0.5


def test_a_jpeg_that_is_not_much_larger_than_the_model_is_decoded_in_full(folder):
    side = DRAFT_RATIO * MODEL.size - 1
    data = large_jpeg(folder / "small.jpg", side)
    small, full = decode(data, max_pixels=10**8, target=MODEL.size), decode(data, max_pixels=10**8)
    assert small.pixels.shape == (side, side, 3)
    assert np.array_equal(small.pixels, full.pixels)
