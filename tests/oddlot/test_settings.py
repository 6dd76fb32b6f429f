"""Settings: variables over the file over the defaults, and one line for what cannot be used."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from oddlot.errors import SettingsError
from oddlot.settings import EMBEDDED, Settings, environment_of, load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home, in an empty current folder, so that no oddlot.toml of the machine is met."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def load(home: Path, **variables: str) -> Settings:
    return load_settings({"ODDLOT_HOME": str(home)} | {f"ODDLOT_{k.upper()}": v for k, v in variables.items()})


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_all_is_embedded_in_the_home(home) -> None:
    settings = load(home)
    assert settings.home == home
    assert settings.database_url == f"sqlite:///{home}/oddlot.db"
    assert settings.broker_url == EMBEDDED
    assert settings.embedded_broker
    assert settings.embedded_database
    assert settings.model_store == home / "models"
    assert settings.map_store == home / "maps"
    assert settings.thumb_store == home / "thumbnails"
    assert settings.batch_size == 128
    assert not home.exists()


def test_variable_beats_file_beats_default(home) -> None:
    write(home / "oddlot.toml", "batch_size = 10\nmax_attempts = 7\n")
    settings = load(home, batch_size="20")
    assert (settings.batch_size, settings.max_attempts, settings.sweep_seconds) == (20, 7, 10.0)


def test_file_in_the_current_folder_beats_the_one_in_the_home(home) -> None:
    write(home / "oddlot.toml", "batch_size = 10")
    write(Path("oddlot.toml"), "batch_size = 11")
    assert load(home).batch_size == 11


def test_named_file_beats_both_and_must_exist(home, tmp_path) -> None:
    write(Path("oddlot.toml"), "batch_size = 11")
    named = write(tmp_path / "plant.toml", "batch_size = 12")
    assert load(home, config=str(named)).batch_size == 12
    with pytest.raises(SettingsError, match=r"ODDLOT_CONFIG names .*missing\.toml, which is not a file"):
        load(home, config=str(tmp_path / "missing.toml"))


def test_home_from_the_file_moves_everything_in_it(home, tmp_path) -> None:
    named = write(tmp_path / "plant.toml", f'home = "{tmp_path}/elsewhere"')
    settings = load_settings({"ODDLOT_CONFIG": str(named)})
    assert settings.home == tmp_path / "elsewhere"
    assert settings.model_store == tmp_path / "elsewhere" / "models"


def test_paths_are_absolute_and_know_the_user(home, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    assert load(home, model_store="~/store").model_store == home / "store"
    assert load(home, model_store="store").model_store == Path.cwd() / "store"


def test_an_empty_variable_is_no_variable(home) -> None:
    assert load(home, batch_size="", broker_url="").batch_size == 128


def test_every_setting_can_be_given_as_variable_and_in_the_file(home, tmp_path) -> None:
    paths = {
        "home": tmp_path / "moved",
        "model_store": tmp_path / "store",
        "map_store": tmp_path / "maps",
        "thumb_store": tmp_path / "thumbs",
    }
    texts = {
        "database_url": "postgresql://host/db", "broker_url": "redis://host/0",
        "database_password": "p/w", "broker_password": "p@w", "public_url": "https://oddlot.example",
        "report_folder": "/srv/reports", "report_email": "ada@plant.example", "report_from": "oddlot@plant.example",
        "smtp_url": "smtp://mail:25", "webhook_url": "https://mes.example/x", "webhook_secret": "secret",
        "review_host": "0.0.0.0", "review_password": "sesame", "review_names": "oddlot.plant", "runtime": "tensorflow",
        "log": "json",
        "review_proxies": "10.0.0.1", "signing_key": "/etc/oddlot/key", "trusted_keys": "/etc/oddlot/trusted",
        "s3_endpoint": "https://minio.plant:9000", "s3_ca": "/etc/plant-ca.pem",
    }  # fmt: skip
    numbers = {
        "batch_size": 5,
        "concurrency": 3,
        "audit_items": 7,
        "review_port": 8000,
        "review_rate": 100,
        "lease_seconds": 60.5,
        "sweep_seconds": 2.0,
        "stall_seconds": 90.0,
        "max_attempts": 4,
        "settle_seconds": 0.0,
        "picture_seconds": 30.0,
        "child_megabytes": 1500,
        "warm_models": 9,
        "warm_megabytes": 800,
        "warm_turns": 2,
        "fit_megabytes": 700,
        "max_pixels": 1000,
        "max_file_bytes": 2000,
        "s3_reads": 8,
    }
    addresses = {"database_url": "postgresql://:p%2Fw@host/db", "broker_url": "redis://:p%40w@host/0"}
    expected = Settings(**paths, **(texts | addresses), **numbers, hold=False)
    assert {field.name for field in fields(Settings)} == {*paths, *texts, *numbers, "hold"}
    variables = {f"ODDLOT_{name.upper()}": str(value) for name, value in (paths | texts | numbers).items()}
    variables["ODDLOT_HOLD"] = "false"
    assert load_settings(variables) == expected
    lines = [f"{name} = {value}" for name, value in numbers.items()] + ["hold = false"]
    lines += [f"{name} = '{value}'" for name, value in (paths | texts).items()]
    named = write(tmp_path / "all.toml", "\n".join(lines))
    assert load_settings({"ODDLOT_CONFIG": str(named)}) == expected
    assert not expected.embedded_broker
    assert not expected.embedded_database


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("batch_size", "many", "whole number, not 'many'"),
        ("batch_size", "2.5", "whole number"),
        ("batch_size", "0", "between 1 and 10000, not 0"),
        ("batch_size", "-3", "between"),
        ("batch_size", "10001", "between"),
        ("concurrency", "-1", "between"),
        ("lease_seconds", "soon", "a number, not 'soon'"),
        ("lease_seconds", "nan", "between"),
        ("lease_seconds", "inf", "between"),
        ("settle_seconds", "-1", "between"),
        ("max_pixels", "0", "between"),
        ("max_file_bytes", "1e9", "whole number"),
        ("database_url", "mysql://host/db", "sqlite:/// or postgresql://"),
        ("broker_url", "sqs://host", "embedded"),
        ("broker_url", "redis://:pa/ss@host:x", "is not a URL"),
        ("broker_url", "unix:///tmp/x.sock", "embedded"),
        ("model_store", "~nobody-of-this-name/x", "a path"),
    ],
)
def test_a_bad_value_is_one_line_that_names_its_variable(home, name, value, says) -> None:
    with pytest.raises(SettingsError, match=f"ODDLOT_{name.upper()}.*{says}") as refusal:
        load(home, **{name: value})
    assert "\n" not in str(refusal.value)


BAD_LINES = """batch_size = "x"
batch_size = 2.5
batch_size = true
batch_size = []
broker_url = 3
model_store = 3
lease_seconds = false"""


@pytest.mark.parametrize("line", BAD_LINES.splitlines())
def test_a_value_of_another_type_in_the_file_is_refused(home, line) -> None:
    write(home / "oddlot.toml", line)
    with pytest.raises(SettingsError, match=f"ODDLOT_{line.split()[0].upper()} .* must be"):
        load(home)


def test_an_unknown_key_in_the_file_is_refused_by_name(home) -> None:
    write(home / "oddlot.toml", "batch_sice = 3")
    with pytest.raises(SettingsError, match=r"oddlot\.toml: there is no setting called 'batch_sice'"):
        load(home)


@pytest.mark.parametrize("content", [b"batch_size =", b"\xff\xfe", b"batch_size = 1\nbatch_size = 2"])
def test_a_file_that_is_not_toml_is_one_line_that_names_it(home, content) -> None:
    home.mkdir()
    (home / "oddlot.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"oddlot\.toml cannot be read as TOML") as refusal:
        load(home)
    assert "\n" not in str(refusal.value)


def test_a_variable_of_something_else_is_left_alone(home) -> None:
    assert load(home, data="/somewhere").batch_size == 128


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://oddlot@db/oddlot?sslmode=require", "postgresql://oddlot:a%3Ab%2F%40c@db/oddlot?sslmode=require"),
        ("postgresql://db:5433", "postgresql://:a%3Ab%2F%40c@db:5433"),
        ("postgresql+psycopg://oddlot@db?x=a@b", "postgresql+psycopg://oddlot:a%3Ab%2F%40c@db?x=a@b"),
    ],
)
def test_a_password_from_a_file_gets_into_the_url_and_into_nothing_that_is_shown(home, url, whole) -> None:
    secret = write(home / "secret", "a:b/@c\n")
    settings = load(home, database_url=url, database_password_file=str(secret))
    assert settings.database_url == whole
    assert "a%3Ab" not in repr(settings)
    assert "a:b" not in repr(settings)


def test_another_process_can_be_given_the_same_settings_wherever_they_came_from(home, monkeypatch) -> None:
    secret = write(home / "secret", "a:b/@c")
    monkeypatch.setenv("ODDLOT_REVIEW_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("ODDLOT_HOME", str(home))
    monkeypatch.setenv("ODDLOT_DATABASE_URL", "postgresql://oddlot@db/oddlot")
    write(home / "oddlot.toml", 'database_password = "a:b/@c"')
    settings = load_settings()
    assert load_settings(environment_of(settings)) == settings
    assert settings.review_password == "a:b/@c"


def test_a_folder_that_may_not_be_entered_holds_no_settings(home) -> None:
    """As where the service's user is asked from the home of somebody else."""
    closed = home / "closed"
    closed.mkdir(parents=True)
    # What is imported later could not be read by him either.
    program = "from oddlot.settings import load_settings as load; import os; os.setuid(4711); print(load().batch_size)"
    environ = {"PYTHONPATH": str(ROOT), "ODDLOT_HOME": "/nowhere", "PATH": os.environ["PATH"]}
    if os.getuid() != 0:
        pytest.skip("only root can become somebody who may not enter")
    closed.chmod(0o700)
    ran = subprocess.run([sys.executable, "-c", program], cwd=closed, env=environ, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "128\n"), ran.stderr


