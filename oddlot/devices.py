"""What networks may run on: the processor, or graphics cards, and how many worker processes those make.

Nothing here loads a library for them: the parent of a worker forks, and a process that has begun to use a card may not.
"""

import contextlib
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from oddlot.errors import SettingsError
from oddlot.processes import available_cores
from oddlot.settings import Settings
from oddlot.words import Runtime

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that says which of NVIDIA's cards a process may use, by numbers or names with commas between."""


def cards(environ: Mapping[str, str] | None = None, folder: Path = Path("/dev")) -> list[str]:
    """NVIDIA's cards that this process may use, as `CUDA_VISIBLE_DEVICES` names them: those that it lists, else all
    that have a file in `folder`."""
    environ = os.environ if environ is None else environ
    if VISIBLE in environ:
        names = [name.strip() for name in environ[VISIBLE].split(",")]
        # CUDA, too, takes what stands before the first name that is none.
        stop = next((i for i, name in enumerate(names) if name in ("", "-1", "NoDevFiles")), len(names))
        return names[:stop]
    numbers = (path.name.removeprefix("nvidia") for path in folder.glob("nvidia[0-9]*"))
    # CUDA numbers from 0 what is there, whatever the numbers of the files: a container may have but the third.
    return [str(place) for place, _ in enumerate(sorted(number for number in numbers if number.isdigit()))]


@cache
def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor of this machine calls itself in `file`; where it does not say, its kind."""
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.machine() or "a processor"


def check_cards(settings: Settings) -> None:
    """Raises SettingsError where a card is to be used and there is none."""
    if settings.runtime == Runtime.GPU and not cards():
        raise SettingsError(
            f"ODDLOT_RUNTIME is gpu, and there is no NVIDIA graphics card here that may be used ({VISIBLE} may hide "
            "it): set auto"
        )


def processes_for(settings: Settings) -> int:
    """Processes of a worker where nobody asks for another number: as many as the settings say, else one for each card,
    or for each core where no card is to be used."""
    return settings.concurrency or max(1, len(cards()) if settings.runtime == Runtime.GPU else available_cores())


def environment_for(settings: Settings, number: int) -> dict[str, str]:
    """The environment of this process, for the process with that number, from 0, among those of a worker: where cards
    are to be used with one of them to be seen, in turn where there are more processes than cards, -1 with the last."""
    if settings.runtime != Runtime.GPU:
        return dict(os.environ)
    found = cards()
    return os.environ | {VISIBLE: found[number % len(found)] if found else ""}
