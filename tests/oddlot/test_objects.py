"""What the object store answers, and what it does not, on the way to pictures and stores."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oddlot import object_calls, objects
from oddlot.errors import ObjectTrouble, StoreError
from oddlot.places import ObjectPath, place_of


@pytest.fixture
def impatient(monkeypatch):
    """Gives up early."""
    monkeypatch.setattr(objects, "_patience", 1.0)
    monkeypatch.setattr(object_calls, "FIRST_PAUSE", 0.01)


@pytest.fixture
def one(object_store):
    """An object, and its etag."""
    etag = object_store.put("lot/a.png", b"0123456789")
    return ObjectPath(f"{object_store.url}/lot/a.png"), etag


def test_an_object_is_read_as_it_was_listed(object_store, one):
    place, etag = one
    assert objects.read_object(place, most=10, size=10, etag=etag) == b"0123456789"
    with pytest.raises(ObjectTrouble, match="10 bytes, more than the limit of 9"):
        objects.read_object(place, most=9)
    object_store.put("lot/a.png", b"abcdefghij")  # of the same size
    with pytest.raises(ObjectTrouble, match="changed after it was listed"):
        objects.read_object(place, most=10, size=10, etag=etag)
    object_store.remove("lot/a.png")
    with pytest.raises(ObjectTrouble, match="not there any more"):
        objects.read_object(place, most=10, size=10, etag=etag)
    assert object_store.asked["GET"] == 4  # nothing of that is mended by asking again


@pytest.mark.parametrize("fault", [(503, "SlowDown"), (500, "InternalError"), (429, "Throttling"), "broken", "closed"])
def test_what_may_pass_is_tried_again(object_store, one, fault):
    object_store.fault = lambda method, key: fault if object_store.faults < 3 else None
    assert objects.read_object(one[0], most=10, etag=one[1]) == b"0123456789"
    assert object_store.faults == 3


def test_a_list_goes_on_where_it_broke_off(object_store, monkeypatch):
    monkeypatch.setattr(object_calls, "PAGE", 20)
    for number in range(50):
        object_store.put(f"many/{number:04}", b"")
    object_store.fault = lambda method, key: "broken" if object_store.asked["GET"] == 2 else None
    object_store.asked.clear()
    found = [one.key for one in objects.list_objects(place_of(f"{object_store.url}/many"))]
    assert found == [f"many/{number:04}" for number in range(50)]
    assert (object_store.faults, object_store.asked["GET"]) == (1, 4)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ((403, "AccessDenied"), "access is denied"),
        ((403, "InvalidObjectState"), "archived"),
        ((400, "Whatever"), "answers Whatever"),
    ],
)
def test_trouble_with_one_object_is_its_own(object_store, one, fault, reason):
    object_store.fault = lambda method, key: fault if key == "lot/a.png" else None
    with pytest.raises(ObjectTrouble, match=reason):
        objects.read_object(one[0], most=10)
    assert object_store.asked["GET"] == 1


@pytest.mark.parametrize("fault", [(500, "InternalError"), (503, "SlowDownRead"), "broken"])
def test_an_object_that_never_comes_while_others_do_is_at_fault_itself(object_store, one, fault, impatient):
    object_store.put("lot/b.png", b"another")
    object_store.fault = lambda method, key: fault if key == "lot/a.png" else None
    with pytest.raises(ObjectTrouble, match="though it gives others"):
        objects.read_object(one[0], most=10)
    assert object_store.faults >= 2  # once more when the store was seen to answer


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch"])
def test_a_store_that_lets_nobody_in_is_not_asked_again(object_store, one, code):
    object_store.fault = lambda method, key: (403, code)
    with pytest.raises(StoreError, match=f"lets nobody in: {code}"):
        objects.read_object(one[0], most=10)
    assert object_store.asked["GET"] == 1


def test_a_store_that_is_away_is_no_objects_fault_and_answers_again_when_it_is_back(object_store, one, impatient):
    object_store.stop()
    with pytest.raises(StoreError, match="does not answer"):
        objects.read_object(one[0], most=10)
    with pytest.raises(OSError, match="does not answer"):
        one[0].read_bytes()
    object_store.start()
    assert objects.read_object(one[0], most=10) == b"0123456789"


def test_one_that_throttles_for_ever_is_the_store(object_store, one, impatient):
    object_store.put("lot/b.png", b"another")
    object_store.fault = lambda method, key: (503, "SlowDown") if key else None  # lists are answered
    with pytest.raises(StoreError, match="SlowDown"):
        objects.read_object(one[0], most=10)


def test_a_process_that_was_forked_has_a_connection_of_its_own(object_store, one):
    assert objects.read_object(one[0], most=10) == b"0123456789"
    child = os.fork()
    if child == 0:
        try:
            same = objects.read_object(one[0], most=10) == b"0123456789"
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_threads_share_one_connection(object_store, one):
    together = threading.Barrier(8, timeout=30)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: (together.wait(), objects.read_object(one[0], most=10))[1], range(64)))
    assert read == [b"0123456789"] * 64


def test_without_credentials_it_says_where_they_belong(object_store, one, monkeypatch):
    objects.close()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match=r"no credentials .* set AWS_ACCESS_KEY_ID"):
        objects.read_object(one[0], most=10)


def test_nobody_loads_it_who_has_no_address():
    program = "import sys, cli.main, cli.jobs, worker.tasks, report.thumbnails, ganomaly.bundle_store"
    found = subprocess.run(
        [sys.executable, "-c", f"{program}; print({{'s3fs', 'fsspec', 'botocore', 'aiohttp'}} & {{*sys.modules}})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "set()\n"


def test_without_s3fs_it_says_what_to_install(object_store, one, monkeypatch):
    objects.close()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "oddlot.object_calls", raising=False)
    with pytest.raises(StoreError, match=r"pip install 'oddlot\[s3\]'"):
        objects.read_object(one[0], most=10)
