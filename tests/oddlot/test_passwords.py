"""Passwords: which are taken, and that only the right one is right."""

import pytest

from oddlot.errors import OddlotError
from oddlot.passwords import NOBODY, check_password, hash_password, is_outdated, is_password


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaa", "A User's Own NAME", "x" * 1001])
def test_passwords_that_are_guessed_first_are_refused(password) -> None:
    with pytest.raises(OddlotError, match="password") as refusal:
        check_password(password, "a user's own name")
    assert password == "" or password not in str(refusal.value)


def test_only_the_right_one_is_right_whichever_keyboard_typed_it() -> None:
    password = "Größe und Maß"
    check_password(password, "ada")
    stored = hash_password(password)
    assert stored != hash_password(password), "equal passwords do not look equal"
    assert is_password(stored, "Gro\u0308ße und Maß")
    for wrong in ("Größe und Mass", "", password + " ", password + "\udcff", "x" * 100_000):
        assert not is_password(stored, wrong)
    assert not is_password("no hash at all", password)


def test_a_hash_with_less_work_is_outdated_and_that_of_nobody_is_not() -> None:
    assert is_outdated("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + "A" * 43)
    assert not is_outdated(NOBODY), "a name that is not there would cost less than one that is"
    assert not is_password(None, "whatever it is")
