"""Users, tokens, sessions and the record of who did what, on both engines."""

import threading
from datetime import timedelta

import pytest

from db import accounts, audit_log, models, sessions, sign_ins, tokens
from db.audit_log import Act, Actor
from db.sign_ins import OF_ADDRESS, OF_ALL, OF_NAME, begin_attempt, forget_attempt
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import Role

ANN = Actor("ann", "cli")


@pytest.fixture
def ada(engine):
    return accounts.add_account(engine, "Ada", Role.ADMIN, "hash 1", ANN)


def test_the_first_user_is_an_admin_and_one_always_stays(engine):
    assert not accounts.any_account(engine)
    with pytest.raises(StateError, match="first user must be an admin"):
        accounts.add_account(engine, "vic", Role.VIEWER, "hash")
    assert not accounts.any_account(engine)
    accounts.add_account(engine, "Ada", Role.ADMIN, "hash")
    accounts.add_account(engine, "vic", Role.VIEWER, "hash")
    for act in (lambda: accounts.remove_account(engine, "ada"), lambda: accounts.set_role(engine, "ada", Role.VIEWER)):
        with pytest.raises(StateError, match="last active admin"):
            act()
    accounts.set_role(engine, "vic", Role.ADMIN)
    assert not accounts.remove_account(engine, "ADA").active
    with pytest.raises(StateError, match="last active admin"):
        accounts.remove_account(engine, "vic")


