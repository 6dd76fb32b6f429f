"""A real S3 server on loopback, with a door in front of it at which a test can stand.

The server is moto's; or, where ODDLOT_TEST_S3 is `http://HOST:PORT`, the one there, to which everything is passed on,
with the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import http.client
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Fault = tuple[int, str] | str
"""What is answered in place of the server: a status and the code of an error, `broken` for the half of an answer, or
`closed` for none."""


class ObjectStore:
    """`fault` is asked with the method and the key of each request, and gives a fault or None; `asked` counts the
    requests by method, `faults` those that got one; `peak` is how many were answered at once."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        elsewhere = os.environ.get("ODDLOT_TEST_S3")
        self._app = passed_on(elsewhere) if elsewhere else DomainDispatcherApplication(create_backend_app)
        key, secret = ("oddlot", "s3kr1t-Geheim")
        if elsewhere:
            key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self._lock = threading.Lock()
        self._server: Any = None
        self.bucket = ""
        self._clear()
        self.start()
        self.port: int = self._server.port
        self.variables = {
            "ODDLOT_S3_ENDPOINT": f"http://127.0.0.1:{self.port}", "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip
        self.client = boto3.client(
            "s3", endpoint_url=self.variables["ODDLOT_S3_ENDPOINT"], aws_access_key_id=key,
            aws_secret_access_key=secret, region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    def _clear(self) -> None:
        self.fault: Callable[[str, str], Fault | None] = lambda method, key: None
        self.asked: Counter[str] = Counter()
        self.faults = 0
        self.peak = self._now = 0

    def begin(self, bucket: str | None) -> None:
        """Up, without faults, and with a new bucket where one is named."""
        self._clear()
        self.start()
        if bucket is not None:
            self.client.create_bucket(Bucket=bucket)
            self.bucket = bucket
            self._clear()

    def start(self) -> None:
        if self._server is None:
            port = getattr(self, "port", 0)
            self._server = make_server("127.0.0.1", port, self._answer, threaded=True)
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more; what is stored stays."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def put(self, key: str, data: bytes) -> str:
        """The etag of what was put there."""
        return str(self.client.put_object(Bucket=self.bucket, Key=key, Body=data)["ETag"]).strip('"')

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def listed(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode()
        with self._lock:
            self.asked[method] += 1
            self._now += 1
            self.peak = max(self.peak, self._now)
            fault = self.fault(method, path.removeprefix(f"/{self.bucket}").removeprefix("/"))
            self.faults += fault is not None
        try:
            if fault is None:
                return self._app(environ, start_response)  # type: ignore[no-any-return]
            if fault == "broken":
                return _half(b"".join(self._app(environ, start_response)), environ["werkzeug.socket"])
            if isinstance(fault, str):
                _hang_up(environ["werkzeug.socket"])
            status, code = fault
            start_response(f"{status} {code}", [("Content-Type", "application/xml")])
            return [f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()]
        finally:
            with self._lock:
                self._now -= 1


def passed_on(server: str) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application that asks the server at `http://HOST:PORT`. The name by which it was called is kept, since it
    is signed."""
    address = server.removeprefix("http://").rstrip("/")

    def ask(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {
            name[5:].replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"
        } | {"Content-Type": environ.get("CONTENT_TYPE", ""), "Connection": "close"}  # fmt: skip
        if "HTTP_TRANSFER_ENCODING" in environ:
            raise NotImplementedError("what comes in chunks is not passed on")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length or environ["REQUEST_METHOD"] == "PUT":
            headers["Content-Length"] = str(length)
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.putrequest(
                environ["REQUEST_METHOD"], environ["RAW_URI"], skip_host=True, skip_accept_encoding=True
            )
            for name, value in headers.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(environ["wsgi.input"].read(length) if length else None)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        kept = [one for one in answer.getheaders() if one[0].lower() not in ("transfer-encoding", "connection")]
        if answer.chunked:
            kept.append(("Content-Length", str(len(body))))
        start_response(f"{answer.status} {answer.reason}", kept)
        return [body]

    return ask


def _half(body: bytes, connection: socket.socket) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    _hang_up(connection)


def _hang_up(connection: socket.socket) -> NoReturn:
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
