"""The detector as it runs on a graphics card: in larger calls, in float32 or bfloat16, with the scores of a processor.

What is particular to cards is tried where there is one; the rest, the same code, on a processor.
"""

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from unittest.mock import Mock

import keras
import numpy as np
import pytest
from disturbing import disturbed

from ganomaly.bundle import open_bundle, write_bundle
from ganomaly.calibration import Calibration
from ganomaly.config import config_for
from ganomaly.detector import Detector
from ganomaly.mixed import built_for
from ganomaly.precision import BFLOAT16, FLOAT32, INT8
from ganomaly.runtime import check_precision
from ganomaly.scoring import GRAPHICS_CARD, ON_A_CARD
from ganomaly.starting import start_tensorflow
from oddlot.devices import cards
from oddlot.errors import BundleError
from oddlot.words import Runtime

COUNT = 37
CONFIGS = {
    "paper": config_for("paper", 32, 1),
    "article": config_for("article", 32, 3),
    "features": replace(config_for("features", 128, 1), memory=(300, 200, 50)),
}
start_tensorflow(2)  # what is compared with a card is a processor

on_a_card = pytest.mark.skipif(
    not cards(), reason="NOT TESTED on a graphics card: this machine has none of NVIDIA's, or hides it"
)


@cache
def trained(kind: str) -> tuple[Detector, np.ndarray]:
    detector = disturbed(CONFIGS[kind], 5)
    pictures = np.random.default_rng(1).integers(0, 256, (COUNT, *detector.picture_shape), dtype=np.uint8)
    pictures[::3] //= 4  # dark ones among them
    return detector, pictures


@cache
def as_on_a_card(kind: str, precision: str) -> Detector:
    detector, _ = trained(kind)
    times = ON_A_CARD if kind == "features" else ON_A_CARD // 2
    return Detector.from_weights(replace(detector.config, precision=precision), detector.weights(), times=times)


@pytest.mark.parametrize("kind", CONFIGS)
def test_larger_calls_give_the_same_scores(kind):
    detector, pictures = trained(kind)
    larger = as_on_a_card(kind, FLOAT32)
    assert larger.together > detector.together
    here, there = larger.score(pictures), detector.score(pictures)
    np.testing.assert_allclose(here.raw, there.raw, rtol=1e-5)
    np.testing.assert_allclose(here.maps, there.maps, rtol=1e-4, atol=1e-5 * there.maps.max())


@pytest.mark.parametrize("kind", CONFIGS)
def test_bfloat16_scores_are_those_scores_coarsely_and_the_same_in_any_company(kind):
    detector, pictures = trained(kind)
    coarse = as_on_a_card(kind, BFLOAT16)
    scores, exact = coarse.score(pictures), detector.score(pictures).raw
    assert scores.raw.dtype == np.float64
    assert (scores.raw != exact).all()
    np.testing.assert_allclose(scores.raw, exact, rtol=0.1)
    assert np.corrcoef(scores.raw, exact)[0, 1] > 0.99
    places = np.random.default_rng(2).permutation(COUNT)[:21]
    some = coarse.score(pictures[places])
    assert some.raw.tobytes() == scores.raw[places].tobytes()
    assert some.maps.tobytes() == scores.maps[places].tobytes()


def test_what_is_built_after_a_network_in_bfloat16_computes_in_float32_again():
    as_on_a_card("paper", BFLOAT16)
    detector, pictures = trained("paper")
    again = Detector.from_weights(detector.config, detector.weights())
    assert again.score(pictures).raw.tobytes() == detector.score(pictures).raw.tobytes()
    with contextlib.suppress(ZeroDivisionError), built_for(BFLOAT16):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        _ = 1 / 0
    assert keras.config.dtype_policy().name == "float32"  # that of a training


def test_a_card_computes_in_float32_and_bfloat16_and_not_in_8_bit():
    check_precision(FLOAT32, Runtime.GPU)
    check_precision(BFLOAT16, Runtime.GPU)
    with pytest.raises(BundleError, match=r"computes in int8, which needs OpenVINO.*, or fit the model in bfloat16"):
        check_precision(INT8, Runtime.GPU)
    with pytest.raises(BundleError, match="computes in bfloat16, which needs OpenVINO"):
        check_precision(BFLOAT16, Runtime.TENSORFLOW)


@pytest.fixture(params=["cpu", "gpu"])
def bundle_off_by(request, tmp_path):
    """Writes a bundle whose golden picture had another score by so much, as a share; it says what computed it."""
    detector, pictures = trained("paper")

    def write(share: float):
        weights = detector.weights()
        off = Detector.from_weights(detector.config, weights)
        off.score = lambda *a, **k: replace(detector.score(*a, **k), raw=detector.score(*a, **k).raw * (1 + share))
        raw = detector.score(pictures).raw
        folder = tmp_path / f"{share}"
        card = {"runtime": "gpu"} if request.param == "gpu" else {"runtime": "tensorflow"}
        write_bundle(
            folder, detector=off, calibration=Calibration.fit(raw, 0.1), preprocessing={}, card=card,
            golden=pictures[:3], sheet=b"no picture, and nobody looks",
        )  # fmt: skip
        return folder

    return request.param, write


