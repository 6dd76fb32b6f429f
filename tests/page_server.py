"""The page behind a real server, and the tokens of its forms."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from polling import eventually

from oddlot.settings import Settings
from review.app import server_config


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The page behind a real server; its address."""
    config = server_config(settings)
    config.port = 0
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        eventually(lambda: running.started, "the server did not start")
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()


def form(client: httpx.Client, address: str = "/") -> dict[str, str]:
    """The token of a page's forms; the cookie that goes with it stays in the client."""
    text = client.get(address).text
    return {"token": text.partition('name="csrf-token" content="')[2].partition('"')[0]}
