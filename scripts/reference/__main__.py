"""Writes docs/reference, or says which of its pages are not what the code says.

python -m scripts.reference
python -m scripts.reference --check
"""

import argparse
import sys
from pathlib import Path

from scripts.reference import commands, settings, tables

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = {"settings.md": settings.page, "commands.md": commands.page, "tables.md": tables.page}


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of the pages that are not what the code says, sorted."""
    return sorted(name for name, page in PAGES.items() if not _is(folder / name, page()))


def write(folder: Path = FOLDER) -> None:
    """Write all pages anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page is stale")
    if not parser.parse_args().check:
        write()
    elif names := stale():
        sys.exit(f"not what the code says: {', '.join(names)} in {FOLDER}. Write them: python -m scripts.reference")


if __name__ == "__main__":
    main()
