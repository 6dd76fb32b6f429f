"""Reads pictures for a test, one after the other, in little memory: `python bounded_reader.py MIB`.

On standard input: lines of JSON with the path of a file and the most pixels; for each, a line of JSON says what became
of it. Memory beyond MIB more than the process had at its start is refused by the kernel.
"""

import json
import resource
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np

from oddlot.errors import UnreadablePicture
from pictures.preprocessing import Preprocessing
from pictures.reading import read_picture


def main() -> None:
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    ways = [Preprocessing(32, 1), Preprocessing(48, 3, depth=16, window=(0.1, 0.9))]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            for way in ways:
                pixels = read_picture(asked["path"], way, max_pixels=asked["max_pixels"], max_file_bytes=10**8).pixels
                assert pixels.shape == way.shape
                assert np.isfinite(pixels).all()
            answer = "read"
        except UnreadablePicture as reason:
            answer = f"unreadable: {reason}"
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
