"""`oddlot verdict` and `oddlot replay`: what a person said of an item, and whether its score can be had again."""

import shutil

import pytest
from PIL import Image


@pytest.fixture
def odd(inspected):
    """The most suspicious item of the night."""
    return max(inspected.json("results", "--state", "scored"), key=lambda row: row["score"])


def test_a_verdict_is_remembered_shown_and_takes_the_item_out_of_the_unreviewed(inspected, odd):
    said = inspected.run("verdict", odd["item"], "unsure", "--reviewer", "Ada")
    assert said == f"item {odd['item']}: unsure, by Ada\n"
    said = inspected.run(
        "verdict", odd["item"], "defect", "--kind", "scratch", "--note", "left edge", "--reviewer", "Ben"
    )
    assert said == f"item {odd['item']}: defect, by Ben; before: unsure, by Ada\n"
    rows = inspected.json("results", "--job", "last")
    assert [row["item"] for row in rows if row["verdict"]] == [odd["item"]]
    unreviewed = inspected.json("results", "--job", "last", "--unreviewed")
    assert [row["item"] for row in unreviewed] == [row["item"] for row in rows if row["item"] != odd["item"]]
    latest, first = inspected.json("explain", odd["item"])["verdicts"]
    assert [latest[name] for name in ("verdict", "kind", "note", "reviewer")] == [
        "defect",
        "scratch",
        "left edge",
        "Ben",
    ]
    assert (first["verdict"], first["reviewer"]) == ("unsure", "Ada")


def test_a_verdict_can_be_given_on_what_could_not_be_read(inspected):
    item = inspected.json("results", "--state", "unreadable")[0]["item"]
    record = inspected.json("verdict", item, "good", "--reviewer", "Ada")
    assert (record["verdict"], record["before"]) == ("good", None)
    assert "by Ada: good" in inspected.run("explain", item)


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["999999", "good"], 1, "there is no item 999999"),
        (["x", "good"], 1, "'x' is not an item"),
        (["1", "good", "--kind", "scratch"], 1, "--kind is that of a defect"),
        (["1", "bad"], 2, "'bad' is not one of"),
    ],
)
def test_what_is_wrong_with_a_verdict_is_said_in_a_line(inspected, arguments, status, line):
    assert line in inspected.run("verdict", *arguments, "--reviewer", "Ada", status=status)


def test_a_score_is_had_again_and_its_origin_is_said(inspected, odd):
    said = inspected.run("replay", odd["item"])
    assert odd["path"] in said
    assert "the same, within" in said
    record = inspected.json("replay", odd["item"])
    assert record["same"] is True
    assert record["raw_score_now"] == pytest.approx(odd["raw_score"], rel=1e-4)
    assert (record["sha256"], record["version"]) == (odd["sha256"], odd["version"])
    assert record["host"]
    assert record["scored_on"].startswith("OpenVINO ")
    assert record["scored_on"] in said
    assert record["code_version"]
    assert len(record["bundle_sha256"]) == 64


def test_no_replay_of_another_picture(oddlot, drawn, tmp_path):
    night = tmp_path / "night"
    night.mkdir()
    for path in sorted((drawn / "tonight").iterdir())[:2]:
        shutil.copy(path, night)
    oddlot.run("inspect", "flange", night)
    row = oddlot.json("results", "--job", "last")[0]
    Image.new("L", (64, 64)).save(row["path"])
    line = oddlot.run("replay", row["item"], status=1)
    assert f"item {row['item']} was not replayed" in line
    assert "is not the file that was inspected" in line


def test_no_replay_of_what_was_not_scored(inspected):
    item = inspected.json("results", "--state", "unreadable")[0]["item"]
    assert f"item {item} has no score to compute again: it is unreadable" in inspected.run("replay", item, status=1)


def test_no_replay_with_a_bundle_that_is_gone(inspected, odd, tmp_path):
    inspected.environ["ODDLOT_MODEL_STORE"] = str(tmp_path / "store")
    assert "was not replayed: not computed again" in inspected.run("replay", odd["item"], status=1)
