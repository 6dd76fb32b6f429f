"""`oddlot threshold`: what another threshold would have done, and a new version with it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.output import AsJson, print_json, say
from cli.results import Line, Since, Until, moment
from cli.session import open_session
from oddlot.words import ModelState

if TYPE_CHECKING:
    from db.what_if import Judged, Replay


def register(app: typer.Typer) -> None:
    app.command("threshold", epilog="Example: oddlot threshold flange --what-if 0.005 --since 30d")(threshold)


def threshold(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    what_if: Annotated[
        float, typer.Option("--what-if", metavar="RATE", help="The other false-alarm rate, between 0 and 1.")
    ],
    version: Annotated[int | None, typer.Option(min=1, help="Version; left out: the active one.")] = None,
    line: Line = None,
    since: Since = None,
    until: Until = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make a new version with that threshold the active one. Nothing is learnt.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replay what a model has scored with the threshold of another false-alarm rate.

    Says what would have been flagged, which confirmed defects would have been lost and which false alarms would be
    gone. Counted are the stored raw scores of all versions with the same network; held and discarded jobs are left
    out. With --apply `oddlot models rollback` leads back.
    """
    from db.audit_log import Act, record_done
    from db.models import get_model
    from db.what_if import replay
    from trainer.threshold import apply_threshold, calibrated_for
    from worker.comparison import scoring_alike

    session = open_session()
    model = get_model(session.engine, name, version)
    calibration = calibrated_for(session.settings, model, what_if)
    found = replay(
        session.engine, scoring_alike(session.engine, session.settings, model), calibration.threshold, line=line,
        since=moment(since, "--since"), until=moment(until, "--until"),
    )  # fmt: skip
    new = apply_threshold(session.engine, session.settings, model, calibration) if apply else None
    if new is not None:
        rate = f"false-alarm rate {calibration.false_alarms:g}"
        record_done(session.engine, actor(), Act.THRESHOLD_APPLIED, f"{name} {new.version}", rate)
    if as_json:
        print_json({
            "model": name, "version": model.version, "false_alarms": model.false_alarms, "threshold": model.threshold,
            "what_if": {"false_alarms": calibration.false_alarms, "threshold": calibration.threshold},
            **replay_record(found), "applied": new.version if new is not None else None,
        })  # fmt: skip
        return
    from db.what_if import says

    say(f"{name} version {model.version}: threshold {model.threshold:.6g} for a false-alarm rate of "
        f"{model.false_alarms:g}; {calibration.threshold:.6g} for {calibration.false_alarms:g}")  # fmt: skip
    for sentence in says(found):
        say(sentence)
    if new is None:
        which = "" if version is None else f" --version {version}"
        say(f"To use it: oddlot threshold {name}{which} --what-if {what_if} --apply")
        return
    active = new.state == ModelState.ACTIVE
    then = f"Back: oddlot models rollback {name}" if active else f"Next: oddlot models promote {name} {new.version}"
    say(f"{name}: version {new.version} is {new.state!s}, with that threshold and the network of {model.version}. "
        f"{then}")  # fmt: skip


def replay_record(found: "Replay") -> dict[str, Any]:
    """A replay for JSON."""
    return {
        "scored": found.scored, "flagged": found.flagged, "would_flag": found.would_flag, "newly": found.newly,
        "defects": judged_record(found.defects), "good": judged_record(found.alarms),
        "nights": [asdict(night) for night in found.nights],
    }  # fmt: skip


def judged_record(judged: "Judged") -> dict[str, Any]:
    """Items that a person judged, by what becomes of their flag."""
    return {
        "flagged": judged.flagged, "kept": judged.kept, "lost": judged.dropped, "gained": judged.gained,
        "never_flagged": judged.passed,
    }  # fmt: skip
