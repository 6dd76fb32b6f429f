"""A report on paper: printed by a Chromium, where this machine has one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from oddlot.errors import OddlotError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS = 120


def print_pdf(html: bytes) -> bytes:
    """The bytes of a PDF. Raises OddlotError where there is no Chromium, or it does not print."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise OddlotError(
            "a PDF needs a Chromium on this machine and there is none: install chromium, "
            "or write .html and print it from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="oddlot-") as folder:
        page, paper = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_bytes(html)
        command = [
            browser, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri(),
        ]  # fmt: skip
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # as root it starts no other way; the page is our own and has no script
        try:
            ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise OddlotError(f"{browser} did not print the report within {SECONDS} s: write .html instead") from None
        if not paper.is_file():
            lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1][:200] if lines else f"exit {ran.returncode}"
            raise OddlotError(f"{browser} did not print the report ({reason}): write .html instead")
        return paper.read_bytes()
