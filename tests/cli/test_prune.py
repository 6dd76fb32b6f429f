"""`oddlot db prune`, and what every command says of what is gone."""

import json

import pytest


def outputs(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture
def pruned(inspected):
    """The inspected night, pruned, and its flagged items before."""
    before = inspected.json("results", "--job", "last")
    dry = inspected.json("db", "prune", "--older-than", "0h", "--dry-run")
    assert inspected.json("results", "--job", "last") == before
    done = inspected.json("db", "prune", "--older-than", "0h")
    names = ("jobs", "results", "audits", "maps", "thumbnails", "file_bytes")
    assert {name: done[name] for name in names} == {name: dry[name] for name in names}
    assert (done["jobs"], done["results"], done["failed"]) == (1, 24, [])
    assert done["database_free_bytes"] >= 0
    assert done["maps"] == sum(1 for row in before if row["flagged"]) + done["audits"]  # audited ones have one, too
    return inspected, before


def test_a_pruned_night_says_so_everywhere(pruned):
    oddlot, before = pruned
    job = oddlot.json("job", "last")
    assert (job["scored"], job["unreadable"], job["unaccounted"]) == (24, 1, 0)
    day = job["pruned_at"][:10]
    assert f"pruned on {day}" in oddlot.run("job", "last")
    for command in ("results", "flagged"):
        out, err = outputs(oddlot.start(command, "--job", "last", "--format", "jsonl"))
        assert f"job {job['job']}: its results were pruned on {day}" in err
        rows = [json.loads(line) for line in out.splitlines()]
        assert all(row["score"] is None and row["pruned_at"] for row in rows)
        assert len(rows) == (25 if command == "results" else 0)
    item = next(row["item"] for row in before if row["state"] == "scored")
    assert f"its result was pruned on {day}" in outputs(oddlot.start("explain", item))[0]
    assert f"pruned on {day}" in oddlot.json("explain", item)["why"]
    assert f"pruned on {day}" in oddlot.run("replay", item, status=1)
    assert f"were pruned on {day}" in oddlot.run("retry", "last", status=1)
    assert oddlot.json("verdict", item, "defect")["verdict"] == "defect"
    assert "none of 0 pictures is flagged" in outputs(oddlot.start("flagged", "--job", "last", "--fdr", "0.1"))[1]
    assert not (oddlot.home / "maps" / str(job["job"])).exists()
    assert oddlot.json("db", "prune", "--older-than", "0h")["jobs"] == 0


def test_only_new_still_knows_what_was_pruned(pruned):
    oddlot, before = pruned
    folder = before[0]["path"].rpartition("/")[0]
    assert oddlot.json("submit", "flange", folder, "--only-new")["listed"] == 0


def test_young_jobs_stay_and_wishes_that_cannot_be_read_are_one_line(inspected):
    assert inspected.json("db", "prune", "--older-than", "1h")["jobs"] == 0
    assert "pruned: 0 jobs" in inspected.run("db", "prune", "--older-than", "90d")
    assert inspected.json("db", "prune", "--schedules")["jobs"] == 0
    for wish in ("90", "d", "-1d", "1y", "99999999d", "٣d", ""):
        error = inspected.run("db", "prune", "--older-than", wish, status=1)
        assert error.startswith("oddlot: ")
        assert len(error.strip().splitlines()) == 1
    assert "--schedules" in inspected.run("db", "prune", status=1)
