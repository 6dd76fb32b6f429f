"""How long Prometheus waits for all metrics of a large database, and for `/healthz`.

    python -m bench.scrape [--rows N] [--database sqlite|postgresql] [--keep FOLDER]

The database is that of `bench.ten_million`. Prints the median of 15 rounds in milliseconds, beside 20,000 results, and
the size of what is answered. The first round of a process reads the histograms of the last jobs besides; it is printed,
too.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.many_nights import made_of
from bench.ten_million import SMALL, filled, median, server
from oddlot.settings import load_settings
from worker import health
from worker.metrics import Exporter


def measure(url: str, rows: int, home: str) -> None:
    engine, _ = filled(url, rows)
    settings = load_settings({"ODDLOT_HOME": home, "ODDLOT_DATABASE_URL": url})
    exporter = Exporter(engine, settings)
    began = time.perf_counter()
    size = len(exporter.text())
    first = 1000 * (time.perf_counter() - began)
    made = made_of(engine)
    assert made is not None
    assert b"oddlot_database_up 1.0" in exporter.text(), "half of it would be no figure"
    asked = median(exporter.text), median(lambda: health.of_everything(engine, settings))
    print(
        f"{engine.dialect.name:11} {made.results:>11,} results  /metrics {asked[0]:6.1f} ms (first {first:6.1f} ms, "
        f"{size:,} bytes)  /healthz {asked[1]:6.1f} ms",
        flush=True,
    )
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the databases there, and use those that are")
    asked = parser.parse_args()
    for database in (asked.database,) if asked.database else ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory(prefix="oddlot-") as temporary:
            folder = asked.keep or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            with server(database, folder) as url:
                for rows in (SMALL, asked.rows):
                    measure(url(rows), rows, temporary)


if __name__ == "__main__":
    main()
