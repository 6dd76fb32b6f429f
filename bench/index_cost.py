"""What each index of the flagged and judged costs the writing of results: `python -m bench.index_cost`.

Batches of 64 results, one in a hundred flagged, closed by `finish_batch` on real SQLite and a real PostgreSQL server;
with all indexes, without one at a time, and without any of them, in turns; and without the counters of metrics. Prints
milliseconds a batch.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from sqlalchemy import Engine

from bench.ten_million import server
from db import batches, jobs, listing, models
from db.batches import Outcome
from db.engine import open_database, writing
from db.schema import result
from oddlot.words import ItemState

BATCH, BATCHES, TURNS = 64, 100, 5
INDEXES = {str(index.name): index for index in result.indexes}


def milliseconds(engine: Engine, model_id: int, without: tuple[str, ...]) -> list[float]:
    """Of each batch of a new job, while some indexes are not there."""
    with writing(engine) as connection:
        for name in without:
            INDEXES[name].drop(connection)
    job_id, _ = jobs.create_job(
        engine, model_id=model_id, source="/data/lot", line="press-1", lot="lot", priority=5, recursive=True, glob=None,
        only_new=False, key=None,
    )  # fmt: skip
    count = BATCH * BATCHES
    listing.add_items(engine, job_id, [(f"/data/lot/{n:06}.png", 1, 1) for n in range(count)], 1, BATCH)
    listing.close_listing(engine, job_id, found=count, seen_before=0, left_out={}, deferred=[])
    times = []
    for number in range(1, BATCHES + 1):
        claim = batches.claim_batch(engine, job_id, number, "me", 60.0)
        assert claim is not None
        outcomes = [
            Outcome(
                one.id, ItemState.SCORED, sha256="a" * 64, raw_score=one.id / count, score=0.9 if n == 0 else 0.1,
                p_value=0.5, flagged=n == 0 and number % 3 != 0, parts={"latent": 0.123456789, "residual": 0.987654321},
            )
            for n, one in enumerate(claim.items)
        ]  # fmt: skip
        began = time.perf_counter()
        batches.finish_batch(engine, claim, outcomes, host="here", code_version="0")
        times.append(1000 * (time.perf_counter() - began))
    with writing(engine) as connection:
        for name in without:
            INDEXES[name].create(connection)
    return times[:-1]  # the last one also ends the job


def main() -> None:
    variants = {"all": (), **{f"without {name}": (name,) for name in sorted(INDEXES)}, "without any": tuple(INDEXES)}
    for database in sys.argv[1:] or ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory(prefix="oddlot-") as folder, server(database, Path(folder)) as url:
            engine = open_database(url(0))
            model = models.register_model(
                engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="features",
                threshold=0.5, false_alarms=0.01, card={},
            )  # fmt: skip
            milliseconds(engine, model.id, ())
            found: dict[str, list[float]] = {name: [] for name in (*variants, "without the tally")}
            for _ in range(TURNS):
                for name, without in variants.items():
                    found[name] += milliseconds(engine, model.id, without)
                with mock.patch.object(batches.tallies, "add"):
                    found["without the tally"] += milliseconds(engine, model.id, ())
            middle = {name: statistics.median(times) for name, times in found.items()}
            for name, value in middle.items():
                print(
                    f"{database}: {name:42} {value:6.2f} ms a batch, {value / middle['without any']:.2f} of without any"
                )
            engine.dispose()


if __name__ == "__main__":
    main()
