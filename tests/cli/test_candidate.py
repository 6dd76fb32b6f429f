"""A model that sees no more than a trivial score does: stored, explained, and active only where somebody insists."""

import io
import shutil

import pytest
from PIL import Image

from db import models
from db.engine import open_database
from oddlot.settings import load_settings


@pytest.fixture
def candidate(candidate_home, empty_oddlot):
    shutil.copytree(candidate_home[0], empty_oddlot.home, ignore=shutil.ignore_patterns("broker", "logs", "fits"))
    return empty_oddlot


def test_the_fit_says_in_one_line_why_and_what_to_do(candidate_home):
    last = candidate_home[1].strip().splitlines()[-1]
    assert last.startswith("oddlot: version 1 of coin is a candidate, not active: ")
    assert "not clearly better than" in last
    assert "`oddlot models promote coin 1`" in last


def test_nothing_is_inspected_with_it_until_it_is_promoted(candidate, drawn):
    assert [(m["version"], m["state"]) for m in candidate.json("models")] == [(1, "candidate")]
    for command in ("submit", "inspect"):
        error = candidate.run(command, "coin", drawn / "tonight", status=1)
        assert len(error.strip().splitlines()) == 1
        assert "not clearly better than" in error
        assert "`oddlot models promote coin 1`" in error
    assert candidate.json("jobs") == []
    assert candidate.json("models", "promote", "coin", "1")["state"] == "active"
    assert candidate.json("submit", "coin", drawn / "tonight")["version"] == 1
    assert "somebody made it active all the same" in candidate.run("models", "show", "coin")


def test_show_finds_it_and_tells_what_it_sees_and_why_it_is_none(candidate, tmp_path):
    text = candidate.run("models", "show", "coin")
    assert "coin version 1 (candidate)" in text
    assert "It is a candidate, because on synthetic defects" in text
    assert "it does not reliably see: " in text
    assert "synthetic.png" in text
    card = candidate.json("models", "show", "coin", "--version", "1")["card"]
    assert card["honesty"]["auroc"]["model"] < 0.7
    assert f"{card['honesty']['auroc']['pixels']:.3f}" in text


def test_the_picture_is_saved_once_and_refused_where_it_is_damaged(candidate, tmp_path):
    file = tmp_path / "seen.png"
    candidate.run("models", "show", "coin", "--picture", file)
    assert Image.open(io.BytesIO(file.read_bytes())).format == "PNG"
    assert "is there already" in candidate.run("models", "show", "coin", "--picture", file, status=1)
    (sealed,) = (candidate.home / "models").rglob("synthetic.png")
    sealed.write_bytes(file.read_bytes()[:-1])
    error = candidate.run("models", "show", "coin", "--picture", tmp_path / "new.png", status=1)
    assert "synthetic.png is damaged" in error
    assert not (tmp_path / "new.png").exists()
    assert "synthetic.png is damaged" in candidate.run(
        "models", "export", "coin", tmp_path / "coin.oddlot", "--version", "1", status=1
    )


def test_it_is_a_candidate_in_another_plant_too(candidate, tmp_path):
    candidate.run("models", "export", "coin", tmp_path / "coin.oddlot", "--version", "1")
    assert candidate.json("models", "import", tmp_path / "coin.oddlot", "--name", "other")["state"] == "candidate"


def test_it_does_not_push_an_active_model_aside(oddlot, drawn):
    coin = ("--architecture", "paper", "--size", "32", "--epochs", "1", "--seed", "1")
    oddlot.run("fit", "flange", drawn / "train" / "good", *coin, status=3)
    assert [(m["version"], m["state"]) for m in oddlot.json("models")] == [(1, "active"), (2, "candidate")]
    assert oddlot.json("submit", "flange", drawn / "tonight")["version"] == 1
    text = oddlot.run("models", "show", "flange")
    assert "flange version 1 (active)" in text
    assert "Version 2 is newer and a candidate: oddlot models show flange --version 2" in text


@pytest.mark.parametrize(
    "card", [{}, {"pictures": [1], "training": "long", "preprocessing": None, "honesty": {"reason": ["no", "text"]}}]
)
def test_a_card_that_no_fit_writes_is_no_traceback(empty_oddlot, card):
    put(empty_oddlot, card)
    text = empty_oddlot.run("models", "show", "carried")
    assert "carried version 1 (active) has a card that no fit writes: --json shows it" in text
    assert empty_oddlot.json("models", "show", "carried")["card"] == card


def test_a_model_that_is_active_because_its_fit_was_forced_says_so_wherever_it_is_carried(empty_oddlot):
    put(empty_oddlot, {"honesty": {"reason": "it is a coin"}, "options": {"force": True}})
    assert "Note: it is a coin; its fit was told --force" in empty_oddlot.run("models", "show", "carried")


def put(oddlot, card) -> None:
    """Register a model with that card, as an import does."""
    engine = open_database(load_settings({"ODDLOT_HOME": str(oddlot.home)}).database_url)
    models.register_model(
        engine, name="carried", bundle_uri="imported/1", bundle_sha256="0" * 64, architecture="paper", threshold=1.0,
        false_alarms=0.1, card=card,
    )  # fmt: skip
    engine.dispose()
