"""What the page asks of the database, on both engines."""

import datetime as dt

import pytest
from morning import HELD, NIGHT, make_job, make_many, make_model
from sqlalchemy import event, update

from db import flagged, review, review_words
from db.engine import reading, writing
from db.items import get_item
from db.jobs import get_job
from db.results import ResultFilter, iter_results
from db.review import UNREVIEWED, Choice
from db.review_nights import same_name, score_histogram, without_result
from db.review_places import ladder
from db.schema import job
from db.verdicts import add_verdict, verdicts_of
from oddlot.errors import NotFoundError, StateError
from oddlot.settings import load_settings
from oddlot.words import JobState, Verdict

SCORES = {f"{n:02}.png": 0.95 - n * 0.03 for n in range(12)} | {f"{n:02}.png": 0.1 + n * 0.005 for n in range(20, 40)}
AUDITED = ("22.png", "27.png", "33.png", "39.png")


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home")})


@pytest.fixture
def model(engine, settings):
    return make_model(engine, settings)


@pytest.fixture
def night(engine, settings, model, tmp_path):
    return make_job(engine, settings, model, tmp_path / "lot", SCORES, audited=AUDITED, side=16)


def walk(page, engine, choice, size):
    """All items, page by page."""
    found, after = [], None
    while part := page(engine, choice, after, size):
        found += part
        after = part[-1].key
    return found


def test_pages_hold_every_flagged_item_once_in_order_of_score(engine, night) -> None:
    found = walk(review.flagged_page, engine, Choice(job_id=night.job_id), 5)
    assert [one.item_id for one in found] == [night.items[name] for name in list(SCORES)[:12]]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@pytest.mark.parametrize(
    ("apart", "sorted_apart", "stated"), [(6, 5000, 5000), (1, 5000, 5000), (1, 0, 5000), (1, 0, 1)]
)
def test_jobs_asked_apart_or_together_give_the_same_pages(
    engine, settings, model, tmp_path, night, monkeypatch, apart, sorted_apart, stated
) -> None:
    other = make_job(engine, settings, model, tmp_path / "other", SCORES, line="press-4", side=16)
    monkeypatch.setattr(review, "ASKED_APART", apart)
    monkeypatch.setattr(flagged, "SORTED_APART", sorted_apart)
    monkeypatch.setattr(flagged, "IN_A_STATEMENT", stated)
    found = walk(review.flagged_page, engine, Choice(night=NIGHT), 7)
    wanted = {made.items[name] for made in (night, other) for name in list(SCORES)[:12]}
    assert len(found) == 24
    listed = iter_results(engine, ResultFilter(night=NIGHT, flagged_only=True, believed_only=True))
    assert [row["score"] for row in listed] == [one.score for one in found]
    assert {one.item_id for one in found} == wanted
    assert [one.key for one in found] == sorted((one.key for one in found), reverse=True)


def test_the_queue_mixes_the_audit_among_the_flagged_at_the_same_places_every_time(engine, night) -> None:
    choice = Choice(job_id=night.job_id, verdict=UNREVIEWED)
    found = walk(review.queue_page, engine, choice, 3)
    hidden = [number for number, one in enumerate(found) if not one.flagged]
    assert {found[number].item_id for number in hidden} == {night.items[name] for name in AUDITED}
    assert len(found) == 16
    assert hidden != list(range(12, 16)), "the audit must not stand at the end, in the order of its own scores"
    assert [one.item_id for one in walk(review.queue_page, engine, choice, 5)] == [one.item_id for one in found]


def test_neither_end_of_the_queue_is_kept_for_what_was_flagged(engine, settings, model, tmp_path) -> None:
    quiet = tuple(f"{n:02}.png" for n in range(12))
    scores = {"odd.png": 0.8} | dict.fromkeys(quiet, 0.1)
    make_job(engine, settings, model, tmp_path / "one", scores, audited=quiet, side=16)
    flagged = [one.flagged for one in review.queue_page(engine, Choice(), None, 99)]
    assert not flagged[0]
    assert not flagged[-1]
    assert sum(flagged) == 1


