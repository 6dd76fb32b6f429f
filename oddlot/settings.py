"""Typed settings: `ODDLOT_*` variables over `oddlot.toml` over the defaults that stand here.

The value of any text setting may stand in a file that `ODDLOT_*_FILE` names: secrets of container engines are files.

Plain dataclass on purpose: it costs 1 ms where pydantic-settings costs 200 ms of every command
(docs/decisions/0002-settings.md).
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from oddlot import secret_files
from oddlot.errors import OddlotError, SettingsError
from oddlot.places import Place, place_of
from oddlot.words import LogForm, Runtime

EMBEDDED = "embedded"
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Settings:
    """All that can be set, with its unit. The variable of `batch_size` is `ODDLOT_BATCH_SIZE`, and so on."""

    home: Path
    """Folder for everything embedded: database, queue, model store, logs."""
    database_url: str = field(repr=False)
    """SQLAlchemy URL: `sqlite:///...` or `postgresql://...`."""
    broker_url: str = field(repr=False)
    """`embedded`, or the URL of a Redis-protocol server, `redis://...`, `rediss://...`, `redis+socket://...`, or of
    RabbitMQ, `amqp://...`, `amqps://...`."""
    model_store: Place
    """Folder, or `s3://bucket/prefix`, where the bundles of all models stand; shared by all hosts."""
    map_store: Place
    """Folder, or `s3://bucket/prefix`, where the heat maps of flagged and of audited items are put; shared by all
    hosts."""
    thumb_store: Place
    """Folder, or `s3://bucket/prefix`, where thumbnails are kept; shared by all hosts."""
    database_password: str = field(default="", repr=False)
    """Password of the database, where it is not to stand in the URL."""
    broker_password: str = field(default="", repr=False)
    """Password of the server of the queue, where it is not to stand in the URL."""
    batch_size: int = 128
    """Items in one unit of queue work, at most; fewer towards the end of a job."""
    runtime: str = Runtime.AUTO
    """What runs the scoring network: `openvino`, `tensorflow`, or `auto`, the first of them that is installed; or
    `gpu`, TensorFlow on NVIDIA's graphics cards, where fits learn then, too."""
    concurrency: int = 0
    """Worker processes; 0 means one a core, with `gpu` one a graphics card."""
    lease_seconds: float = 120.0
    """How long a claimed batch may go without a sign of life before somebody else may claim it."""
    sweep_seconds: float = 10.0
    """How often a worker looks for batches without a living lease, and for ones the queue does not hold."""
    stall_seconds: float = 300.0
    """How long a worker may take nothing although batches wait for it, before it is restarted."""
    max_attempts: int = 3
    """Attempts at a batch before it is split to find the picture that breaks it."""
    settle_seconds: float = 2.0
    """A file younger than this is looked at twice when a folder is listed: is it still being written?"""
    picture_seconds: float = 300.0
    """How long the reading of one picture may take; then its process is ended, and the picture tried alone."""
    child_megabytes: int = 0
    """A worker process that ever had more memory than that is replaced after its batch; 0 means never. Not less than a
    model takes, or each batch would load it anew."""
    warm_models: int = 4
    """Models that a worker process keeps loaded, one at least; the least recently used one goes first."""
    warm_megabytes: int = 0
    """A worker process with more memory than that keeps no models but the one that it works with. 0 means nine tenths
    of `child_megabytes`; without that, its share of half of the machine's."""
    warm_turns: int = 3
    """Turns of a job whose model a process has not loaded that may go, one after another, to equally urgent jobs whose
    model it has; 0 means none."""
    fit_megabytes: int = 0
    """Memory for the pictures and features of a fit; what is more stands on disk, in the home, until the fit is done.
    0 means a quarter of the machine's."""
    log: str = LogForm.TEXT
    """How workers and other services write their logs: `text`, or `json`, one object a line."""
    hold: bool = True
    """Whether a night that does not look like what its model knows is held; if not, it is only noted."""
    max_pixels: int = 200_000_000
    """Pictures with more pixels, by their header, are refused unread (decompression bombs)."""
    max_file_bytes: int = 1_000_000_000
    """Files larger than this are refused unread."""
    s3_endpoint: str = ""
    """Address of an S3 server of one's own, as `https://minio.plant:9000`; empty: Amazon's."""
    s3_ca: str = ""
    """File with the certificates by which that server is known; empty: those of the system, or of AWS_CA_BUNDLE."""
    s3_reads: int = 16
    """Objects that one worker process reads at a time."""
    review_host: str = "127.0.0.1"
    """Address at which the review page listens; any but this machine's own needs a password."""
    review_port: int = 8765
    """Port of the review page."""
    review_password: str = field(default="", repr=False)
    """Password of the review page and its JSON interface; empty: none is asked for."""
    review_names: str = ""
    """Names of this host by which the review page may be called, with commas; numeric addresses always may."""
    review_proxies: str = ""
    """Addresses, with commas, of proxies whose word on who asks, and whether by https, is believed; empty: none."""
    review_rate: int = 3000
    """Requests a minute that one address may make to the review page and its JSON interface; 0 means any number."""
    signing_key: str = ""
    """File with the private key that signs the bundles made here (`oddlot models keygen`); empty: none is signed."""
    trusted_keys: str = ""
    """File or folder of public keys: a bundle that none of them signed is refused; empty: all are taken."""
    audit_items: int = 20
    """Unflagged items of a job that are drawn by chance to be shown to a person, on average; 0 means none."""
    public_url: str = ""
    """Address under which people reach the review page, for the links in reports; empty: reports have none."""
    report_folder: str = ""
    """Folder into which the report of every finished job is written; empty: none is."""
    report_email: str = ""
    """Addresses, with commas between them, to which the report of every finished job is sent; empty: none is."""
    report_from: str = ""
    """Sender of those e-mails; empty: oddlot at this host's name."""
    smtp_url: str = field(default="", repr=False)
    """Mail server: `smtp://host:25`, `smtp://user:password@host:587?starttls=yes` or `smtps://...`."""
    webhook_url: str = field(default="", repr=False)
    """Address to which a record of every finished job is posted as JSON; empty: none is."""
    webhook_secret: str = field(default="", repr=False)
    """Key with which those posts are signed; empty: they are not signed."""

    @property
    def embedded_broker(self) -> bool:
        return self.broker_url == EMBEDDED

    @property
    def embedded_database(self) -> bool:
        return self.database_url.startswith("sqlite")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings anew.

    `oddlot.toml` is looked for at `ODDLOT_CONFIG`, else in the current folder, else in the home.
    Raises SettingsError where a value is not of its type or a key is not known.
    """
    environ = os.environ if environ is None else environ
    home = _typed("home", Path, environ.get("ODDLOT_HOME") or platformdirs.user_data_path("oddlot"))
    values: dict[str, Any] = {}
    source = _config_file(environ, home)
    if source is not None:
        values |= _read_config(source)
    names = {one.name for one in fields(Settings)}
    values |= {n: environ[f"ODDLOT_{n.upper()}"] for n in names if environ.get(f"ODDLOT_{n.upper()}")}
    values |= _from_files(environ)
    home = _typed("home", Path, values.pop("home", home))
    values.setdefault("database_url", f"sqlite:///{home / 'oddlot.db'}")
    values.setdefault("broker_url", EMBEDDED)
    values.setdefault("model_store", home / "models")
    values.setdefault("map_store", home / "maps")
    values.setdefault("thumb_store", home / "thumbnails")
    typed = {one.name: _typed(one.name, one.type, values[one.name])
             for one in fields(Settings) if one.name in values}  # fmt: skip
    for name in ("database", "broker"):
        if password := typed.get(f"{name}_password"):
            typed[f"{name}_url"] = secret_files.with_password(f"{name}_url", typed[f"{name}_url"], password)
    settings = Settings(home=home, **typed)
    _check(settings)
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of this process with these very settings in it, for another process that is to have them,
    wherever they came from."""
    names = {f"ODDLOT_{one.name.upper()}": getattr(settings, one.name) for one in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in names}
    return kept | {name: str(value) for name, value in names.items()}


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, kind in ((one.name, one.type) for one in fields(Settings)):
        variable = f"ODDLOT_{name.upper()}"
        if path := environ.get(f"{variable}_FILE"):
            if kind is not str:
                raise SettingsError(
                    f"{variable}_FILE is set, and {variable} is no text that a file could hold: set that"
                )
            if environ.get(variable):
                raise SettingsError(f"{variable} and {variable}_FILE are both set: leave one of them out")
            found[name] = secret_files.value_of(f"{variable}_FILE", Path(path).expanduser())
    return found


