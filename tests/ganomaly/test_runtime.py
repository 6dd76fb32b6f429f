"""OpenVINO beside TensorFlow: the same scores of the same bundle, in every precision the same in any company."""

import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from disturbing import disturbed

from ganomaly import precision as precisions
from ganomaly.bundle import open_bundle, write_bundle
from ganomaly.calibration import Calibration
from ganomaly.config import Config, config_for
from ganomaly.detector import Detector
from ganomaly.precision import BFLOAT16, FLOAT32, INT8, PRECISIONS, missing_for
from ganomaly.runtime import joined, ready_to_score
from ganomaly.scoring import VIEWING_BATCH
from oddlot.errors import BundleError
from oddlot.words import Runtime

COUNT = 37
CONFIGS = {
    "paper": config_for("paper", 48, 1),
    "paper-colour-residual": config_for("paper", 64, 3, "residual"),
    "article": config_for("article", 32, 3),
    "features": replace(config_for("features", 128, 1), memory=(300, 200, 50)),
    "features-squares-tiles": replace(
        config_for("features", 144, 3, "latent"), memory=(300, 100), score_norm="squares", rows=1, columns=2
    ),
}
HERE = [one for one in PRECISIONS if missing_for(one) is None]


@cache
def trained(kind: str, seed: int = 5) -> tuple[Detector, np.ndarray]:
    detector = disturbed(CONFIGS[kind], seed)
    pictures = np.random.default_rng(1).integers(0, 256, (COUNT, *detector.picture_shape), dtype=np.uint8)
    pictures[::3] //= 4  # dark ones among them
    return detector, pictures


@cache
def ready(kind: str, precision: str):
    detector, pictures = trained(kind)
    return ready_to_score(detector, precision, pictures[:9], Runtime.OPENVINO, 1)


@pytest.mark.parametrize("kind", CONFIGS)
def test_both_libraries_give_a_picture_the_same_scores(kind) -> None:
    detector, pictures = trained(kind)
    there, here = detector.score(pictures), ready(kind, FLOAT32).score(pictures)
    np.testing.assert_allclose(here.raw, there.raw, rtol=1e-5)
    np.testing.assert_allclose(here.maps, there.maps, rtol=1e-4, atol=1e-5 * there.maps.max())
    for name, part in there.parts.items():
        np.testing.assert_allclose(here.parts[name], part, rtol=1e-5)


@pytest.mark.parametrize("kind", ["paper", "features"])
def test_both_libraries_look_at_the_same_places(kind) -> None:
    detector, pictures = trained(kind)
    mask = np.zeros(detector.picture_shape[:2], np.bool_)
    mask[10:40, 5:30] = True
    looking = Detector.from_weights(detector.config, detector.weights())
    looking.look_at(mask)
    there = looking.score(pictures)
    here = ready_to_score(looking, FLOAT32, pictures, Runtime.OPENVINO, 1).score(pictures)
    np.testing.assert_allclose(here.raw, there.raw, rtol=1e-5)
    np.testing.assert_array_equal(here.maps > 0, there.maps > 0)
    assert (there.maps == 0).any()


@pytest.mark.parametrize("precision", HERE)
@pytest.mark.parametrize("kind", ["paper", "article", "features"])
def test_in_every_precision_a_score_is_the_same_in_any_company(kind, precision) -> None:
    _, pictures = trained(kind)
    scorer = ready(kind, precision)
    all_of_them = scorer.score(pictures)
    assert len(set(all_of_them.raw)) == COUNT
    places = np.random.default_rng(2).permutation(COUNT)[:21]
    some = scorer.score(pictures[places])
    assert some.raw.tobytes() == all_of_them.raw[places].tobytes()
    assert some.maps.tobytes() == all_of_them.maps[places].tobytes()
    copies = scorer.score(np.repeat(pictures[7:8], 33, axis=0))
    assert set(copies.raw) == {all_of_them.raw[7]}
    as_floats = scorer.score(pictures.astype(np.float32))
    assert as_floats.raw.tobytes() == all_of_them.raw.tobytes()


@pytest.mark.parametrize("precision", [one for one in HERE if one != FLOAT32])
@pytest.mark.parametrize("kind", ["paper", "article", "features"])
def test_less_precise_scores_are_those_scores_coarsely(kind, precision) -> None:
    _, pictures = trained(kind)
    exact, coarse = ready(kind, FLOAT32).score(pictures).raw, ready(kind, precision).score(pictures).raw
    assert (coarse != exact).all()
    np.testing.assert_allclose(coarse, exact, rtol=0.25)
    assert np.corrcoef(coarse, exact)[0, 1] > 0.9


