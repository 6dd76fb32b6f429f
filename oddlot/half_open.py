"""When a connection counts as dead whose other end says nothing any more: a cable that was pulled ends no connection.

By itself Linux asks after two hours of silence, and repeats what nobody acknowledged for a quarter of an hour. A host
that is cut off in the middle of a transaction would keep its rows locked for as long, and with them the job.
"""

import socket

IDLE, INTERVAL, COUNT = 10, 5, 3
"""Seconds of silence before the other end is asked, between two questions, and how many may go unanswered."""
UNACKNOWLEDGED = IDLE + INTERVAL * COUNT
"""Seconds that what was sent may go unacknowledged."""


def socket_options() -> dict[int, int]:
    """For a TCP socket of ours; of these those that the system knows."""
    wanted = {
        "TCP_KEEPIDLE": IDLE, "TCP_KEEPALIVE": IDLE, "TCP_KEEPINTVL": INTERVAL, "TCP_KEEPCNT": COUNT,
        "TCP_USER_TIMEOUT": 1000 * UNACKNOWLEDGED,
    }  # fmt: skip
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def postgresql_options() -> dict[str, int]:
    """For our end of a connection to PostgreSQL, as libpq calls them."""
    return {
        "keepalives_idle": IDLE, "keepalives_interval": INTERVAL, "keepalives_count": COUNT,
        "tcp_user_timeout": 1000 * UNACKNOWLEDGED,
    }  # fmt: skip


def postgresql_server_options() -> str:
    """For the server's end, as the connection's `options`: it is the server that keeps the locks."""
    ours = postgresql_options()
    return " ".join(f"-c {name if name[:3] == 'tcp' else f'tcp_{name}'}={value}" for name, value in ours.items())
