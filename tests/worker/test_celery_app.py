"""The Celery application: the settings without which work would be lost (docs/decisions/0004-queue.md)."""

import pytest

from oddlot.processes import available_cores
from oddlot.queue import BATCH_TIME_LIMIT, INSPECT_QUEUE, INSPECT_TASK
from worker import app as module
from worker import broker
from worker.app import app


def test_a_message_leaves_the_queue_only_when_its_batch_is_closed():
    app.loader.import_default_modules()
    task = app.tasks[INSPECT_TASK]
    assert task.acks_late
    assert task.ignore_result
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_default_queue == INSPECT_QUEUE


def test_no_living_task_is_handed_out_twice_or_killed_while_it_loads_its_model():
    assert app.conf.task_time_limit == BATCH_TIME_LIMIT
    assert app.conf.broker_transport_options["visibility_timeout"] > 2 * BATCH_TIME_LIMIT
    assert app.conf.worker_proc_alive_timeout >= 600
    assert not app.conf.worker_cancel_long_running_tasks_on_connection_loss


def test_messages_are_json_and_results_are_none():
    assert (app.conf.accept_content, app.conf.task_serializer) == (["json"], "json")
    assert app.conf.task_ignore_result
    assert app.backend.__class__.__name__ == "DisabledBackend"


def test_a_worker_waits_for_its_queue_for_ever():
    assert app.conf.broker_connection_retry_on_startup
    assert app.conf.broker_connection_max_retries is None


@pytest.mark.parametrize(("asked", "expected"), [("0", None), ("3", 3)])
def test_a_process_for_each_core_unless_asked_otherwise(asked, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("ODDLOT_HOME", str(tmp_path))
    monkeypatch.setenv("ODDLOT_CONCURRENCY", asked)
    assert module._configuration()["worker_concurrency"] == (expected or available_cores())


def test_a_worker_without_a_queue_server_ends_with_one_line(monkeypatch, tmp_path):
    """Celery swallows all errors of its signals but SystemExit; the worker would wait for ever."""
    monkeypatch.setenv("ODDLOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(broker, "server_binary", lambda: None)
    monkeypatch.setattr(module.supervision, "configure_logging", lambda _: None)  # these logs are those of the tests
    from celery import signals

    with pytest.raises(SystemExit, match="oddlot: no Redis-protocol server found: install"):
        signals.celeryd_init.send(sender="worker@here", instance=None, conf=app.conf, options={})
