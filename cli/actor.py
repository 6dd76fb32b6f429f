"""Who stands in the audit log for what a command does."""

import getpass
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.audit_log import Actor


def actor() -> "Actor":
    """The user of the operating system; in a container perhaps only a number."""
    from db.audit_log import Actor

    try:
        return Actor(getpass.getuser(), "cli")
    except (KeyError, OSError):
        return Actor(f"user {os.getuid()}", "cli")
