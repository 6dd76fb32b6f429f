"""`ODDLOT_RUNTIME=gpu` at the command line."""

import json

import pytest

from oddlot.devices import cards

QUICK = ("--architecture", "paper", "--size", "32", "--epochs", "1", "--false-alarms", "0.1", "--force")


def graphics_card(oddlot) -> dict:
    """What `oddlot doctor` says of it; something else may be wrong, too."""
    doctor = oddlot.start("doctor", "--json")
    out, _ = doctor.communicate(timeout=300)
    (found,) = [one for one in json.loads(out) if one["what"] == "graphics card"]
    return found


def test_without_a_card_who_needs_one_says_so_in_a_line_and_who_does_not_goes_on(oddlot, drawn):
    oddlot.environ |= {"ODDLOT_RUNTIME": "gpu", "CUDA_VISIBLE_DEVICES": ""}
    for command in (("worker",), ("up",), ("fit", "other", drawn / "train" / "good"),
                    ("inspect", "flange", drawn / "tonight")):  # fmt: skip
        said = oddlot.run(*command, status=1).strip().splitlines()
        assert "ODDLOT_RUNTIME is gpu, and there is no NVIDIA graphics card here" in said[-1], command
    assert oddlot.json("submit", "flange", drawn / "tonight")["listed"] == 24
    assert graphics_card(oddlot)["state"] == "wrong"
    oddlot.leaves_nothing()


@pytest.mark.slow
@pytest.mark.skipif(bool(cards()), reason="this machine has a graphics card")
def test_a_card_that_tensorflow_cannot_use_fails_the_job_with_the_reason_and_loses_nothing(oddlot, drawn):
    oddlot.environ |= {"ODDLOT_RUNTIME": "gpu", "CUDA_VISIBLE_DEVICES": "0"}  # a card that is there by its name only
    found = graphics_card(oddlot)
    assert (found["state"], "TensorFlow can use no graphics card" in found["found"]) == ("wrong", True)
    said = oddlot.run("inspect", "flange", drawn / "tonight", status=1)
    assert "TensorFlow can use no graphics card here" in said
    assert oddlot.json("retry", "last")["put_back"] == 24


@pytest.mark.slow
@pytest.mark.skipif(not cards(), reason="NOT TESTED on a graphics card: this machine has none of NVIDIA's, or hides it")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_night_on_a_card(oddlot, drawn, precision):
    oddlot.environ["ODDLOT_RUNTIME"] = "gpu"
    oddlot.run("fit", "carded", drawn / "train" / "good", *QUICK, "--precision", precision)
    assert oddlot.json("models", "show", "carded")["card"]["runtime"] == "gpu"
    oddlot.run("inspect", "carded", drawn / "tonight")
    rows = oddlot.json("results", "--job", "last")
    assert {row["state"] for row in rows} == {"scored"}
    again = oddlot.json("replay", rows[0]["item"])
    assert (again["same"], "graphics card" in again["scored_on"]) == (True, True)
    oddlot.run("inspect", "flange", drawn / "tonight")  # which was fitted on a processor
    others = oddlot.json("results", "--job", "last")
    assert graphics_card(oddlot)["state"] == "ok"
    del oddlot.environ["ODDLOT_RUNTIME"]  # whoever looks at a picture again may have no card
    for row in [*others, *(rows if precision == "float32" else [])]:
        assert oddlot.json("replay", row["item"])["same"]
