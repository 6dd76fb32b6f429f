"""`oddlot fit`: what it refuses, what it reports, and that a kill costs no finished epoch."""

import json
import os
import re
import shutil

import pytest
from oddlot_program import Oddlot
from PIL import Image


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", "1024"), "size"),
        (("--size", "512", "--architecture", "paper"), "size"),
        (("--false-alarms", "0.001"), "needs 999 good pictures"),
        (("--false-alarms", "2"), "--false-alarms"),
        (("--epochs", "0"), "--epochs"),
        (("--seed", "-1"), "--seed"),
        (("--folds", "0"), "--folds"),
        (("--folds", "2", "--false-alarms", "0.01"), "needs 99 good pictures and there are 60"),
        (("--minutes", "inf"), "--minutes"),
        (("--architecture", "resnet"), "resnet"),
        (("--score", "brightness"), "brightness"),
        (("--defects", "/nowhere/at/all"), "--defects takes a folder"),
        (("--group", "("), "not a regular expression"),
        (("--group", "(a+)+"), "for ever"),
        (("--group", "num_([0-9]+)"), "no group in 60 of 60 paths"),
        (("--group", "folder"), "only 1 group"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_in_one_line_before_reading(empty_oddlot, drawn, options, words):
    error = empty_oddlot.run("fit", "flange", drawn / "train" / "good", *options, status=1)
    assert len(error.strip().splitlines()) == 1
    assert words in error
    assert empty_oddlot.json("models") == []


def test_with_folds_every_picture_calibrates_and_a_kill_costs_no_network_that_is_done(empty_oddlot, drawn):
    command = (
        "fit", "flange", drawn / "train" / "good", "--architecture", "article", "--size", "32", "--epochs", "4",
        "--folds", "3", "--false-alarms", "0.02", "--force",
    )  # fmt: skip
    process = empty_oddlot.start(*command)
    for line in process.stderr:
        if line.startswith("epoch 5/12"):
            break
    process.kill()
    process.communicate()
    process = empty_oddlot.start(*command)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert int(re.search(r"^epoch (\d+)/12", err, re.MULTILINE)[1]) >= 6
    card = empty_oddlot.json("models", "show", "flange")["card"]
    assert card["pictures"]["calibration"] == 60
    assert [one["epochs"] for one in card["trainings"]] == [4, 4, 4]
    shown = empty_oddlot.run("models", "show", "flange")
    assert "3 networks, each learnt from about 34 pictures" in shown
    assert "Calibrated on 60 good pictures, each scored by a model that did not learn from it." in shown
    job = empty_oddlot.json("inspect", "flange", drawn / "tonight")
    assert (job["state"], job["scored"]) == ("done", 24)


def test_a_killed_fit_goes_on_after_its_last_epoch(empty_oddlot, drawn):
    good = drawn / "train" / "good"
    command = ("fit", "flange", good, "--architecture", "paper", "--size", "32", "--epochs", "6", "--force")
    process = empty_oddlot.start(*command)
    for line in process.stderr:
        if line.startswith("epoch 3/"):
            break
    process.kill()
    process.communicate()
    assert empty_oddlot.json("models") == []
    process = empty_oddlot.start(*command)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    first = re.search(r"^epoch (\d+)/6", err, re.MULTILINE)
    assert int(first[1]) >= 4
    assert "flange version 1 is active" in out
    assert not list((empty_oddlot.home / "fits").iterdir())


@pytest.fixture(scope="module")
def features(drawn, tmp_path_factory):
    """The options of a fit on features, a home with its model `flange`, and what is known of that."""
    options = (
        drawn / "train" / "good", "--architecture", "features", "--size", "128", "--epochs", "4",
        "--false-alarms", "0.1", "--force",
    )  # fmt: skip
    oddlot = Oddlot(tmp_path_factory.mktemp("features") / "home")
    # Started for real, as what is compared with it bit for bit: numpy's sums depend on the threads that it has.
    process = oddlot.start("fit", "flange", *options, "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return options, oddlot.home, json.loads(out)


def test_a_model_on_features_is_fitted_carried_and_inspected_with_its_own_size_and_score(features, drawn, tmp_path):
    _, home, record = features
    assert (record["card"]["network"]["size"], record["card"]["network"]["score"]) == (128, "residual")
    oddlot = Oddlot(shutil.copytree(home, tmp_path / "home"))
    oddlot.run("models", "export", "flange", tmp_path / "flange.oddlot")
    assert oddlot.json("models", "import", tmp_path / "flange.oddlot")["version"] == 2
    job = oddlot.json("inspect", "flange", drawn / "tonight")
    assert (job["state"], job["version"], job["scored"]) == ("done", 2, 24)
    assert "features network, residual score" in oddlot.run("models", "show", "flange")


def test_unreadable_files_are_named_and_known_defects_counted(empty_oddlot, drawn, tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    for path in (drawn / "train" / "good").iterdir():
        (good / path.name).symlink_to(path)  # leads out of the folder: refused, each by name
    for path in sorted((drawn / "train" / "good").iterdir())[:40]:
        Image.open(path).save(good / f"copy-{path.stem}.png")
        os.utime(good / f"copy-{path.stem}.png", (1_700_000_000, 1_700_000_000))
    quickly = ["--architecture", "paper", "--size", "32", "--epochs", "1", "--force"]
    record = empty_oddlot.json("fit", "flange", good, "--defects", drawn / "tonight", *quickly)
    assert record["card"]["pictures"]["usable"] == 40
    assert len(record["refused"]) == 60
    assert record["card"]["defects"]["pictures"] == 24
    assert set(record["card"]["defects"]["best_f1"]) == {"threshold", "f1", "recall", "false_alarms"}
    assert "to tell them best from the calibration pictures (F1 " in empty_oddlot.run("models", "show", "flange")
    assert record["card"]["pictures"]["calibration"] == 16
    assert "16 calibration pictures come from one day and folder" in record["card"]["warnings"][0]
    assert record["false_alarms"] == pytest.approx(1 / 17)
    assert "16 calibration pictures" in record["card"]["certificate"]


def test_groups_and_copies_stand_on_the_card_and_are_told(empty_oddlot, drawn, tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    for i, path in enumerate(sorted((drawn / "train" / "good").iterdir())[:40]):
        Image.open(path).save(good / f"part_{i // 2}-{i % 2}.png")
    Image.open(good / "part_3-0.png").convert("RGB").save(good / "part_3-again.jpg", quality=90)
    told = empty_oddlot.run(
        "fit", "flange", good, "--architecture", "paper", "--size", "64", "--epochs", "1", "--false-alarms", "0.2",
        "--group", "part_([0-9]+)", "--force",
    )  # fmt: skip
    shown = empty_oddlot.run("models", "show", "flange")
    for text in (told, shown):
        assert "near-duplicates: 2 good pictures" in text
        assert re.search(r"^Warning: The \d calibration pictures come from [34] groups", text, re.MULTILINE)
    card = empty_oddlot.json("models", "show", "flange")["card"]
    assert card["near_duplicates"] == {"pictures": 2, "example": ["part_3-0.png", "part_3-again.jpg"]}
    assert card["pictures"]["groups"] == 20
    assert card["options"]["group"] == "part_([0-9]+)"


def test_a_fit_that_does_not_fit_into_memory_gives_the_same_model_says_so_and_leaves_nothing(empty_oddlot, features):
    """A megabyte is less than the decoded pictures and their features take. One that is killed leaves nothing large."""
    options, home, _ = features
    fits = empty_oddlot.home / "fits"
    empty_oddlot.environ["ODDLOT_FIT_MEGABYTES"] = "1"
    process = empty_oddlot.start("fit", "killed", *options)
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    process.kill()
    process.communicate()
    assert sorted(path.name for path in fits.rglob("*") if path.is_file()) == ["checkpoint-0.npz", "lock"]
    shutil.rmtree(fits)
    process = empty_oddlot.start("fit", "beyond", *options)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert re.search(r"^features of the pictures stand on disk in .*ODDLOT_FIT_MEGABYTES", err, re.MULTILINE)
    assert not list(fits.iterdir())
    within = next((home / "models" / "flange").iterdir())
    beyond = next((empty_oddlot.home / "models" / "beyond").iterdir())
    for file in ("weights.npz", "calibration.json"):
        assert (within / file).read_bytes() == (beyond / file).read_bytes(), file
