"""`oddlot fit --roi --tiles`, from the queue to what is told about a picture that does not fit."""

import os
import re
import shutil

import numpy as np
import polling
import pytest
from PIL import Image

from db.engine import open_database
from db.models import list_models
from trainer.contact_sheet import CELL


@pytest.fixture
def mask(tmp_path):
    """For the drawn pictures of 160 x 160: all but their upper left quarter."""
    pixels = np.full((160, 160), 255, np.uint8)
    pixels[:80, :80] = 0
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def cells(sheet) -> list[np.ndarray]:
    """The pictures of a contact sheet."""
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("L"))
    pitch = CELL + 12
    found = [
        pixels[top : top + CELL, left : left + CELL]
        for top in range(24, pixels.shape[0] - CELL, pitch)
        for left in range(80, pixels.shape[1] - CELL, pitch)
    ]
    return [cell for cell in found if cell.min() < 255]


def test_a_queued_fit_looks_where_it_was_told_to_and_says_so(empty_oddlot, drawn, mask, tmp_path):
    asked = empty_oddlot.json(
        "fit", "flange", drawn / "train" / "good", "--architecture", "paper", "--size", "32", "--epochs", "1",
        "--tiles", "2x3", "--roi", os.path.relpath(mask), "--queue", "--force",
    )  # fmt: skip
    assert asked["state"] == "queued"
    up = empty_oddlot.start("up")
    try:
        engine = open_database(f"sqlite:///{empty_oddlot.home}/oddlot.db")
        polling.eventually(
            lambda: up.poll() is not None or list_models(engine, cards=False),
            "the queued fit was not done",
            seconds=200,
        )
        engine.dispose()
        assert up.poll() is None
    finally:
        up.terminate()
        up.communicate(timeout=60)
    mask.unlink()  # it is in the model
    shown = empty_oddlot.run("models", "show", "flange")
    assert re.search(r"learnt from (\d+) pictures \(\d+ tiles of them\)", shown)
    assert "looks at 64x48 pixels in 2 x 3 overlapping tiles of 32x32, " in shown
    assert "only the region a mask within 160x160 at 0,0 of 160x160; pictures of another size are unreadable" in shown
    empty_oddlot.run("models", "show", "flange", "--picture", tmp_path / "sheet.png")
    for cell in cells(tmp_path / "sheet.png"):
        assert np.ptp(cell[:70, :70]) == 0, "a defect was pasted where the model does not look"
    night = tmp_path / "night"
    night.mkdir()
    names = sorted(path.name for path in (drawn / "tonight").iterdir())[:3]
    for name in names:
        shutil.copy(drawn / "tonight" / name, night / name)
    with Image.open(night / names[0]) as picture:
        pixels = np.asarray(picture).copy()
    Image.fromarray(pixels).save(night / "same.png")
    pixels[:60, :60] = 0
    Image.fromarray(pixels).save(night / "outside.png")
    Image.fromarray(pixels[:, :120]).save(night / "other size.png")
    job = empty_oddlot.json("inspect", "flange", night)
    assert (job["state"], job["scored"], job["unreadable"]) == ("done", 5, 1)
    found = {os.path.basename(row["path"]): row for row in empty_oddlot.json("results", "--job", "last")}
    assert "120x160, but the model's region is defined on 160x160 pictures" in found["other size.png"]["error"]
    assert found["outside.png"]["raw_score"] == found["same.png"]["raw_score"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tiles", "many"), "--tiles many cannot be used"),
        (("--tiles", "9"), "a number from 1 to 8"),
        (("--roi", "0,0,200,100"), "reaches beyond the pictures, which are 160x160"),
        (("--roi", "nowhere.png"), "neither X,Y,WIDTH,HEIGHT nor a file"),
        (("--roi", "0,0,50%,50%"), "mixes percent"),
    ],
)
def test_a_region_or_tiles_that_cannot_be_are_refused_in_one_line(empty_oddlot, drawn, options, words):
    error = empty_oddlot.run("fit", "flange", drawn / "train" / "good", *options, status=1)
    lines = error.strip().splitlines()
    assert words in lines[-1]
    assert len(lines) <= 2  # what was begun, and what is wrong
    assert not list(empty_oddlot.home.glob("fits/*"))


def test_what_the_fit_chose_is_said_and_kept(empty_oddlot, drawn):
    quickly = ["--architecture", "paper", "--epochs", "1", "--force"]
    process = empty_oddlot.start("fit", "flange", drawn / "train" / "good", "--roi", "30%,30%,20%,15%", *quickly)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "the region is 32x24: size 32 is used (--size chooses another)" in err
    card = empty_oddlot.json("models", "show", "flange")["card"]
    assert (card["network"]["size"], card["pictures"]["size"]) == (32, [160, 160])
    assert "only the region 20% x 15% at 30%, 30%" in empty_oddlot.run("models", "show", "flange")


def test_no_memory_is_given_to_what_is_behind_a_mask(empty_oddlot, drawn, mask):
    options = ["--size", "128", "--epochs", "1", "--folds", "1", "--roi", mask, "--force"]
    empty_oddlot.run("fit", "flange", drawn / "train" / "good", *options)
    card = empty_oddlot.json("models", "show", "flange")["card"]
    assert card["network"]["memory"][0] == card["pictures"]["training"] * (64 - 16) // 2
