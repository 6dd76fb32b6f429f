"""One batch: every item gets exactly one outcome, whatever happens to pictures, process and database."""

import contextlib
import os
import sqlite3
import threading
from dataclasses import replace

import pytest
from shop import ONE_DATABASE, batch_row, by_name, draw, eventually, register, rows, work_off
from sqlalchemy import event, text

from db import batches, due, endings, jobs, sweeping
from db.engine import make_engine, writing
from oddlot.errors import BundleError
from oddlot.processes import identity
from oddlot.words import BatchState, ItemState, JobState, Runtime
from pictures.preprocessing import Preprocessing
from worker import inspection, reading_ahead, scoring_process
from worker.submission import Submission, retry, submit


def expire_and_sweep(engine, settings):
    sweeping.expire_leases(engine, identity())
    return sweeping.sweep(engine, max_attempts=settings.max_attempts)


@pytest.fixture
def when_read(monkeypatch):
    """Calls what a test sets with the path of each picture, just before it is read."""
    real, hooks = reading_ahead.read_bytes, []

    def read(path, *args, **kwargs):
        for hook in hooks:
            hook(os.path.basename(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(reading_ahead, "read_bytes", read)
    return hooks.append


@pytest.mark.parametrize("threads", [1, 2])
def test_every_item_of_a_mixed_batch_gets_one_outcome_with_its_reason(
    engine, settings, model, lot, threads, monkeypatch
):
    monkeypatch.setattr(scoring_process, "threads", threads)
    settings = replace(settings, batch_size=64)
    whole = (lot / "000.png").read_bytes()
    (lot / "empty.png").write_bytes(b"")
    (lot / "half.png").write_bytes(whole[: len(whole) // 2])
    (lot / "notes.txt").write_text("not a picture")
    (lot / "outside.png").symlink_to("/dev/null")
    draw(lot / "gone.png", 1)
    draw(lot / "changed.png", 2)
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    (lot / "gone.png").unlink()
    draw(lot / "changed.png", 3)
    inspection.inspect_batch(engine, settings, job.id, 1)
    found = by_name(engine, job.id)
    reasons = {name: row["error"] for name, row in found.items() if row["state"] == ItemState.UNREADABLE}
    expected = {
        "empty.png": "empty", "half.png": "damaged or truncated", "notes.txt": "not a picture of a known format",
        "gone.png": "not there any more", "changed.png": "changed after it was listed",
    }  # fmt: skip
    for name, reason in expected.items():
        assert reason in reasons[name]
    scored = [row for row in found.values() if row["state"] == ItemState.SCORED]
    assert len(scored) == 20
    assert all(0 < row["score"] < 1 and row["flagged"] == (row["score"] > 0.5) for row in scored)
    assert all(row["error"] is None and len(row["sha256"]) == 64 for row in scored)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.listed, done.scored, done.unaccounted) == (JobState.DONE, len(found), 20, 0)
    assert done.unreadable == len(reasons)


def test_a_second_message_for_a_batch_changes_nothing(engine, settings, job):
    work_off(engine, settings, job.id)
    before, done = rows(engine, job.id), jobs.get_job(engine, job.id)
    for number in (1, 2, 3):
        inspection.inspect_batch(engine, settings, job.id, number)
    inspection.inspect_batch(engine, settings, job.id + 1, 1)
    assert rows(engine, job.id) == before
    assert jobs.get_job(engine, job.id) == done
    assert batch_row(engine, job.id, 1).attempts == 1


def test_a_batch_in_somebodys_hands_is_left_to_him(engine, settings, job):
    claim = batches.claim_batch(engine, job.id, 1, "somebody", 60.0)
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert batches.renew_lease(engine, claim, 60.0)
    assert jobs.get_job(engine, job.id).unaccounted == 20


def test_nothing_is_looked_at_for_a_cancelled_job(engine, settings, job, when_read):
    read = []
    when_read(read.append)
    endings.cancel_job(engine, job.id)
    for number in (1, 2):
        inspection.inspect_batch(engine, settings, job.id, number)
    assert read == []
    assert {row["state"] for row in rows(engine, job.id)} == {ItemState.CANCELLED}


def test_a_cancel_while_a_batch_is_in_work_lets_it_end(engine, settings, job, when_read):
    when_read(lambda name: name == "003.png" and endings.cancel_job(engine, job.id))
    inspection.inspect_batch(engine, settings, job.id, 1)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.cancelled, done.unaccounted) == (JobState.CANCELLED, 16, 4, 0)


def test_a_score_that_is_no_number_is_quarantined_and_not_stored(engine, settings, trained, own_store, lot):
    from ganomaly.detector import Detector

    huge = {name: array * 1e30 if array.ndim == 4 else array for name, array in trained.detector.weights().items()}
    overflowing = Detector.from_weights(trained.detector.config, huge)
    sha256 = trained.write(own_store / "flange" / "2", detector=overflowing, golden=trained.golden[:0])
    register(engine, sha256, "flange/2")
    settings = replace(settings, model_store=own_store)
    (lot / "notes.txt").write_text("not a picture")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    assert work_off(engine, settings, job.id) == 1
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.quarantined, done.unreadable, done.unaccounted) == (JobState.DONE, 20, 1, 0)
    reasons = {row["error"] for row in rows(engine, job.id) if row["state"] == ItemState.QUARANTINED}
    assert reasons == {"the detector gave no finite score for this picture"}


def test_an_unexpected_error_gives_the_batch_back_and_the_picture_is_found(engine, settings, job, when_read):
    def fail(name):
        if name == "005.png":
            raise LookupError("no such thing\nand a second line")

    when_read(fail)
    inspection.inspect_batch(engine, settings, job.id, 1)
    given_back = batch_row(engine, job.id, 1)
    assert (given_back.state, given_back.attempts, given_back.owner) == (BatchState.WAITING, 1, None)
    assert given_back.error == "LookupError: no such thing"
    assert given_back.published_at is None
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, 19, 1, 0)
    assert "LookupError: no such thing" in by_name(engine, job.id)["005.png"]["error"]


