"""Every file of a folder is listed once, or counted with the reason why it is not."""

import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from oddlot.errors import OddlotError
from pictures import names
from pictures.listing import ListingReport, list_folder

ROOT = Path(__file__).resolve().parents[2]
LONG_AGO = 1_500_000_000


def put(path, *, at=LONG_AGO, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def listed(folder, **options):
    """Names of the listed files, in their order, relative to the folder; and the report."""
    report = ListingReport()
    return [os.path.relpath(f.path, folder) for f in list_folder(folder, report, **options)], report


def test_files_come_folder_by_folder_by_name_with_size_and_time(tmp_path):
    for name in ("b.png", "a.JPG", "press 3/ü.TIF", "press 3/deep/er/x.bmp", "line/1.webp", "notes.txt"):
        put(tmp_path / name, data=name.encode())
    names, report = listed(tmp_path)
    assert names == ["a.JPG", "b.png", "notes.txt", "line/1.webp", "press 3/ü.TIF", "press 3/deep/er/x.bmp"]
    assert report == ListingReport()
    found = next(list_folder(tmp_path, ListingReport()))
    assert (found.path, found.size, found.mtime_ns) == (str(tmp_path / "a.JPG"), 5, LONG_AGO * 10**9)


def test_names_that_are_not_text_are_listed_and_open(tmp_path):
    raw = [b"TEIL 7.PNG", b"teil-\xff\xe9.png", b"two\nlines.png", "größe 部品.tif".encode()]
    for name in raw:
        put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    found = list(list_folder(tmp_path, ListingReport()))
    assert {os.path.basename(os.fsencode(f.path)) for f in found} == set(raw)
    assert all(Path(f.path).read_bytes() == b"x" for f in found)


def test_fifty_thousand_files_in_nested_folders_are_each_listed_once(tmp_path):
    with tempfile.TemporaryDirectory(dir=tmp_path) as top:
        folders = [Path(top, f"line {i}", f"hour {j}") for i in range(5) for j in range(9)] + [Path(top, "one large")]
        for folder in folders:
            folder.mkdir(parents=True)
            for i in range(27_500 if folder.name == "one large" else 500):
                os.close(os.open(f"{folder}/{i}.png", os.O_CREAT))
        paths = [found.path for found in list_folder(Path(top), ListingReport(), settle_seconds=0)]
    assert len(paths) == len(set(paths)) == 50_000


def test_what_is_not_listed_is_counted_with_its_reason(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / ".hidden.png")
    put(tmp_path / "Thumbs.db")
    put(tmp_path / ".cache" / "b.png")
    os.mkfifo(tmp_path / "pipe.png")
    put(tmp_path / "sub" / "c.png")
    (tmp_path / "link").symlink_to("sub")
    names, report = listed(tmp_path)
    assert names == ["a.png", "sub/c.png"]
    assert report.left_out == {
        "hidden or system file": 2,
        "hidden folder": 1,
        "special file (pipe, socket or device)": 1,
        "link to a folder, not followed": 1,
    }


def test_folders_that_are_linked_in_a_circle_end(tmp_path):
    put(tmp_path / "sub" / "a.png")
    (tmp_path / "sub" / "up").symlink_to("..")
    names, report = listed(tmp_path)
    assert names == ["sub/a.png"]
    assert report.left_out == {"link to a folder, not followed": 1}


def test_links_to_files_are_listed_also_those_that_lead_nowhere(tmp_path):
    """The reader says what is wrong with them: they end as unreadable items, not as a number."""
    folder = tmp_path / "tonight"
    put(folder / "a.png", data=b"four")
    put(tmp_path / "outside.png")
    for name, target in {"b": "a.png", "c": "../outside.png", "d": "gone.png", "e": "e"}.items():
        (folder / name).symlink_to(target)
    names, report = listed(folder)
    assert names == ["a.png", "b", "c", "d", "e"]
    assert report == ListingReport()
    assert [f.size for f in list_folder(folder, ListingReport())] == [4, 4, 1, 0, 0]


def test_a_folder_given_with_dots_is_the_folder_that_they_mean(tmp_path):
    put(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    found = list(list_folder(tmp_path / "b" / ".." / "a", ListingReport()))
    assert [Path(f.path).resolve() for f in found] == [(tmp_path / "a" / "1.png").resolve()]


def test_sub_folders_and_other_names_are_left_out_on_demand(tmp_path):
    for name in ("B.PNG", "a.png", "b.txt", "sub/c.png"):
        put(tmp_path / name)
    names, report = listed(tmp_path, recursive=False, glob="*.png")
    assert names == ["B.PNG", "a.png"]
    assert report.left_out == {"name does not match *.png": 1, "sub-folder, not looked into": 1}


def test_a_file_that_grows_while_the_folder_is_listed_is_reported_and_not_listed(tmp_path):
    growing, gone, calm = (put(tmp_path / name, at=2**32) for name in ("a.png", "b.png", "c.png"))  # not settled
    put(tmp_path / "d.png")
    report = ListingReport()
    found = list_folder(tmp_path, report, settle_seconds=0.01)
    assert next(found).path == str(tmp_path / "d.png")  # the others have been looked at, and wait
    put(growing, at=2**32, data=b"more")
    gone.unlink()
    assert [f.path for f in found] == [str(calm)]
    assert report.still_written == [str(growing), str(gone)]


def test_a_file_with_a_time_in_the_future_is_listed_when_it_does_not_change(tmp_path):
    put(tmp_path / "a.png", at=2**32)
    assert listed(tmp_path, settle_seconds=0.01)[0] == ["a.png"]


@pytest.mark.parametrize("name", ["missing", "file.png", "file.png/below"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    put(tmp_path / "file.png")
    with pytest.raises(OddlotError, match="is not a folder: give the folder that holds the pictures"):
        listed(tmp_path / name)


def test_folders_that_the_account_may_not_enter_are_told_and_the_rest_goes_on():
    """In a process of its own, which takes off the rights of root where the tests have them."""
    program = (
        "import json, os, sys\n"
        "from pathlib import Path\n"
        "from oddlot.errors import OddlotError, UnreadablePicture\n"
        "from pictures.decoding import read_bytes\n"
        "from pictures.listing import ListingReport, list_folder\n"
        "if os.geteuid() == 0:\n    os.seteuid(65534)\n"
        "report, told = ListingReport(), {}\n"
        "for found in list_folder(Path(sys.argv[1]), report):\n"
        "    try:\n        told[os.path.basename(found.path)] = len(read_bytes(found.path, max_file_bytes=9)[0])\n"
        "    except UnreadablePicture as reason:\n        told[os.path.basename(found.path)] = str(reason)\n"
        "for name in ('closed', 'closed/below'):\n"
        "    try:\n        list(list_folder(Path(sys.argv[1], name), report))\n"
        "    except OddlotError as error:\n        told[name + ' itself'] = str(error).replace(sys.argv[1], '')\n"
        "print(json.dumps([told, report.left_out]))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("a.png", "closed/b.png", "names only/c.png", "open/d.png"):
            put(Path(folder, name))
        Path(folder, "closed").chmod(0)
        Path(folder, "names only").chmod(0o444)
        run = subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True, cwd=ROOT
        )  # fmt: skip
        Path(folder, "closed").chmod(0o755)
        Path(folder, "names only").chmod(0o755)
    told, left_out = json.loads(run.stdout)
    assert told == {
        "a.png": 1,
        "d.png": 1,
        "c.png": "cannot be opened: Permission denied",
        "closed": "cannot be opened: Permission denied",
        "closed itself": "/closed cannot be listed: Permission denied",
        "closed/below itself": "/closed/below is not a folder: give the folder that holds the pictures",
    }
    assert left_out == {}


def test_the_names_of_a_large_folder_come_in_order_and_each_once(monkeypatch):
    """Also those that are no text, and those that begin like others."""
    monkeypatch.setattr(names, "RUN", 64)
    monkeypatch.setattr(names, "BLOCK", 10)
    odd = [os.fsdecode(b"teil-\xff\xe9.png"), "größe 部品.tif", "two\nlines.png", "a", "a b", "🔩.png"]
    for count in (0, 1, 63, 64, 65, 1000):
        given = [*(f"{(i * 7919) % count:04}.png" for i in range(count)), *odd]
        assert list(names.in_order(iter(given))) == sorted(given)


def test_the_names_of_a_large_folder_take_little_memory(monkeypatch):
    monkeypatch.setattr(names, "RUN", 5_000)  # that many are in memory at any rate

    def made():
        return (f"part-{(i * 7919) % 200_003:07}.png" for i in range(100_000))

    def most(call) -> int:
        tracemalloc.start()
        for _ in call():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(lambda: names.in_order(made())) < most(lambda: sorted(made())) / 4
