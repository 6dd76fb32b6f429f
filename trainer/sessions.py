"""Sentences for the card about what the calibration pictures can speak for."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from oddlot.places import Place
from pictures.listing import FoundFile
from trainer.grouping import below


def warn_of_sessions(
    files: Sequence[FoundFile], root: Place, names: Sequence[str] | None, calibration: np.ndarray
) -> list[str]:
    """Warnings, each a plain sentence, none where there is nothing to say.

    `files` are all n pictures, `names` the group of each by `--group` or None where it was not given, `calibration`
    the indices of those that calibrate. A session is a group; without groups it is the day on which the file was last
    written, in local time, together with the sub-folder.
    """
    of = [names[i] if names is not None else _shift(files[i], root) for i in calibration]
    sessions = sorted(set(of))
    if len(sessions) == 1:
        where = f"one group ({sessions[0]})" if names is not None else f"one day and folder ({sessions[0]})"
        return [
            f"All {len(of)} calibration pictures come from {where}: the false-alarm rate is promised for pictures like "
            "those only, not for another day, camera setting or delivery."
        ]
    if names is not None and len(sessions) < len(of):
        return [
            f"The {len(of)} calibration pictures come from {len(sessions)} groups, and pictures of one group are "
            "alike: the stated confidence counts each picture as one of its own and is too high by that."
        ]
    return []


def _shift(file: FoundFile, root: Place) -> str:
    day = datetime.fromtimestamp(file.mtime_ns / 1e9).date().isoformat()
    folder = below(file.path, root).parent.as_posix()
    return f"{day}, {folder if folder != '.' else root.name}"
