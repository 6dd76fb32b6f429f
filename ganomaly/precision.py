"""In which arithmetic the networks compute, and whether this processor has it."""

from functools import cache
from pathlib import Path

FLOAT32, BFLOAT16, INT8 = "float32", "bfloat16", "int8"
PRECISIONS = (FLOAT32, BFLOAT16, INT8)

RANGES = "ranges"
"""Name, among the arrays of a network in 8 bit, of what enters its convolutions: float32 (convolutions, 2), lowest and
highest value; of those that all members share, or with its prefix of one member's."""

_NEEDED = {BFLOAT16: ({"avx512_bf16", "amx_bf16"}, "bfloat16"), INT8: ({"avx512_vnni", "avx_vnni"}, "8-bit products")}
"""One of the processor's flags, as Linux names them, and what is missing without. Without these instructions bfloat16
would be computed as something else, and sums of 8-bit products could overflow."""


def missing_for(precision: str) -> str | None:
    """What this processor lacks for it, as part of a sentence; None where nothing is."""
    if precision not in _NEEDED:
        return None
    flags, name = _NEEDED[precision]
    return None if flags & _flags() else f"this processor has no instructions for {name}"


@cache
def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split())
