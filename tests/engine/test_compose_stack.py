"""docker-compose.yml under a real engine: everything comes up, works, is confined, and survives what happens to it."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from compose_program import compose
from container_engine import LONG, PICTURES, Engine, draw_night
from polling import eventually

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
POSTGRES = [
    "FROM oddlot-test/debian:12",
    "RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g postgres -d /var/lib/postgresql postgres",
    "RUN apt-get update && apt-get install -y --no-install-recommends postgresql-common gosu"
    " && sed -ri 's/#(create_main_cluster) .*/\\1 = false/' /etc/postgresql-common/createcluster.conf"
    " && apt-get install -y --no-install-recommends postgresql-15",
    "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8",
    "RUN install -d -o postgres -g postgres -m 1777 $PGDATA",
    "VOLUME /var/lib/postgresql/data",
    "COPY start /start",
    'ENTRYPOINT ["/start"]',
    "STOPSIGNAL SIGINT",
    'CMD ["postgres", "-c", "listen_addresses=*"]',
]
START_POSTGRES = """#!/bin/bash
# What the published image's start script does with the settings of docker-compose.yml: a first start as root, which
# makes the folders the server's, then everything as the server's own user.
set -e
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" > /tmp/initdb.log
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  psql --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE $POSTGRES_DB"
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
"""
REDIS = [
    "FROM oddlot-test/debian:12",
    "RUN groupadd -r -g 1000 redis && useradd -r -u 999 -g redis redis",
    "RUN apt-get update && apt-get install -y --no-install-recommends redis-server",
    "RUN install -d -o redis -g redis /data",
    "VOLUME /data",
]
PROMETHEUS = [
    "FROM oddlot-test/debian:12",
    "RUN apt-get update && apt-get install -y --no-install-recommends prometheus",
    "RUN install -d -o nobody -g nogroup /prometheus",
    "COPY promtool /usr/local/bin/promtool",
    "USER nobody",
    "VOLUME /prometheus",
    'ENTRYPOINT ["prometheus"]',
]
CHECK_PROMETHEUS = """#!/bin/sh
# `promtool check healthy` is younger than Debian's.
[ "$*" = "check healthy" ] || exit 64
exec python3 -c "import urllib.request; urllib.request.urlopen('http://localhost:9090/-/healthy')"
"""
WHEELS = ["COPY wheels /wheels", "RUN printf '[global]\\nno-index = true\\nfind-links = /wheels\\n' > /etc/pip.conf"]


class Stack:
    """The project's Compose file in a folder of its own, as somebody has it who downloaded a release."""

    def __init__(self, engine: Engine, folder: Path, images: dict[str, str]) -> None:
        self.engine, self.folder = engine, folder
        kept = {name: value for name, value in engine.environ.items() if not name.startswith("ODDLOT_")}
        self.environ = kept | images
        program = compose()
        if not program:
            pytest.skip("NOT TESTED, whether the parts of docker-compose.yml work together: Compose is not installed")
        self.program = [*program, "--project-name", "oddlot-test"]
        shutil.copy(ROOT / "docker-compose.yml", folder)
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        subprocess.run([folder / "deploy" / "secrets.sh"], cwd=folder, check=True, capture_output=True)
        (folder / ".env").write_text(f"ODDLOT_PICTURES={folder}/pictures\nODDLOT_REVIEW_PORT=0\nODDLOT_CONCURRENCY=1\n")
        draw_night(folder / "pictures" / "flange")

    def __call__(self, *words: str, status: int = 0) -> str:
        """A command of Compose's; what it printed."""
        ran = subprocess.run([*self.program, *words], cwd=self.folder, env=self.environ, capture_output=True, text=True,
                             stdin=subprocess.DEVNULL)  # fmt: skip
        assert ran.returncode == status, f"{words}: exit {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        return ran.stdout.strip()

    def oddlot(self, *words: str, status: int = 0) -> str:
        return self("run", "--rm", "-T", "cli", "oddlot", *words, status=status)

    def container(self, service: str) -> str:
        return self("ps", "--quiet", "--all", service).splitlines()[0]

    def state(self, service: str, what: str = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"):
        return self.engine.inspect(self.container(service), what)

    def kill(self, service: str) -> None:
        """Kill it as the machine does, whose engine then starts it again: `docker kill` would be a wish to stop it."""
        container = self.container(service)
        pid = self.engine.inspect(container, "{{.State.Pid}}")
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            groups = ""
        if container not in groups:
            pytest.skip("NOT TESTED, whether a killed worker is started again: the engine is elsewhere")
        os.kill(int(pid), signal.SIGKILL)

    def all_healthy(self) -> None:
        for service in ("postgres", "redis", "worker", "trainer", "beat", "review"):
            eventually(lambda one=service: self.state(one) == "running healthy",
                       lambda one=service: f"{one}: {self.state(one)}\n{self('logs', '--tail', '20', one)}",
                       seconds=180, every=1)  # fmt: skip

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text().strip()

    def page(self, path: str, password: str = "") -> tuple[int, str]:
        """What the published port of the page answers."""
        port = self("port", "review", "8765").rpartition(":")[2]
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
        if password:
            request.add_header("Authorization", f"Bearer {password}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


@pytest.fixture(scope="module")
def stack(engine: Engine, debian: str, bundle: Path, tmp_path_factory) -> Iterator[Stack]:
    """With the published images where `ODDLOT_ENGINE_IMAGES=published` says that the engine may fetch them."""
    folder = tmp_path_factory.mktemp("stack")
    base, images = debian, {"ODDLOT_VERSION": "test"}
    recipes = tmp_path_factory.mktemp("images")
    for name, text in (("start", START_POSTGRES), ("promtool", CHECK_PROMETHEUS)):
        (recipes / name).write_text(text)
        (recipes / name).chmod(0o755)
    if os.environ.get("ODDLOT_ENGINE_IMAGES") == "published":
        base = re.search(r"^ARG PYTHON_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    else:
        for name, lines in (("postgres", POSTGRES), ("redis", REDIS), ("prometheus", PROMETHEUS)):
            images[f"{name.upper()}_IMAGE"] = engine.image(f"oddlot-test/{name}", lines, recipes)
    python = engine.image("oddlot-test/python", [f"FROM {base}", *WHEELS], bundle)
    engine.docker("build", "--quiet", "--build-arg", f"PYTHON_IMAGE={python}", "--tag", "oddlot:test", str(ROOT))
    made = Stack(engine, folder, images)
    try:
        made("up", "--detach")
        made.all_healthy()
        yield made
    finally:
        made("--profile", "metrics", "down", "--volumes", "--timeout", "5")


@pytest.fixture(scope="module")
def learnt(stack: Stack) -> Stack:
    stack.oddlot("fit", "flange", "/pictures/flange/train/good", "--epochs", "8")
    return stack


def test_a_night_goes_through_and_its_flags_are_on_the_page_behind_a_password(learnt):
    learnt.oddlot("submit", "flange", "/pictures/flange/tonight", "--wait")
    said = learnt.oddlot("job", "last")
    assert f"completeness: listed {PICTURES} = scored {PICTURES} + unreadable 0" in said
    flagged = json.loads(learnt.oddlot("flagged", "--job", "last", "--json"))
    assert flagged
    assert learnt.page("/api/v1/jobs")[0] == 401
    status, text = learnt.page("/api/v1/jobs", learnt.secret("review_password"))
    assert status == 200
    assert json.loads(text)["jobs"][0]["flagged"] == len(flagged)


def test_a_fit_that_is_queued_is_done_by_the_trainer(learnt):
    learnt.oddlot("fit", "queued", "/pictures/flange/train/good", "--epochs", "2", "--queue")
    eventually(lambda: "queued" in learnt.oddlot("models"), "the trainer has not learnt it", seconds=400, every=3)


def test_nothing_is_written_but_the_volume_and_nothing_reaches_the_servers_from_outside(stack):
    worker = stack.container("worker")
    assert stack.engine.docker("exec", worker, "id", "-u") == "10001"
    stack.engine.docker("exec", worker, "sh", "-c", "touch /var/lib/oddlot/mine /tmp/mine")
    for path in ("/mine", "/opt/oddlot/mine", "/pictures/mine"):
        assert "Read-only file system" in stack.engine.docker("exec", worker, "touch", path, status=1)
    capabilities = stack.engine.docker("exec", worker, "cat", "/proc/self/status")
    assert re.search(r"^CapEff:\s+0+$", capabilities, re.MULTILINE)
    assert stack.engine.inspect(worker, "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}") == f"{8 << 30} 2048"
    for server in ("postgres", "redis"):
        assert "0.0.0.0" not in stack.engine.inspect(stack.container(server), "{{json .NetworkSettings.Ports}}")
        # the password is in a file: neither in the variables nor in the command line of anything
        said = stack.engine.inspect(stack.container(server), "{{json .Config}}")
        assert stack.secret("database_password") not in said
        assert stack.secret("broker_password") not in said
        assert list(
            json.loads(stack.engine.inspect(stack.container(server), "{{json .NetworkSettings.Networks}}"))
        ) == ["oddlot-test_inside"]
    assert stack.engine.docker("network", "inspect", "--format", "{{.Internal}}", "oddlot-test_inside") == "true"


def test_a_worker_that_is_killed_and_a_queue_that_forgets_cost_no_picture(learnt):
    job = learnt.oddlot("submit", "flange", "/pictures/flange/long").splitlines()[-1]
    before = learnt.state("worker", "{{.RestartCount}}")
    learnt.kill("worker")
    learnt("exec", "-T", "redis", "sh", "-c", 'REDISCLI_AUTH="$(cat /run/secrets/broker_password)" redis-cli flushall')
    learnt("restart", "--timeout", "1", "redis")
    assert "unaccounted 0" not in learnt.oddlot("job", job)
    said = eventually(lambda: (text := learnt.oddlot("job", job)) and "unaccounted 0" in text and text,
                      "the job does not come to its end", seconds=400, every=2)  # fmt: skip
    assert f"listed {LONG} = scored {LONG} + unreadable 0" in said
    assert "HELD" in said  # the same pictures again and again: a camera that is frozen
    assert int(learnt.state("worker", "{{.RestartCount}}")) > int(before)
    learnt.all_healthy()


def test_prometheus_gets_in_with_its_token_and_has_the_rules(learnt):
    learnt("--profile", "metrics", "up", "--detach", "--no-deps", "prometheus")

    def ask(path: str) -> dict:
        program = (
            f"import urllib.request as u; print(u.urlopen('http://prometheus:9090/api/v1/{path}').read().decode())"
        )
        return json.loads(learnt("exec", "-T", "review", "python", "-c", program))["data"]

    eventually(lambda: learnt.state("prometheus") == "running healthy",
               lambda: learnt("--profile", "metrics", "logs", "prometheus"), seconds=120, every=1)  # fmt: skip
    (target,) = eventually(lambda: [one for one in ask("targets")["activeTargets"] if one["health"] != "unknown"],
                           "nothing was scraped", seconds=90, every=1)  # fmt: skip
    assert (target["health"], target["lastError"]) == ("up", "")
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in rules for rule in group["rules"]}
    assert {rule["name"] for group in ask("rules")["groups"] for rule in group["rules"]} == alerts
    (value,) = ask("query?query=sum(oddlot_items_total{state=%22scored%22})")["result"]
    assert int(value["value"][1]) >= PICTURES


def test_a_backup_by_the_documented_commands_comes_back_and_containers_may_be_made_anew(learnt, tmp_path):
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    documented = re.findall(r"^docker compose (exec -T postgres pg_.*?) [<>] monday.dump$", page, re.MULTILINE)
    dump, restore = (one.split() for one in documented)
    jobs = learnt.oddlot("jobs", "--json")
    monday = tmp_path / "monday.dump"
    with monday.open("wb") as file:
        subprocess.run([*learnt.program, *dump], cwd=learnt.folder, env=learnt.environ, stdout=file, check=True)
    learnt.oddlot("submit", "flange", "/pictures/flange/tonight", "--wait")
    assert learnt.oddlot("jobs", "--json") != jobs
    learnt("stop", "worker", "trainer", "beat", "review")
    with monday.open("rb") as file:
        subprocess.run([*learnt.program, *restore], cwd=learnt.folder, env=learnt.environ, stdin=file, check=True)
    learnt("down")  # containers go, volumes stay
    learnt("up", "--detach")
    learnt.all_healthy()
    assert json.loads(learnt.oddlot("jobs", "--json")) == json.loads(jobs)
    learnt.oddlot("submit", "flange", "/pictures/flange/tonight", "--wait")
    assert "(done)" in learnt.oddlot("job", "last")
