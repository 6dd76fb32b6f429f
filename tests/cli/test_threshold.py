"""`oddlot threshold`, `quality` and `models promote`: what verdicts are for, as somebody uses them."""

import re

import pytest


@pytest.fixture
def night(inspected):
    """Scored items of the night by number, some of them judged: the two oddest defects, the next two good."""
    found = sorted(inspected.json("results", "--state", "scored"), key=lambda row: -row["score"])
    for row in found[:2]:
        inspected.run("verdict", row["item"], "defect", "--reviewer", "Ada")
    for row in found[2:4]:
        inspected.run("verdict", row["item"], "good", "--reviewer", "Ada")
    return {row["item"]: row for row in found}


def test_another_threshold_is_replayed_without_changing_anything(inspected, night):
    found = inspected.json("threshold", "flange", "--what-if", "0.5")
    flagged = {item for item, row in night.items() if row["raw_score"] > found["what_if"]["threshold"]}
    before = {item for item, row in night.items() if row["flagged"]}
    assert found["what_if"]["threshold"] < found["threshold"]
    assert (found["scored"], found["would_flag"], found["flagged"]) == (24, len(flagged), len(before))
    assert found["newly"] == len(flagged - before)
    judged = list(night)[:2]
    assert sorted(found["defects"]["kept"] + found["defects"]["gained"]) == sorted(set(judged) & flagged)
    assert found["applied"] is None
    text = inspected.run("threshold", "flange", "--what-if", "0.5")
    assert f"Of 24 scored items it would have flagged {len(flagged)} instead of {len(before)}" in text
    assert "oddlot threshold flange --what-if 0.5 --apply" in text
    assert [row["version"] for row in inspected.json("models")] == [1]
    assert inspected.json("threshold", "flange", "--what-if", "0.5", "--line", "no such")["scored"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("flange", "--what-if", "0.001"), "needs 999 good pictures for calibration and there are 12"),
        (("flange", "--what-if", "2"), "between 0 and 1"),
        (("flange", "--what-if", "nan"), "between 0 and 1"),
        (("other", "--what-if", "0.1"), "there is no model 'other'"),
        (("flange", "--what-if", "0.5", "--version", "7"), "there is no version 7"),
        (("flange", "--what-if", "0.5", "--since", "soon"), "--since does not understand"),
        (("flange", "--what-if", "0.1", "--apply"), "has that threshold already"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(inspected, arguments, words):
    error = inspected.run("threshold", *arguments, status=1)
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert [row["version"] for row in inspected.json("models")] == [1]


def test_applied_it_is_a_new_version_that_scores_alike_and_flags_more_and_there_is_a_way_back(inspected, night, drawn):
    text = inspected.run("threshold", "flange", "--what-if", "0.5", "--apply")
    assert "version 2 is active" in text
    shown = inspected.run("models", "show", "flange")
    assert "network of version 1 with another threshold, for a false-alarm rate of 0.5 instead of 0.1" in shown
    assert re.search(r"on average over calibrations of this size at most 50 %", shown)
    card = inspected.json("models", "show", "flange")["card"]
    assert card["threshold_of"]["version"] == 1
    inspected.run("inspect", "flange", drawn / "tonight", "--lot", "again")
    threshold = inspected.json("models")[1]["threshold"]
    again = [row for row in inspected.json("results", "--job", "last") if row["state"] == "scored"]
    first = {row["sha256"]: row for row in night.values()}
    assert len(again) == 24
    for row in again:
        assert row["version"] == 2
        assert row["raw_score"] == first[row["sha256"]]["raw_score"]
        assert row["p_value"] == first[row["sha256"]]["p_value"]
        assert row["flagged"] == (row["raw_score"] > threshold) == (row["score"] > 0.5)
    both = inspected.json("threshold", "flange", "--what-if", "0.2")
    assert both["scored"] == 48  # of both versions: they have one network
    assert inspected.json("models", "rollback", "flange")["version"] == 1
    assert inspected.json("models")[0]["state"] == "active"


def test_promoting_says_what_changes_and_loses_no_defect_unasked(inspected, night):
    inspected.run("threshold", "flange", "--what-if", "0.9", "--apply")
    found = inspected.json("threshold", "flange", "--what-if", "0.1", "--version", "1")
    low, high = inspected.json("models")[1]["threshold"], inspected.json("models")[0]["threshold"]
    defects = list(night)[:2]
    for item in defects:
        assert night[item]["raw_score"] > low
    lost = sorted(item for item in defects if night[item]["raw_score"] <= high)
    assert found["scored"] == 24
    # Between the thresholds there is something for sure: the least odd of all is called a defect now.
    weak = min((row for row in night.values() if row["raw_score"] > low), key=lambda row: row["raw_score"])
    assert weak["raw_score"] <= high
    inspected.run("verdict", weak["item"], "defect", "--reviewer", "Ada")
    lost = sorted({*lost, weak["item"]})
    error = inspected.run("models", "promote", "flange", "1", status=1)
    assert f"would not flag {len(lost)} confirmed defect" in error
    assert "--yes makes it active all the same" in error
    assert inspected.json("models")[1]["state"] == "active"
    record = inspected.json("models", "promote", "flange", "1", "--yes")
    assert (record["version"], record["state"]) == (1, "active")
    assert record["comparison"]["defects"]["lost"] == lost
    assert inspected.json("models", "rollback", "flange")["version"] == 2
    said = inspected.run("models", "promote", "flange", "1", "--no-compare")
    assert said == "flange: version 1 is active\n"
    said = inspected.run("models", "promote", "flange", "2")  # flags more: nothing is lost, nobody is asked
    assert f"it would have found {len(lost)}" in said
    assert said.endswith("flange: version 2 is active\n")


def test_the_quality_of_the_night_is_told(inspected, night):
    text = inspected.run("quality", "--model", "flange")
    flagged = sum(row["flagged"] for row in night.values())
    assert f"{flagged} of 24 scored items flagged" in text
    found = inspected.json("quality", "--since", "1d")
    assert found["total"]["scored"] == 24
    assert found["total"]["audited"] > 0
    assert [night["scored"] for night in found["nights"]] == [24]
    assert inspected.json("quality", "--model", "other")["nights"] == []
    assert inspected.run("quality", "--until", "2020-01-01") == "Nothing was scored in a finished job that counts.\n"