def test_golden_pictures_of_a_card_may_differ_by_more(bundle_off_by):
    runtime, write = bundle_off_by
    if runtime == "gpu":
        open_bundle(write(5e-4), runtime=Runtime.TENSORFLOW)
    else:
        with pytest.raises(BundleError, match=r"golden.npz: picture \d now scores"):
            open_bundle(write(5e-4), runtime=Runtime.TENSORFLOW)
    with pytest.raises(BundleError, match=r"golden.npz: picture \d now scores"):
        open_bundle(write(2e-2), runtime=Runtime.TENSORFLOW)


def program(text: str) -> subprocess.CompletedProcess:
    """A process of its own: this one's TensorFlow has begun, without cards."""
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(bool(cards()), reason="this machine has a graphics card")
def test_tensorflow_without_a_card_says_so_in_one_line():
    ran = program(
        "from ganomaly.starting import start_tensorflow\nfrom oddlot.errors import BundleError\n"
        "try: start_tensorflow(1, gpu=True)\nexcept BundleError as error: print(error)"
    )
    assert "TensorFlow can use no graphics card here: install oddlot[gpu]" in ran.stdout
    assert ran.stdout.count("\n") == 1


SCORES = """
import sys
from pathlib import Path
import numpy as np
from ganomaly.bundle import open_bundle
from oddlot.words import Runtime
folder, pictures, out, runtime = sys.argv[1:]
bundle = open_bundle(Path(folder), runtime=Runtime(runtime), threads=2)
scores = bundle.detector.score(np.load(pictures))
import tensorflow as tf
np.savez(out, raw=scores.raw, maps=scores.maps, together=bundle.detector.together,
         cards=len(tf.config.list_logical_devices("GPU")), runs_on=bundle.detector.runs_on)
"""


@on_a_card
@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_card_gives_a_picture_the_score_that_it_has_on_a_processor(kind, precision, tmp_path):
    _, pictures = trained(kind)
    here = as_on_a_card(kind, precision)
    write_bundle(
        tmp_path / "bundle", detector=here, calibration=Calibration.fit(here.score(pictures).raw, 0.1),
        preprocessing={}, card={}, golden=pictures[:3], sheet=b"no picture, and nobody looks",
    )  # fmt: skip
    np.save(tmp_path / "pictures.npy", pictures)
    found = []
    some = np.random.default_rng(2).permutation(COUNT)[:21]
    np.save(tmp_path / "some.npy", pictures[some])
    for name in ("pictures", "some"):
        files = tmp_path / "bundle", tmp_path / f"{name}.npy", tmp_path / f"{name}.npz"
        one_card = os.environ | {"CUDA_VISIBLE_DEVICES": cards()[0]}
        subprocess.run([sys.executable, "-c", SCORES, *files, "gpu"], check=True, timeout=600, env=one_card)
        found.append(np.load(tmp_path / f"{name}.npz"))
    assert int(found[0]["cards"]) == 1
    assert GRAPHICS_CARD in str(found[0]["runs_on"])
    np.testing.assert_allclose(found[0]["raw"], here.score(pictures).raw, rtol=1e-3 if precision == FLOAT32 else 0.02)
    # In other company and from process to process, too.
    assert found[0]["raw"][some].tobytes() == found[1]["raw"].tobytes()


@on_a_card
def test_without_being_asked_for_a_card_is_left_alone():
    ran = program(
        "from ganomaly.starting import start_tensorflow\nstart_tensorflow(1)\nimport tensorflow as tf\n"
        "print(len(tf.config.list_logical_devices('GPU')))"
    )
    assert ran.stdout.strip() == "0", ran.stderr


def test_a_card_that_fails_is_no_pictures_fault(monkeypatch):
    """Neither is one without memory: fewer pictures would change nothing, as calls have one size."""
    import tensorflow as tf

    detector, pictures = trained("paper")
    fresh = Detector.from_weights(detector.config, detector.weights())

    full = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    failed = tf.errors.InternalError(None, None, "CUDA_ERROR_LAUNCH_FAILED")
    monkeypatch.setattr(fresh, "_traced", Mock(side_effect=[full, full, failed]))
    with pytest.raises(MemoryError):
        fresh.score(pictures)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a card"])
    for _ in (full, failed):
        with pytest.raises(BundleError, match="the graphics card failed: "):
            fresh.score(pictures)
