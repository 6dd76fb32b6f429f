"""A network between a worker and a server that can be cut, held up, slowed down and closed on one side."""

import contextlib
import socket
import struct
import threading
from pathlib import Path

Pair = tuple[socket.socket, socket.socket]


class Proxy:
    """Forwards TCP on `port` to a TCP port or a unix socket of this machine."""

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._pairs: list[Pair] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._pause = 0.0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection and every new one."""
        self._refuses = True
        self.reset()

    def hold(self) -> None:
        """Let nothing through, and say nothing about it."""
        self._flows.clear()

    def half_close(self) -> None:
        """The server's side of every connection ends; the worker's stays open."""
        for client, _ in self._taken():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)

    def slow_down(self, seconds: float) -> None:
        """Each piece of data waits for so long."""
        self._pause = seconds

    def restore(self) -> None:
        self._refuses, self._pause = False, 0.0
        self._flows.set()

    def reset(self) -> None:
        """End every connection as a router does that has forgotten it."""
        for pair in self._taken():
            _close(pair)

    def close(self) -> None:
        self._over.set()
        self.cut()
        self._flows.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _taken(self) -> list[Pair]:
        with self._lock:
            return list(self._pairs)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                _reset(client)
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            if isinstance(self._target, int):
                server = socket.create_connection(("127.0.0.1", self._target))
            else:
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
        except OSError:
            _reset(client)
            return
        pair = (client, server)
        with self._lock:
            self._pairs.append(pair)
        back = threading.Thread(target=self._forward, args=(server, client), daemon=True)
        back.start()
        self._forward(client, server)
        back.join()
        with self._lock:
            self._pairs.remove(pair)
        _close(pair)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                self._over.wait(self._pause)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for it
    end.close()


def _close(pair: Pair) -> None:
    for end in pair:
        _reset(end)
