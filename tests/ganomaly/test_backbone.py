"""The backbone is the published network, and a damaged one is refused."""

from pathlib import Path

import numpy as np
import pytest

from ganomaly import backbone_weights
from ganomaly.backbone import build_backbone
from ganomaly.backbone_weights import BACKBONE_BLOCK, BACKBONE_CHANNELS, BACKBONE_STRIDE
from oddlot.errors import BundleError

PUBLISHED = Path(__file__).with_name("efficientnet_lite0_outputs.npz")
"""A picture, and what the PyTorch package that the weights come from makes of it behind blocks 4 and 10."""


@pytest.fixture
def weights_at(monkeypatch):
    def put(path: Path) -> None:
        monkeypatch.setattr(backbone_weights, "WEIGHTS", path)
        backbone_weights.backbone_weights.cache_clear()

    yield put
    backbone_weights.backbone_weights.cache_clear()


def test_it_gives_the_features_of_the_published_network() -> None:
    with np.load(PUBLISHED) as stored:
        picture, published = stored["picture"], [stored["block04"], stored["block10"]]
    ours = build_backbone(96, (4, 10))(picture[np.newaxis].astype(np.float32))
    for here, there in zip(ours, published, strict=True):
        assert here.shape[1:] == there.shape
        np.testing.assert_allclose(here[0], there, atol=1e-5 * np.abs(there).max())


def test_its_map_has_the_shape_that_the_detector_counts_on() -> None:
    (shape,) = (output.shape for output in build_backbone(160, (BACKBONE_BLOCK,)).outputs)
    assert shape == (None, 160 // BACKBONE_STRIDE, 160 // BACKBONE_STRIDE, BACKBONE_CHANNELS)


def test_nothing_of_it_is_trained() -> None:
    assert build_backbone(128, (BACKBONE_BLOCK,)).trainable_variables == []


def test_damaged_or_missing_weights_are_refused_with_what_to_do(weights_at, tmp_path) -> None:
    data = bytearray(backbone_weights.WEIGHTS.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.npz").write_bytes(data)
    for name, reason in (("damaged.npz", "is damaged"), ("missing.npz", "No such file")):
        weights_at(tmp_path / name)
        with pytest.raises(BundleError, match=f"{name}.*{reason}.*install Oddlot again"):
            build_backbone(128, (BACKBONE_BLOCK,))
