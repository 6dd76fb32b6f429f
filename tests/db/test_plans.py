"""What people ask on a morning is found by an index, however many results there are (docs/performance.md)."""

import re

import pytest
from sqlalchemy import event

from bench.many_nights import fill, made_of
from bench.ten_million import plans, questions

ASKED = (
    "flagged --night (last) --line", "flagged --since (last night) --line",
    "flagged --since --line, none there", "flagged --job N", "flagged --line",
    "flagged --model --unreviewed", "flagged", "results --job N", "gallery (last night)", "gallery (last night), deep",
    "gallery of a night, unreviewed", "gallery of all nights, deep", "gallery of all confirmed defects",
    "gallery of a model, deep", "queue (last night), next", "queue, how far", "quality", "quality --line --since",
    "jobs", "job N", "first page", "nights (HTTP)", "metrics (HTTP)", "healthz (HTTP)",
)  # fmt: skip
SMALL_INDEXES = ("result_flagged_", "result_judged_", "batch_open_")
"""They hold a hundredth of the rows, so to read one of them whole is no scan of the table."""


def whole_on_sqlite(lines):
    """Steps of a plan that read all of `item`, `result` or `batch`, or of a large index of theirs."""
    for line in lines:
        read = re.match(r"\s+SCAN (item|result|batch)\b(?: USING COVERING INDEX (\w+))?", line)
        if read and not (read[2] or "").startswith(SMALL_INDEXES):
            yield line.strip()


def whole_on_postgresql(lines):
    for number, line in enumerate(lines):
        if re.search(r"Seq Scan on (item|result|batch)\b", line):
            yield line.strip()
        read = re.search(r"Index (?:Only )?Scan (?:Backward )?using (\w+) on (item|result|batch)\b", line)
        if read and not read[1].startswith(SMALL_INDEXES):
            below = (later for later in lines[number + 1 :])
            own = next((later for later in below if "->" in later or "Index Cond:" in later), "")
            if "Index Cond:" not in own:
                yield line.strip()


@pytest.fixture
def nights(engine):
    """Twenty thousand results of ten nights. PostgreSQL would rightly read so few at once: it is kept from it."""
    fill(engine, 20_000)
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def forbid(connection, _):
            connection.execute("SET enable_seqscan = off")
            connection.commit()

        engine.dispose()
    return engine


def test_no_question_of_a_morning_reads_all_results(nights):
    whole = whole_on_sqlite if nights.dialect.name == "sqlite" else whole_on_postgresql
    asked = questions(nights, made_of(nights))
    found = {name: list(whole(plans(nights, asked[name]))) for name in ASKED}
    assert {name: steps for name, steps in found.items() if steps} == {}


def test_that_such_a_step_would_be_seen(nights):
    whole = whole_on_sqlite if nights.dialect.name == "sqlite" else whole_on_postgresql

    def ask():
        with nights.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM result WHERE line = 'press-1'").all()

    assert list(whole(plans(nights, ask)))
