"""The detector: arrays in, scores out.

What may live here: networks, training, scoring, calibration, the bundle. What may not: queues, SQL, the command line,
picture files. Importing `config`, `calibration` or `bundle` imports no TensorFlow.
"""

import os

# Before TensorFlow is imported. oneDNN's kernels are faster than the plain ones, and a host where somebody switched
# them off would round otherwise (docs/decisions/0005-same-score.md).
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
