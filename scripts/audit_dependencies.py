"""Are there known holes in what Oddlot runs on? Part of `make check`, by pip-audit.

Exit code 1 where one is known that is not in ACCEPTED. Where the list of known holes cannot be had, wholly or for some
packages, that is said in capitals and the exit code is 0: what cannot run has not failed. pip-audit tells the two apart
only in its report: it calls a package of which it could learn nothing "skipped", and says that all is well.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ACCEPTED: dict[str, str] = {}
"""Holes that do not concern us: number -> why."""
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "run.txt"
SECONDS = 180
PIP_AUDIT = (sys.executable, "-m", "pip_audit")


class NotDone(Exception):  # noqa: N818 - no error: it cannot be known
    """Why nothing can be said."""


def main(requirements: Path = REQUIREMENTS, command: tuple[str, ...] = PIP_AUDIT) -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            # One package first: where nothing is known of it there is no list behind the address, and a hundred
            # questions would be in vain.
            one = Path(folder) / "one.txt"
            first = requirements.read_text(encoding="utf-8").partition("\n")[0]
            one.write_text(first.removesuffix("\\") + "\n", encoding="utf-8")
            if all("skip_reason" in package for package in ask(command, one, "--no-deps")):
                raise NotDone(f"nothing could be learnt of {first.split()[0]}, and so not of the others")
            return judge(ask(command, requirements, "--require-hashes"))
    except NotDone as reason:
        return not_done(str(reason))


def ask(command: tuple[str, ...], requirements: Path, *options: str) -> list[dict[str, Any]]:
    """What is known of each package. Raises NotDone."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = [*command, "--requirement", str(requirements), "--disable-pip", *options, "--format", "json",
                 "--timeout", "5", "--progress-spinner", "off", "--output", str(report)]  # fmt: skip
        try:
            ran = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise NotDone(f"pip-audit took more than {SECONDS} seconds") from None
        try:
            found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError, TypeError):
            said = ran.stderr.strip().splitlines()
            raise NotDone(said[-1] if said else f"pip-audit ended with {ran.returncode} and no report") from None
        return found


def judge(dependencies: list[dict[str, Any]]) -> int:
    """Say what a report holds, and whether it is bad."""
    skipped = [one for one in dependencies if "skip_reason" in one]
    bad = 0
    for one in dependencies:
        for hole in one.get("vulns", []):
            why = ACCEPTED.get(hole["id"])
            bad += why is None
            told = (
                f"accepted: {why}" if why else f"mended in {', '.join(hole.get('fix_versions') or []) or 'nothing yet'}"
            )
            print(f"dependency audit: {one['name']} {one['version']} has {hole['id']}, {told}")
    print(f"dependency audit: {len(dependencies) - len(skipped)} packages looked at, {bad} holes that are not accepted")
    if skipped:
        names = ", ".join(one["name"] for one in skipped)
        not_done(f"nothing could be learnt of {len(skipped)} of {len(dependencies)} packages: {names}")
    return int(bad > 0)


def not_done(why: str) -> int:
    rule = "!" * 80
    print(f"{rule}\nDEPENDENCY AUDIT NOT DONE: {' '.join(why.split())[:500]}")
    print(f"Run `make check` where the list of known holes can be reached.\n{rule}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
