"""The alerts fire, and only where they should; rules, dashboard and documentation speak of metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from cli.main import app
from scripts.metrics_reference import BLOCK, block
from worker.metric_names import ALL, BY_NAME

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "oddlot.json").read_text())
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0]["rules"]
EXPRESSIONS = {f"panel {panel['title']}": target["expr"]
               for panel in DASHBOARD["panels"] for target in panel.get("targets", [])}  # fmt: skip
ALERTS = {rule["alert"]: rule["expr"] for rule in RULES}
NAME = re.compile(r"\boddlot_\w+")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: make promtool")


def promtool(*arguments):
    ran = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_each_alert_fires_where_it_should_and_nowhere_else():
    promtool("test", "rules", PROMETHEUS / "rules.test.yml")
    tests = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]
    fired = {
        re.search(r'alertname="(\w+)"', sample["labels"])[1]
        for test in tests for query in test["promql_expr_test"] for sample in query["exp_samples"]
    }  # fmt: skip
    assert fired == set(ALERTS)


@needs_promtool
def test_prometheus_takes_its_configuration():
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


@needs_promtool
def test_every_query_of_the_dashboard_is_one(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": re.sub(r"\$__rate_interval", "5m", query)}
             for number, query in enumerate(EXPRESSIONS.values())]  # fmt: skip
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "panels.yml")


@pytest.mark.parametrize(("where", "query"), [*ALERTS.items(), *EXPRESSIONS.items()])
def test_every_query_asks_for_metrics_and_labels_that_there_are(where, query):
    names = NAME.findall(query)
    assert names or query.startswith("up{"), where
    assert set(names) <= set(BY_NAME)
    labels = {label for name in names for label in BY_NAME[name].labels}
    asked = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query)) - {"job"}
    for grouped in re.findall(r"(?:by|on|ignoring|group_left) \(([^)]*)\)", query):
        asked |= {word.strip() for word in grouped.split(",") if word.strip()}
    assert asked <= labels, where


def test_every_metric_is_on_the_dashboard_or_in_an_alert():
    used = {name for query in [*ALERTS.values(), *EXPRESSIONS.values()] for name in NAME.findall(query)}
    assert {one.name for one in ALL} - used <= {
        "oddlot_batches_total", "oddlot_jobs", "oddlot_store_size_bytes"
    }, "what nobody looks at need not be collected"  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_where_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
    known = {label for name in NAME.findall(rule["expr"]) for label in BY_NAME[name].labels}
    for label in {"line", "host", "schedule"} & known:
        summed_up = "sum(" in rule["expr"] or "count(" in rule["expr"]
        assert f"$labels.{label}" in summary or summed_up, f"which {label}?"
    commands = set(typer.main.get_command(app).commands)
    told = re.findall(r"`oddlot ([\w-]+)", description)
    assert told, "what to do?"
    assert set(told) <= commands
    assert f"`{rule['alert']}`" in (ROOT / "docs" / "metrics.md").read_text()


def test_the_dashboard_can_be_provisioned():
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    (uid,) = {one["uid"] for one in source["datasources"]}
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}
    assert used == {uid}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]


def test_the_documentation_lists_the_metrics_of_the_code():
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert BLOCK.search(text)[0] == block(), "python -m scripts.metrics_reference"
