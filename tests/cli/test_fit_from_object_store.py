"""`oddlot fit NAME s3://bucket/prefix`: the same model as from a folder with the same pictures."""

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


def test_a_model_is_learnt_from_a_prefix_as_from_a_folder(far, drawn, object_store):
    prefix = f"{object_store.url}/line 3/good"
    far.run("fit", "far", prefix, *QUICK, "--group", "folder", "--defects", prefix)
    far.run("fit", "near", drawn / "train" / "good", *QUICK)
    card, near = (far.json("models", "show", name)["card"] for name in ("far", "near"))
    usable = len(list((drawn / "train" / "good").iterdir()))
    assert (card["pictures"]["usable"], card["pictures"]["groups"]) == (usable, 4)
    assert card["options"]["good_dir"] == prefix
    assert card["defects"]["pictures"] == usable  # of the prefix, too
    assert card["pictures"]["size"] == near["pictures"]["size"]
    assert card["preprocessing"] == near["preprocessing"]
    far.run("inspect", "far", prefix)
    assert far.json("job", "last")["scored"] == usable
    # Learnt again with what people said, from where it was learnt: the address is kept.
    far.run("fit", "far", "--from-verdicts", *QUICK)
    assert far.json("models", "show", "far")["version"] == 2


def test_what_cannot_be_had_is_one_line_and_no_model(far, object_store):
    assert "holds no files" in far.run("fit", "far", f"{object_store.url}/line 4", *QUICK, status=1)
    few = f"{object_store.url}/few"
    object_store.put("few/1.png", b"no picture")
    assert "a fit needs at least 20" in far.run("fit", "far", few, *QUICK, status=1)
    assert {one["model"] for one in far.json("models")} == {"flange"}


def test_an_object_that_is_overwritten_after_it_was_listed_is_not_learnt_from(far, object_store):
    asked = []

    def overwritten(method: str, key: str):
        """The first picture that is asked for is another one by then: the store says that its etag does not fit."""
        if method == "GET" and "/shift " in key:
            asked.append(key)
            if key == asked[0]:
                return 412, "PreconditionFailed"
        return None

    object_store.fault = overwritten
    far.run("fit", "far", f"{object_store.url}/line 3/good", *QUICK)
    card = far.json("models", "show", "far")["card"]
    assert card["pictures"]["refused"] == 1
