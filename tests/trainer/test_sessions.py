"""What the card warns of: calibration pictures that speak for one session only."""

from datetime import datetime
from pathlib import Path

import numpy as np

from pictures.listing import FoundFile
from trainer.sessions import warn_of_sessions

ROOT = Path("/pictures/good")
ALL = np.arange(4)


def found(below, day):
    return FoundFile(str(ROOT / below), 1, int(datetime(2026, 3, day, 12).timestamp() * 1e9))


def test_one_day_in_one_folder_is_one_session():
    files = [found(f"{i}.png", 2) for i in range(4)]
    (warning,) = warn_of_sessions(files, ROOT, None, ALL)
    assert warning.startswith("All 4 calibration pictures come from one day and folder (2026-03-02, good)")


def test_two_days_or_two_folders_are_two_sessions():
    days = [found(f"{i}.png", 2 + i % 2) for i in range(4)]
    folders = [found(f"line{i % 2}/{i}.png", 2) for i in range(4)]
    assert warn_of_sessions(days, ROOT, None, ALL) == warn_of_sessions(folders, ROOT, None, ALL) == []


def test_only_the_calibration_pictures_count():
    files = [found(f"{i}.png", 2 + i % 2) for i in range(4)]
    assert len(warn_of_sessions(files, ROOT, None, np.array([0, 2]))) == 1


def test_groups_are_the_sessions_where_they_are_given():
    files = [found(f"{i}.png", 2) for i in range(4)]
    assert warn_of_sessions(files, ROOT, ["a", "b", "c", "d"], ALL) == []
    (one,) = warn_of_sessions(files, ROOT, ["press 3"] * 4, ALL)
    assert "one group (press 3)" in one


def test_pictures_that_share_a_group_make_the_confidence_too_high():
    files = [found(f"{i}.png", 2) for i in range(4)]
    (warning,) = warn_of_sessions(files, ROOT, ["a", "a", "b", "b"], ALL)
    assert "4 calibration pictures come from 2 groups" in warning
    assert "confidence" in warning
