"""How TensorFlow is started: quietly, and with no more threads than it may use."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def set_threads(threads: int) -> None:
    """Load TensorFlow and let it use so many cores of this process; too late once it has begun to work."""
    with _quiet_unless_it_fails():
        import tensorflow as tf

        # Networks of several folds are traced once each, which it takes for one that is traced again and again.
        tf.get_logger().setLevel("ERROR")
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:  # it keeps what it started with
            return
        tf.config.list_physical_devices()  # looks for GPUs now, and complains now that there are none


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
