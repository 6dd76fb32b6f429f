"""A night that should not be believed, as a person meets it: held, looked at, then released or discarded."""

import json

import pytest
from PIL import Image

STATUS = 4


@pytest.fixture(scope="module")
def dark(drawn, tmp_path_factory):
    """The drawn night under a lamp of half its light."""
    folder = tmp_path_factory.mktemp("dark")
    for path in (drawn / "tonight").iterdir():
        with Image.open(path) as picture:
            picture.point(lambda v: v * 0.5).save(folder / path.name)
    return folder


@pytest.fixture
def held(oddlot, dark):
    """A home with a held job, and what `inspect` printed of it."""
    process = oddlot.start("inspect", "flange", dark)
    out, err = process.communicate(timeout=300)
    assert process.returncode == STATUS, err
    return oddlot, out


def test_a_held_night_says_so_before_anything_else_and_shows_no_flags(held):
    oddlot, out = held
    assert out.startswith("job 1 is HELD")
    assert "reason: the pictures are darker than those the model knows" in out
    assert "oddlot release 1" in out
    assert "oddlot discard 1" in out
    assert "score" not in out.splitlines()[0]
    assert "most suspicious first" not in out
    assert "completeness: listed 24 = scored 24" in out
    assert "darker" in oddlot.run("job", "last")
    assert "held" in oddlot.run("jobs")
    (shown,) = oddlot.json("jobs")
    assert (shown["state"], shown["validity"]["reasons"][0]["what"]) == ("held", "brightness")
    assert oddlot.json("job", "1")["validity"]["decided"] is None


def test_flags_of_a_held_job_are_left_out_of_all_and_shown_when_it_is_named(held):
    oddlot, _ = held
    process = oddlot.start("flagged")
    _, err = process.communicate(timeout=60)
    assert "left out, because held: job 1; `oddlot job 1` says why" in err
    assert oddlot.json("flagged") == []
    process = oddlot.start("flagged", "--job", "1")
    _, err = process.communicate(timeout=60)
    assert "job 1 is held" in err
    assert len(oddlot.json("results", "--state", "scored")) == 24
    named = oddlot.json("flagged", "--job", "1")
    assert len(named) == oddlot.json("job", "1")["flagged"]
    oddlot.run("release", "1", "--reviewer", "Ada")
    assert len(oddlot.json("flagged")) == len(named)


def test_release_and_discard_are_a_persons_word_and_said_once(held):
    oddlot, _ = held
    record = json.loads(oddlot.run("release", "last", "--note", "a new \x1b[2J lamp", "--reviewer", "Ada", "--json"))
    assert (record["state"], record["validity"]["decided"]["by"]) == ("done", "Ada")
    shown = oddlot.run("job", "1")
    assert "\x1b" not in shown
    assert "released by Ada" in shown
    assert "was held, because: the pictures are darker" in shown
    assert "is done, not held" in oddlot.run("discard", "1", "--reviewer", "Ben", status=1)
    assert "'x' is not a job" in oddlot.run("release", "x", status=1)


def test_a_discarded_job_stays_out_of_the_flags(held):
    oddlot, _ = held
    said = oddlot.run("discard", "1", "--reviewer", "Ada")
    assert "oddlot results --job 1" in said
    process = oddlot.start("flagged")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "held" not in err
    assert oddlot.json("flagged") == []
    assert oddlot.json("job", "1")["state"] == "discarded"


def test_inspect_json_has_the_reasons_and_the_flags_all_the_same(oddlot, dark):
    process = oddlot.start("inspect", "flange", dark, "--json")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == STATUS
    record = json.loads(out)
    assert (record["state"], len(record["flagged_items"])) == ("held", record["flagged"])
    assert record["validity"]["reasons"]


def test_with_hold_switched_off_the_night_is_done_and_the_reason_a_note(oddlot, dark):
    oddlot.environ["ODDLOT_HOLD"] = "false"
    out = oddlot.run("inspect", "flange", dark)
    assert "note: not held, because ODDLOT_HOLD says so, although the pictures are darker" in out
    oddlot.environ["ODDLOT_HOLD"] = "perhaps"
    assert "ODDLOT_HOLD" in oddlot.run("jobs", status=1)
