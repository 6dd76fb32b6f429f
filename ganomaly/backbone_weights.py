"""The frozen backbone's blocks and weights, as plain arrays: whatever computes with them takes them from here.

EfficientNet-Lite0 (Tan, Le: EfficientNet, ICML 2019; the Lite variant), stem and blocks 0 to 10, without its
classifier. The weights stand beside this file (`weights/`, Apache-2.0) and were made by
`scripts/convert_backbone.py`; nothing is downloaded.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

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


@cache
def backbone_weights() -> dict[str, np.ndarray]:
    """Kernels (height, width, in, out) and biases, float32, by name. Raises BundleError where they are damaged."""
    try:
        data = WEIGHTS.read_bytes()
    except OSError as error:
        raise BundleError(f"{WEIGHTS} cannot be read: {error.strerror}; install Oddlot again") from error
    if sha256_of(data) != SHA256:
        raise BundleError(f"{WEIGHTS} is damaged: its hash is not {SHA256}; install Oddlot again")
    return unpack_arrays(data)