@pytest.mark.parametrize("precision", HERE)
@pytest.mark.parametrize("kind", ["paper", "features"])
def test_of_several_networks_none_scores_below_what_they_give_together(kind, precision) -> None:
    alone = []
    for seed in (5, 6):
        detector, pictures = trained(kind, seed)
        alone.append(
            ready_to_score(detector, precision, pictures[:9], Runtime.OPENVINO, 1, alone[0] if alone else None)
        )
    together = joined(alone, 1)
    assert together.config.folds == 2
    scores = together.score(pictures).raw
    least = np.minimum(*(one.score(pictures).raw for one in alone))
    # Up to rounding: the larger graph is put together otherwise.
    assert (scores <= least * (1 + 1e-6)).all() if precision == FLOAT32 else (scores <= least * 1.02).all()
    if kind == "paper":
        np.testing.assert_allclose(scores, least, rtol=1e-6 if precision == FLOAT32 else 0.02)


@pytest.fixture(params=[one for one in HERE if one != FLOAT32])
def coarse_bundle(request, tmp_path):
    """A bundle that computes in less than float32; its hash, its precision and the scores of its pictures."""
    _, pictures = trained("paper")
    scorer = ready("paper", request.param)
    raw = scorer.score(pictures).raw
    sha256 = write_bundle(
        tmp_path / "bundle", detector=scorer, calibration=Calibration.fit(raw, 0.1), preprocessing={}, card={},
        golden=pictures[:3], sheet=b"no picture, and nobody looks",
    )  # fmt: skip
    return tmp_path / "bundle", sha256, request.param, raw


def test_a_bundle_is_opened_in_the_precision_it_was_calibrated_in(coarse_bundle) -> None:
    folder, sha256, precision, raw = coarse_bundle
    opened = open_bundle(folder, sha256)
    assert opened.detector.config.precision == precision
    assert opened.detector.score(trained("paper")[1]).raw.tobytes() == raw.tobytes()


def test_a_bundle_is_refused_where_its_precision_cannot_be_had(coarse_bundle, monkeypatch) -> None:
    folder, sha256, precision, _ = coarse_bundle
    with pytest.raises(BundleError, match=f"computes in {precision}, which needs OpenVINO"):
        open_bundle(folder, sha256, runtime=Runtime.TENSORFLOW)
    monkeypatch.setattr(precisions, "_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(BundleError, match=f"computes in {precision}, and this processor has no instructions"):
        open_bundle(folder, sha256)


def test_ranges_that_are_missing_or_too_few_are_refused() -> None:
    if INT8 not in HERE:
        pytest.skip("this processor has no 8-bit products")
    from ganomaly.openvino_scorer import OpenVinoScorer
    from ganomaly.precision import RANGES

    scorer = ready("paper", INT8)
    weights = scorer.weights()
    ranges = weights.pop(RANGES)
    for wrong in ({}, {RANGES: ranges[:-1]}, {RANGES: ranges[:, :1]}, {RANGES: ranges * np.float32(np.nan)}):
        with pytest.raises(ValueError, match=r"range|shape|finite"):
            OpenVinoScorer(scorer.config, weights | wrong)


def test_a_score_does_not_depend_on_the_threads() -> None:
    detector, pictures = trained("features")
    two = ready_to_score(detector, FLOAT32, pictures, Runtime.OPENVINO, 2)
    np.testing.assert_allclose(two.score(pictures).raw, ready("features", FLOAT32).score(pictures).raw, rtol=1e-5)


PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from ganomaly.bundle import open_bundle
bundle = open_bundle(Path(sys.argv[1]))
bundle.detector.score(np.zeros((1, *bundle.detector.picture_shape), np.uint8))
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""


def test_scoring_by_openvino_needs_no_tensorflow(tmp_path) -> None:
    detector, pictures = trained("features")
    write_bundle(
        tmp_path / "bundle", detector=detector, calibration=Calibration.fit(detector.score(pictures).raw, 0.1),
        preprocessing={}, card={}, golden=pictures[:VIEWING_BATCH], sheet=b"no picture, and nobody looks",
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "bundle"], check=True)


def test_a_precision_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BundleError, match="does not have"):
        Config.from_dict(CONFIGS["paper"].to_dict() | {"precision": "float8"})
    assert Config.from_dict(CONFIGS["paper"].to_dict()).precision == FLOAT32
    if BFLOAT16 in HERE:
        coarse = replace(CONFIGS["paper"], precision=BFLOAT16)
        assert Config.from_dict(coarse.to_dict()) == coarse
