"""How the review page answers with 100,000 flagged items, beside a small database: `python -m bench.review_page`.

Real HTTP, one server, SQLite. A ratio near 1 says that the size does not matter. `--items N` for another size.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import uvicorn

from db.engine import open_database
from oddlot.settings import Settings, load_settings
from review import flagged_pages
from review.app import make_app
from review.selection import pack_key

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "review"))
from morning import NIGHT, make_many, make_model

SMALL = 200
ROUNDS = 15


def filled(folder: Path, count: int) -> tuple[Settings, int]:
    settings = load_settings({"ODDLOT_HOME": str(folder)})
    engine = open_database(settings.database_url)
    job_id = make_many(engine, make_model(engine, settings), count, night=NIGHT)
    engine.dispose()
    return settings, job_id


def measured(settings: Settings, job_id: int, judged: int) -> dict[str, float]:
    """Median milliseconds of each page."""
    app = make_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    found: dict[str, float] = {}
    with httpx.Client(base_url=address) as client:
        deep = pack_key((0.52, 0))
        pages = {
            "first page of the gallery": "/flagged", "a page deep in the gallery": f"/flagged?after={deep}",
            "gallery of one job": f"/flagged?job={job_id}", "the first page": "/", "the queue": "/queue",
            "the queue's next": "/queue/next", "the queue's next, deep": f"/queue/next?at={deep}",
        }  # fmt: skip
        for name, page in pages.items():
            found[name] = _median(lambda page=page: client.get(page).raise_for_status())
        _judge(settings, job_id, judged)
        found["the queue's next after verdicts"] = _median(lambda: client.get("/queue/next").raise_for_status())
        found["gallery of what is confirmed"] = _median(
            lambda: client.get("/flagged?verdict=defect").raise_for_status()
        )
    server.should_exit = True
    thread.join()
    return found


def _median(act: Callable[[], object]) -> float:
    act()
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def _judge(settings: Settings, job_id: int, count: int) -> None:
    """Verdicts on the most suspicious half: what the queue must step over."""
    engine = open_database(settings.database_url)
    with engine.connect().execution_options(oddlot_writes=True) as connection, connection.begin():
        connection.exec_driver_sql(
            "INSERT INTO verdict (item_id, verdict, reviewer, at) "
            "SELECT item_id, 'good', 'bench', '2026-01-01 00:00:00' "
            "FROM result WHERE flagged AND job_id = ? ORDER BY score DESC LIMIT ?", (job_id, count),
        )  # fmt: skip
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        small = measured(*filled(Path(folder) / "small", SMALL), SMALL // 2)
        large = measured(*filled(Path(folder) / "large", items), items // 2)
    print(f"{flagged_pages.PAGE} pictures a page, {flagged_pages.AHEAD} items of the queue ahead; medians of {ROUNDS}")
    print(f"{'':36} {SMALL:>10,} {items:>10,}   ratio")
    for name, of_small in small.items():
        print(f"{name:36} {of_small:>7.1f} ms {large[name]:>7.1f} ms {large[name] / of_small:>7.1f}")


if __name__ == "__main__":
    main()
