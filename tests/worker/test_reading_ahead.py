"""Files are read ahead of the network: how far, by whom, and what is known of a picture while it is looked at."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog

from db.batches import ItemRow
from oddlot.errors import UnreadablePicture
from pictures.preprocessing import Preprocessing
from worker import reading_ahead, scoring_process

MEGABYTE = 2**20


class Reads:
    """A stand-in for reading, which says what was begun."""

    def __init__(self):
        self.begun, self.changed = [], threading.Condition()

    def __call__(self, item):
        with self.changed:
            self.begun.append(item)
            self.changed.notify_all()
        return item

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= count, 20), self.begun


def test_reading_does_not_run_ahead_of_scoring_without_bound():
    reads, most, taken = Reads(), 0, []
    for item, result in reading_ahead.in_order(reads, range(500), 8):
        assert item == result
        most = max(most, len(reads.begun) - len(taken))
        taken.append(item)
    assert taken == list(range(500))
    assert most <= 9


def test_small_files_are_read_while_the_first_is_worked_on():
    reads = Reads()
    found = reading_ahead.in_order(reads, range(10), 4, most=100, weigh=lambda _: 10)
    next(found)
    reads.wait_for(4)  # nobody asked for them yet
    found.close()


def test_of_large_files_one_is_read_while_the_one_before_is_worked_on_and_no_more():
    reads, most = Reads(), 0
    sizes = [200, 201, 202, 203, 204]
    for taken, (size, _) in enumerate(reading_ahead.in_order(reads, sizes, 8, most=100, weigh=lambda size: size)):
        if taken < len(sizes) - 1:
            reads.wait_for(taken + 2)
        most = max(most, len(reads.begun) - taken)
        assert size == sizes[taken]
    assert most <= 3


@pytest.fixture
def claim(lot):
    items = []
    for number, path in enumerate(sorted(lot.iterdir()), start=1):
        found = path.stat()
        items.append(ItemRow(number, str(path), found.st_size, found.st_mtime_ns))
    return SimpleNamespace(items=tuple(items), source=str(lot))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_of_one_core_decodes_in_the_thread_that_scores(settings, claim, threads, monkeypatch):
    monkeypatch.setattr(scoring_process, "threads", threads)
    real, where, reading = reading_ahead.picture_of, set(), {}

    def picture_of(*args, **kwargs):
        where.add(threading.current_thread() is threading.main_thread())
        assert reading  # or a picture that hangs while it is decoded would never be found
        return real(*args, **kwargs)

    monkeypatch.setattr(reading_ahead, "picture_of", picture_of)
    found = list(reading_ahead.read_ahead(claim, Preprocessing(32, 1), settings, reading, 8))
    assert [item for item, _ in found] == list(claim.items)
    assert not any(isinstance(picture, UnreadablePicture) for _, picture in found)
    assert where == {threads == 1}
    assert reading == {}


@pytest.mark.parametrize("threads", [1, 2])
def test_no_memory_for_one_picture_is_no_fault_of_the_picture(settings, claim, threads, monkeypatch):
    monkeypatch.setattr(scoring_process, "threads", threads)

    def picture_of(*_, **__):
        raise MemoryError

    monkeypatch.setattr(reading_ahead, "picture_of", picture_of)
    with pytest.raises(MemoryError):
        next(reading_ahead.read_ahead(claim, Preprocessing(32, 1), settings, {}, 8))


def test_files_wait_to_be_decoded_by_their_size(settings, claim, monkeypatch):
    large = tuple(replace(item, size=40 * MEGABYTE) for item in claim.items)
    reads, most = Reads(), 0

    def read_bytes(path, **_):
        reads(path)
        raise UnreadablePicture("not looked at here")

    monkeypatch.setattr(reading_ahead, "read_bytes", read_bytes)
    monkeypatch.setattr(scoring_process, "threads", 1)
    claim = SimpleNamespace(items=large, source=claim.source)
    found = reading_ahead.read_ahead(claim, Preprocessing(32, 1), settings, {}, 8)
    for taken, _ in enumerate(found):
        most = max(most, len(reads.begun) - taken)
    assert len(reads.begun) == len(large)
    assert most <= 3


def test_what_is_logged_while_a_picture_is_read_has_the_numbers_of_its_batch():
    with structlog.contextvars.bound_contextvars(job=7, batch=3):
        found = dict(reading_ahead.in_order(lambda _: structlog.contextvars.get_contextvars(), range(3), 2))
    assert found == {number: {"job": 7, "batch": 3} for number in range(3)}
