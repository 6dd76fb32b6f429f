"""What it costs to know who asks: `python -m bench.access`.

Prints the time of a password, and of one small request of the JSON interface without users, by session and by token.
"""

import statistics
import tempfile
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from db import accounts, tokens
from db.audit_log import Actor
from db.engine import open_database
from db.sessions import begin_session
from oddlot.passwords import hash_password, is_password
from oddlot.settings import load_settings
from oddlot.words import Role
from review.visits import COOKIE, new_secret

REQUESTS = 500


def milliseconds(client: httpx.Client) -> float:
    """The median of one request."""
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        assert client.get("/api/v1/jobs").status_code == 200
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def main() -> None:
    import uvicorn

    from review.app import make_app

    began = time.perf_counter()
    stored = hash_password("four words are enough")
    assert is_password(stored, "four words are enough")
    print(f"a password: {500 * (time.perf_counter() - began):.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(load_settings({"ODDLOT_HOME": str(Path(folder) / "home")}), review_rate=0)
        engine = open_database(settings.database_url)
        server = uvicorn.Server(uvicorn.Config(make_app(settings), port=0, log_level="critical"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=address) as client:
            print(f"a request without users: {milliseconds(client):.2f} ms")
        account, secret = accounts.add_account(engine, "ada", Role.ADMIN, stored), new_secret()
        begin_session(engine, account, secret, timedelta(hours=1), Actor("ada", "page"))
        with httpx.Client(base_url=address, cookies={COOKIE: secret}) as client:
            print(f"by session: {milliseconds(client):.2f} ms")
        bearer = tokens.add_token(engine, "t", Role.VIEWER, lifetime=None)
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {bearer}"}) as client:
            print(f"by token: {milliseconds(client):.2f} ms")
        server.should_exit = True
        thread.join()
        engine.dispose()


if __name__ == "__main__":
    main()
