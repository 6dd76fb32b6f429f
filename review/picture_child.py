"""The other side of `review.picture_process`: reads one request a line, answers with pictures for a browser.

Whatever the file is, what leaves is a fresh WebP of pixels, never bytes of the file.
"""

import io
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganomaly.bundle import read_golden
from ganomaly.bundle_store import bundle_folder
from oddlot import objects
from oddlot.errors import BundleError, StoreError, UnreadablePicture
from oddlot.places import place_of
from pictures.decoding import decode, read_bytes
from pictures.heatmap import COLD, HOTTEST, Heat, unpack_heat
from pictures.preprocessing import Preprocessing
from pictures.reading import preprocess
from pictures.region import Region
from pictures.thumbnail import make_layer, make_thumbnail, size_of

MEMORY = 8 * 2**30
"""Address space of one process, in bytes."""
DESCRIPTOR = 16
"""Side, in places, of the small gray picture by which good pictures are compared."""
_QUALITY = 84

Answer = tuple[dict[str, Any], bytes]


def serve() -> None:
    """Answer requests until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    objects.hurry()
    out = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not get into the answers
    with open(out, "wb") as answers:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            # The other side ends us before that, if it is still there. A signal without a handler ends C code, too.
            signal.alarm(math.ceil(request["seconds"]) + 1)
            head, body = _answer(request)
            signal.alarm(0)
            packed = json.dumps(head | {"bytes": len(body)}).encode("ascii")
            answers.write(len(packed).to_bytes(4) + packed + body)
            answers.flush()


def _answer(request: dict[str, Any]) -> Answer:
    kinds: dict[str, Callable[[dict[str, Any]], Answer]] = {"picture": _picture, "heat": _heat, "nearest": _nearest}
    try:
        return kinds[request["what"]](request)
    except (UnreadablePicture, BundleError, StoreError) as reason:
        return {"trouble": str(reason)}, b""
    except OSError as error:
        return {"trouble": error.strerror or type(error).__name__}, b""
    except ValueError as error:
        return {"trouble": str(error)}, b""
    except MemoryError:
        return {"trouble": "it needs more memory than there is for it"}, b""


def _picture(request: dict[str, Any]) -> Answer:
    looks = _looks(request)
    data = make_thumbnail(
        request["path"], sha256=request["sha256"], root=request["root"],
        window=(0.0, 1.0) if looks is None else looks.window, edge=request["edge"],
        max_pixels=request["max_pixels"], max_file_bytes=request["max_file_bytes"],
    )  # fmt: skip
    width, height = size_of(data)
    return {"width": width, "height": height}, data


def _heat(request: dict[str, Any]) -> Answer:
    heat = unpack_heat(place_of(request["map"]).read_bytes())
    if request["relative"]:
        heat = _relative(heat)
    looks = _looks(request)
    region: Region | None = None if looks is None else looks.region
    height, width = heat.shape
    return {}, make_layer(heat, request["width"] or width, request["height"] or height, region)


def _relative(heat: Heat) -> Heat:
    """Drawn by its own hottest place: every map then looks as if something were there, flagged or not."""
    middle, top = float(np.median(heat)), float(heat.max())
    if top <= middle:
        return np.full_like(heat, COLD)
    return np.asarray(np.clip(COLD + (HOTTEST - COLD) * (heat - middle) / (top - middle), 0.0, 1.0))


def _nearest(request: dict[str, Any]) -> Answer:
    """Of the good pictures in the bundle the one that is most alike, by a small gray picture without its brightness."""
    looks = _looks(request)
    bundle = bundle_folder(place_of(request["bundle"]), request["bundle_sha256"], Path(request["home"]))
    golden = read_golden(bundle, request["bundle_sha256"])
    if not len(golden) or looks is None:
        raise ValueError("the model keeps no good pictures")
    data, sha256 = read_bytes(request["path"], max_file_bytes=request["max_file_bytes"], root=request["root"])
    if sha256 != request["sha256"]:
        raise UnreadablePicture("not the file that was inspected: its SHA-256 differs", sha256)
    pixels = preprocess(decode(data, max_pixels=request["max_pixels"], target=looks.whole_side), looks)
    own = _descriptor(pixels)
    distances = [float(np.mean((_descriptor(one) - own) ** 2)) for one in golden]
    best = int(np.argmin(distances))
    head = {"number": best + 1, "of": len(golden)}
    return head, _webp(golden[best])


def _descriptor(pixels: np.ndarray) -> np.ndarray:
    gray = Image.fromarray(pixels.astype(np.float32).mean(axis=2))
    small = np.asarray(gray.resize((DESCRIPTOR, DESCRIPTOR), Image.Resampling.BOX))
    return np.asarray(small - small.mean())


def _webp(pixels: np.ndarray) -> bytes:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    picture = Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).convert("RGB")
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=_QUALITY)
    return stream.getvalue()


def _looks(request: dict[str, Any]) -> Preprocessing | None:
    try:
        return Preprocessing.from_dict(request["preprocessing"])
    except BundleError:
        return None
