"""docker-compose.yml: read by Compose itself, and held against what the program knows."""

import os
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from compose_program import compose
from typer.testing import CliRunner

from cli.main import app
from oddlot.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PROFILES = ("cli", "flower", "metrics")
OURS = ("migrate", "worker", "trainer", "beat", "review", "cli")
SETTINGS = {f"ODDLOT_{one.name.upper()}" for one in fields(Settings)}
SETTINGS |= {f"{name}_FILE" for name in SETTINGS}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plant") / "secrets"
    subprocess.run([ROOT / "deploy" / "secrets.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def config(secrets) -> dict:
    """The file as Compose understands it, with all profiles."""
    environ = {"PATH": os.environ["PATH"], "ODDLOT_PICTURES": "/data", "ODDLOT_SECRETS": str(secrets)}
    if not (program := compose()):
        pytest.skip("NOT TESTED, whether Compose takes docker-compose.yml: it is not installed (make system)")
    command = [*program, "--file", str(ROOT / "docker-compose.yml")]
    for profile in PROFILES:
        command += ["--profile", profile]
    ran = subprocess.run([*command, "config"], capture_output=True, text=True, env=environ, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return yaml.safe_load(ran.stdout)


def test_all_parts_are_there_and_start_in_order(config):
    services = config["services"]
    assert set(OURS) | {"postgres", "redis", "flower", "prometheus", "grafana"} == set(services)
    for name in ("worker", "trainer", "beat", "review"):
        waits = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits == {"migrate": "service_completed_successfully", "redis": "service_healthy"}, name
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    # more than one of it can be started
    assert not {"ports", "container_name", "hostname"} & set(services["worker"])


def test_every_service_is_confined(config):
    for name, service in config["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        # Compose 2 refuses a file that has both these and limits below `deploy`, which Compose 1 takes.
        assert "limits" not in service.get("deploy", {}).get("resources", {}), name
        assert not service.get("privileged"), name
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", [])), name
    assert config["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis"):  # nobody outside reaches them
        assert list(config["services"][name]["networks"]) == ["inside"]
        assert "ports" not in config["services"][name]


def test_what_keeps_running_has_a_health_check(config):
    for name, service in config["services"].items():
        if name in ("migrate", "cli"):
            continue
        assert service["healthcheck"]["test"], name
    for name in ("worker", "trainer", "beat", "review"):
        assert config["services"][name]["healthcheck"]["test"] == ["CMD", "oddlot", "health", name]


def test_no_password_stands_in_the_file_or_in_a_variable(config, secrets):
    written = yaml.safe_dump(config)
    for path in secrets.iterdir():
        assert len(path.read_text()) == 48
        assert path.read_text() not in written
    for name, service in config["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|TOKEN", variable):
                assert variable.endswith(("_FILE", "__FILE")), (name, variable)
                assert value.startswith("/run/secrets/"), (name, variable)
    for service in OURS:
        known = set(config["services"][service]["environment"])
        assert known <= SETTINGS, known - SETTINGS


def test_the_page_answers_to_the_name_by_which_prometheus_calls_it_whatever_names_are_added(config):
    assert config["services"]["review"]["environment"]["ODDLOT_REVIEW_NAMES"].split(",")[0] == "review"


def test_every_service_begins_where_reports_are_mailed(secrets, tmp_path):
    """With the addresses in the environment and the mail server known to the workers alone, as the page says."""
    environ = {"PATH": os.environ["PATH"], "ODDLOT_PICTURES": "/data", "ODDLOT_SECRETS": str(secrets),
               "ODDLOT_REPORT_EMAIL": "ada@plant.example"}  # fmt: skip
    command = [*compose(), "--file", str(ROOT / "docker-compose.yml"), "config"]
    config = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, env=environ, cwd=ROOT).stdout)
    for name in set(OURS) & set(config["services"]):
        given = {n: v.replace("/run/secrets", str(secrets)) for n, v in config["services"][name]["environment"].items()}
        given |= {"ODDLOT_HOME": str(tmp_path), "ODDLOT_CONFIG": ""}
        if name == "worker":
            given["ODDLOT_SMTP_URL"] = "smtp://mail:25"
        assert load_settings(given).database_url.startswith("postgresql://oddlot:")


def test_images_have_a_version_and_those_of_others_a_digest(config):
    for name, service in config["services"].items():
        assert re.search(r":v?\d+\.\d+", service["image"]), (name, service["image"])
        if name not in (*OURS, "flower"):  # Flower's could not be looked up: docs/compose.md
            assert re.search(r"@sha256:[0-9a-f]{64}$", service["image"]), (name, service["image"])
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    assert re.search(r"^python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}$", base)


def test_passwords_are_made_once_and_kept(secrets):
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([ROOT / "deploy" / "secrets.sh", secrets], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert len(set(before.values())) == 3  # that of the metrics is the page's
    assert secrets.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("service", ["worker", "trainer", "beat", "review", "migrate"])
def test_commands_and_health_checks_are_ones_of_the_program(config, service):
    """Asked for help, which a command that is not there does not give."""
    for words in (
        config["services"][service]["command"],
        config["services"][service].get("healthcheck", {}).get("test"),
    ):
        words = [word for word in words or [] if word != "CMD"]
        if not words or words[0] == "celery":
            continue
        assert words[0] == "oddlot"
        ran = CliRunner().invoke(app, [*words[1:], "--help"])
        assert ran.exit_code == 0, (words, ran.output)


def test_workers_and_trainer_may_use_graphics_cards_and_stay_confined(secrets, config):
    environ = {"PATH": os.environ["PATH"], "ODDLOT_PICTURES": "/data", "ODDLOT_SECRETS": str(secrets)}
    files = ["--file", str(ROOT / "docker-compose.yml"), "--file", str(ROOT / "deploy" / "gpu" / "compose.yml")]
    ran = subprocess.run([*compose(), *files, "config"], capture_output=True, text=True, env=environ, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
    services = yaml.safe_load(ran.stdout)["services"]
    for name in ("worker", "trainer"):
        on_cards, before = services[name], config["services"][name]
        (device,) = on_cards["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert on_cards["environment"] == before["environment"] | {"ODDLOT_RUNTIME": "gpu"}
        assert on_cards["build"]["args"] == {"REQUIREMENTS": "gpu"}
        assert (ROOT / "requirements" / "gpu.txt").is_file()
        for kept in ("read_only", "cap_drop", "security_opt", "healthcheck"):
            assert on_cards[kept] == before[kept], kept
        for kept in ("secrets", "volumes"):  # Compose orders them otherwise where files are joined
            assert sorted(map(str, on_cards[kept])) == sorted(map(str, before[kept])), kept
        assert on_cards["mem_limit"] == before["mem_limit"]
    assert services["review"]["image"] == config["services"]["review"]["image"] != services["worker"]["image"]
