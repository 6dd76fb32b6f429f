"""TensorFlow's threads, set before its first operation."""


def set_threads(threads: int) -> None:
    """Let TensorFlow of this process use so many cores; does nothing once TensorFlow has begun to work."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # too late: it keeps what it started with
        return
