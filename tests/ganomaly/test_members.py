"""A detector of several networks: no score above any member's, one map, and the same again from a bundle."""

from functools import cache

import numpy as np
import pytest

from ganomaly.bundle import open_bundle, write_bundle
from ganomaly.calibration import CROSS, Calibration
from ganomaly.config import config_for, paper
from ganomaly.detector import Detector
from ganomaly.gan import GANomaly
from ganomaly.heat import heat
from ganomaly.training import train
from oddlot.words import Runtime

KINDS = [("paper", 32), ("features", 128)]


@cache
def members(architecture: str, size: int) -> tuple[list[Detector], np.ndarray]:
    """Three detectors that learnt, one epoch, from different pictures; and pictures that none of them saw."""
    pixels = np.random.default_rng(2).integers(0, 256, (40, size, size, 1), dtype=np.uint8)
    config = config_for(architecture, size, 1)
    learnt = [train(pixels[i : i + 10], pixels[30:34], config, seed=0, epochs=1).detector for i in (0, 10, 20)]
    return learnt, pixels[34:]


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0])
def several(request) -> tuple[list[Detector], np.ndarray]:
    return members(*request.param)


def test_no_score_is_above_the_one_that_any_member_gives_alone(several) -> None:
    alone, pictures = several
    together = Detector.joined(alone).score(pictures)
    each = [member.score(pictures) for member in alone]
    assert np.array_equal(together.maps, np.min([scores.maps for scores in each], axis=0))
    for name, part in together.parts.items():
        smallest = np.min([scores.parts[name] for scores in each], axis=0)
        assert (part <= smallest).all()
        assert (part > 0).all()
    assert together.raw.tobytes() == together.parts[alone[0].config.score].tobytes()
    assert len({scores.raw.tobytes() for scores in each}) == 3  # they are not one and the same


def test_a_bundle_gives_the_same_scores_and_the_largest_heat_is_the_score(several, tmp_path) -> None:
    alone, pictures = several
    detector = Detector.joined(alone)
    raw = np.concatenate([member.score(pictures, maps=False).raw for member in alone])
    calibration = Calibration.fit(raw, 0.2, method=CROSS)
    sha256 = write_bundle(
        tmp_path / "bundle",
        detector=detector,
        calibration=calibration,
        preprocessing={},
        card={},
        golden=pictures[:2],
        sheet=b"no picture, and nobody looks",
    )
    opened = open_bundle(tmp_path / "bundle", sha256, runtime=Runtime.TENSORFLOW)
    assert opened.detector.config.folds == 3
    before, after = detector.score(pictures), opened.detector.score(pictures)
    assert before.raw.tobytes() == after.raw.tobytes()
    assert before.maps.tobytes() == after.maps.tobytes()
    if detector.config.score == "residual":
        assert np.array_equal(heat(opened, after.maps).max(axis=(1, 2)), calibration.normalise(after.raw))


def test_only_what_is_inside_the_region_counts_for_any_member() -> None:
    alone, pictures = members("features", 128)
    mask = np.zeros((128, 128), bool)
    mask[:64] = True
    for member in alone:
        member.look_at(mask)
    try:
        joined = Detector.joined(alone)
        assert (joined.score(pictures).maps[:, 4:] == 0).all()
        assert (joined.score(pictures).maps[:, :4] > 0).all()
    finally:
        for member in alone:
            member.look_at(np.ones((128, 128), bool))


def test_weights_of_another_number_of_folds_are_refused() -> None:
    one = Detector.from_models(GANomaly(paper(32, 1)))
    weights = Detector.joined([one, one]).weights()
    with pytest.raises(ValueError, match="names of the arrays"):
        Detector.from_weights(one.config, weights)
