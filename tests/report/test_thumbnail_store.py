"""The store of thumbnails: made once, kept when the picture goes, and never in the way."""

from dataclasses import replace
from pathlib import Path

import pytest

from db.items import get_item
from db.results import ResultFilter, iter_results
from report.thumbnails import thumbnail_of, thumbnail_path


@pytest.fixture
def database_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/oddlot.db"


@pytest.fixture
def item(engine, night):
    return get_item(engine, next(iter_results(engine, ResultFilter(job_id=night.id, flagged_only=True)))["item"])


def test_it_is_made_once_and_stays_when_the_picture_is_gone(settings, item) -> None:
    first = thumbnail_of(settings, item)
    assert first
    path = thumbnail_path(settings, item.job_id, item.item_id)
    assert path == settings.home / "thumbnails" / str(item.job_id) / f"{item.item_id}.webp"
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    Path(item.path).unlink()
    assert thumbnail_of(settings, item) == first


def test_a_picture_that_is_gone_or_has_changed_has_none(settings, item) -> None:
    Path(item.path).write_bytes(b"another")
    assert thumbnail_of(settings, item) is None
    Path(item.path).unlink()
    assert thumbnail_of(settings, item) is None
    assert thumbnail_of(settings, replace(item, sha256=None)) is None


def test_a_store_that_cannot_be_written_costs_time_alone(settings, item, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = replace(settings, thumb_store=tmp_path / "file")
    assert thumbnail_of(blocked, item)


def test_a_card_that_says_nonsense_still_gives_a_thumbnail(settings, item) -> None:
    assert thumbnail_of(settings, replace(item, card={"preprocessing": ["?"]}))
