"""`oddlot fit NAME s3://bucket/prefix`: the same model as from a folder with the same pictures."""

import threading

import pytest
from object_store import ObjectStore

QUICK = ("--architecture", "paper", "--size", "32", "--epochs", "1", "--false-alarms", "0.1", "--force")

pytestmark = pytest.mark.slow


@pytest.fixture
def far(oddlot, drawn, object_store: ObjectStore):
    """The home of a machine on which no pictures are; the good ones of `drawn` are below `good/`."""
    for number, path in enumerate(sorted((drawn / "train" / "good").iterdir())):
        object_store.put(f"line 3/good/shift {number % 4}/{path.name}", path.read_bytes())
    oddlot.environ |= object_store.variables
    return oddlot


def test_a_model_is_learnt_from_a_prefix_as_from_a_folder(far, object_store, drawn):
    """All but from an object that is overwritten after it was listed, and before it is read."""
    prefix = f"{object_store.url}/line 3/good"
    asked: list[str] = []
    other = next((drawn / "tonight").rglob("*.*g")).read_bytes()
    done = threading.Event()

    def overwrite(key: str) -> None:
        object_store.put(key, other)
        done.set()

    def overwritten(method: str, key: str):
        if method == "GET" and "/shift " in key and not asked:  # asked of one request at a time
            asked.append(key)
            threading.Thread(target=overwrite, args=(key,)).start()
        waits = method == "GET" and asked and key == asked[0] and not done.is_set()
        return (503, "SlowDown") if waits else None

    object_store.fault = overwritten
    far.run("fit", "far", prefix, *QUICK, "--group", "folder", "--defects", prefix)
    card, near = (far.json("models", "show", name)["card"] for name in ("far", "flange"))
    usable = near["pictures"]["usable"]
    assert (card["pictures"]["usable"], card["pictures"]["refused"]) == (usable - 1, 1)
    assert card["pictures"]["groups"] == 4  # the shifts
    assert card["defects"]["pictures"] == usable  # of the prefix, too: listed later
    assert card["options"]["good_dir"] == prefix
    assert card["pictures"]["size"] == near["pictures"]["size"]
    assert card["preprocessing"] == near["preprocessing"]
    object_store.fault = lambda method, key: None
    far.run("inspect", "far", prefix)
    assert far.json("job", "last")["scored"] == usable


def test_what_cannot_be_had_is_one_line_and_no_model(far, object_store):
    assert "holds no files" in far.run("fit", "far", f"{object_store.url}/line 4", *QUICK, status=1)
    few = f"{object_store.url}/few"
    object_store.put("few/1.png", b"no picture")
    assert "a fit needs at least 20" in far.run("fit", "far", few, *QUICK, status=1)
    assert {one["model"] for one in far.json("models")} == {"flange"}
