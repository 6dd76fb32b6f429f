"""What `oddlot fit` and `oddlot models show` say of a card beside its certificate."""

from typing import Any

from cli.output import say


def learnt_from(card: dict[str, Any]) -> str:
    """What was learnt from and what it was calibrated with."""
    pictures, folds = card["pictures"], len(card["trainings"])
    tiles = f" ({pictures['tiles']} tiles of them)" if "tiles" in pictures else ""
    if folds > 1:
        return (
            f"{folds} networks, each learnt from about {pictures['training']} pictures{tiles}, "
            f"{pictures['validation']} more validated; each of {pictures['calibration']} calibrated the network that "
            "did not learn from it"
        )
    return (
        f"learnt from {pictures['training']} pictures{tiles}; {pictures['validation']} validated, "
        f"{pictures['calibration']} calibrated"
    )


def trained_for(card: dict[str, Any]) -> str:
    """Epochs, and why the training ended, of each network."""
    told = [f"{one['epochs']} epochs, best {one['best_epoch']}; {one['stopped']}" for one in card["trainings"]]
    return told[0] if len(set(told)) == 1 else " / ".join(told)


def say_findings(card: dict[str, Any]) -> None:
    """Near-duplicates, known defects and warnings, a line each; known defects only where the fit was given some."""
    copies = card["near_duplicates"]
    if copies["pictures"]:
        say(
            f"near-duplicates: {copies['pictures']} good pictures show the same shot as another, e.g. "
            f"{copies['example'][0]} and {copies['example'][1]}; none stands on both sides of the split"
        )
    if (verdicts := card.get("from_verdicts")) is not None:
        left = "".join(
            f", {verdicts[key]} {words}"
            for key, words in (("gone", "gone"), ("changed", "changed since"), ("in_folder", "in the folder anyway"))
            if verdicts[key]
        )
        say(f"from verdicts: {verdicts['added']} false alarms that were called good were added{left}; "
            f"{len(verdicts['defects_left_out'])} pictures called defects were left out")  # fmt: skip
    found = card.get("defects")
    if found:
        say(f"known defects: {found['flagged']} of {found['pictures']} flagged (recall {found['recall']:.3f})")
        best = found["best_f1"]
        say(
            f"to tell them best from the calibration pictures (F1 {best['f1']:.3f}) the threshold would be "
            f"{best['threshold']:.6g}: recall {best['recall']:.3f}, {100 * best['false_alarms']:.3g} % of the "
            "calibration pictures flagged; it was chosen on these pictures and is not used"
        )
    for warning in card["warnings"]:
        say(f"Warning: {warning}")
