"""Hosts with a network between them, of which one is cut off in the middle of a job, and heals."""

import json
import subprocess
import sys
import time

import pytest
from hosts import HOSTS, SERVERS, Hosts
from network import network, why_not
from plant import eventually
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db.engine import writing
from db.settling import lock_job
from oddlot.half_open import UNACKNOWLEDGED
from oddlot.words import BatchState

LONGER_THAN_CONNECTIONS = UNACKNOWLEDGED + 15.0

LOCK = """
import sys, time
from db.engine import make_engine, writing
from db.settling import lock_job

with writing(make_engine(sys.argv[1])) as connection:
    lock_job(connection, int(sys.argv[2]))
    print("locked", flush=True)
    time.sleep(600)
"""

if (REASON := why_not()) is not None:
    pytest.skip(f"hosts were NOT cut off from each other: {REASON}", allow_module_level=True)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory, model_store, pictures):
    with network(SERVERS, *HOSTS) as made:
        plant = Hosts(tmp_path_factory.mktemp("hosts"), *model_store, pictures, made)
        try:
            plant.start_workers()
            first = plant.submit()
            plant.await_end(first.id)
            plant.expected = plant.results(first.id)
            for host in HOSTS:
                plant.await_share(host)
            yield plant
            plant.stop_workers()
            assert all(not plant.workers_of(host) for host in HOSTS)
        finally:
            plant.close()


def cut_in_work(plant, host):
    """Cut a host off while it holds a batch; a job that is in work then, and the batch."""
    job = plant.submit()
    while True:
        if plant.job(job.id).finished_at is not None:
            job = plant.submit()
        if any(one.job_id == job.id for one in plant.held_by(host)):
            plant.network.cut(host)
            time.sleep(0.5)  # what was under way when it was cut has arrived by then
            if held := [one for one in plant.held_by(host) if one.job_id == job.id]:
                return job, held[0]
            plant.network.heal()
        time.sleep(0.002)


def cut_one_off(plant, seconds):
    before = {host: plant.workers_of(host) for host in HOSTS}
    job, held = cut_in_work(plant, "one")
    try:
        began = time.monotonic()
        eventually(lambda: plant.silent("one"), "a host that is cut off is not seen to be silent")
        _, said = plant.said("two", "doctor", "--json")
        found = [(row["what"], row["found"]) for row in json.loads(said) if row["state"] != "ok"]
        assert [what for what, words in found if "host one fell silent" in words] == ["worker"], said
        plant.check(job.id)  # by the other host alone
        done = next(one for one in plant.batches(job.id) if one.number == held.number)
        assert (done.state, done.host) == (BatchState.DONE, "two")
        assert done.fencing > held.fencing
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    finally:
        plant.network.heal()
    plant.await_share("one")
    plant.check(job.id)
    given_up = ("late results refused", "batch given back", "batch could not be given back")
    assert any(words in plant.log_of("one").read_text() for words in given_up)
    assert {host: plant.workers_of(host) for host in HOSTS} == before, "not healed, but started again"


def cut_servers_off(plant, seconds):
    before = {host: plant.workers_of(host) for host in HOSTS}
    job = plant.submit()
    plant.await_progress(job.id)
    plant.network.cut(SERVERS)
    time.sleep(seconds)
    plant.network.heal()
    plant.check(job.id)
    for host in HOSTS:
        plant.await_share(host)
    assert {host: plant.workers_of(host) for host in HOSTS} == before


def test_a_host_that_is_cut_off_loses_its_work_to_the_other_and_goes_on_when_the_network_heals(hosts):
    cut_one_off(hosts, 0.0)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [1.0, 6.0, LONGER_THAN_CONNECTIONS])
def test_both_hosts_go_on_when_queue_and_database_were_out_of_reach(hosts, seconds):
    cut_servers_off(hosts, seconds)


@pytest.mark.faults
@pytest.mark.parametrize("round_", range(3))
def test_a_host_that_is_cut_off_until_its_connections_are_dead_goes_on_too(hosts, round_):
    cut_one_off(hosts, LONGER_THAN_CONNECTIONS)


@pytest.mark.faults
def test_a_host_that_is_cut_off_in_a_transaction_does_not_keep_the_job_from_the_others(hosts):
    """By the server's own settings its locks would be held for two hours."""
    job = hosts.submit()
    hosts.check(job.id)
    with hosts.network.start("one", [sys.executable, "-c", LOCK, hosts.shared["ODDLOT_DATABASE_URL"], str(job.id)],
                             stdout=subprocess.PIPE) as locker:  # fmt: skip
        try:
            assert locker.stdout.readline() == b"locked\n"
            with pytest.raises(OperationalError, match="could not obtain lock"), writing(hosts.engine) as connection:
                connection.execute(text("SELECT id FROM job WHERE id = :id FOR UPDATE NOWAIT"), {"id": job.id})
            hosts.network.cut("one")
            with writing(hosts.engine) as connection:
                connection.execute(text("SET LOCAL lock_timeout = '90s'"))
                lock_job(connection, job.id)
        finally:
            hosts.network.heal()
            locker.kill()


@pytest.mark.faults
def test_what_a_host_that_is_cut_off_is_told_by_doctor_and_submit(hosts):
    hosts.network.cut("one")
    try:
        status, said = hosts.said("one", "doctor", "--json")
        found = {row["what"]: (row["state"], row["found"]) for row in json.loads(said)}
        assert (status, found["queue"][0], found["database"][0]) == (1, "wrong", "wrong")
        assert "no answer" in found["queue"][1]
        status, said = hosts.said("one", "submit", "flange", hosts.lot)
        assert (status, len(said.splitlines())) == (1, 1)
        assert "cannot be opened" in said
    finally:
        hosts.network.heal()
