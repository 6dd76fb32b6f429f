"""From a folder to a job: all of it, once, also where the submitter dies half way."""

import os
import shutil
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from shop import ONE_DATABASE, child, eventually, rows
from sqlalchemy import func, select

from db import batches, due, endings, jobs
from db.batches import Outcome
from db.engine import reading
from db.schema import item
from db.types import is_too_long
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import ItemState, JobState
from worker import submission
from worker.submission import Submission, retry, submit

SUBMITTER = """
import sys
from pathlib import Path
from db.engine import open_database
from oddlot.settings import load_settings
from worker import submission

def wait(found):
    print(found, flush=True)
    sys.stdin.readline()

submission.LISTING_CHUNK = 100
settings = load_settings()
wish = submission.Submission(model="flange", folder=Path(sys.argv[1]), key="night 1")
submission.submit(open_database(settings.database_url), settings, wish, on_listed=wait)
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "night"
    made.mkdir()
    return made


def fill(folder, count, prefix=""):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        (folder / f"{prefix}{i:04}.png").write_bytes(b"x" * (i % 7 + 1))


def sizes_of_batches(engine, job_id):
    with reading(engine) as connection:
        found = select(item.c.batch_id, func.count()).where(item.c.job_id == job_id).group_by(item.c.batch_id)
        return [count for _, count in sorted(connection.execute(found).tuples())]


def look_at_all(engine, job):
    """Every waiting batch of the job is inspected; here all of its files are unreadable."""
    for of_job, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=100):
        claim = batches.claim_batch(engine, of_job, number, "me", 60.0)
        outcomes = [
            Outcome(found.id, ItemState.UNREADABLE, error="not a picture", sha256="0" * 64) for found in claim.items
        ]
        batches.finish_batch(engine, claim, outcomes, host="here", code_version="0.1.0")


def test_thousands_of_files_are_listed_once_in_order_in_batches(engine, settings, model, folder, monkeypatch):
    for name, count in (("b", 900), ("a", 800), ("", 800)):
        fill(folder / name, count)
    (folder / ".hidden").write_text("")
    monkeypatch.setattr(submission, "LISTING_CHUNK", 1000)
    told = []
    job = submit(engine, settings, Submission(model="flange", folder=folder, line="press 3"), on_listed=told.append)
    assert (job.state, job.found, job.listed, job.unaccounted) == (JobState.QUEUED, 2500, 2500, 2500)
    assert (job.lot, job.line, job.left_out) == ("night", "press 3", {"hidden or system file": 1})
    assert told == [1000, 2000, 2500]
    expected = [folder / name / f"{i:04}.png" for name, n in (("", 800), ("a", 800), ("b", 900)) for i in range(n)]
    assert [row["path"] for row in rows(engine, job.id)] == [str(path) for path in expected]
    assert sizes_of_batches(engine, job.id) == [*[16] * 62, 8, *[16] * 62, 8, *[16] * 31, 4]
    told = due.due_for_publishing(engine, older_than_seconds=None, limit=1000)
    assert told == [(job.id, number, 5) for number in range(1, 159)]


@pytest.mark.parametrize("files", [1, 31, 33, 500, 900, 2100])
def test_batches_get_smaller_towards_the_end_so_that_all_processes_have_a_part(engine, settings, model, folder, files):
    fill(folder, files)
    job = submit(engine, replace(settings, batch_size=128), Submission(model="flange", folder=folder))
    sizes = sizes_of_batches(engine, job.id)
    assert sum(sizes) == files
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == min(files, max(32, -(-files // 8)), 128)
    assert all(size >= 32 for size in sizes[:-1])
    assert sizes[-1] <= 32


@pytest.mark.parametrize(("files", "full_chunks"), [(1000, 0), (2000, 1), (2500, 2)])
def test_only_at_the_end_of_a_listing_do_batches_get_smaller(
    engine, settings, model, folder, files, full_chunks, monkeypatch
):
    fill(folder, files)
    monkeypatch.setattr(submission, "LISTING_CHUNK", 1000)
    job = submit(engine, replace(settings, batch_size=128), Submission(model="flange", folder=folder))
    sizes = sizes_of_batches(engine, job.id)
    assert sum(sizes) == files
    assert sizes[: 8 * full_chunks] == [*[128] * 7, 104] * full_chunks
    assert sizes[8 * full_chunks :].count(32) > 3


def test_a_slow_share_is_written_down_in_smaller_parts(engine, settings, model, folder, monkeypatch):
    fill(folder, 5)
    monkeypatch.setattr(submission, "LISTING_SECONDS", -1.0)
    told = []
    assert submit(engine, settings, Submission(model="flange", folder=folder), on_listed=told.append).listed == 5
    assert told == [1, 2, 3, 4, 5]


def test_files_that_are_still_written_are_left_for_the_next_run_and_named(engine, variables, model, folder):
    from oddlot.settings import load_settings

    settings = load_settings(variables | {"ODDLOT_SETTLE_SECONDS": "0.5"})
    fill(folder, 3)
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 10**18))
    (folder / "whole.png").write_bytes(b"just copied")
    over = threading.Event()

    def write():
        with (folder / "growing.png").open("ab", buffering=0) as stream:
            while not over.wait(0.01):
                stream.write(b"x")

    writer = threading.Thread(target=write)
    writer.start()
    eventually((folder / "growing.png").exists, "nothing was written")
    job = submit(engine, settings, Submission(model="flange", folder=folder))
    over.set()
    writer.join()
    assert (job.listed, job.found) == (4, 4)
    assert jobs.deferred_files(engine, job.id) == [str(folder / "growing.png")]
    assert rows(engine, job.id)[-1]["path"] == str(folder / "whole.png")


def test_only_new_takes_what_is_new_or_was_changed(engine, settings, model, folder):
    fill(folder, 30)
    wish = Submission(model="flange", folder=folder, only_new=True)
    look_at_all(engine, submit(engine, settings, wish))
    nothing = submit(engine, settings, wish)
    assert (nothing.state, nothing.found, nothing.seen_before, nothing.listed) == (JobState.DONE, 30, 30, 0)
    (folder / "0007.png").write_bytes(b"changed")
    fill(folder, 2, "more ")
    some = submit(engine, settings, wish)
    assert (some.found, some.seen_before, some.listed) == (32, 29, 3)
    names = [os.path.basename(row["path"]) for row in rows(engine, some.id)]
    assert names == ["0007.png", "more 0000.png", "more 0001.png"]


def test_a_key_given_twice_is_one_job(engine, settings, model, folder):
    fill(folder, 3)
    wish = Submission(model="flange", folder=folder, key="night 1")
    job = submit(engine, settings, wish)
    fill(folder, 9)
    assert submit(engine, settings, wish) == job
    look_at_all(engine, job)
    assert submit(engine, settings, wish).id == job.id
    assert len(jobs.list_jobs(engine, limit=10)) == 1


def test_a_key_that_means_something_else_is_refused(engine, settings, model, folder, tmp_path):
    submit(engine, settings, Submission(model="flange", folder=folder, key="night 1"))
    (tmp_path / "other").mkdir()
    with pytest.raises(StateError, match="of another folder or model"):
        submit(engine, settings, Submission(model="flange", folder=tmp_path / "other", key="night 1"))


def test_a_listing_that_a_person_stops_is_cancelled_and_a_retry_lists_the_whole_folder(
    engine, settings, model, folder, monkeypatch
):
    fill(folder, 50)
    monkeypatch.setattr(submission, "LISTING_SECONDS", -1.0)  # file by file

    def stop(found):
        if found == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit(engine, settings, Submission(model="flange", folder=folder), on_listed=stop)
    job = jobs.get_job(engine, "last")
    assert (job.state, job.cancelled, job.unaccounted) == (JobState.CANCELLED, 20, 0)
    again, count = submission.retry(engine, settings, job.id)
    assert (again.state, again.listed, again.found, count) == (JobState.QUEUED, 50, 50, 50)


def test_a_folder_without_files_is_done_at_once(engine, settings, model, folder):
    (folder / "Thumbs.db").write_bytes(b"")
    (folder / "empty").mkdir()
    job = submit(engine, settings, Submission(model="flange", folder=folder))
    assert (job.state, job.listed, job.found, job.unaccounted) == (JobState.DONE, 0, 0, 0)
    assert job.left_out == {"hidden or system file": 1}
    assert job.finished_at is not None


def test_a_file_in_many_nested_folders_keeps_no_other_from_being_inspected(engine, settings, model, folder):
    """PostgreSQL finds no path of more than 2,704 bytes."""
    fill(folder, 3)
    deep = folder
    for number in range(13):
        deep /= f"{number % 10}" * 200
    deep.mkdir(parents=True)
    (deep / "lost.png").write_bytes(b"x")
    longest = folder / "in" / ("ß" * 100) / ("ß" * 127)
    longest.mkdir(parents=True)
    (longest / "found.png").write_bytes(b"x")
    job = submit(engine, settings, Submission(model="flange", folder=folder))
    assert (job.state, job.listed, job.found) == (JobState.QUEUED, 4, 4)
    assert job.left_out == {"path of more than 2600 bytes": 1}


@pytest.mark.parametrize(
    ("path", "too_long"),
    [("a" * 2599, False), ("a" * 2600, True), ("\N{PANDA FACE}" * 649, False), ("\N{PANDA FACE}" * 650, True),
     ("\udcff" * 860, False), ("\N{PANDA FACE}" * 216 + "\udcff", True)],
    ids=["", "ASCII", "", "four bytes each", "", "no UTF-8"],
)  # fmt: skip
def test_a_path_counts_as_long_as_it_is_stored(path, too_long):
    assert is_too_long(f"/{path}") == too_long


@pytest.mark.parametrize(("what", "most"), [("line", 200), ("key", 400)])
def test_names_that_are_too_long_are_refused(engine, settings, model, folder, what, most):
    fill(folder, 1)
    submit(engine, settings, Submission(model="flange", folder=folder, **{what: "ß" * most}))
    with pytest.raises(OddlotError, match=f"the {what} 'xxx.* has {most + 1} characters: use at most {most}"):
        submit(engine, settings, Submission(model="flange", folder=folder, **{what: "x" * (most + 1)}))
    assert len(jobs.list_jobs(engine, limit=10)) == 1


def test_what_cannot_be_submitted_leaves_no_job_behind(engine, settings, model, folder):
    (folder / "file.png").write_bytes(b"x")
    for path in (folder / "gone", folder / "file.png"):
        with pytest.raises(OddlotError, match="is not a folder: give the folder that holds the pictures"):
            submit(engine, settings, Submission(model="flange", folder=path))
    with pytest.raises(NotFoundError, match="there is no model 'nut'"):
        submit(engine, settings, Submission(model="nut", folder=folder))
    assert jobs.list_jobs(engine, limit=10) == []


def test_a_job_cancelled_while_it_is_listed_ends_the_listing(engine, settings, model, folder, monkeypatch):
    fill(folder, 50)
    monkeypatch.setattr(submission, "LISTING_CHUNK", 20)
    with pytest.raises(StateError, match="is not being listed by this command any more"):
        submit(
            engine, settings, Submission(model="flange", folder=folder),
            on_listed=lambda _: endings.cancel_job(engine, 1),
        )  # fmt: skip
    job = jobs.get_job(engine, 1)
    assert (job.state, job.listed, job.cancelled, job.unaccounted) == (JobState.CANCELLED, 20, 20, 0)


@pytest.fixture
def half_listed(engine, model, folder, variables, database_url):
    """A submitter, alive, that has listed 100 of 250 files and waits."""
    fill(folder, 250)
    with child(SUBMITTER, str(folder), variables=variables | {"ODDLOT_DATABASE_URL": database_url}) as submitter:
        assert submitter.stdout.readline() == "100\n"
        yield submitter


def all_are_listed_once(engine, folder, job):
    assert (job.state, job.listed, job.found) == (JobState.QUEUED, 250, 250)
    listed = [row["path"] for row in rows(engine, job.id)]
    assert listed == sorted(str(path) for path in folder.iterdir())
    assert len(jobs.list_jobs(engine, limit=10)) == 1


@ONE_DATABASE
def test_nobody_works_on_or_takes_over_what_a_living_submitter_lists(engine, settings, folder, half_listed):
    assert due.due_for_publishing(engine, older_than_seconds=None, limit=9) == []
    assert batches.claim_batch(engine, 1, 1, "me", 60.0) is None
    with pytest.raises(StateError, match="wait for that"):
        retry(engine, settings, 1)
    same = submit(engine, settings, Submission(model="flange", folder=folder, key="night 1"))
    assert (same.id, same.state, same.listed) == (1, JobState.LISTING, 100)
    half_listed.communicate("\n" * 3, timeout=60)
    assert half_listed.returncode == 0
    all_are_listed_once(engine, folder, jobs.get_job(engine, 1))


def test_a_listing_whose_submitter_was_killed_is_taken_up_by_retry(engine, settings, folder, half_listed):
    half_listed.kill()
    half_listed.wait()
    assert jobs.get_job(engine, 1).state == JobState.LISTING
    job, count = retry(engine, settings, 1)
    assert count == 250
    all_are_listed_once(engine, folder, job)


@ONE_DATABASE
def test_a_listing_whose_submitter_was_killed_is_taken_up_by_the_same_key(engine, settings, folder, half_listed):
    half_listed.kill()
    half_listed.wait()
    job = submit(engine, settings, Submission(model="flange", folder=folder, key="night 1"))
    all_are_listed_once(engine, folder, job)


@ONE_DATABASE
def test_a_folder_that_vanished_half_way_leaves_a_job_for_retry(
    engine, settings, folder, half_listed, tmp_path, monkeypatch
):
    half_listed.kill()
    half_listed.wait()
    shutil.move(folder, tmp_path / "unplugged")
    with pytest.raises(OddlotError, match=r"is not a folder: .*; job 1 is not listed: `oddlot retry 1`"):
        retry(engine, settings, 1)
    assert jobs.get_job(engine, 1).state == JobState.LISTING
    shutil.move(tmp_path / "unplugged", folder)
    monkeypatch.setattr(endings, "LISTING_SILENCE", timedelta(0))  # minutes later, in the same process
    job, _ = retry(engine, settings, 1)
    all_are_listed_once(engine, folder, job)