def _config_file(environ: Mapping[str, str], home: Path) -> Path | None:
    if named := environ.get("ODDLOT_CONFIG"):
        if not os.path.isfile(named):
            raise SettingsError(f"ODDLOT_CONFIG names {named}, which is not a file")
        return Path(named)
    # Not Path.is_file, which raises in a folder that this user may not enter: he need not be at home there.
    return next((p for p in (Path("oddlot.toml"), home / "oddlot.toml") if os.path.isfile(p)), None)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    unknown = sorted(set(table) - {one.name for one in fields(Settings)})
    if unknown:
        raise SettingsError(f"{path}: there is no setting called {unknown[0]!r}")
    return table


def _typed(name: str, kind: Any, value: Any) -> Any:
    try:
        if kind is Path:
            return Path(value).expanduser().absolute()
        if kind is Place:
            return _place(name, value)
        if kind is bool:
            return value if isinstance(value, bool) else _SWITCH[value.strip().lower()]
        if kind is int and not isinstance(value, bool | float):
            return int(value)
        if kind is float and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):  # the last: a ~user that is not there
        pass
    word = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(kind, "a path")
    raise SettingsError(f"ODDLOT_{name.upper()} (or {name} in oddlot.toml) must be {word}, not {value!r}")


def _place(name: str, value: Any) -> Place:
    try:
        return place_of(os.fspath(value))
    except OddlotError as error:
        raise SettingsError(f"ODDLOT_{name.upper()}: {error}") from None


