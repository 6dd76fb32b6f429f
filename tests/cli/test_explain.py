"""`oddlot explain` and `oddlot flagged --fdr`: from a night's table to the place in a picture."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from scipy.stats import false_discovery_control


def explained(oddlot, *arguments):
    """Standard output and standard error."""
    process = oddlot.start("explain", *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err


def test_an_item_is_explained_drawn_and_said_to_be_as_odd_as_its_p_value(inspected, tmp_path):
    row = max(inspected.json("results", "--state", "scored"), key=lambda row: row["score"])
    said, noted = explained(inspected, row["item"], "-o", tmp_path / "odd.png")
    assert noted == ""
    assert row["path"] in said
    assert f"raw score {row['raw_score']:.6g}" in said
    assert "pixels of the upright picture" in said
    assert f"drawn: {tmp_path / 'odd.png'}" in said
    with Image.open(tmp_path / "odd.png") as sheet:
        assert sheet.width > sheet.height > 300
    record = inspected.json("explain", row["item"])
    assert {name: record[name] for name in ("item", "job", "path", "score", "p_value", "flagged", "sha256")} == {
        name: row[name] for name in ("item", "job", "path", "score", "p_value", "flagged", "sha256")
    }
    assert record["raw_score_now"] == pytest.approx(row["raw_score"], rel=1e-5)
    among = record["calibration"]
    assert row["p_value"] == pytest.approx((1 + among["n"] - among["higher_than"]) / (among["n"] + 1))
    assert f"higher than {among['higher_than']} of {among['n']} good pictures" in said
    peak, size = record["peak"], record["upright_picture"]
    assert peak["x"] == pytest.approx(peak["share_x"] * size["width"])
    assert peak["y"] == pytest.approx(peak["share_y"] * size["height"])
    assert record["overlay"] is None
    assert record["map_uri"] == f"{row['job']}/{row['item']}.png" or not row["flagged"]


def test_without_a_name_the_drawing_is_put_into_the_current_folder(inspected, tmp_path):
    item = inspected.json("results", "--state", "scored")[0]["item"]
    process = inspected.start("explain", item, cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert (tmp_path / f"explain-{item}.png").is_file()
    assert f"drawn: explain-{item}.png" in out


def test_the_map_of_a_flagged_item_stands_in_for_a_lost_picture(oddlot, drawn, tmp_path):
    oddlot.environ["ODDLOT_MAP_STORE"] = str(tmp_path / "maps")
    wary = (
        "--architecture", "paper", "--size", "32", "--epochs", "1", "--score", "residual", "--false-alarms", "0.9",
        "--force",
    )  # fmt: skip
    oddlot.run("fit", "flange", drawn / "train" / "good", *wary)
    night = tmp_path / "night"
    shutil.copytree(drawn / "tonight", night)
    oddlot.json("inspect", "flange", night)
    row = oddlot.json("flagged", "--job", "last")[0]
    stored = tmp_path / "maps" / str(row["job"]) / f"{row['item']}.png"
    assert stored.is_file()
    Path(row["path"]).unlink()
    said, noted = explained(oddlot, row["item"], "-o", tmp_path / "odd.png")
    assert "from the stored heat map" in said
    assert "the file is not there any more" in noted
    assert (tmp_path / "odd.png").is_file()
    stored.unlink()
    record = oddlot.json("explain", row["item"], "-o", tmp_path / "none.png")
    assert (record["peak"], record["overlay"], record["score"]) == (None, None, row["score"])
    assert not (tmp_path / "none.png").exists()


def test_an_item_that_was_not_scored_says_why(inspected):
    (row,) = inspected.json("results", "--state", "unreadable")
    said, _ = explained(inspected, row["item"])
    assert f"the file could not be inspected: {row['error']}" in said
    assert row["error"] in inspected.json("explain", row["item"])["why"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "77777"), "there is no item 77777"),
        (("explain", "last"), "'last' is not an item"),
        (("flagged", "--fdr", "0.1"), "--job"),
        (("flagged", "--fdr", "1", "--job", "last"), "--fdr must lie between 0 and 1"),
        (("flagged", "--fdr", "nan", "--job", "last"), "--fdr must lie between 0 and 1"),
    ],
)
def test_errors_are_one_line(oddlot, arguments, words):
    error = oddlot.run(*arguments, status=1)
    assert error.startswith("oddlot: ")
    assert len(error.strip().splitlines()) == 1
    assert words in error


def test_a_night_is_flagged_together(inspected):
    rows = [row for row in inspected.json("results", "--job", "last") if row["state"] == "scored"]
    together = false_discovery_control([row["p_value"] for row in rows], method="bh")
    for rate in (min(*together, 0.98), 0.99):
        expected = {row["item"] for row, value in zip(rows, together, strict=True) if value <= rate}
        found = inspected.json("flagged", "--job", "last", "--fdr", repr(float(rate)))
        assert {row["item"] for row in found} == expected
        assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
    tonight = inspected.json("flagged", "--since", "1h", "--fdr", "0.99")
    assert [row["item"] for row in tonight] == [row["item"] for row in found]
    least = inspected.json("flagged", "--since", "1h", "--fdr", "0.99", "--min-score", "0.4")
    assert [row["item"] for row in least] == [row["item"] for row in found if row["score"] >= 0.4]


def test_why_nothing_can_be_flagged_together_is_said_with_the_numbers(inspected):
    size = inspected.json("models", "show", "flange")["card"]["pictures"]["calibration"]
    process = inspected.start("flagged", "--job", "last", "--fdr", "0.001", "--format", "csv")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 1
    assert "none of 24 pictures" in err
    assert f"no p-value is below 1/{size + 1}" in err
    assert "(more than there are)" in err
