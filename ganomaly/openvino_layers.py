"""Layers of the networks as parts of an OpenVINO graph, from arrays that were given by name.

Channels first, as OpenVINO has them. A convolution may be asked for in 8-bit integers: then what enters it and its
weights are rounded to 256 steps (Jacob et al.: Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018), symmetric and by output channel for the weights, between the ends of
what good pictures showed for what enters.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as op

from ganomaly.shapes import LEAK

LEVELS = 256
ROOM = 0.25
"""Above and below what good pictures showed, as a share of it: a defect shows more."""


class Arrays:
    """The arrays of a network, each to be taken once, with the shape that it must have."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._left = dict(arrays)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Raises ValueError where there is no such array of that shape with finite float32 numbers."""
        array = self._left.pop(name, None)
        if array is None:
            raise ValueError("the names of the arrays are not those of the network")
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name} has another shape or type than the network's")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        return array

    def take_table(self, name: str) -> np.ndarray:
        """Ranges, as many as there are. Raises ValueError as `take` does."""
        array = self._left.get(name)
        if array is None:
            raise ValueError(f"there are no {name}")
        return self.take(name, len(array) if array.ndim else 0, 2)

    def nothing_left(self) -> None:
        """Raises ValueError where an array was not taken."""
        if self._left:
            raise ValueError("the names of the arrays are not those of the network")


class Part:
    """The arrays of one network, `encoder/00`, `encoder/01` and so on, in the order in which its layers have them."""

    def __init__(self, arrays: Arrays, prefix: str) -> None:
        self._arrays, self._prefix, self._number = arrays, prefix, 0

    def take(self, *shape: int) -> np.ndarray:
        self._number += 1
        return self._arrays.take(f"{self._prefix}/{self._number - 1:02}", *shape)


class Convolutions:
    """Makes the convolutions of one graph: as they are, with what enters them noted, or in 8 bit."""

    def __init__(self, ranges: np.ndarray | None = None, *, watch: bool = False) -> None:
        """`ranges` (convolutions, 2) float32, lowest and highest value that enters each, in the order in which they are
        made: then they are made in 8 bit. `watch`: note what enters, to learn those ranges."""
        self._ranges, self._watch, self._made = ranges, watch, 0
        self.entering: list[ov.Output] = []

    def _entered(self, x: ov.Output) -> ov.Output:
        number = self._made
        self._made += 1
        if self._watch:
            self.entering.append(x)
        if self._ranges is None:
            return x
        if number >= len(self._ranges):
            raise ValueError("there are fewer ranges than convolutions")
        low, high = (constant(end) for end in _widened(*map(float, self._ranges[number])))
        return op.fake_quantize(x, low, high, low, high, LEVELS).output(0)

    def _kernel(self, kernel: np.ndarray, output_axes: tuple[int, ...]) -> ov.Output:
        if self._ranges is None:
            return constant(kernel)
        others = tuple(axis for axis in range(kernel.ndim) if axis not in output_axes)
        most = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), 1e-12)
        low, high = constant(-most), constant(most)
        return op.fake_quantize(constant(kernel), low, high, low, high, LEVELS - 1).output(0)

    def convolution(
        self, x: ov.Output, kernel: np.ndarray, bias: np.ndarray | None = None, *, stride: int = 1, padded: bool = True
    ) -> ov.Output:
        """`kernel` (height, width, in, out), `bias` (out,)."""
        weights = self._kernel(kernel.transpose(3, 2, 0, 1), (0,))
        how = "same_upper" if padded else "valid"
        y = op.convolution(self._entered(x), weights, [stride] * 2, [0, 0], [0, 0], [1, 1], auto_pad=how).output(0)
        return plus(y, bias)

    def depthwise(self, x: ov.Output, kernel: np.ndarray, bias: np.ndarray, *, stride: int) -> ov.Output:
        """`kernel` (height, width, channels, 1), `bias` (channels,)."""
        weights = self._kernel(kernel.transpose(2, 3, 0, 1)[:, :, np.newaxis], (0, 1))
        y = op.group_convolution(
            self._entered(x), weights, [stride] * 2, [0, 0], [0, 0], [1, 1], auto_pad="same_upper"
        ).output(0)
        return plus(y, bias)

    def transposed(self, x: ov.Output, kernel: np.ndarray, bias: np.ndarray | None = None, *, stride: int) -> ov.Output:
        """`kernel` (side, side, out, in), `bias` (out,); the side grows by `stride`."""
        weights = self._kernel(kernel.transpose(3, 2, 0, 1), (1,))
        cut = kernel.shape[0] - stride  # what a padded convolution of that stride would have added
        ends = [cut // 2] * 2, [cut - cut // 2] * 2
        y = op.convolution_backprop_data(self._entered(x), weights, [stride] * 2, None, *ends, [1, 1]).output(0)
        return plus(y, bias)


def _widened(low: float, high: float) -> tuple[np.float32, np.float32]:
    room = ROOM * max(high - low, 1e-6)
    # What was never negative is behind a rectifier: there is nothing below 0.
    return np.float32(low - room if low < 0 else 0.0), np.float32(high + room)


def constant(values: object) -> ov.Output:
    return op.constant(np.ascontiguousarray(values, np.float32)).output(0)


def whole(*numbers: int) -> ov.Output:
    """Numbers of axes or lengths."""
    return op.constant(np.array(numbers, np.int64)).output(0)


def plus(x: ov.Output, bias: np.ndarray | None) -> ov.Output:
    return x if bias is None else op.add(x, constant(bias.reshape(1, -1, 1, 1))).output(0)


def reshaped(x: ov.Output, *lengths: int) -> ov.Output:
    return op.reshape(x, whole(*lengths), False).output(0)


def transposed(x: ov.Output, *order: int) -> ov.Output:
    return op.transpose(x, whole(*order)).output(0)


def leaky(x: ov.Output) -> ov.Output:
    return op.prelu(x, constant([LEAK])).output(0)


def normalised(
    kernel: np.ndarray, bias: np.ndarray | None, statistics: Sequence[np.ndarray], epsilon: float, *, axis: int = -1
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a convolution with the batch normalisation after it in them: `statistics` are gamma, beta,
    moving mean and moving variance, `axis` is that of the kernel's output channels."""
    gamma, beta, mean, variance = (values.astype(np.float64) for values in statistics)
    factor = gamma / np.sqrt(variance + epsilon)
    shape = [1] * kernel.ndim
    shape[axis] = -1
    offset = beta - mean * factor if bias is None else beta + (bias - mean) * factor
    return (kernel * factor.reshape(shape)).astype(np.float32), offset.astype(np.float32)
