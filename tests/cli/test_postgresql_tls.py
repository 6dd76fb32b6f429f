"""A PostgreSQL server that speaks TLS itself, Debian's: who must not trust it, and whom it does not let in.

The server that the other tests have speaks none.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from polling import eventually
from tls import Authority

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
SECRET = "s3kr1t-Geheim"
RULES = """
local      all  all                 trust
hostnossl  all  all     0.0.0.0/0   reject
hostssl    all  sealed  0.0.0.0/0   cert
hostssl    all  all     0.0.0.0/0   scram-sha-256
"""

if not PROGRAMS:
    pytest.skip(
        "TLS of PostgreSQL's own was not tried: no server that speaks it; on Debian: apt-get install postgresql",
        allow_module_level=True,
    )


def owner() -> str | None:
    """Whom a server is run as: root is refused."""
    if os.getuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority") / "plant")


@pytest.fixture(scope="module")
def server(authority):
    """The port of a server with the database `oddlot`, on 127.0.0.1, and on 127.0.0.2 for which its certificate is not.

    Users: `oddlot` with a password, `sealed` with a certificate.
    """
    folder = Path(tempfile.mkdtemp(prefix="oddlot-pg-tls-"))  # not below pytest's, where only we may look
    user, binaries = owner(), PROGRAMS[-1].parent
    process = None
    try:
        for path in (*authority.issue("localhost"), authority.certificate):
            shutil.copy(path, folder)
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        subprocess.run(
            [binaries / "initdb", "--no-sync", "--encoding", "UTF8", "--auth", "trust", "--username", "postgres",
             "-D", folder / "data"],
            user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (folder / "data" / "pg_hba.conf").write_text(RULES)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        asked = {
            "listen_addresses": "127.0.0.1,127.0.0.2", "port": port, "unix_socket_directories": folder, "ssl": "on",
            "ssl_cert_file": folder / "localhost.pem", "ssl_key_file": folder / "localhost.key",
            "ssl_ca_file": folder / "ca.pem", "fsync": "off",
        }  # fmt: skip
        options = [word for name, value in asked.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", *options], user=user, cwd=folder, stdout=log, stderr=log
            )
        local = f"host={folder} port={port} user=postgres dbname=postgres"
        with eventually(lambda: connected(local), (folder / "log").read_text) as connection:
            connection.execute(f"CREATE ROLE oddlot LOGIN PASSWORD '{SECRET}'")
            connection.execute("CREATE ROLE sealed LOGIN IN ROLE oddlot")
            connection.execute("CREATE DATABASE oddlot OWNER oddlot")
        yield port
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # ends its connections and itself
            process.wait(60)
        shutil.rmtree(folder)


def connected(where):
    with contextlib.suppress(psycopg.OperationalError):
        return psycopg.connect(where, autocommit=True)


@pytest.fixture(scope="module")
def url(server, authority):
    """The URL of the database, by default so that the server must prove who it is; other parts where they are named."""

    def made(user=f"oddlot:{SECRET}", host="localhost", **options):
        asked = {"sslmode": "verify-full", "sslrootcert": authority.certificate} | options
        return f"postgresql://{user}@{host}:{server}/oddlot?" + "&".join(f"{k}={v}" for k, v in asked.items())

    return made


def test_a_job_whose_workers_show_a_certificate(oddlot, drawn, url, authority):
    """And what a PC had in its file is moved there the same way; by `role` it belongs to the user with the password."""
    certificate, key = authority.issue("sealed")
    oddlot.environ["ODDLOT_DATABASE_URL"] = url("sealed", sslcert=certificate, sslkey=key, options="-crole%3Doddlot")
    oddlot.run("db", "move", oddlot.home / "oddlot.db")
    done = oddlot.json("inspect", "flange", drawn / "tonight")
    assert (done["state"], done["scored"], done["unaccounted"]) == ("done", 24, 0)
    oddlot.environ["ODDLOT_DATABASE_URL"] = url()
    assert [job["job"] for job in oddlot.json("jobs")] == [done["job"]]
    found = oddlot.run("doctor", "--json")
    assert {row["state"] for row in json.loads(found) if row["what"] == "database"} == {"ok"}
    assert SECRET not in found


OTHERS = {
    "an authority that is not the server's": ({"sslrootcert": "OTHER/ca.pem"}, "certificate verify failed"),
    "a name that is not the server's": ({"host": "127.0.0.2"}, "does not match host name .127.0.0.2."),
    "no TLS": ({"sslmode": "disable"}, "rejects connection .* no encryption"),
    "no certificate of the client's": ({"user": "sealed"}, "requires a valid client certificate"),
    "a client of another authority": (
        {"user": "sealed", "sslcert": "OTHER/sealed.pem", "sslkey": "OTHER/sealed.key"}, "unknown ca",
    ),
    "a certificate of another user": (
        {"user": "sealed", "sslcert": "PLANT/worker.pem", "sslkey": "PLANT/worker.key"}, "authentication failed",
    ),
    "a wrong password": ({"user": f"oddlot:{SECRET}-not"}, "password authentication failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_who_is_not_let_in_or_must_not_trust_reads_why(case, oddlot, url, authority, tmp_path):
    asked, reason = OTHERS[case]
    Authority(tmp_path / "other").issue("sealed")
    authority.issue("worker")
    places = {"OTHER": f"{tmp_path}/other", "PLANT": str(authority.folder)}
    oddlot.environ["ODDLOT_DATABASE_URL"] = url(
        **{name: re.sub("OTHER|PLANT", lambda found: places[found[0]], value) for name, value in asked.items()}
    )
    said = oddlot.run("jobs", status=1)
    assert re.search(reason, said), said
    assert (len(said.splitlines()), SECRET in said) == (1, False), said