def test_where_memory_runs_out_the_batch_is_halved_at_once_and_the_picture_is_tried_again_alone(
    engine, settings, job, when_read
):
    tries = []

    def fail(name):
        if name == "005.png":
            tries.append(name)
            raise MemoryError("no room for it")

    when_read(fail)
    inspection.inspect_batch(engine, settings, job.id, 1)
    split, halves = batch_row(engine, job.id, 1), [batch_row(engine, job.id, number) for number in (3, 4)]
    assert (split.state, split.owner, split.attempts) == (BatchState.SPLIT, None, 1)
    assert {(half.state, half.error) for half in halves} == {(BatchState.WAITING, "MemoryError: no room for it")}
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, 19, 1, 0)
    assert "MemoryError: no room for it" in by_name(engine, job.id)["005.png"]["error"]
    assert len(tries) == 6  # among 16, 8, 4, 2, and twice alone


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [(LookupError, 3, 3 + 1 + 1 + 1 + 2), (LookupError, 20, 20 + 1 + 1 + 1 + 2), (MemoryError, 20, 1 + 1 + 1 + 1 + 2)],
)
def test_a_picture_that_always_fails_is_given_up_after_an_exact_number_of_attempts_without_any_sweeper(
    engine, settings, job, when_read, error, attempts, expected
):
    """Among 16, 8, 4 and 2, and twice alone; a worker publishes at once what it has given back."""
    tries = []

    def fail(name):
        if name == "005.png":
            tries.append(name)
            raise error("as always")

    when_read(fail)
    settings = replace(settings, max_attempts=attempts)
    while told := due.due_for_publishing(engine, older_than_seconds=None, limit=100):
        assert len(tries) <= expected
        for of_job, number, _ in told:
            inspection.inspect_batch(engine, settings, of_job, number)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.quarantined, done.unaccounted) == (JobState.DONE, 19, 1, 0)
    assert "also alone" in by_name(engine, job.id)["005.png"]["error"]
    assert len(tries) == expected


def test_late_results_are_refused_and_logged(engine, settings, job, when_read, logs):
    """As of a process that was frozen: somebody else has the batch when the results are there."""
    taken = []

    def lose(name):
        if name == "015.png":
            assert expire_and_sweep(engine, settings).put_back == 1
            taken.append(batches.claim_batch(engine, job.id, 1, "somebody else", 60.0))

    when_read(lose)
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert [log["event"] for log in logs] == ["late results refused"]
    assert jobs.get_job(engine, job.id).unaccounted == 20
    assert batches.renew_lease(engine, taken[0], 60.0)