def test_every_text_may_stand_in_a_file_of_its_own(home) -> None:
    address = write(home / "broker", "redis://queue/0\r\n")
    password = write(home / "password", "sesame")
    settings = load(
        home, broker_url_file=str(address), broker_password_file=str(password), review_password_file=str(password)
    )
    assert settings.broker_url == "redis://:sesame@queue/0"
    assert settings.review_password == "sesame"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"review_password_file": "nowhere"}, "REVIEW_PASSWORD_FILE names nowhere, which cannot be read: No such file"),
        ({"review_password_file": "."}, "cannot be read: Is a directory"),
        ({"review_password_file": "empty"}, "does not hold one line of text"),
        ({"review_password_file": "lines"}, "does not hold one line of text"),
        ({"review_password_file": "binary"}, "cannot be read: it is not UTF-8 text"),
        ({"review_password_file": "good", "review_password": "x"}, "are both set"),
        ({"model_store_file": "good"}, "MODEL_STORE is no text that a file could hold"),
        ({"database_password_file": "good"}, "ODDLOT_DATABASE_URL is not a URL with a host"),
        ({"broker_password_file": "good"}, "ODDLOT_BROKER_URL is not a URL with a host"),
        ({"broker_url": "redis+socket:///run/x.sock", "broker_password": "s3cret"}, "not a URL with a host"),
        (
            {"broker_url": "redis://:x@queue/0", "broker_password_file": "good"},
            "BROKER_URL holds a password, and another",
        ),
    ],
)
def test_a_secret_that_cannot_be_used_is_one_line_that_shows_none(home, variables, says) -> None:
    for name, content in {"empty": b"\n", "lines": b"s3cret\nmore", "binary": b"s3cret\xff", "good": b"s3cret"}.items():
        Path(name).write_bytes(content)
    with pytest.raises(SettingsError, match=says) as refusal:
        load(home, **variables)
    assert "\n" not in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
