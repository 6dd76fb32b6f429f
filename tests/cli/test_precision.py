"""Precision and runtime at the command line: calibrated in what it computes in, refused where that is not there."""

import json
import os

import pytest

from ganomaly.precision import INT8, missing_for

QUICK = ("--architecture", "paper", "--size", "32", "--epochs", "1", "--false-alarms", "0.1", "--force")


@pytest.mark.slow
@pytest.mark.skipif(missing_for(INT8) is not None, reason="this processor has no 8-bit products")
def test_a_model_in_8_bit_is_fitted_used_and_explained_in_it(oddlot, drawn):
    oddlot.run("fit", "coarse", drawn / "train" / "good", *QUICK, "--precision", "int8")
    model = oddlot.json("models", "show", "coarse")
    assert model["card"]["network"]["precision"] == "int8"
    oddlot.run("inspect", "coarse", drawn / "tonight")
    rows = oddlot.json("results", "--model", "coarse")
    assert {row["state"] for row in rows} == {"scored"}
    assert len({row["raw_score"] for row in rows}) > 1
    replayed = oddlot.json("replay", rows[0]["item"])
    assert replayed["same"], replayed
    # The same model cannot be used by a library that would compute it otherwise.
    oddlot.environ["ODDLOT_RUNTIME"] = "tensorflow"
    said = oddlot.run("replay", rows[0]["item"], status=1)
    assert "computes in int8, which needs OpenVINO" in said


@pytest.mark.slow
def test_both_libraries_inspect_a_folder_alike(oddlot, drawn):
    scores = []
    for runtime in ("openvino", "tensorflow"):
        oddlot.environ["ODDLOT_RUNTIME"] = runtime
        oddlot.run("inspect", "flange", drawn / "tonight")
        scores.append([row["raw_score"] for row in oddlot.json("results", "--job", "last")])
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert len(scores[0]) > 1


def test_what_cannot_be_had_is_said_in_one_line_before_reading(oddlot, drawn):
    good = drawn / "train" / "good"
    assert "--precision must be one of float32, bfloat16, int8, not 'half'" in oddlot.run(
        "fit", "coarse", good, "--precision", "half", status=1
    )
    oddlot.environ["ODDLOT_RUNTIME"] = "tensorflow"
    said = oddlot.run("fit", "coarse", good, "--precision", "int8", status=1)
    assert "computes in int8, which needs OpenVINO" in said
    oddlot.environ["ODDLOT_RUNTIME"] = "torch"
    assert "ODDLOT_RUNTIME must be one of auto, openvino, tensorflow, gpu" in oddlot.run("jobs", status=1)


@pytest.mark.slow
def test_doctor_measures_what_this_machine_inspects_in_a_night(oddlot, drawn):
    oddlot.environ["ODDLOT_CONCURRENCY"] = "1"
    oddlot.run("inspect", "flange", drawn / "tonight")
    within = capacity(oddlot)
    pictures = len(os.listdir(drawn / "tonight"))
    assert f"{pictures} pictures of its latest job" in within["found"]
    assert "in 1 process," in within["found"]
    assert within["advice"] == ""
    assert "there is no model 'other'" in capacity(oddlot, "--model", "other", status=1)["found"]


def capacity(oddlot, *arguments, status=0):
    process = oddlot.start("doctor", "--capacity", "--json", *arguments)
    out, err = process.communicate()
    assert process.returncode == status, err
    return next(finding for finding in json.loads(out) if finding["what"] == "capacity")
