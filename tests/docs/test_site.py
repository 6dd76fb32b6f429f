"""The documentation as a site: built without a network, read without one."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import chromium, needs_chromium

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
          "embed": "src", "object": "data", "input": "src"}  # fmt: skip
"""Where an element names what a browser fetches by itself. Of a link only some kinds are fetched."""
NOT_FETCHED = {"canonical", "next", "prev", "search", "index", "author", "license"}


class Loads(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in LOADED:
            self.found.append(given.get(LOADED[tag], ""))
            self.found += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        elif tag == "link" and not set(given.get("rel", "").split()) & NOT_FETCHED:
            self.found.append(given.get("href", ""))
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built anew with warnings as errors, by a process in which whoever opens a connection fails."""
    folder = tmp_path_factory.mktemp("site")
    program = "import socket, sys; socket.socket.connect = None; from sphinx.cmd.build import main; sys.exit(main())"
    built = subprocess.run(
        [sys.executable, "-c", program, "-W", "--keep-going", "-q", "-d", folder / "doctrees", DOCS, folder / "html"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_every_page_of_the_repository_is_a_page_of_the_site(site):
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_a_page_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    loaded = {path: Loads(path.read_text(encoding="utf-8")).found for path in pages}
    assert sum(map(len, loaded.values())) > 5 * len(pages)
    for path, addresses in loaded.items():
        for address in addresses:
            assert not re.match(r"([a-z]+:)?//", address), f"{path.name} loads {address}"
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", text)
        assert [one for one in addresses if re.match(r"(https?:)?//", one)] == [], path.name


def test_a_link_in_a_page_beside_the_documentation_leads_somewhere():
    """Links among the pages of the site are checked when it is built; these are read in the repository alone."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert re.match(r"https?://", target) or (ROOT / target).exists(), f"{page.name}: {target}"


@needs_chromium
def test_search_finds_a_page_without_a_network(site):
    with chromium() as browser:
        context = browser.new_context(offline=True)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "search.html").as_uri() + "?q=quarantined")
        page.wait_for_selector("#search-results li a")
        assert "counting.html" in " ".join(
            link.get_attribute("href") for link in page.query_selector_all("#search-results li a")
        )
        assert [url for url in asked if not url.startswith("file:")] == []
