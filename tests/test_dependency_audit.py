"""`make check` asks for known holes in the dependencies: red for a hole, loud where nothing could be learnt, and never
green by mistake.

The service itself cannot be had in a test: a program in the place of pip-audit writes what that one writes.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "audit_dependencies.py"
LIST = "jinja2==3.1.6 \\\n    --hash=sha256:0\nredis==6.0.0 \\\n    --hash=sha256:0\n"
WRITE = """
import json, sys
at = sys.argv.index
names = [line.split("==")[0] for line in open(sys.argv[at("--requirement") + 1]) if "==" in line]
known = {known}
report = [known.get(name, {{"name": name, "skip_reason": "not found"}}) for name in names]
if known is not None:
    open(sys.argv[at("--output") + 1], "w").write(json.dumps({{"dependencies": report, "fixes": []}}))
sys.exit({status})
"""
FINE = {"name": "jinja2", "version": "3.1.6", "vulns": []}
HOLE = {"name": "redis", "version": "6.0.0", "vulns": [{"id": "CVE-1", "fix_versions": ["6.0.1"]}]}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_dependencies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(audit, tmp_path, capsys):
    def run_with(known: dict | None, status: int = 0) -> tuple[int, str]:
        (tmp_path / "list.txt").write_text(LIST)
        (tmp_path / "tool.py").write_text(WRITE.format(known=known, status=status))
        ended = audit.main(tmp_path / "list.txt", (sys.executable, str(tmp_path / "tool.py")))
        return ended, capsys.readouterr().out

    return run_with


def test_all_known_and_no_hole(run) -> None:
    status, said = run({"jinja2": FINE, "redis": {**HOLE, "vulns": []}})
    assert status == 0
    assert "2 packages looked at, 0 holes" in said
    assert "NOT DONE" not in said


def test_a_hole_is_red_and_named_with_its_cure(run, audit) -> None:
    status, said = run({"jinja2": FINE, "redis": HOLE}, 1)
    assert status == 1
    assert "redis 6.0.0 has CVE-1, mended in 6.0.1" in said
    audit.ACCEPTED["CVE-1"] = "we do not call it"
    status, said = run({"jinja2": FINE, "redis": HOLE}, 1)
    assert status == 0
    assert "accepted: we do not call it" in said


def test_what_is_not_known_is_never_said_to_be_well(run) -> None:
    status, said = run({})
    assert status == 0
    assert "DEPENDENCY AUDIT NOT DONE: nothing could be learnt of jinja2" in said
    assert "looked at" not in said
    status, said = run({"jinja2": FINE})
    assert status == 0
    assert "1 packages looked at" in said
    assert "DEPENDENCY AUDIT NOT DONE: nothing could be learnt of 1 of 2 packages: redis" in said


def test_a_tool_that_fails_is_loud_and_not_red(run) -> None:
    status, said = run(None, 1)
    assert status == 0
    assert "DEPENDENCY AUDIT NOT DONE" in said
