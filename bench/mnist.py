"""MNIST (LeCun, Cortes, Burges) for the benchmarks: `mnist/mnist.npz` in the folder that ODDLOT_DATA names."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load() -> dict[str, np.ndarray]:
    """`x_train`, `x_test` uint8 (n, 28, 28); `y_train`, `y_test` (n,) the digits. Ends the program with exit code 2
    and one line where the file is not there or not this."""
    folder = os.environ.get("ODDLOT_DATA")
    if not folder:
        _give_up("ODDLOT_DATA is not set: it names the folder that holds mnist/mnist.npz")
    path = Path(folder, "mnist", "mnist.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ARRAYS}
    except OSError as error:
        _give_up(f"{path} cannot be read: {error.strerror or error}")
    except (KeyError, ValueError):
        _give_up(f"{path} does not hold the arrays {', '.join(ARRAYS)}")


def resized(digits: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, 28, 28) to (n, size, size, 1), bilinear."""
    return np.stack([cv2.resize(digit, (size, size), interpolation=cv2.INTER_LINEAR) for digit in digits])[..., None]


def _give_up(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(2)
