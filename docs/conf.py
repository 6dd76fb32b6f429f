"""The documentation as a site: `make docs`. Needs no network, and what it makes needs none either."""

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

project = "Oddlot"
version = release = re.search(r'^version = "(.+)"', (HERE.parent / "pyproject.toml").read_text(), re.MULTILINE)[1]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # as they are where the pages are read in the repository
smartquotes = False  # two hyphens are an option, not a dash

html_theme = "furo"
html_title = f"Oddlot {release}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False


def fill_toctrees(app: Any, docname: str, source: list[str]) -> None:
    """Leave out of the start page what is not there, and add what it does not name.

    So a new page is never missing from the site, and one that goes does not break it: links to it do.
    """
    if docname != "index":
        return
    text = source[0]
    named = set(re.findall(r"^[\w/-]+$", text, re.MULTILINE))
    pages = [*HERE.glob("*.md"), *HERE.glob("how-to/*.md")]
    there = {path.relative_to(HERE).with_suffix("").as_posix() for path in pages} - {"index"}
    for name in named - there:
        text = re.sub(rf"^{re.escape(name)}\n", "", text, flags=re.MULTILINE)
    if more := sorted(there - named):
        text += "\n```{toctree}\n:caption: More\n:hidden:\n\n" + "\n".join(more) + "\n```\n"
    source[0] = text


def setup(app: Any) -> None:
    app.connect("source-read", fill_toctrees)
