"""How far a night is from what its model knows, as one number for each figure that is measured of a picture."""

from typing import Any


def drift(validity: dict[str, Any]) -> dict[str, float]:
    """By the names of `oddlot.appearance.STATISTICS`, and `p_value`: the largest difference between the two cumulative
    distributions (Kolmogorov and Smirnov), in [0, 1], from the histograms of a job's validity record.

    0 where the night looks as the good pictures of the fit did, 1 where it has nothing in common with them. Of m
    pictures that differ by chance alone it is below 1.36 / sqrt(m) in nineteen of twenty nights.
    """
    evidence = validity.get("evidence")
    found = {}
    for name, one in (evidence if isinstance(evidence, dict) else {}).items():
        distance = behind = 0.0
        for known, tonight in zip(one["model"], one["tonight"], strict=True):
            behind += tonight - known
            distance = max(distance, abs(behind))
        found[name] = min(1.0, round(distance, 4))
    return found
