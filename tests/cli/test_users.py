"""`users`, `tokens` and `audit-log`: what they change, what they refuse, and that no secret is told twice."""

import json
import os
import pty
import subprocess
import sys

import pytest

PASSWORD = "four words are enough"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nand a second line\n")
    return path


@pytest.fixture
def manned(empty_oddlot, secret_file):
    """A home with an admin, a reviewer and a viewer."""
    for name, role in (("Ada", "admin"), ("rex", "reviewer"), ("vic", "viewer")):
        empty_oddlot.run("users", "add", name, "--role", role, "--password-file", secret_file)
    return empty_oddlot


def test_users_from_the_first_to_the_last(empty_oddlot, secret_file, tmp_path):
    oddlot = empty_oddlot
    assert "Make the first" in oddlot.run("users", "list")
    refused = oddlot.run("users", "add", "vic", "--role", "viewer", "--password-file", secret_file, status=1)
    assert refused == "oddlot: the first user must be an admin: oddlot users add NAME --role admin\n"
    said = oddlot.run("users", "add", "Ada", "--role", "admin", "--password-file", secret_file)
    assert "From now on" in said
    oddlot.run("users", "add", "vic", "--role", "viewer", "--password-file", secret_file)
    assert oddlot.json("users", "role", "VIC", "--role", "reviewer")["role"] == "reviewer"
    for command in (("remove", "ada"), ("role", "ada", "--role", "viewer")):
        assert "last active admin" in oddlot.run("users", *command, status=1)
    oddlot.run("users", "remove", "vic")
    assert "oddlot users restore vic" in oddlot.run(
        "users", "add", "vic", "--role", "viewer", "--password-file", secret_file, status=1
    )
    assert [(one["user"], one["active"]) for one in oddlot.json("users", "list")] == [("Ada", True), ("vic", False)]
    oddlot.run("users", "restore", "vic")
    oddlot.run("users", "password", "vic", "--password-file", secret_file)
    log = oddlot.json("audit-log")
    assert [one["action"] for one in reversed(log)] == [
        "user added", "user added", "role changed", "user removed", "user restored", "password changed"
    ]  # fmt: skip
    assert {one["via"] for one in log} == {"cli"}
    assert oddlot.json("audit-log", "--who", "somebody") == []
    assert PASSWORD not in json.dumps(log)
    assert (oddlot.home / "oddlot.db").stat().st_mode & 0o077 == 0, "it holds hashes of passwords"


@pytest.mark.parametrize("password", [b"too short", b"\xff" * 20])
def test_a_password_that_is_none(empty_oddlot, tmp_path, password):
    (tmp_path / "file").write_bytes(password)
    said = empty_oddlot.run("users", "add", "ada", "--role", "admin", "--password-file", tmp_path / "file", status=1)
    assert len(said.splitlines()) == 1
    assert "too short" not in said


def test_a_password_comes_by_pipe_or_terminal_and_never_as_an_argument(empty_oddlot):
    add = [sys.executable, "-m", "cli.main", "users", "add", "ada", "--role", "admin"]
    given = {"env": empty_oddlot.environ, "capture_output": True, "text": True, "check": False}
    nobody = subprocess.run(add, **given, stdin=subprocess.DEVNULL)
    assert (nobody.returncode, "--password-file" in nobody.stderr) == (1, True)
    assert subprocess.run([*add, "--password", PASSWORD], **given).returncode == 2
    piped = subprocess.run([*add, "--password-file", "-"], **given, input=f"{PASSWORD}\r\n")
    assert piped.returncode == 0, piped.stderr
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-m", "cli.main", "users", "password", "ada"], empty_oddlot.environ)
    said = b""
    for prompt in (b"Password of ada: ", b"Once more: "):
        while prompt not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, b"another five word long password\n")
    while True:
        try:
            more = os.read(terminal, 1000)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        said += more
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    os.close(terminal)
    assert b"five word" not in said, "what is typed is not shown"


def test_what_is_done_to_a_removed_user_says_that_they_are_removed(manned):
    manned.run("users", "remove", "vic")
    said = manned.run("users", "role", "vic", "--role", "reviewer")
    assert "vic is reviewer, but is removed and may not sign in" in said
    manned.run("users", "restore", "vic")
    assert "removed" not in manned.run("users", "role", "vic", "--role", "viewer")


def test_a_token_is_shown_once(manned):
    secret = manned.run("tokens", "add", "mes", "--role", "viewer", "--expires", "90d").strip()
    assert secret.startswith("oddlot_")
    assert secret not in manned.run("tokens", "list") + json.dumps(manned.json("audit-log"))
    assert secret.encode() not in (manned.home / "oddlot.db").read_bytes()
    assert secret not in manned.run("tokens", "add", "mes", "--role", "viewer", "--expires", "1h", status=1)
    assert "cannot be one for admin" in manned.run(
        "tokens", "add", "t", "--role", "admin", "--expires", "never", "--user", "rex", status=1
    )
    manned.run("tokens", "add", "rex's", "--role", "viewer", "--expires", "never", "--user", "rex")
    manned.run("tokens", "revoke", "mes")
    found = [(row["token"], row["state"], row["user"]) for row in manned.json("tokens", "list")]
    assert found == [("mes", "revoked", None), ("rex's", "good", "rex")]


@pytest.mark.parametrize("age", ["0d", "1y", "9" * 30 + "d"])
def test_an_age_that_is_none(empty_oddlot, age):
    said = empty_oddlot.run("tokens", "add", "t", "--role", "viewer", f"--expires={age}", status=1)
    assert "write 90d" in said
    assert len(said.splitlines()) == 1


def test_a_backup_that_comes_back_signs_everybody_out_and_says_what_it_brings(manned, tmp_path):
    manned.run("db", "backup", tmp_path / "copy.db")
    manned.run("users", "remove", "rex")
    said = manned.run("db", "restore", tmp_path / "copy.db")
    assert "also what was removed or revoked since" in said
    assert [one["active"] for one in manned.json("users", "list")] == [True, True, True]
    latest = manned.json("audit-log", "--limit", "1")[0]
    assert (latest["action"], latest["what"]) == ("database restored", f"{tmp_path}/copy.db")