def test_a_verdict_takes_an_item_out_of_the_queue_and_counts(engine, night) -> None:
    choice = Choice(job_id=night.job_id, verdict=UNREVIEWED)
    assert review.progress(engine, choice) == (0, 16)
    for name in ("00.png", "22.png"):
        add_verdict(engine, night.items[name], Verdict.GOOD, reviewer="Ada")
    add_verdict(engine, night.items["00.png"], Verdict.DEFECT, reviewer="Bob")
    assert review.progress(engine, choice) == (2, 16)
    left = {one.item_id for one in walk(review.queue_page, engine, choice, 4)}
    assert len(left) == 14
    assert not left & {night.items["00.png"], night.items["22.png"]}


def test_filters_go_by_the_word_that_stands(engine, night) -> None:
    add_verdict(engine, night.items["00.png"], Verdict.GOOD, reviewer="Ada")
    add_verdict(engine, night.items["00.png"], Verdict.DEFECT, kind="scratch", reviewer="Ada")
    defects = review.flagged_page(engine, Choice(job_id=night.job_id, verdict="defect"), None, 9)
    assert [one.item_id for one in defects] == [night.items["00.png"]]
    assert not review.flagged_page(engine, Choice(job_id=night.job_id, verdict="good"), None, 9)
    assert review.latest_words(engine, [night.items["00.png"]]) == {night.items["00.png"]: (Verdict.DEFECT, "scratch")}


def test_filters_of_line_model_time_and_score(engine, night) -> None:
    def count(**values: object) -> int:
        return len(review.flagged_page(engine, Choice(**values), None, 100))

    assert count(line="press-3") == count(model="flange") == count(since=NIGHT) == count(night=NIGHT) == 12
    assert count(line="press-9") == count(model="other") == count(since=NIGHT + dt.timedelta(days=1)) == 0
    assert count(min_score=0.8) == len([score for score in SCORES.values() if score >= 0.8])
    queue = review.queue_page(engine, Choice(min_score=0.8), None, 100)
    assert all(one.place >= 0.8 for one in queue)
    assert review.progress(engine, Choice(min_score=0.8))[1] == len(queue)


@pytest.mark.parametrize("state", [JobState.HELD, JobState.DISCARDED])
def test_jobs_that_are_not_believed_stay_out_unless_they_are_asked_for(engine, night, state) -> None:
    with writing(engine) as connection:
        connection.execute(update(job).values(state=state, validity=HELD))
    assert review.queue_page(engine, Choice(), None, 9) == []
    assert review.newest_night(engine) is None
    assert review.flagged_page(engine, Choice(job_id=night.job_id), None, 9)


def test_a_job_that_flagged_nothing_still_has_its_audit(engine, settings, model, tmp_path) -> None:
    quiet = make_job(engine, settings, model, tmp_path / "quiet", {"a.png": 0.1, "b.png": 0.2}, audited=("a.png",))
    assert [one.item_id for one in review.queue_page(engine, Choice(), None, 9)] == [quiet.items["a.png"]]


def test_the_same_word_asked_for_twice_is_said_once(engine, night) -> None:
    item_id = night.items["00.png"]
    said = {"kind": "scratch", "note": None, "reviewer": "Ada"}
    first = review_words.give_verdict(engine, item_id, Verdict.DEFECT, **said)
    assert review_words.give_verdict(engine, item_id, Verdict.DEFECT, **said) == first
    assert review_words.give_verdict(engine, item_id, Verdict.GOOD, **(said | {"kind": None})) != first
    assert review_words.give_verdict(engine, item_id, Verdict.DEFECT, **said) != first
    assert len(verdicts_of(engine, item_id)) == 3
    with pytest.raises(NotFoundError):
        review_words.give_verdict(engine, 10**9, Verdict.GOOD, **said)


