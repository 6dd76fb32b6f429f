"""Where the settings of this host want reports to go, in words that may be shown and stored."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from db.deliveries import Target
from oddlot.settings import Settings, report_addresses
from oddlot.words import DeliveryKind


def targets_of(settings: Settings) -> list[Target]:
    """A target is named without what is secret: of a webhook its host, as the path may be the key to it."""
    found: list[Target] = []
    if settings.report_folder:
        found.append((DeliveryKind.FOLDER, str(report_folder(settings))))
    found += [(DeliveryKind.EMAIL, address) for address in report_addresses(settings)]
    if settings.webhook_url:
        found.append((DeliveryKind.WEBHOOK, shown_url(settings.webhook_url)))
    return found


def report_folder(settings: Settings) -> Path:
    """The folder of `report_folder`, absolute."""
    return Path(settings.report_folder).expanduser().absolute()


def shown_url(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def masked(text: str, settings: Settings) -> str:
    """The text without any of the passwords and keys in the settings of the reports."""
    secrets = {settings.webhook_secret}
    for url in (settings.smtp_url, settings.webhook_url):
        parts = urlsplit(url)
        path = parts.path if url == settings.webhook_url and len(parts.path) > 1 else ""
        secrets |= {parts.password or "", unquote(parts.password or ""), parts.query, path}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
