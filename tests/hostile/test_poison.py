"""A picture that takes its process down with it, hangs or eats the memory is found, and costs nobody else anything."""

from pathlib import Path

import pytest
from hostile import LONG, eventually
from sqlalchemy import select

from db import jobs
from db.engine import reading
from db.schema import batch
from oddlot.words import BatchState

POISONED = '''
"""Stands for a decoder with a fault: what a picture does to it is written behind its last byte."""

import ctypes, io, os, signal, threading
import PIL.Image

real = PIL.Image.open


def poisoned(file, *args, **kwargs):
    deed = bytes(file.getbuffer()[-12:]) if isinstance(file, io.BytesIO) else b""
    with open(os.environ["ODDLOT_HOME"] + "/deeds.log", "ab") as log:
        log.write(deed + b"\\n" if deed.startswith(b"*") else b"")
    if deed == b"**SEGFAULT**":
        os.kill(os.getpid(), signal.SIGSEGV)
    if deed == b"***HANGS****":
        threading.Event().wait()
    if deed == b"*HOLDS*GIL**":
        ctypes.PyDLL(None).sleep(10**6)
    if deed == b"*NO*MEMORY**":
        raise MemoryError("no room for it")
    return real(file, *args, **kwargs)


PIL.Image.open = poisoned
'''
MAX_ATTEMPTS = 2
DIED = "the worker died or fell silent"
DEEDS = {
    "001.png": (b"**SEGFAULT**", DIED, MAX_ATTEMPTS + 4),  # of 8 pictures, of 4, of 2, and twice alone
    "003.png": (b"***HANGS****", "reading 003.png took more than 8 s", 3),  # it is known which one hangs
    "004.png": (b"*NO*MEMORY**", "MemoryError: no room for it", 5),  # halved at once
    "006.png": (b"*HOLDS*GIL**", DIED, MAX_ATTEMPTS + 4),
}
"""Last bytes, reason, and how often the picture is tried at most."""


@pytest.fixture
def poisoned(home, tmp_path):
    """Every process of this home has a decoder that some pictures break."""
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "sitecustomize.py").write_text(POISONED)
    root = Path(__file__).resolve().parents[2]
    home.environ |= {
        "PYTHONPATH": f"{plugin}:{root}", "ODDLOT_PICTURE_SECONDS": "8",
        "ODDLOT_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
    }  # fmt: skip
    return home


MINUTES = pytest.mark.skipif(not LONG, reason="takes minutes: with ODDLOT_FUZZ=long")
CASES = [
    ["001.png"], ["003.png"], pytest.param(["004.png"], marks=MINUTES), pytest.param(["006.png"], marks=MINUTES),
    pytest.param(sorted(DEEDS), marks=MINUTES),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 600)
@pytest.mark.parametrize("names", CASES, ids="+".join)
def test_the_picture_is_quarantined_alone_with_its_reason_and_all_others_are_scored(poisoned, lot, names):
    for name in names:
        with (lot / name).open("ab") as stream:
            stream.write(DEEDS[name][0])
    for path in sorted(lot.iterdir())[8:]:
        path.unlink()
    job = poisoned.json("submit", "flange", lot)
    with poisoned.worker() as worker, poisoned.database() as engine:
        eventually(lambda: jobs.get_job(engine, job["job"]).finished_at, poisoned.log.read_text)
        assert worker.poll() is None
        with reading(engine) as connection:
            batches = connection.execute(select(batch.c.state, batch.c.attempts)).all()
    done = poisoned.json("job", job["job"])
    assert (done["state"], done["scored"], done["quarantined"]) == ("done", 8 - len(names), len(names))
    rows = {Path(row["path"]).name: row for row in poisoned.json("results", "--job", job["job"])}
    assert sorted(name for name, row in rows.items() if row["state"] == "quarantined") == names
    for name in names:
        assert rows[name]["error"] == f"inspecting it failed each time, also alone: {DEEDS[name][1]}"
    tried = (poisoned.folder / "deeds.log").read_bytes().splitlines()
    assert {row.state for row in batches} <= {BatchState.DONE, BatchState.SPLIT}
    assert all(row.attempts <= MAX_ATTEMPTS for row in batches)
    assert len(tried) <= sum(DEEDS[name][2] for name in names)
