"""Large pictures in tiles: nothing between two tiles is missed, and a picture scores what its tiles score."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ganomaly.bundle import open_bundle, write_bundle
from ganomaly.calibration import Calibration
from ganomaly.config import SIZES, Config, config_for
from ganomaly.detector import Detector
from ganomaly.gan import GANomaly
from ganomaly.tiling import PLACES, Layout
from oddlot.errors import BundleError
from oddlot.words import Runtime

MOST = 5
KINDS = [("paper", 32, 1), ("article", 48, 3), ("features", 128, 1)]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])


@cache
def detectors(architecture: str, size: int, channels: int) -> tuple[Detector, Detector, np.ndarray]:
    """One network for tiles alone and for pictures of 2 x 3 of them, and five such pictures."""
    config = config_for(architecture, size, channels)
    rng = np.random.default_rng(5)
    models = [GANomaly(config, seed=2, scale=scale) for scale in range(config.scales)]
    arrays = {}
    for name, array in sorted(Detector.from_models(*models).weights().items()):
        factors = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        arrays[name] = array * factors if array.any() else (factors - 1) / 10
    of_tile = Detector.from_weights(config, arrays)
    of_picture = Detector.from_weights(replace(config, rows=2, columns=3), arrays)
    return of_tile, of_picture, rng.integers(0, 256, (MOST, *of_picture.picture_shape), dtype=np.uint8)


def step_of(kind) -> int:
    return 16 if kind[0] == "features" else 1


@pytest.mark.parametrize("size", range(32, 513, 16))
def test_tiles_cover_the_canvas_and_neighbours_share_an_eighth(size):
    layout = Layout(3, 2, size)
    seen = np.zeros(layout.canvas, int)
    for top, left in layout.corners():
        assert (top % 16, left % 16) == (0, 0)
        seen[top : top + size, left : left + size] += 1
    assert seen.min() == 1
    assert layout.canvas == (size + 2 * layout.stride, size + layout.stride)
    assert size - layout.stride >= size / 8
    defect = size // 8  # as large as the overlap: whole in at least one tile, wherever it is
    for at in range(layout.canvas[0] - defect + 1):
        assert any(top <= at and at + defect <= top + size for top, _ in layout.corners())


@kinds
def test_a_picture_scores_what_its_tiles_score_and_its_map_is_theirs_joined(kind):
    of_tile, of_picture, pictures = detectors(*kind)
    layout, step = Layout(2, 3, kind[1]), step_of(kind)
    scores = of_picture.score(pictures)
    assert scores.maps.shape == (MOST, layout.canvas[0] // step, layout.canvas[1] // step)
    for picture in range(MOST):
        expected = np.zeros(scores.maps.shape[1:], np.float32)
        tiles = [
            pictures[picture, top : top + kind[1], left : left + kind[1]] for top, left in layout.corners()
        ]  # fmt: skip
        alone = of_tile.score(np.stack(tiles))
        for (top, left), by_place in zip(layout.corners(), alone.maps, strict=True):
            part = expected[top // step :, left // step :][: len(by_place), : len(by_place)]
            part[:] = np.maximum(part, by_place)
        assert np.array_equal(scores.maps[picture], expected)
        assert scores.parts["residual"][picture] == alone.parts["residual"].max() == expected.max()
        assert scores.parts["latent"][picture] == alone.parts["latent"].max()
        assert scores.parts["contextual"][picture] == pytest.approx(alone.parts["contextual"].mean())
    assert np.array_equal(scores.raw, scores.parts[of_picture.config.score])


@kinds
def test_a_score_is_the_same_in_any_company(kind):
    _, of_picture, pictures = detectors(*kind)
    together = of_picture.score(pictures)
    for places in ([3], [4, 0], [2, 2, 1, 4]):
        some = of_picture.score(pictures[places])
        assert some.raw.tobytes() == together.raw[places].tobytes()
        assert some.maps.tobytes() == together.maps[places].tobytes()
        for name, part in some.parts.items():
            assert part.tobytes() == together.parts[name][places].tobytes()
    assert of_picture.score(pictures, maps=False).raw.tobytes() == together.raw.tobytes()


@kinds
def test_a_picture_of_equal_tiles_scores_as_one_of_them(kind):
    of_tile, of_picture, pictures = detectors(*kind)
    flat = np.full_like(pictures[:1], 90)
    one = of_tile.score(flat[:, : kind[1], : kind[1]])
    assert of_picture.score(flat).raw == one.raw


def test_no_pictures_have_no_scores_and_single_tiles_are_no_pictures():
    _, of_picture, pictures = detectors("paper", 32, 1)
    none = of_picture.score(pictures[:0])
    assert (none.raw.shape, none.maps.shape) == ((0,), (0, 48, 64))
    with pytest.raises(ValueError, match=r"the network takes \(48, 64, 1\)"):
        of_picture.score(pictures[:, :32, :32])


@kinds
def test_only_what_is_inside_of_a_mask_counts(kind):
    _, everywhere, pictures = detectors(*kind)
    looking = Detector.from_weights(everywhere.config, everywhere.weights())
    height, width = looking.picture_shape[:2]
    mask = np.zeros((height, width), bool)
    mask[: kind[1] // 2, : kind[1] // 2] = True  # in the first tile alone
    looking.look_at(mask)
    scores, before = looking.score(pictures), everywhere.score(pictures)
    step = step_of(kind)
    inside = mask[::step, ::step]
    assert not scores.maps[:, ~inside].any()
    if kind[0] != "features":  # whose windows lose what is not inside
        assert (scores.maps[:, inside] <= before.maps[:, inside]).all()  # in overlaps, from the tiles that are left
    assert np.array_equal(scores.parts["residual"], scores.maps.max(axis=(1, 2)))
    other = pictures.copy()
    other[:, :, kind[1] :] = 255
    assert looking.score(other).raw.tobytes() == scores.raw.tobytes()
    assert everywhere.score(other).maps.tobytes() != before.maps.tobytes()


@pytest.mark.parametrize(("architecture", "size"), [("paper", 32), ("features", 128)])
def test_without_tiles_the_map_outside_of_a_mask_is_empty_and_the_score_is_the_largest_inside(architecture, size):
    of_tile, _, _ = detectors(architecture, size, 1)
    pictures = np.random.default_rng(0).integers(0, 256, (3, size, size, 1), dtype=np.uint8)
    looking = Detector.from_weights(of_tile.config, of_tile.weights())
    mask = np.zeros((size, size), bool)
    mask[size // 4 : size // 2 + 1, 1:size] = True
    looking.look_at(mask)
    step = 16 if architecture == "features" else 1
    inside = mask.reshape(size // step, step, size // step, step).any(axis=(1, 3))
    whole, part = of_tile.score(pictures), looking.score(pictures)
    assert not part.maps[:, ~inside].any()
    assert (part.maps[:, inside] > 0).all()
    assert np.array_equal(part.parts["residual"], part.maps.max(axis=(1, 2)))
    if architecture != "features":  # whose windows lose what is not inside
        assert np.array_equal(part.maps[:, inside], whole.maps[:, inside])


def test_a_bundle_with_tiles_and_a_mask_comes_back_with_equal_scores(tmp_path):
    _, detector, pictures = detectors("paper", 32, 1)
    looking = Detector.from_weights(detector.config, detector.weights())
    mask = np.zeros(looking.picture_shape[:2], bool)
    mask[5:40, 30:] = True
    looking.look_at(mask)
    before = looking.score(pictures)
    calibration = Calibration.fit(before.raw, 0.5)
    sha256 = write_bundle(
        tmp_path / "1", detector=looking, calibration=calibration, preprocessing={}, card={}, golden=pictures[:2],
        sheet=b"",
    )  # fmt: skip
    opened = open_bundle(tmp_path / "1", sha256, runtime=Runtime.TENSORFLOW).detector
    assert opened.config == detector.config
    after = opened.score(pictures)
    assert after.raw.tobytes() == before.raw.tobytes()
    assert after.maps.tobytes() == before.maps.tobytes()


def test_places_that_do_not_fit_the_picture_are_refused():
    _, detector, _ = detectors("paper", 32, 1)
    good = np.ones((48, 64), bool)
    for wrong in (good[:32, :32], good.astype(np.float32), ~good):
        with pytest.raises(ValueError, match="map of the places"):
            Detector.from_weights(detector.config, detector.weights() | {PLACES: wrong})


@pytest.mark.parametrize("change", [{"rows": 0}, {"columns": 9}, {"rows": 2.0}, {"columns": True}, {"rows": -1}])
def test_a_network_with_impossible_tiles_is_refused(change):
    values = config_for("paper", 32, 1).to_dict()
    assert Config.from_dict(values | {"rows": 8, "columns": 8}).rows == 8
    with pytest.raises(BundleError):
        Config.from_dict(values | change)


def test_every_size_that_can_be_asked_for_has_a_stride():
    for architecture, (smallest, largest, _) in SIZES.items():
        for size in range(smallest, largest + 1, 16):
            assert 0 < Layout(2, 2, size).stride < size, architecture
