"""`oddlot flagged --fdr`: the flags of a whole job or night, decided together."""

from dataclasses import replace
from typing import TYPE_CHECKING

from cli.output import note
from cli.session import Session

if TYPE_CHECKING:
    from db.results import ResultFilter


def flag_together(session: Session, wanted: "ResultFilter", rate: float) -> "ResultFilter":
    """The filter of those items that Benjamini and Hochberg's procedure flags among all scored items of `wanted`.

    What a person has reviewed or said, and which scores he wants to see, must not decide over the flags: those filters
    only choose among the flagged.
    """
    from db.results import calibration_sizes, count_p_values
    from ganomaly.false_discoveries import cutoff, fewest_flags

    family = replace(wanted, min_score=None, unreviewed=False, verdict=None)
    counted = count_p_values(session.engine, family)
    tests, largest = sum(count for _, count in counted), cutoff(counted, rate)
    if largest is not None:
        flags = sum(count for p_value, count in counted if p_value <= largest)
        note(f"{flags} of {tests} pictures are flagged together at a false discovery rate of {rate:g}: p-value up to "
             f"{largest:.4g}")  # fmt: skip
        return replace(wanted, max_p_value=largest)
    note(f"none of {tests} pictures is flagged at a false discovery rate of {rate:g}")
    calibration = max(calibration_sizes(session.engine, family), default=None)
    if tests and calibration is not None and (fewest := fewest_flags(tests, calibration, rate)) > 1:
        impossible = " (more than there are)" if fewest > tests else ""
        note(f"with {calibration} calibration pictures no p-value is below 1/{calibration + 1}: of {tests} pictures at "
             f"least {fewest}{impossible} must have it before any is flagged; a model with more calibration pictures "
             "needs fewer")  # fmt: skip
    return replace(wanted, max_p_value=0.0)
