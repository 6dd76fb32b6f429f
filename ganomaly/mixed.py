"""Networks of Keras whose weights are float32 and whose layers compute in bfloat16: mixed precision (Micikevicius et
al., ICLR 2018), here of inference alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from ganomaly.precision import BFLOAT16


@contextmanager
def built_for(precision: str) -> Iterator[None]:
    """Layers that are made inside compute in that precision, float32 or bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == BFLOAT16 else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