def test_a_lease_that_is_lost_ends_the_work_on_the_batch(engine, settings, model, lot, when_read, logs):
    for i in range(20, 200):
        os.link(lot / f"{i % 20:03}.png", lot / f"{i:03}.png")
    settings = replace(settings, batch_size=200, lease_seconds=1.0)
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    read = []

    def lose(name):
        read.append(name)
        if name == "000.png":
            assert expire_and_sweep(engine, settings).put_back == 1
            eventually(lambda: "lease" not in {thread.name for thread in threading.enumerate()}, "it went unnoticed")

    when_read(lose)
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert [log["event"] for log in logs] == ["late results refused"]
    assert len(read) < 100
    assert batch_row(engine, job.id, 1).state == BatchState.WAITING
    assert jobs.get_job(engine, job.id).unaccounted == 200


def test_the_lease_is_renewed_while_a_single_picture_blocks(engine, settings, job, when_read):
    settings = replace(settings, lease_seconds=1.0)

    def block(name):
        if name == "002.png":
            first = batch_row(engine, job.id, 1).lease_expires_at
            eventually(lambda: batch_row(engine, job.id, 1).lease_expires_at > first, "the lease was not renewed")

    when_read(block)
    inspection.inspect_batch(engine, settings, job.id, 1)
    assert jobs.get_job(engine, job.id).scored == 16


