"""One report to one target. Each raises where it is not there: OSError, or OddlotError with a reason."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import smtplib
import socket
import ssl
import time
import urllib.error
import urllib.request
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import oddlot
from oddlot.errors import OddlotError
from oddlot.settings import Settings

SECONDS = 30.0
"""How long a server may be silent."""


def write_to_folder(folder: Path, name: str, html: bytes) -> None:
    """Put the report there, over an older one of the job, whole or not at all.

    The folder must be there: one that is made where a share is not mounted would swallow the reports.
    """
    if not folder.is_dir():
        raise OddlotError(f"{folder} is not a folder that is there")
    partial = folder / f".{name}.{secrets.token_hex(4)}.partial"
    try:
        with open(partial, "xb") as stream:
            stream.write(html)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, folder / name)
    finally:
        partial.unlink(missing_ok=True)


def send_mail(settings: Settings, message: EmailMessage) -> None:
    """Hand a message to the mail server of the settings."""
    try:
        with smtp_connection(settings.smtp_url, SECONDS) as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise OddlotError(f"the mail server refuses the address: {code} {_text(text)}") from None
    except smtplib.SMTPResponseException as error:
        raise OddlotError(f"the mail server answered {error.smtp_code} {_text(error.smtp_error)}") from None
    except smtplib.SMTPException as error:
        raise OddlotError(f"the mail server: {error}") from None
    except OSError as error:
        raise OddlotError(f"the mail server cannot be reached: {error.strerror or error}") from None


def smtp_connection(url: str, timeout: float) -> smtplib.SMTP:
    """A connection to the mail server at `url`, encrypted and logged in as it says; to be closed by the caller."""
    parts = urlsplit(url)
    encrypted, host = parts.scheme == "smtps", parts.hostname or ""
    wants = parse_qs(parts.query).get("starttls", ["no"])[-1].lower() not in ("no", "0", "false", "off")
    server: smtplib.SMTP
    if encrypted:
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=timeout, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=timeout)
    try:
        if wants and not encrypted:
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def message_to(
    settings: Settings, address: str, number: str, *, subject: str, text: str, html: str, report: bytes, name: str,
    moment: Any,
) -> EmailMessage:  # fmt: skip
    """The e-mail of a report; `number` makes its Message-ID, which stays the same when it is sent again."""
    sender = settings.report_from or f"oddlot@{_host()}"
    message = EmailMessage(policy=SMTP)
    message["Subject"], message["From"], message["To"] = subject, sender, address
    message["Date"] = format_datetime(moment)
    message["Message-ID"] = f"<oddlot-{number}-{_short(address)}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Oddlot-Delivery"] = number
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    message.add_attachment(report, maintype="text", subtype="html", filename=name)
    return message


def post(url: str, secret: str, number: str, record: dict[str, Any]) -> None:
    """POST a record as JSON, signed where there is a secret; anything but 2xx is an error, a redirection too."""
    body = json.dumps(record, ensure_ascii=True).encode("ascii")
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json", "User-Agent": f"Oddlot/{oddlot.__version__}",
        "X-Oddlot-Event": "job.finished", "X-Oddlot-Delivery": number, "X-Oddlot-Timestamp": stamp,
    }  # fmt: skip
    if secret:
        headers["X-Oddlot-Signature"] = f"sha256={signature(secret, stamp, body)}"
    parts = urlsplit(url)
    if parts.username is not None:
        name = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(name.encode()).decode("ascii")
    plain_url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(plain_url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirection).open(request, timeout=SECONDS) as answer:
            answer.read(4096)
    except urllib.error.HTTPError as error:
        with error:
            raise OddlotError(f"the receiver answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
        raise OddlotError(f"the receiver cannot be reached: {reason}") from None


def signature(secret: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA-256 of "stamp.body" in hexadecimal digits."""
    return hmac.new(secret.encode(), stamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    # Followed, the POST would become a GET without its body, and the signature go to somebody else.
    def redirect_request(self, *_: Any) -> None:
        return None


def _host() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "localhost"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
