"""The reference pages are what the code says, and leave nothing out."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from db import schema
from oddlot.settings import Settings
from scripts.reference import tables
from scripts.reference.__main__ import FOLDER, PAGES, stale

ROOT = Path(__file__).parents[2]


def test_what_is_committed_is_what_the_code_says():
    assert stale() == [], "write them: python -m scripts.reference"


def test_a_stale_page_is_named_together_with_what_to_do(tmp_path):
    for name in PAGES:
        (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "settings.md").write_text("# Settings\n", encoding="utf-8")
    (tmp_path / "tables.md").unlink()
    assert stale(tmp_path) == ["settings.md", "tables.md"]
    checked = subprocess.run([sys.executable, "-m", "scripts.reference", "--check"], cwd=ROOT, check=False)
    assert checked.returncode == 0


def test_every_setting_has_its_type_default_and_bounds():
    text = (FOLDER / "settings.md").read_text(encoding="utf-8")
    for one in fields(Settings):
        assert f"\n## `ODDLOT_{one.name.upper()}`\n" in text
    assert "A whole number, 1 to 10,000; default `128`." in text
    assert "one of `auto`, `openvino`, `tensorflow`, `gpu`; default `auto`." in text
    assert text.count("It may hold a secret.") == sum(not one.repr for one in fields(Settings))


def test_a_column_without_a_description_is_an_error_that_says_where_to_write_one(monkeypatch):
    monkeypatch.delitem(tables.COLUMNS["job"], "source")
    with pytest.raises(ValueError, match=r"job\.source: without a description: .*dictionary\.py"):
        tables.page()
    monkeypatch.setitem(tables.COLUMNS["job"], "source", "The folder.")
    monkeypatch.setitem(tables.COLUMNS["job"], "no_such", "Nothing.")
    with pytest.raises(ValueError, match=r"job\.no_such: described"):
        tables.page()
    monkeypatch.delitem(tables.COLUMNS["job"], "no_such")
    assert all(f"## `{name}`" in tables.page() for name in schema.metadata.tables)
