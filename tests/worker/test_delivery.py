"""Reports are received for real: by a mail server, by an HTTP server that checks the signature, and in a folder."""

import email
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from finished_jobs import finished_job, some_model

from db.deliveries import deliveries_of, plan
from oddlot.settings import Settings, load_settings
from worker import senders
from worker.delivery import deliver_due, file_name
from worker.postman import Postman
from worker.targets import targets_of

SECRET = "s3kr1t-Geheim"
AT_ONCE = [timedelta()] * 8
HOSTILE = "../<b>lot</b>\r\nBcc: eve@plant\x1b[31m\udce9"


@pytest.fixture
def database_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/oddlot.db"


class Letters:
    """What a mail server took in. `refuse` is its answer to the first so many recipients."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.refuse: list[str] = []

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuse:
            return self.refuse.pop()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@pytest.fixture
def letters() -> Iterator[tuple[Letters, str]]:
    kept = Letters()
    controller = Controller(kept, hostname="127.0.0.1", port=0)

    def port() -> int:
        return controller.server.sockets[0].getsockname()[1]

    def greet() -> None:  # as the controller would, but at the port that the system chose
        with socket.create_connection(("127.0.0.1", port()), 10) as connection:
            connection.recv(100)

    controller._trigger_server = greet  # type: ignore[method-assign]
    controller.start()
    try:
        yield kept, f"smtp://127.0.0.1:{port()}"
    finally:
        controller.stop()


class Receiver(ThreadingHTTPServer):
    """An HTTP server that checks the signature as docs/report.md shows; `answers` are its first answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.posts: list[tuple[dict[str, str], dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers["X-Oddlot-Timestamp"].encode() + b"." + body
        expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        fresh = abs(time.time() - int(self.headers["X-Oddlot-Timestamp"])) < 300
        if not fresh or not hmac.compare_digest(expected, self.headers["X-Oddlot-Signature"] or ""):
            status = 401
        else:
            status = self.server.answers.pop(0) if self.server.answers else 204
        if status == 0:  # no answer at all
            self.close_connection = True
            return
        if status < 300:
            self.server.posts.append((dict(self.headers), json.loads(body)))
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        raise AssertionError("a redirection was followed")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def configured(tmp_path):
    def configure(**values: str) -> Settings:
        return load_settings({"ODDLOT_HOME": str(tmp_path / "home")}
                             | {f"ODDLOT_{name.upper()}": value for name, value in values.items()})  # fmt: skip

    return configure


@pytest.fixture
def finished(engine):
    return finished_job(engine, some_model(engine), [0.1, 0.9, 0.7, "damaged"], lot=HOSTILE)


def webhook(receiver: Receiver, path: str = "/hook/very-secret-path") -> dict[str, str]:
    return {"webhook_url": f"http://ada:pass-word@127.0.0.1:{receiver.server_port}{path}?token=query-token",
            "webhook_secret": SECRET}  # fmt: skip


def deliver(engine, settings: Settings, job) -> list[Any]:
    plan(engine, targets_of(settings))
    deliver_due(engine, settings, pauses=AT_ONCE)
    return deliveries_of(engine, job.id)


def test_the_mail_says_it_in_its_subject_and_carries_the_report(engine, configured, letters, finished) -> None:
    kept, url = letters
    settings = configured(
        smtp_url=url, report_email="ada@plant.example, bob@plant.example", report_from="o@plant.example"
    )
    assert [row.state for row in deliver(engine, settings, finished)] == ["sent", "sent"]
    assert sorted(to for to, _ in kept.messages) == [["ada@plant.example"], ["bob@plant.example"]]
    _, message = kept.messages[0]
    assert message["Subject"].startswith("Oddlot: 2 of 3 flagged, lot ../<b>lot</b>")
    assert message["Bcc"] is None
    assert message["From"] == "o@plant.example"
    text = message.get_body(("plain",)).get_content()
    assert "2 of 3 pictures are flagged; 1 could not be read, and every picture is accounted for." in text
    assert "0.900  00001.png" in text
    assert "<b>lot</b>" not in message.get_body(("html",)).get_content()
    (report,) = message.iter_attachments()
    assert report.get_filename() == file_name(finished)
    assert "2 of 3 pictures are flagged" in report.get_content()
    assert len({message["Message-ID"] for _, message in kept.messages}) == 2


def test_the_mail_server_may_say_later(engine, configured, letters, finished) -> None:
    kept, url = letters
    kept.refuse = ["451 come again", "550 nobody here"]
    settings = configured(smtp_url=url, report_email="ada@plant.example")
    plan(engine, targets_of(settings))
    assert deliver_due(engine, settings) == 0
    (row,) = deliveries_of(engine, finished.id)
    assert (row.state, row.attempts) == ("waiting", 1)
    assert row.error == "the mail server refuses the address: 550 nobody here"
    assert deliver_due(engine, settings) == 0, "it was tried again without a pause"
    assert len(kept.messages) == 0


def test_a_mail_server_without_the_encryption_that_was_asked_for_gets_no_password(
    engine, configured, letters, finished
) -> None:
    kept, url = letters
    address = url.replace("smtp://", f"smtp://ada:{SECRET}@")
    (row,) = deliver(engine, configured(smtp_url=f"{address}?starttls=yes", report_email="a@plant.example"), finished)
    assert row.state == "failed"
    assert "STARTTLS" in row.error
    assert SECRET not in row.error
    assert kept.messages == []


def test_the_webhook_is_signed_and_is_tried_until_it_is_taken(engine, configured, receiver, finished) -> None:
    receiver.answers = [500, 302, 0]
    settings = configured(**webhook(receiver), public_url="https://oddlot.invalid")
    (row,) = deliver(engine, settings, finished)
    assert (row.state, row.attempts, row.error) == ("sent", 4, None)
    ((headers, record),) = receiver.posts
    assert headers["X-Oddlot-Delivery"] == record["delivery"] == row.number
    assert headers["Authorization"].startswith("Basic ")
    assert record["event"] == "job.finished"
    assert record["job"]["id"] == finished.id
    assert record["completeness"] == {
        "listed": 4, "scored": 3, "unreadable": 1, "quarantined": 0, "cancelled": 0, "unaccounted": 0
    }  # fmt: skip
    assert record["flagged"] == 2
    assert [one["file"] for one in record["top"]] == ["00001.png", "00002.png"]
    assert record["link"] == f"https://oddlot.invalid/jobs/{finished.id}"


def test_what_a_webhook_answers_is_told_and_none_of_its_secrets(engine, configured, receiver, finished) -> None:
    receiver.answers = [503] * 9
    (row,) = deliver(engine, configured(**webhook(receiver)), finished)
    assert (row.state, row.attempts) == ("failed", 9)
    assert row.error == "the receiver answered 503 Service Unavailable"
    assert row.target == f"http://127.0.0.1:{receiver.server_port}"
    assert receiver.posts == []


def test_a_receiver_with_another_secret_takes_nothing(engine, configured, receiver, finished) -> None:
    (row,) = deliver(engine, configured(**webhook(receiver) | {"webhook_secret": "another"}), finished)
    assert (row.state, row.error) == ("failed", "the receiver answered 401 Unauthorized")
    assert receiver.posts == []


def test_a_server_that_says_nothing_is_not_waited_for(engine, configured, finished, monkeypatch) -> None:
    monkeypatch.setattr(senders, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = configured(smtp_url=f"smtp://127.0.0.1:{port}", report_email="ada@plant.example",
                              webhook_url=f"http://127.0.0.1:{port}")  # fmt: skip
        rows = deliver(engine, settings, finished)
    assert {row.state for row in rows} == {"failed"}
    assert all("timed out" in row.error for row in rows)


def test_the_folder_gets_whole_files_and_is_never_made(engine, configured, finished, tmp_path) -> None:
    folder = tmp_path / "share"
    settings = configured(report_folder=str(folder))
    plan(engine, targets_of(settings))
    deliver_due(engine, settings, pauses=AT_ONCE[:1])
    (row,) = deliveries_of(engine, finished.id)
    assert (row.state, row.error) == ("failed", f"{folder} is not a folder that is there")
    assert not folder.exists()
    folder.mkdir()
    again = finished_job(engine, some_model(engine), [0.1, 0.9], lot="..")
    assert [row.state for row in deliver(engine, settings, again)] == ["sent"]
    assert [one.name for one in folder.iterdir()] == [f"lot-job-{again.id}.html"]


def test_a_full_disk_leaves_no_half_report(engine, configured, finished, tmp_path, monkeypatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    (row,) = deliver(engine, configured(report_folder=str(tmp_path)), finished)
    assert "No space left on device" in row.error
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob(".*partial"))


def test_names_of_files_are_those_that_any_file_system_takes(engine, finished) -> None:
    assert file_name(finished).endswith(f"-job-{finished.id}.html")
    assert not set(file_name(finished)) & set("/\\<>:\"'|?*\r\n\x1b")
    assert not file_name(finished).startswith(".")


def test_two_senders_at_once_send_each_report_once(engine, configured, receiver, finished) -> None:
    settings = configured(**webhook(receiver))
    model = some_model(engine)
    jobs = [finished, *(finished_job(engine, model, [0.9]) for _ in range(5))]
    plan(engine, targets_of(settings))
    senders_ = [threading.Thread(target=deliver_due, args=(engine, settings)) for _ in range(4)]
    for thread in senders_:
        thread.start()
    for thread in senders_:
        thread.join()
    assert sorted(record["job"]["id"] for _, record in receiver.posts) == [job.id for job in jobs]
    assert all(row.attempts == 1 for job in jobs for row in deliveries_of(engine, job.id))


def test_the_postman_starts_a_sender_of_its_own_and_waits_for_nothing(
    engine, database_url, configured, receiver, finished, tmp_path, monkeypatch
) -> None:
    values = webhook(receiver) | {"database_url": database_url}
    for name, value in values.items():
        monkeypatch.setenv(f"ODDLOT_{name.upper()}", value)
    monkeypatch.setenv("ODDLOT_HOME", str(tmp_path / "home"))
    postman = Postman(configured(**values))
    postman.look(engine)
    process = postman._process
    assert process is not None
    postman.look(engine)
    assert process.wait(60) == 0
    assert [row.state for row in deliveries_of(engine, finished.id)] == ["sent"]
    postman.look(engine)
    assert postman._process is None
    assert len(receiver.posts) == 1


def test_without_a_target_nothing_is_planned_or_started(engine, configured, finished) -> None:
    postman = Postman(configured())
    postman.look(engine)
    assert postman._process is None
    assert deliveries_of(engine, finished.id) == []


def test_the_sender_loads_no_tensorflow() -> None:
    program = "import sys, worker.delivery, report.records, report.job_report, report.summary_pages\n"
    program += "sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