def test_two_who_remove_each_other_leave_one(engine):
    for name in ("ada", "bob"):
        accounts.add_account(engine, name, Role.ADMIN, "hash")
    start, refused = threading.Barrier(2), []

    def remove(name):
        start.wait()
        try:
            accounts.remove_account(engine, name)
        except StateError:
            refused.append(name)

    threads = [threading.Thread(target=remove, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [row.name for row in accounts.list_accounts(engine) if row.active] == refused


@pytest.mark.parametrize("name", ["ADA", "ada ", "Ａda"])
def test_names_that_look_alike_are_one_user(engine, ada, name):
    with pytest.raises(StateError, match="already"):
        accounts.add_account(engine, name, Role.VIEWER, "hash")
    assert accounts.get_account(engine, name) == ada
    accounts.add_account(engine, "Jürgen", Role.ADMIN, "hash")
    accounts.remove_account(engine, name)
    with pytest.raises(StateError, match="oddlot users restore Ada"):
        accounts.add_account(engine, name, Role.VIEWER, "hash")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[2J", "x" * 81, "a\0b", "\udce9", "mes (Token) "])
def test_a_name_that_nobody_can_have(engine, name):
    with pytest.raises(OddlotError, match=r"printable|ends? with \(token\)"):
        accounts.add_account(engine, name, Role.ADMIN, "hash")


@pytest.mark.parametrize("ask", [
    lambda engine, name: accounts.get_account(engine, name),
    lambda engine, name: accounts.set_role(engine, name, Role.VIEWER),
    lambda engine, name: tokens.revoke_token(engine, name),
], ids=["user", "role", "token"])  # fmt: skip
def test_a_name_with_a_nul_is_nobodys_and_no_fault_of_the_database(engine, ask):
    with pytest.raises(OddlotError, match=r"^there is no |has a NUL in it"):
        ask(engine, "a\0b")


def test_two_who_make_the_same_token_at_once_are_told_so(engine):
    start, secrets, refused = threading.Barrier(2), [], []

    def make():
        start.wait()
        try:
            secrets.append(tokens.add_token(engine, "mes", Role.VIEWER, lifetime=None))
        except StateError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(secrets), len(refused)) == (1, 1)
    assert "revoke it" in refused[0]


def test_who_is_not_there(engine, ada):
    for act in (accounts.get_account, accounts.remove_account, accounts.restore_account):
        with pytest.raises(NotFoundError, match="oddlot users list"):
            act(engine, "nobody")


def begin(engine, account, secret="s", lifetime=timedelta(hours=1)):
    return sessions.begin_session(engine, account, secret, lifetime, Actor(account.name, "page"))


def test_a_session_ends_with_its_time_its_password_and_its_user(engine, ada):
    bob = accounts.add_account(engine, "bob", Role.VIEWER, "hash")
    assert begin(engine, bob, "1")
    assert begin(engine, bob, "2")
    assert begin(engine, ada, "3")
    assert not sessions.find_session(engine, "0")
    accounts.set_role(engine, "bob", Role.REVIEWER)
    assert sessions.find_session(engine, "1").role == Role.REVIEWER
    accounts.set_password(engine, "bob", "hash 2", keep_session=sessions.hash_of("2"))
    assert [bool(sessions.find_session(engine, secret)) for secret in "123"] == [False, True, True]
    accounts.remove_account(engine, "bob")
    assert not sessions.find_session(engine, "2")
    assert begin(engine, ada, "4", timedelta(0))
    assert not sessions.find_session(engine, "4")
    sessions.end_session(engine, "3", ANN)
    assert not sessions.find_session(engine, "3")


def test_a_password_that_was_changed_meanwhile_begins_no_session(engine, ada):
    accounts.set_password(engine, "ada", "hash 2")
    assert not begin(engine, ada)
    accounts.add_account(engine, "bob", Role.ADMIN, "hash")
    now = accounts.remove_account(engine, "ada")
    assert not begin(engine, now)


def test_a_token_does_no_more_than_its_owner(engine, ada):
    accounts.add_account(engine, "bob", Role.REVIEWER, "hash")
    with pytest.raises(StateError, match="bob is reviewer"):
        tokens.add_token(engine, "t", Role.ADMIN, lifetime=None, owner="bob")
    secret = tokens.add_token(engine, "t", Role.REVIEWER, lifetime=None, owner="bob")
    assert tokens.find_token(engine, secret).role == Role.REVIEWER
    accounts.set_role(engine, "bob", Role.VIEWER)
    assert tokens.find_token(engine, secret).role == Role.VIEWER
    accounts.remove_account(engine, "bob")
    assert tokens.find_token(engine, secret) is None
    with pytest.raises(StateError, match="was removed"):
        tokens.add_token(engine, "u", Role.VIEWER, lifetime=None, owner="bob")


def test_the_name_of_a_token_is_never_given_twice(engine):
    first = tokens.add_token(engine, "mes", Role.VIEWER, lifetime=None)
    tokens.revoke_token(engine, "mes")
    tokens.revoke_token(engine, "mes")
    assert tokens.find_token(engine, first) is None
    with pytest.raises(StateError, match="is or was"):
        tokens.add_token(engine, "mes", Role.VIEWER, lifetime=None)
    with pytest.raises(NotFoundError, match="oddlot tokens list"):
        tokens.revoke_token(engine, "nothing")


def test_guesses_are_counted_by_address_by_name_and_together(engine):
    assert all(begin_attempt(engine, f"name {n}", "one") for n in range(OF_ADDRESS))
    assert begin_attempt(engine, "other", "one") is None
    assert all(begin_attempt(engine, "Ada", f"address {n}") for n in range(OF_NAME))
    assert begin_attempt(engine, "ADA", "another") is None
    assert all(begin_attempt(engine, f"n{n}", f"a{n}") for n in range(OF_ALL - OF_ADDRESS - OF_NAME))
    assert begin_attempt(engine, "new", "new") is None


def test_what_succeeded_or_is_long_ago_does_not_count(engine, monkeypatch):
    for _ in range(3 * OF_ADDRESS):
        forget_attempt(engine, begin_attempt(engine, "ada", "here"))
    for _ in range(OF_ADDRESS):
        begin_attempt(engine, "ada", "here")
    assert begin_attempt(engine, "ada", "here") is None
    monkeypatch.setattr(sign_ins, "WINDOW", timedelta(0))
    assert begin_attempt(engine, "ada", "here")


def test_guesses_that_come_at_once_are_not_all_the_first(engine):
    start, numbers = threading.Barrier(12), []

    def guess():
        start.wait()
        numbers.append(begin_attempt(engine, "ada", "here"))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(number is not None for number in numbers) == OF_ADDRESS


def test_what_is_done_is_recorded_with_it_or_not_at_all(engine, register):
    register()
    register()
    models.promote(engine, "flange", 1, ANN)
    models.rollback(engine, "flange", ANN)
    with pytest.raises(NotFoundError):
        models.promote(engine, "flange", 9, ANN)
    accounts.add_account(engine, "Ada", Role.ADMIN, "hash", ANN)
    with pytest.raises(StateError):
        accounts.remove_account(engine, "ada", ANN)
    audit_log.record_done(engine, Actor(None, "page"), Act.SIGN_IN_REFUSED, "unknown name", "x" * 5000)
    found = audit_log.entries(engine)
    assert [(one.who, one.via, one.action, one.what) for one in found] == [
        (None, "page", "sign-in refused", "unknown name"), ("ann", "cli", "user added", "Ada"),
        ("ann", "cli", "model rolled back", "flange"), ("ann", "cli", "model promoted", "flange 1"),
    ]  # fmt: skip
    assert len(found[0].detail) == audit_log.DETAIL_LENGTH
    assert [one.id for one in audit_log.entries(engine, who="ann", limit=2)] == [found[1].id, found[2].id]
    assert audit_log.entries(engine, since=found[0].at + timedelta(seconds=1)) == []


def test_a_record_that_cannot_be_made_afterwards_is_said_in_the_log(engine, caplog):
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE audit_log")
    audit_log.record_done(engine, ANN, Act.PRUNED)
    assert "not in the audit log: database pruned by ann" in caplog.text
