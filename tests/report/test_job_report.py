"""What the report of a job says, whatever became of the job."""

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from finished_jobs import change_job, draw_lot, finished_job, listed_job, some_model

from db.endings import cancel_job, fail_job
from db.results import ResultFilter, iter_results
from db.verdicts import add_verdict
from oddlot.errors import NotFoundError
from oddlot.words import JobState, Verdict
from report.job_report import make_report
from report.odd_pictures import MOST, PICTURE_BYTES

VALIDITY = {
    "reasons": [{"what": "brightness", "text": "The pictures are darker than the model knows <them>."}],
    "notes": [{"what": "defects", "text": "The lot may be bad."}],
    "evidence": {
        "brightness": {"title": "Mean brightness", "edges": [0, 50, 100], "model": [0.1, 0.9], "tonight": [1.0, 0.0],
                       "unit": "gray level"},
    },
    "decided": None,
}  # fmt: skip


class Words(HTMLParser):
    """The text of a page, and the tags in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self._off = "", [], 0
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append((tag, dict(attributes)))
        self._off += tag == "style"

    def handle_endtag(self, tag) -> None:
        self._off -= tag == "style"

    def handle_data(self, data) -> None:
        self.text += "" if self._off else f" {data}"


def words(html: str) -> str:
    return Words(html).text


def test_it_tells_what_was_flagged_and_that_nothing_is_missing(settings, engine, night) -> None:
    page = Words(make_report(settings, engine, night.id))
    assert "2 of 5 pictures are flagged; 1 could not be read, and every picture is accounted for." in page.text
    assert "6 listed = 5 scored + 1 unreadable + 0 quarantined + 0 cancelled" in page.text
    assert page.text.index("odd-1.png") < page.text.index("odd-2.png")
    assert "notes.txt not a picture of a known format" in page.text
    assert "With 95 % confidence at most 9 %" in page.text
    assert "It reliably sees scratches from 12 %" in page.text
    assert "All calibration pictures come from one day." in page.text
    assert "oddlot.invalid" not in page.text
    pictures = [tag for name, tag in page.tags if name == "img"]
    assert len(pictures) == 4
    assert all(tag["src"].startswith("data:image/webp;base64,") for tag in pictures)


def test_nothing_in_it_is_fetched_or_run(settings, engine, night) -> None:
    html = make_report(replace(settings, public_url="https://oddlot.invalid/plant/"), engine, night.id)
    page = Words(html)
    addresses = [tag.get(name) for _, tag in page.tags for name in ("src", "href", "action", "srcset") if tag.get(name)]
    assert {a for a in addresses if not a.startswith("data:")} >= {f"https://oddlot.invalid/plant/jobs/{night.id}"}
    assert all(a.startswith(("data:image/webp", "https://oddlot.invalid/plant/")) for a in addresses)
    assert not {name for name, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    assert "@import" not in html
    assert "url(" not in html


def test_names_that_would_break_a_page_are_text_in_it(settings, engine, model, tmp_path) -> None:
    names = ["<img src=x onerror=alert(1)>.png", "a\"b'c&.png", "\x1b[31mred.png", "latin-\udce9.png"]
    folder = tmp_path / "lot"
    paths = draw_lot(folder, names)
    row = finished_job(engine, model, [0.9, 0.8, 0.7, "<b>bad</b>"], paths=paths, source=str(folder),
                       lot="</title><script>alert(1)</script>", line="<i>")  # fmt: skip
    html = make_report(settings, engine, row.id)
    html.encode("utf-8")
    page = Words(html)
    assert "<img src=x onerror=alert(1)>.png" in page.text
    assert "<b>bad</b>" in page.text
    assert "\x1b" not in html
    tags = {name for name, _ in page.tags}
    assert not {"script", "b", "i"} & {name for name, tag in page.tags if tag.get("onerror")}
    assert "script" not in tags
    assert not [tag for _, tag in page.tags if tag.get("src") == "x"]


def test_a_held_night_says_why_before_anything_else(settings, engine, night) -> None:
    row = change_job(engine, night.id, state=JobState.HELD, validity=VALIDITY)
    html = make_report(settings, engine, row.id)
    text = words(html)
    assert "Do not act on this night yet" in text
    assert "The pictures are darker than the model knows <them>." in text
    assert "The lot may be bad." in text
    assert f"oddlot release {row.id}" in text
    assert 'aria-label="Mean brightness"' in html
    assert text.index("darker than the model") < text.index("odd-1.png")


def test_a_decision_on_a_held_night_is_told(settings, engine, night) -> None:
    decided = {"word": "discarded", "by": "Ada <L>", "at": "2026-11-26T07:00:00+00:00", "note": "lamp"}
    row = change_job(engine, night.id, state=JobState.DISCARDED, validity={**VALIDITY, "decided": decided})
    text = words(make_report(settings, engine, row.id))
    assert "This night was discarded" in text
    assert "Discarded by Ada <L>: lamp" in text


@pytest.mark.parametrize(
    "validity", [[], "text", {"reasons": "x", "evidence": []}, {"reasons": [1, {"text": None}], "evidence": {"a": {}}},
                 {"evidence": {"a": {"edges": [0, "1"], "model": [1], "tonight": [1]}}, "decided": "x"}]
)  # fmt: skip
def test_a_validity_of_another_shape_costs_that_section_alone(settings, engine, night, validity) -> None:
    change_job(engine, night.id, state=JobState.HELD, validity=validity)
    assert "odd-1.png" in words(make_report(settings, engine, night.id))


def test_an_empty_folder_and_jobs_that_did_not_end_well(settings, engine, model) -> None:
    empty = listed_job(engine, model, [])
    assert "The folder held no pictures to inspect." in words(make_report(settings, engine, empty.id))
    waiting = listed_job(engine, model, ["/data/lot/1.png"])
    assert "The job is not finished." in words(make_report(settings, engine, waiting.id))
    cancel_job(engine, waiting.id)
    assert "The job was cancelled. 0 of 1 picture had been scored" in words(make_report(settings, engine, waiting.id))
    failed = listed_job(engine, model, ["/data/lot/1.png"])
    fail_job(engine, failed.id, "the bundle is gone")
    text = words(make_report(settings, engine, failed.id))
    assert "The job failed: the bundle is gone." in text
    assert "/data/lot/1.png" in text or "1.png" in text
    with pytest.raises(NotFoundError, match="there is no job 99"):
        make_report(settings, engine, 99)


def test_a_pruned_job_keeps_its_counts(settings, engine, model, night) -> None:
    row = change_job(engine, night.id, pruned_at=dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    assert "were removed on 2026-12-01" in words(make_report(settings, engine, row.id))


def test_pictures_that_are_gone_are_told_and_the_rest_is_there(settings, engine, night) -> None:
    flagged = next(iter_results(engine, ResultFilter(job_id=night.id, flagged_only=True)))
    Path(flagged["path"]).unlink()
    html = make_report(settings, engine, night.id)
    assert "the picture is gone or has changed" in words(html)
    assert html.count("<img") == 2


def test_heat_maps_that_are_gone_or_damaged_leave_the_picture(settings, engine, night) -> None:
    maps = sorted((settings.map_store / str(night.id)).iterdir())
    maps[0].unlink()
    maps[1].write_bytes(b"damaged")
    assert make_report(settings, engine, night.id).count("<img") == 2


@pytest.mark.parametrize(
    "card", [{}, {"pictures": 1, "preprocessing": [], "certificate": 5, "honesty": "x", "warnings": 3}]
)
def test_a_card_that_no_fit_writes_is_no_error(settings, engine, card) -> None:
    row = finished_job(engine, some_model(engine, card), [0.2, 0.9])
    assert "1 of 2 pictures is flagged" in words(make_report(settings, engine, row.id))


def test_verdicts_so_far_are_counted_each_item_once_by_its_latest(settings, engine, night) -> None:
    first, second = (row["item"] for row in iter_results(engine, ResultFilter(job_id=night.id, flagged_only=True)))
    for item, word in ((first, Verdict.GOOD), (first, Verdict.DEFECT), (second, Verdict.UNSURE)):
        add_verdict(engine, item, word, reviewer="Ada")
    unflagged = next(iter_results(engine, ResultFilter(job_id=night.id)))["item"]
    add_verdict(engine, unflagged, Verdict.GOOD, reviewer="Ada")
    text = words(make_report(settings, engine, night.id))
    assert "Looked at so far: 2 of 2 flagged: 1 defect, 0 good, 1 unsure; and 1 that was not flagged." in text


def test_the_trend_holds_the_nights_of_this_line_until_this_one(settings, engine, model) -> None:
    day = dt.date(2026, 11, 20)
    for number in range(3):
        finished_job(engine, model, [0.9, 0.1], night=day + dt.timedelta(number))
    finished_job(engine, model, [0.9] * 4, night=day + dt.timedelta(1), line="another")
    held = finished_job(engine, model, [0.9, 0.9], night=day + dt.timedelta(3))
    change_job(engine, held.id, state=JobState.HELD)
    last = finished_job(engine, model, [0.1, 0.1, 0.1, 0.9], night=day + dt.timedelta(4))
    finished_job(engine, model, [0.9], night=day + dt.timedelta(5))
    html = make_report(settings, engine, last.id)
    told = re.findall(r"press-3, ([\d-]+) ([\d.]+)( \(held\))?<", html)
    assert told == [("2026-11-20", "50", ""), ("2026-11-21", "50", ""), ("2026-11-22", "50", ""),
                    ("2026-11-23", "100", " (held)"), ("2026-11-24", "25", "")]  # fmt: skip


class TestLarge:
    """Nights of thousands of flags give a file that can still be sent."""

    @pytest.fixture
    def database_url(self, tmp_path) -> str:
        return f"sqlite:///{tmp_path}/oddlot.db"

    def test_five_thousand_flagged(self, settings, engine, model, tmp_path) -> None:
        folder = tmp_path / "lot"
        paths = draw_lot(folder, [f"{i:04}.png" for i in range(150)])
        paths += [f"{folder}/{i:04}.png" for i in range(150, 5000)]
        scores = list(np.linspace(0.99, 0.51, 5000))
        row = finished_job(engine, model, scores, paths=paths, map_store=settings.map_store, source=str(folder))
        html = make_report(settings, engine, row.id)
        assert len(html) < 10_000_000
        assert f"The {MOST} most suspicious of 5,000" in words(html)
        assert html.count('class="heat"') == MOST

    def test_pictures_end_where_the_budget_does(self, settings, engine, model, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr("report.odd_pictures.PICTURE_BYTES", 4000)
        folder = tmp_path / "lot"
        paths = draw_lot(folder, [f"{i}.png" for i in range(9)])
        row = finished_job(engine, model, [0.9] * 9, paths=paths, source=str(folder))
        html = make_report(settings, engine, row.id)
        assert 0 < html.count("<img") < 9
        assert "left out to keep this file small" in words(html)
        assert PICTURE_BYTES < 10_000_000 / 2
