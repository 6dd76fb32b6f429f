"""Passwords that stand in files of their own, as container engines and systemd hand them over, and not in a URL."""

from pathlib import Path
from urllib.parse import quote, unquote

from oddlot.errors import SettingsError

LONGEST = 64 * 1024
"""Bytes of a file that holds one value, at most; what is longer is not one."""


def value_of(variable: str, path: Path) -> str:
    """The text of the file that `variable` names, without the line break at its end. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        value = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{variable} names {path}, which cannot be read: {reason}") from error
    if not value or len(content) > LONGEST or not value.isprintable():
        # Nothing of it is shown: it may be the secret, with something behind it.
        raise SettingsError(f"{variable} names {path}, which does not hold one line of text")
    return value


def with_password(name: str, url: str, password: str) -> str:
    """The URL with the password in its place. `name` is the setting of the URL, for errors, which show neither.

    Raises SettingsError where the URL has no host, or a password of its own.
    """
    scheme, mark, rest = url.partition("://")
    authority = rest[: min((i for i in map(rest.find, "/?#") if i >= 0), default=len(rest))]
    user, _, host = authority.rpartition("@")
    what = f"ODDLOT_{name.upper()}"
    if not mark or not host:
        raise SettingsError(f"a password is set, and {what} is not a URL with a host that it could be for")
    if ":" in user:
        if unquote(user.partition(":")[2]) == password:
            return url  # put together before, by who started this process
        raise SettingsError(f"{what} holds a password, and another one is set beside it: leave one of them out")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{rest[len(authority) :]}"