@ONE_DATABASE
@pytest.mark.parametrize("harm", ["missing", "tampered", "replaced", "of another size"])
@pytest.mark.usefixtures("nothing_loaded")
def test_a_bundle_that_cannot_be_used_fails_the_job_with_one_line(
    engine, settings, trained, store, own_store, lot, harm
):
    folder, sha256 = own_store / "flange" / "1", store[1]
    if harm == "missing":
        folder.rename(own_store / "elsewhere")
    elif harm == "tampered":
        weights = bytearray((folder / "weights.npz").read_bytes())
        weights[len(weights) // 2] ^= 1
        (folder / "weights.npz").write_bytes(weights)
    elif harm == "replaced":
        folder.rename(own_store / "elsewhere")
        trained.write(folder, card={"name": "another"})
    else:
        folder.rename(own_store / "elsewhere")
        other = Preprocessing(64, 1).to_dict()
        sha256 = trained.write(folder, preprocessing=other)
    register(engine, sha256)
    settings = replace(settings, model_store=own_store)
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    assert work_off(engine, settings, job.id) == 1
    failed = jobs.get_job(engine, job.id)
    assert (failed.state, failed.quarantined, failed.unaccounted) == (JobState.FAILED, 20, 0)
    assert str(folder) in failed.error
    assert "\n" not in failed.error
    assert {row["error"] for row in rows(engine, job.id)} == {failed.error}


@pytest.fixture
def bad_card(settings, own_store, monkeypatch):
    """The settings of a process on whose card nothing can be loaded, and how long it paused each time."""

    def load(*_):
        raise BundleError("the card is out of memory")

    pauses = []
    monkeypatch.setattr(scoring_process, "_load", load)
    monkeypatch.setattr(scoring_process, "tries_in_vain", 0)
    monkeypatch.setattr(inspection.pausing, "pause", pauses.append)
    return replace(settings, model_store=own_store, runtime=Runtime.GPU), pauses


@ONE_DATABASE
@pytest.mark.usefixtures("nothing_loaded")
def test_one_bad_card_of_several_leaves_the_job_to_the_others(engine, store, lot, bad_card, monkeypatch):
    settings, pauses = bad_card
    monkeypatch.setattr(scoring_process, "processes", 2)
    register(engine, store[1])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    for _ in range(settings.max_attempts - 1):
        inspection.inspect_batch(engine, settings, job.id, 1)
    assert pauses == [20.0, 40.0]  # a night is long: soon it hardly tries any more
    assert jobs.get_job(engine, job.id).unaccounted == 20
    monkeypatch.undo()
    work_off(engine, replace(settings, runtime=Runtime.AUTO), job.id)
    assert jobs.get_job(engine, job.id).scored == 20
    assert scoring_process.tries_in_vain == 0


@ONE_DATABASE
@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(("processes", "tries"), [(1, 1), (2, 3)])
def test_where_all_cards_are_bad_the_job_fails_and_says_why(
    engine, store, lot, bad_card, processes, tries, monkeypatch
):
    settings, pauses = bad_card
    monkeypatch.setattr(scoring_process, "processes", processes)
    register(engine, store[1])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    for _ in range(tries):
        assert jobs.get_job(engine, job.id).state != JobState.FAILED
        inspection.inspect_batch(engine, settings, job.id, 1)
    failed = jobs.get_job(engine, job.id)
    assert (failed.state, failed.quarantined) == (JobState.FAILED, 20)
    assert "out of memory" in failed.error
    assert [pause for pause in pauses if pause] == [20.0, 40.0][: tries - 1]


@ONE_DATABASE
@pytest.mark.usefixtures("nothing_loaded")
def test_one_host_of_many_whose_store_is_away_does_not_end_the_job(
    engine, settings, store, own_store, lot, tmp_path, monkeypatch
):
    monkeypatch.setattr(inspection, "LOAD_PAUSE", 0.0)
    register(engine, store[1])
    many = replace(settings, database_url="postgresql://shared/oddlot")  # as it says; the tables are this test's
    bad, good = replace(many, model_store=tmp_path / "not mounted"), replace(many, model_store=own_store)
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    inspection.inspect_batch(engine, bad, job.id, 1)
    assert jobs.get_job(engine, job.id).unaccounted == 20
    assert "not mounted" in batch_row(engine, job.id, 1).error
    work_off(engine, good, job.id)
    assert jobs.get_job(engine, job.id).scored == 20
    hopeless = submit(engine, settings, Submission(model="flange", folder=lot))
    scoring_process._models.clear()
    work_off(engine, bad, hopeless.id)
    failed = jobs.get_job(engine, hopeless.id)
    assert (failed.state, failed.quarantined) == (JobState.FAILED, 20)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_restored_bundle_and_a_retry_bring_a_failed_job_to_its_end(engine, settings, store, own_store, lot):
    register(engine, store[1])
    settings = replace(settings, model_store=own_store)
    (own_store / "flange").rename(own_store / "elsewhere")
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    (own_store / "elsewhere").rename(own_store / "flange")
    again, count = retry(engine, settings, job.id)
    assert (again.state, count) == (JobState.QUEUED, 20)
    work_off(engine, settings, job.id)
    done = jobs.get_job(engine, job.id)
    assert (done.state, done.scored, done.error) == (JobState.DONE, 20, None)


def test_a_database_that_is_away_at_the_end_loses_and_doubles_nothing(settings, store, lot, tmp_path, when_read, logs):
    """Another program holds SQLite's write lock: neither results nor the giving back can be written."""
    path = tmp_path / "busy.db"
    engine = make_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 20"))
    from db import migrate

    migrate.upgrade(f"sqlite:///{path}")
    register(engine, store[1])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        when_read(lambda name: name == "015.png" and other.execute("BEGIN IMMEDIATE"))
        inspection.inspect_batch(engine, settings, job.id, 1)
        other.execute("ROLLBACK")
    assert "batch could not be given back: its lease ends by time" in [log["event"] for log in logs]
    assert batch_row(engine, job.id, 1).state == BatchState.LEASED
    when_read(lambda name: None)
    assert expire_and_sweep(engine, settings).put_back == 1
    inspection.inspect_batch(engine, settings, job.id, 2)
    assert jobs.get_job(engine, job.id).scored == 4
    engine.dispose()


def test_a_full_database_is_no_fault_of_the_pictures(request, settings, store, lot, tmp_path):
    """PostgreSQL's own error for a full disk, raised where results are written, as often as it likes."""
    url = request.getfixturevalue("postgres_url")
    from db.engine import open_database

    engine = open_database(url)
    register(engine, store[1])
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    with writing(engine) as connection:
        connection.execute(
            text(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
            )
        )
        connection.execute(text("CREATE TRIGGER t BEFORE INSERT ON result EXECUTE FUNCTION full_disk()"))
    for _ in range(2 * settings.max_attempts):
        inspection.inspect_batch(engine, settings, job.id, 1)
        assert not sweeping.sweep(engine, max_attempts=settings.max_attempts).anything
    given_back = batch_row(engine, job.id, 1)
    assert (given_back.state, given_back.attempts) == (BatchState.WAITING, 0)
    assert "no space left" in given_back.error
    assert "INSERT" not in given_back.error
    with writing(engine) as connection:
        connection.execute(text("DROP TRIGGER t ON result"))
    work_off(engine, settings, job.id)
    assert jobs.get_job(engine, job.id).scored == 20
    engine.dispose()


def test_connections_that_the_server_cuts_do_not_stop_a_batch(request, settings, store, lot, when_read):
    url = request.getfixturevalue("postgres_url")
    from db.engine import open_database

    engine, outside = open_database(url), make_engine(url)
    register(engine, store[1])
    job = submit(engine, settings, Submission(model="flange", folder=lot))

    def cut(name):
        if name == "010.png":
            with outside.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    when_read(cut)
    work_off(engine, settings, job.id)
    assert jobs.get_job(engine, job.id).scored == 20
    assert batch_row(engine, job.id, 1).attempts == 1
    engine.dispose()
    outside.dispose()