def _check(settings: Settings) -> None:
    bounds = {
        "batch_size": (1, 10_000), "concurrency": (0, 1024), "lease_seconds": (1, 86_400),
        "sweep_seconds": (0.1, 3_600), "stall_seconds": (1, 86_400), "max_attempts": (1, 100),
        "settle_seconds": (0, 3_600), "picture_seconds": (1, 3_600), "child_megabytes": (0, 10**6),
        "warm_models": (1, 10_000), "warm_megabytes": (0, 10**6), "warm_turns": (0, 1000), "fit_megabytes": (0, 10**7),
        "max_pixels": (1, 10**12), "max_file_bytes": (1, 10**12), "audit_items": (0, 100_000),
        "review_port": (1, 65_535), "review_rate": (0, 10**6), "s3_reads": (1, 256),
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise SettingsError(f"ODDLOT_{name.upper()} must be between {low} and {high}, not {value}")
    if settings.runtime not in list(Runtime):
        raise SettingsError(f"ODDLOT_RUNTIME must be one of {', '.join(Runtime)}, not {settings.runtime!r}")
    if settings.log not in list(LogForm):
        raise SettingsError(f"ODDLOT_LOG must be one of {', '.join(LogForm)}, not {settings.log!r}")
    if not settings.database_url.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
        raise SettingsError("ODDLOT_DATABASE_URL must begin with sqlite:/// or postgresql://")
    if settings.database_url.partition("?")[0].count("@") > 1 and not settings.embedded_database:
        # What follows the first would be taken for a host, and errors name hosts.
        raise SettingsError("ODDLOT_DATABASE_URL is not a URL: write an @ in a password as %40")
    _check_addresses(settings)
    schemes = ("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://")
    if settings.embedded_broker:
        return
    if not settings.broker_url.startswith(schemes):
        raise SettingsError(
            "ODDLOT_BROKER_URL must be 'embedded' or begin with redis://, rediss://, redis+socket://, amqp:// or amqps://"
        )
    try:
        _ = urlsplit(settings.broker_url).port
    except ValueError:
        raise SettingsError(
            "ODDLOT_BROKER_URL is not a URL: write special characters of a password as %40 for @, %2F for /, and so on"
        ) from None


def _check_addresses(settings: Settings) -> None:
    """Where reports go. No value is shown: each may hold a password."""
    for name, kinds in (("public_url", "http"), ("webhook_url", "http"), ("s3_endpoint", "http"), ("smtp_url", "smtp")):
        value = getattr(settings, name)
        if not value:
            continue
        schemes = (kinds, f"{kinds}s")
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and parts.hostname and (parts.port is None or parts.port > 0)
            # Behind the host of a mail server nothing has a meaning: it would be the rest of a password.
            usable = usable and not parts.fragment and (kinds == "http" or parts.path in ("", "/"))
        except ValueError:
            usable = False
        if not usable or not value.isprintable() or not value.isascii() or " " in value:
            raise SettingsError(
                f"ODDLOT_{name.upper()} is not a URL that begins with {kinds}:// or {kinds}s://: write special "
                "characters of a password as %40 for @, %2F for /, and so on"
            )
    if "@" in urlsplit(settings.s3_endpoint).netloc:
        raise SettingsError("ODDLOT_S3_ENDPOINT holds no keys: they belong into AWS_ACCESS_KEY_ID and its like")
    if settings.report_folder:
        _typed("report_folder", Path, settings.report_folder)  # a ~user that is not there
    addresses = [*report_addresses(settings), *([settings.report_from] if settings.report_from else [])]
    for address in addresses:
        if not _ADDRESS.fullmatch(address):
            raise SettingsError(f"ODDLOT_REPORT_EMAIL or ODDLOT_REPORT_FROM holds {address!r}: write name@host")
    if settings.report_email and not settings.smtp_url:
        raise SettingsError("ODDLOT_REPORT_EMAIL needs a mail server: set ODDLOT_SMTP_URL, e.g. smtp://mail:25")


def report_addresses(settings: Settings) -> list[str]:
    """The addresses of `report_email`, each once."""
    return list(dict.fromkeys(part.strip() for part in settings.report_email.split(",") if part.strip()))
