"""A process prefers batches of models that it has loaded: nothing is claimed twice, lost, or passed over for ever."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from making import finish
from sqlalchemy import select

from db import batches, due, jobs, lines
from db.choosing import Loaded
from db.engine import reading
from db.lines import Quota
from db.schema import batch
from oddlot.words import BatchState, JobState

COLD, WARM = "c" * 64, "a" * 64


@pytest.fixture
def two(register, submit):
    """A job of a model that is not loaded, and one of one that is."""
    cold, warm = register("cold", bundle_sha256=COLD), register("warm", bundle_sha256=WARM)
    return submit(6, batch_size=1, model=cold), submit(6, batch_size=1, model=warm)


def told(engine):
    return [(of, number) for of, number, _ in due.due_for_publishing(engine, older_than_seconds=None, limit=100)]


def claim(engine, job, number, turns=2, bundles=(WARM,)):
    found = batches.claim_batch(engine, job.id, number, "me", 60.0, Loaded(bundles, turns))
    return None if found is None else (found.job_id, found.number)


def untold(engine, job):
    query = select(batch.c.number).where(
        batch.c.job_id == job.id, batch.c.published_at.is_(None), batch.c.state == BatchState.WAITING
    )
    with reading(engine) as connection:
        return sorted(connection.execute(query).scalars())


def test_a_message_of_another_model_leads_to_one_that_is_loaded_and_is_told_again(engine, two):
    cold, warm = two
    told(engine)
    assert claim(engine, cold, 1) == (warm.id, 1)
    assert untold(engine, cold) == [1]
    assert claim(engine, warm, 1) is None  # the message of what was taken: nothing is done for it
    assert told(engine) == [(cold.id, 1)]
    assert jobs.get_job(engine, warm.id).state == JobState.RUNNING
    assert jobs.get_job(engine, cold.id).state == JobState.QUEUED


def test_after_so_many_turns_a_job_has_its_own(engine, two):
    cold, warm = two
    taken = [claim(engine, cold, number) for number in (1, 1, 1, 2, 2, 2)]
    assert taken == [(warm.id, 1), (warm.id, 2), (cold.id, 1), (warm.id, 3), (warm.id, 4), (cold.id, 2)]


def test_whoever_has_its_model_loaded_ends_the_waiting(engine, two):
    cold, warm = two
    assert claim(engine, cold, 1) == (warm.id, 1)
    assert claim(engine, cold, 1, bundles=(COLD,)) == (cold.id, 1)
    assert [claim(engine, cold, 2) for _ in range(3)] == [(warm.id, 2), (warm.id, 3), (cold.id, 2)]


@pytest.mark.parametrize(("turns", "bundles"), [(0, (WARM,)), (2, ()), (2, (COLD, WARM)), (2, ("f" * 64,))])
def test_what_the_message_says_is_done_where_there_is_nothing_better(engine, two, turns, bundles):
    cold, _ = two
    assert claim(engine, cold, 1, turns, bundles) == (cold.id, 1)


def test_nothing_less_urgent_is_preferred_and_something_more_urgent_is(engine, register, submit):
    cold, warm = register("cold", bundle_sha256=COLD), register("warm", bundle_sha256=WARM)
    named = submit(3, batch_size=1, model=cold)
    submit(3, batch_size=1, model=warm, priority=4)
    assert claim(engine, named, 1) == (named.id, 1)
    urgent = submit(3, batch_size=1, model=warm, priority=6)
    assert claim(engine, named, 2) == (urgent.id, 1)


def test_no_line_is_brought_above_its_quota_by_what_is_loaded(engine, register, submit):
    cold, warm = register("cold", bundle_sha256=COLD), register("warm", bundle_sha256=WARM)
    lines.set_quota(engine, Quota("press-3", batches=1))
    named, flood = submit(3, batch_size=1, model=cold), submit(3, batch_size=1, model=warm, line="press-3")
    assert claim(engine, named, 1) == (flood.id, 1)
    assert claim(engine, named, 1) == (named.id, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_many_at_once_with_different_models_loaded_do_every_batch_once(engine, register, submit, seed):
    shas = [f"{number}" * 64 for number in range(5)]
    models = [register(f"m{number}", bundle_sha256=sha) for number, sha in enumerate(shas)]
    lines.set_quota(engine, Quota("press-3", batches=1))
    open_jobs = [submit(6, batch_size=1, model=one, line=line) for one in models for line in (None, "press-3")]
    done: Counter[tuple[int, int]] = Counter()

    def work(name):
        chance, kept, idle = random.Random(seed * 100 + name), [], 0
        while idle < 50:
            # No sweeper: whoever has taken a message tells of what waits, as the tasks do.
            messages = due.due_for_publishing(engine, older_than_seconds=None, limit=3)
            idle = 0 if messages else idle + 1
            for of, number, _ in messages:
                found = batches.claim_batch(engine, of, number, str(name), 60.0, Loaded(tuple(kept), 2))
                if found is None:
                    continue
                kept = [shas[found.model_id - models[0].id], *kept][:2]
                if chance.random() < 0.1:
                    batches.release_batch(engine, found, "no memory", count_attempt=False)
                    continue
                finish(engine, found)
                done[found.job_id, found.number] += 1
            if not messages and all(jobs.get_job(engine, one.id).finished_at for one in open_jobs):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert done == Counter({(one.id, number): 1 for one in open_jobs for number in range(1, 7)})
    assert {jobs.get_job(engine, one.id).state for one in open_jobs} == {JobState.DONE}
