"""The frozen backbone: a picture becomes maps of features that a network learnt on a million photographs.

EfficientNet-Lite0 (Tan, Le: EfficientNet, ICML 2019; the Lite variant), stem and blocks 0 to 10, without its
classifier. The weights stand beside this file (`weights/`, Apache-2.0) and were made by
`scripts/convert_backbone.py`; nothing is downloaded.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras
import numpy as np
from keras import layers

from ganomaly.arrays import unpack_arrays
from ganomaly.manifest import sha256_of
from oddlot.errors import BundleError

WEIGHTS = Path(__file__).parent / "weights" / "efficientnet-lite0.npz"
SHA256 = "7c47d910921bbab25b0f6c40f9be4103dba2f985eef72805f6751c99230d98a5"
"""Of the weights: a model is what it is only on these."""


BACKBONE_BLOCK, BACKBONE_STRIDE, BACKBONE_CHANNELS = 10, 16, 112
"""The block whose map the detector sees, one place of it for so many pixels a side, and its channels."""


@dataclass(frozen=True)
class Block:
    """An inverted residual block: kernel side, stride, expansion of its channels, channels that it gives."""

    kernel: int
    stride: int
    expansion: int
    channels: int


BLOCKS = (
    Block(3, 1, 1, 16),
    Block(3, 2, 6, 24), Block(3, 1, 6, 24),
    Block(5, 2, 6, 40), Block(5, 1, 6, 40),
    Block(3, 2, 6, 80), Block(3, 1, 6, 80), Block(3, 1, 6, 80),
    Block(5, 1, 6, 112), Block(5, 1, 6, 112), Block(5, 1, 6, 112),
)  # fmt: skip


def build_backbone(size: int, taps: tuple[int, ...]) -> keras.Model:
    """Pictures (n, size, size, 3), uint8 or float32 in 0..255, to the feature maps behind the blocks `taps`.

    A map behind a block of stride s, counted from the picture, is (n, size / s, size / s, channels) float32. `size`
    is a multiple of 16. Raises BundleError where the weights are damaged.
    """
    weights = _weights()
    picture = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 128, -127 / 128)(picture)
    x = _convolution(x, weights, "stem", stride=2, activation="relu6")
    found = {}
    for number, block in enumerate(BLOCKS[: max(taps) + 1]):
        x = _inverted_residual(x, weights, f"block{number:02}", block)
        found[number] = x
    model = keras.Model(picture, [found[tap] for tap in taps], name="backbone")
    model.trainable = False
    return model


def _inverted_residual(
    x: keras.KerasTensor, weights: dict[str, np.ndarray], name: str, block: Block
) -> keras.KerasTensor:
    entered = x
    if block.expansion != 1:
        x = _convolution(x, weights, f"{name}/expand", activation="relu6")
    x = _convolution(x, weights, f"{name}/depthwise", stride=block.stride, activation="relu6", depthwise=True)
    x = _convolution(x, weights, f"{name}/project")
    return layers.Add()([x, entered]) if block.stride == 1 and entered.shape[-1] == block.channels else x


def _convolution(
    x: keras.KerasTensor, weights: dict[str, np.ndarray], name: str, *, stride: int = 1,
    activation: str | None = None, depthwise: bool = False,
) -> keras.KerasTensor:  # fmt: skip
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    shared = {"strides": stride, "padding": "same", "activation": activation}
    side = kernel.shape[:2]
    layer = layers.DepthwiseConv2D(side, **shared) if depthwise else layers.Conv2D(kernel.shape[3], side, **shared)
    y = layer(x)
    layer.set_weights([kernel, bias])
    return y


@cache
def _weights() -> dict[str, np.ndarray]:
    try:
        data = WEIGHTS.read_bytes()
    except OSError as error:
        raise BundleError(f"{WEIGHTS} cannot be read: {error.strerror}; install Oddlot again") from error
    if sha256_of(data) != SHA256:
        raise BundleError(f"{WEIGHTS} is damaged: its hash is not {SHA256}; install Oddlot again")
    return unpack_arrays(data)
