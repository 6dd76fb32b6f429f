"""A queue with a password, with few rights and over TLS: that it works, and what is said where it does not."""

import json
import re
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from polling import eventually
from tls import Authority, Terminator

from worker.broker import server_binary

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "brokers.md"
SECRET, MASTER = "s3kr1t-Geheim", "m4ster"


def rights(binary):
    """The line of the manual, with a password, as that server understands it."""
    line = re.search(r"^user oddlot on .*$", MANUAL.read_text(), re.MULTILINE)[0].replace("PASSWORD", SECRET)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    older = tuple(map(int, re.search(r"v=(\d+)\.(\d+)", version).groups())) < (7, 2)
    return line.replace(" +client|setinfo", "") if older else line


@contextmanager
def redis_server(folder, binary, *options):
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "users.acl").write_text(f"user default on >{MASTER} ~* &* +@all\n{rights(binary)}\n")
    process = subprocess.Popen(
        [binary, "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--aclfile", folder / "users.acl",
         *[str(port) if option == "PORT" else option for option in options]],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The port of a server without TLS that has the user of the manual."""
    with redis_server(tmp_path_factory.mktemp("plain") / "server", server_binary(), "--port", "PORT") as port:
        with redis.Redis(port=port, password=MASTER) as client:
            eventually(lambda: answers(client), "the server did not start")
        yield port


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "plant")


@pytest.fixture(scope="module", params=["a terminator", "a server that speaks TLS"])
def encrypted(request, plain, authority, tmp_path_factory):
    """The port of a queue that speaks TLS and wants a certificate of its clients."""
    if request.param == "a terminator":
        terminator = Terminator(plain, authority.serving("localhost", clients=True))
        yield terminator.port
        terminator.close()
        return
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None or b"libssl.so" not in Path(binary).read_bytes():
        pytest.skip("TLS was tried with a terminator only: no redis-server that speaks it; on Debian: redis-server")
    certificate, key = authority.issue("localhost")
    options = [
        "--port", "0", "--tls-port", "PORT", "--tls-cert-file", certificate, "--tls-key-file", key,
        "--tls-ca-cert-file", authority.certificate,
    ]  # fmt: skip
    with redis_server(tmp_path_factory.mktemp("tls") / "server", binary, *options) as port:
        client = redis.Redis(
            port=port, password=MASTER, ssl=True, ssl_ca_certs=str(authority.certificate),
            ssl_certfile=str(certificate), ssl_keyfile=str(key),
        )  # fmt: skip
        with client:
            eventually(lambda: answers(client), "the server did not start")
        yield port


def url(port, **options):
    scheme = "rediss" if options else "redis"
    behind = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{scheme}://oddlot:{SECRET}@localhost:{port}/0" + (f"?{behind}" if behind else "")


@contextmanager
def everything_up(oddlot):
    process = oddlot.start("up", "--concurrency", "1")
    try:
        yield
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert SECRET not in out + err
    finally:
        process.kill()
        process.communicate()


def test_the_rights_in_the_manual_are_enough_and_no_more(oddlot, drawn, plain):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        page = probe.getsockname()[1]
    oddlot.environ |= {"ODDLOT_BROKER_URL": url(plain), "ODDLOT_REVIEW_PORT": str(page)}
    with redis.Redis(port=plain, password=MASTER) as master:
        master.acl_log_reset()
        with everything_up(oddlot):
            oddlot.json("nightly", "add", "flange", drawn / "tonight", "--at", "02:00")
            oddlot.run("fit", "washer", drawn / "train" / "good", "--queue", "--epochs", "1", "--force",
                       "--architecture", "paper", "--size", "32")  # fmt: skip
            done = oddlot.json("submit", "flange", drawn / "tonight", "--wait", "--priority", "7")
            assert (done["state"], done["scored"]) == ("done", 24)
            eventually(lambda: "washer" in oddlot.run("models"), "the fit was not taken", every=1.0)
            assert SECRET not in oddlot.run("doctor", "--json")
        assert master.acl_log() == []
    with redis.Redis(port=plain, username="oddlot", password=SECRET) as client:
        for forbidden in (client.flushall, client.keys, lambda: client.get("another"), client.config_get):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()


def test_a_job_over_tls(oddlot, drawn, authority, encrypted):
    certificate, key = authority.issue("worker")
    oddlot.environ["ODDLOT_BROKER_URL"] = url(
        encrypted, ssl_ca_certs=authority.certificate, ssl_certfile=certificate, ssl_keyfile=key
    )
    done = oddlot.json("inspect", "flange", drawn / "tonight")
    assert (done["state"], done["scored"], done["unaccounted"]) == ("done", 24, 0)
    found = oddlot.run("doctor", "--json")
    (queue,) = [row for row in json.loads(found) if row["what"] == "queue"]
    assert (queue["state"], SECRET in found) == ("ok", False)


@pytest.fixture
def without_client_certificates(plain, authority):
    terminator = Terminator(plain, authority.serving("localhost"))
    yield terminator.port
    terminator.close()


def refused(oddlot, drawn, address, reason):
    """One line of doctor says why; what is submitted is safe and waits."""
    oddlot.environ["ODDLOT_BROKER_URL"] = address
    process = oddlot.start("doctor", "--json")
    out, err = process.communicate(timeout=60)
    (queue,) = [row for row in json.loads(out) if row["what"] == "queue"]
    assert (process.returncode, queue["state"]) == (1, "wrong")
    assert reason in queue["found"]
    assert len(queue["found"].splitlines()) == 1
    process = oddlot.start("submit", "flange", drawn / "tonight")
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "waits" in said or "queue" in said, said
    for text in (err, out, said, queue["found"]):
        assert SECRET not in text
        assert "Traceback" not in text


def test_a_server_with_a_certificate_of_somebody_else_is_refused(oddlot, drawn, tmp_path, without_client_certificates):
    other = Authority(tmp_path / "other")
    address = url(without_client_certificates, ssl_ca_certs=other.certificate, ssl_cert_reqs="required")
    refused(oddlot, drawn, address, "certificate verify failed")
    worker = oddlot.start("worker", "--concurrency", "1")
    try:
        seen = []
        for line in worker.stderr:
            seen.append(line)
            if "Cannot connect" in line:
                break
        assert "certificate verify failed" in seen[-1]
        assert SECRET not in "".join(seen)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_without_a_word_about_certificates_they_are_looked_at_all_the_same(oddlot, drawn, without_client_certificates):
    address = url(without_client_certificates).replace("redis:", "rediss:")
    refused(oddlot, drawn, address, "certificate verify failed")


def test_a_server_with_a_certificate_for_another_name_is_refused(oddlot, drawn, plain, authority):
    terminator = Terminator(plain, authority.serving("elsewhere"))
    try:
        refused(oddlot, drawn, url(terminator.port, ssl_ca_certs=authority.certificate), "certificate is not valid")
    finally:
        terminator.close()


def test_tls_to_a_server_without_and_the_other_way_round(oddlot, drawn, plain, authority, without_client_certificates):
    refused(oddlot, drawn, url(plain, ssl_ca_certs=authority.certificate), "Timeout")
    refused(oddlot, drawn, url(without_client_certificates), "closed")


def test_postgresql_over_tls(oddlot, postgres_url, authority, tmp_path):
    terminator = Terminator(
        Path(postgres_url.partition("host=")[2]) / ".s.PGSQL.5432", authority.serving("localhost"), postgresql=True
    )
    other = Authority(tmp_path / "other")
    name = re.search(r"/(test_\d+)\?", postgres_url)[1]
    address = f"postgresql://postgres:{SECRET}@localhost:{terminator.port}/{name}?sslmode=verify-full&sslrootcert="
    try:
        oddlot.environ["ODDLOT_DATABASE_URL"] = f"{address}{authority.certificate}"
        assert oddlot.json("jobs") == []
        oddlot.environ["ODDLOT_DATABASE_URL"] = f"{address}{other.certificate}"
        said = oddlot.run("jobs", status=1)
        assert "certificate verify failed" in said
        assert (len(said.splitlines()), SECRET in said) == (1, False)
    finally:
        terminator.close()
