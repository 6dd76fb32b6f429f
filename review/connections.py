"""Connections that keep nobody else out: a request comes in time, and one address has so many at most."""

import asyncio
import contextlib
import ipaddress
import resource
from functools import lru_cache
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 20.0
"""A request that is not there as a whole after so long is not waited for: small as they are, it never will be."""
MOST_EACH = 256
"""Open connections of one address; a browser has six."""
DESCRIPTORS = 65536


def allow_many_descriptors() -> None:
    """As many open files as this user may have: a shell gives 1024, which half-sent requests use up in seconds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@lru_cache(1024)
def _is_among(address: str, proxies: tuple[str, ...]) -> bool:
    """Whether an address is one of the proxies, which may be networks, or `*` for all."""
    for proxy in proxies:
        with contextlib.suppress(ValueError):
            if proxy == "*" or ipaddress.ip_address(address) in ipaddress.ip_network(proxy, strict=False):
                return True
    return address in proxies


class PunctualProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, which waits for ever for the rest of a request that was begun."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._too_many():
            transport.abort()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait_no_more()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        """Until the deadline where a request is on its way, or none is there yet."""
        if not self._incomplete():
            self._wait_no_more()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._end)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _incomplete(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _end(self) -> None:
        self._deadline = None
        if self._incomplete():
            self.transport.abort()

    def _too_many(self) -> bool:
        if self.client is None or _is_among(self.client[0], tuple(self.config.forwarded_allow_ips or ())):
            return False  # a proxy has those of everybody
        everybody = [one.client for one in self.connections if isinstance(one, H11Protocol) and one.client]
        return sum(client[0] == self.client[0] for client in everybody) > MOST_EACH
