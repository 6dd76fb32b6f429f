"""The frozen backbone: a picture becomes maps of features that a network learnt on a million photographs."""

import keras
import numpy as np
from keras import layers

from ganomaly.backbone_weights import BLOCKS, Block, backbone_weights


def build_backbone(size: int, taps: tuple[int, ...]) -> keras.Model:
    """Pictures (n, size, size, 3), uint8 or float32 in 0..255, to the feature maps behind the blocks `taps`.

    A map behind a block of stride s, counted from the picture, is (n, size / s, size / s, channels) float32. `size`
    is a multiple of 16. Raises BundleError where the weights are damaged.
    """
    weights = backbone_weights()
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
