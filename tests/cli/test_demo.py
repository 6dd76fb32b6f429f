"""The demo draws a part, learns it, inspects a night, and keeps to itself."""

import re

import pytest


@pytest.mark.slow
def test_the_demo_runs_the_main_job_and_finds_defects(empty_oddlot, tmp_path):
    text = empty_oddlot.run("demo", "--folder", tmp_path / "demo")
    assert re.search(r"completeness: listed 100 = scored 100 \+ unreadable 0 .* unaccounted 0", text)
    found, defects, false_alarms, good = map(
        int, re.search(r"flagged (\d+) of (\d+) defects and (\d+) of (\d+) good parts", text).groups()
    )
    assert (defects, good) == (20, 80)
    # far from chance: a coin that flags as many good parts would find as large a share of the defects
    assert found / defects > 3 * (false_alarms / good)
    assert found >= 14
    assert " results --job 1" in text
    assert not empty_oddlot.home.exists()
    assert empty_oddlot.processes() == []
