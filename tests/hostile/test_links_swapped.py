"""A link that is put into a path between the look at it and the reading leads nowhere."""

import os

import pytest
from hostile import draw

from oddlot.errors import UnreadablePicture
from pictures.decoding import read_bytes


@pytest.fixture
def places(tmp_path):
    """The submitted folder with `deep/er/part.png`, and a secret outside of it."""
    folder, outside = tmp_path / "lot", tmp_path / "outside"
    (folder / "deep" / "er").mkdir(parents=True)
    (outside / "er").mkdir(parents=True)
    draw(folder / "deep" / "er" / "part.png", 1)
    draw(outside / "er" / "part.png", 2)
    return folder, outside


@pytest.fixture
def at_the_last_moment(monkeypatch):
    """Does what a test asks for right after a path was resolved, as somebody would who writes into the folder."""
    resolve, deeds = os.path.realpath, []

    def then(path, **options):
        resolved = resolve(path, **options)
        while deeds:
            deeds.pop()()
        return resolved

    monkeypatch.setattr(os.path, "realpath", then)
    return deeds.append


@pytest.mark.parametrize("step", ["deep", "deep/er", "deep/er/part.png"])
def test_a_link_swapped_in_after_the_look_is_not_followed(places, at_the_last_moment, step):
    folder, outside = places
    part = folder / "deep" / "er" / "part.png"

    def swap():
        (folder / step).rename(folder / "away")
        (folder / step).symlink_to(outside / step.removeprefix("deep").lstrip("/"))
        assert part.read_bytes() == (outside / "er" / "part.png").read_bytes()  # who follows it is led out

    inside = part.read_bytes()
    assert read_bytes(str(part), max_file_bytes=10**6, root=str(folder))[0] == inside
    at_the_last_moment(swap)
    with pytest.raises(UnreadablePicture, match=r"cannot be opened: (Not a directory|Too many levels)"):
        read_bytes(str(part), max_file_bytes=10**6, root=str(folder))


def test_the_submitted_folder_itself_exchanged_for_a_link_is_not_followed(places):
    folder, outside = places
    folder.rename(folder.with_name("away"))
    folder.symlink_to(outside)
    with pytest.raises(UnreadablePicture, match="leads out of the submitted folder"):
        read_bytes(str(folder / "er" / "part.png"), max_file_bytes=10**6, root=str(folder))


def test_looking_step_by_step_leaves_nothing_open(places):
    folder, _ = places
    before = os.listdir("/proc/self/fd")
    for name in ("deep/er/part.png", "deep/er/gone.png", "deep/gone/part.png", "deep/er", "../outside/er/part.png"):
        for _ in range(5):
            try:
                read_bytes(str(folder / name), max_file_bytes=10**6, root=str(folder))
            except UnreadablePicture:
                assert name != "deep/er/part.png"
    assert os.listdir("/proc/self/fd") == before
