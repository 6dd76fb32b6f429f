"""How fast is a graphics card beside the processor, and by how much do its scores differ?

    python -m bench.graphics_card [--pictures 2048] [--rounds 3]

The default network on 256 x 256 gray pictures with random weights, scored by OpenVINO on all cores and by TensorFlow on
the first card, each in a process of its own, in turn. Without a card it says so and ends.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys

from oddlot.devices import cards

CHILD = """
import json, sys, time
import numpy as np
from dataclasses import replace
from ganomaly.config import config_for
from ganomaly.runtime import scorer_for
from oddlot.processes import available_cores
from oddlot.words import Runtime

wish = json.loads(sys.argv[1])
if wish["runtime"] != "openvino":
    from ganomaly.starting import start_tensorflow

    start_tensorflow(available_cores(), gpu=wish["runtime"] == "gpu")
config = replace(config_for("features", 256, 1), precision=wish["precision"])
from ganomaly.detector import Detector

weights = Detector(replace(config, precision="float32")).weights()
rng = np.random.default_rng(0)
for name, array in weights.items():
    if not name.endswith(("deviation", "usual_latent", "usual_residual")):
        weights[name] = rng.normal(scale=0.1, size=array.shape).astype(np.float32)
scorer = scorer_for(config, weights, Runtime(wish["runtime"]), available_cores())
pictures = rng.integers(0, 256, (scorer.together, *scorer.picture_shape), dtype=np.uint8)
first = np.random.default_rng(1).integers(0, 256, (8, *scorer.picture_shape), dtype=np.uint8)
raw = scorer.score(first).raw.tolist()
rates = []
for _ in range(wish["rounds"]):
    began, done = time.perf_counter(), 0
    while done < wish["pictures"]:
        scorer.score(pictures)
        done += len(pictures)
    rates.append(done / (time.perf_counter() - began))
print(json.dumps({"rates": rates, "raw": raw}))
"""


def measured(runtime: str, precision: str, wish: argparse.Namespace) -> dict[str, list[float]] | str:
    """Pictures a second of each round, and raw scores; or why there are none."""
    told = json.dumps({"runtime": runtime, "precision": precision, "pictures": wish.pictures, "rounds": wish.rounds})
    environ = os.environ | ({"CUDA_VISIBLE_DEVICES": cards()[0]} if runtime == "gpu" else {})
    ran = subprocess.run([sys.executable, "-c", CHILD, told], env=environ, capture_output=True, text=True)
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1]
    found: dict[str, list[float]] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    wish = parser.parse_args()
    if not cards():
        sys.exit("bench.graphics_card: this machine has no NVIDIA graphics card, or hides it: nothing was measured")
    base = measured("openvino", "float32", wish)
    if isinstance(base, str):
        sys.exit(f"bench.graphics_card: {base}")
    usual = statistics.median(base["rates"])
    for runtime, precision in itertools.product(("openvino", "gpu"), ("float32", "bfloat16")):
        found = base if (runtime, precision) == ("openvino", "float32") else measured(runtime, precision, wish)
        if isinstance(found, str):
            print(f"{runtime:<9} {precision:<9} not measured: {found}")
            continue
        rate = statistics.median(found["rates"])
        apart = max(abs(a - b) / abs(b) for a, b in zip(found["raw"], base["raw"], strict=True))
        print(f"{runtime:<9} {precision:<9} {rate:>8.0f} pictures/s, {rate / usual:>6.2f} of the processor in float32;"
              f" scores differ by {apart:.1e} at most", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
