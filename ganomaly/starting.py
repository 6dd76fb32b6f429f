"""How TensorFlow is started: quietly, with no more threads than it may use, and on no graphics card unasked."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from oddlot.errors import BundleError

NOT_USED = ("matplotlib", "pandas", "sklearn")
"""Keras loads them where they are installed, for what nobody asks for here: a third of the time that it takes."""


def start_tensorflow(threads: int, *, gpu: bool = False) -> None:
    """Load TensorFlow and let it use so many cores of this process, and graphics cards only if `gpu`; too late once it
    has begun to work, when it keeps what it started with.

    On a card its products are of whole float32, not of the 19 bits that it would take there, and its convolutions are
    the repeatable ones. Raises BundleError where a card is asked for and TensorFlow can use none.
    """
    if gpu:
        os.environ.setdefault("TF_CUDNN_DETERMINISTIC", "1")
        os.environ.setdefault("TF_CUDNN_USE_AUTOTUNE", "0")  # it takes what was fastest just then
    with _quiet_unless_it_fails(), _hidden(*NOT_USED):
        import tensorflow as tf

        # Networks of several folds are traced once each, which it takes for one that is traced again and again.
        tf.get_logger().setLevel("ERROR")
        with suppress(RuntimeError):  # it has begun
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
            # Looks for cards now, and complains now that there are none.
            cards = tf.config.list_physical_devices("GPU")
            tf.config.set_visible_devices(cards if gpu else [], "GPU")
            for card in cards if gpu else []:  # else it takes all memory that the card has
                tf.config.experimental.set_memory_growth(card, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
        if gpu and not tf.config.get_visible_devices("GPU"):  # TensorFlow's own words on it are let through, too
            raise BundleError(
                "ODDLOT_RUNTIME is gpu, and TensorFlow can use no graphics card here: install oddlot[gpu] and NVIDIA's "
                "driver, or set auto"
            )


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """For the length of the block these are not installed, unless they are loaded already."""
    names = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: an import of it fails
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def _quiet_unless_it_fails() -> Iterator[None]:
    """Keep from the screen what TensorFlow's C++ code writes while it is loaded, whatever its log level says."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            if failed:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))