def test_a_slip_is_taken_back_by_its_giver_alone_and_what_was_said_before_stands(engine, night, monkeypatch) -> None:
    item_id = night.items["00.png"]
    said = {"kind": None, "note": None}
    first = review_words.give_verdict(engine, item_id, Verdict.GOOD, reviewer="Ada", **said)
    second = review_words.give_verdict(engine, item_id, Verdict.DEFECT, reviewer="Bob", **said)
    for verdict_id, reviewer in ((second, "Ada"), (first, "Ada")):  # not hers; not the latest
        with pytest.raises(StateError):
            review_words.take_back(engine, verdict_id, item_id=item_id, reviewer=reviewer)
    assert review_words.take_back(engine, second, item_id=item_id, reviewer="Bob") == item_id
    assert [row.verdict for row in verdicts_of(engine, item_id)] == [Verdict.GOOD]
    with pytest.raises(NotFoundError):
        review_words.take_back(engine, first, item_id=night.items["01.png"], reviewer="Ada")
    with pytest.raises(NotFoundError):
        review_words.take_back(engine, second, item_id=item_id, reviewer="Bob")
    monkeypatch.setattr(review_words, "SLIP", dt.timedelta(0))
    with pytest.raises(StateError, match="too long"):
        review_words.take_back(engine, first, item_id=item_id, reviewer="Ada")


def test_kinds_are_offered_the_latest_first(engine, night) -> None:
    for kind in ("scratch", "dent", "scratch"):
        add_verdict(engine, night.items["00.png"], Verdict.DEFECT, kind=kind, reviewer="Ada")
    assert review_words.recent_kinds(engine) == ["scratch", "dent"]


def test_history_finds_the_same_name_below_other_folders_of_the_line(engine, settings, model, tmp_path, night) -> None:
    last = make_job(engine, settings, model, tmp_path / "next", {"00.png": 0.9, "x.png": 0.9}, side=16)
    elsewhere = make_job(engine, settings, model, tmp_path / "else", {"00.png": 0.9}, line="press-9", side=16)
    add_verdict(engine, night.items["00.png"], Verdict.DEFECT, kind="dent", reviewer="Ada")
    found = same_name(engine, get_item(engine, last.items["00.png"]))
    assert [(one.item_id, one.verdict, one.kind) for one in found] == [(night.items["00.png"], Verdict.DEFECT, "dent")]
    assert same_name(engine, get_item(engine, last.items["x.png"])) == []
    assert same_name(engine, get_item(engine, elsewhere.items["00.png"])) == []


def test_the_histogram_puts_the_threshold_on_the_side_of_the_good(engine, settings, model, tmp_path) -> None:
    scores = {"a.png": 0.5, "b.png": 0.5000001, "c.png": 0.0, "d.png": 1.0, "e.png": None}
    made = make_job(engine, settings, model, tmp_path / "edges", scores, side=16)
    assert score_histogram(engine, get_job(engine, made.job_id), 4) == [1, 1, 1, 1]
    troubles = without_result(engine, made.job_id, limit=9)
    assert [(one.item_id, one.error) for one in troubles] == [(made.items["e.png"], "not a picture of a known format")]


def test_a_page_of_a_large_job_is_found_by_its_index(engine, model) -> None:
    """By the plans of what is really asked: neither a sort nor a look at all rows."""
    job_id = make_many(engine, model, 3000, night=NIGHT)
    found = walk(review.flagged_page, engine, Choice(job_id=job_id), 500)
    assert len({one.item_id for one in found}) == 3000
    if engine.dialect.name != "sqlite":
        return
    asked = []

    @event.listens_for(engine, "before_cursor_execute")
    def keep(connection, cursor, statement, parameters, *_) -> None:
        asked.append((statement, parameters))

    review.queue_page(engine, Choice(job_id=job_id, verdict=UNREVIEWED), found[9].key, 10)
    review.progress(engine, Choice(job_id=job_id))
    with reading(engine) as connection:
        ladder(connection, job_id)
    event.remove(engine, "before_cursor_execute", keep)
    with reading(engine) as connection:
        plans = [
            (statement, str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()))
            for statement, parameters in asked if statement.startswith("SELECT")
        ]  # fmt: skip
    of_flagged = [
        plan for statement, plan in plans if "result.flagged AND" in statement or "AND result.flagged" in statement
    ]
    assert of_flagged
    for plan in of_flagged:
        assert "result_flagged_job_idx" in plan or "SEARCH result USING INTEGER PRIMARY KEY" in plan, plan
        assert "B-TREE FOR ORDER BY" not in plan or "LAST TERM" in plan, plan
