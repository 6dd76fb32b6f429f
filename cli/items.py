"""`verdict` and `replay`: what a person says of an item, and whether its score can be had again."""

import getpass
from typing import Annotated

import typer

from cli.output import AsJson, note, print_json, printable, say
from cli.session import open_session
from oddlot.errors import NotFoundError, OddlotError
from oddlot.words import ItemState, Verdict

ItemNumber = Annotated[
    str, typer.Argument(metavar="ITEM", help="Number of the item, as `oddlot flagged` and `results` show it.")
]


def register(app: typer.Typer) -> None:
    app.command("verdict", epilog="Example: oddlot verdict 17 defect --kind scratch --note 'left edge'")(verdict)
    app.command("replay", epilog="Example: oddlot replay 17")(replay)


def item_id(text: str) -> int:
    """Raises NotFoundError for what cannot be the number of an item."""
    if not (text.isdecimal() and text.isascii() and int(text) < 2**63):
        raise NotFoundError(f"{text!r} is not an item: give its number, which `oddlot flagged` and `results` show")
    return int(text)


def verdict(
    item: ItemNumber,
    word: Annotated[Verdict, typer.Argument(metavar="defect|good|unsure", help="What you say of it.")],
    kind: Annotated[str | None, typer.Option(help="Kind of the defect, in your words.")] = None,
    text: Annotated[str | None, typer.Option("--note", help="Whatever else should be remembered.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who says so; left out: your user name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an item really is. The latest word stands; earlier ones are kept with name and time."""
    from db.verdicts import add_verdict, verdicts_of

    if kind is not None and word != Verdict.DEFECT:
        raise OddlotError(f"--kind is that of a defect: it cannot be given with {word!s}")
    number = item_id(item)
    session = open_session()
    add_verdict(session.engine, number, word, kind=kind, note=text, reviewer=reviewer or user_name())
    latest, *earlier = verdicts_of(session.engine, number)
    if as_json:
        print_json({
            "item": number, "verdict": str(latest.verdict), "kind": latest.kind, "note": latest.note,
            "reviewer": latest.reviewer, "at": latest.at,
            "before": str(earlier[0].verdict) if earlier else None,
        })  # fmt: skip
        return
    before = f"; before: {earlier[0].verdict!s}, by {printable(earlier[0].reviewer or 'nobody')}" if earlier else ""
    say(f"item {number}: {latest.verdict!s}, by {printable(latest.reviewer or '')}{before}")


def user_name() -> str:
    """Who gives the command. Raises OddlotError where the user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        raise OddlotError("this user has no name: say who you are with --reviewer") from None


def replay(item: ItemNumber, as_json: AsJson = False) -> None:
    """Compute the score of an item again from its picture and the model of its result, and compare.

    Exit code 0 only where both are there, are the ones of then, and give the same score within the tolerance.
    """
    from db.items import get_item

    session = open_session()
    detail = get_item(session.engine, item_id(item))
    if detail.state != ItemState.SCORED:
        raise OddlotError(f"item {detail.item_id} has no score to compute again: it is {detail.state!s}")
    from worker import explaining

    if detail.raw_score is None:
        raise OddlotError(f"item {detail.item_id} has no score to compare with: {explaining.why_not_scored(detail)}")
    found = explaining.explain(session.settings, detail)
    record = {
        "item": detail.item_id, "path": detail.path, "sha256": detail.sha256, "model": detail.model_name,
        "version": detail.model_version, "bundle_sha256": detail.bundle_sha256, "scored_at": detail.scored_at,
        "host": detail.host, "code_version": detail.code_version, "scored_on": detail.scored_on,
        "raw_score": detail.raw_score, "raw_score_now": found.raw_score, "tolerance": found.tolerance,
        "same": found.same, "notes": found.notes,
    }  # fmt: skip
    if as_json:
        print_json(record)
    else:
        say(f"item {detail.item_id}: {printable(detail.path)}")
        say(f"model {detail.model_name} version {detail.model_version}, bundle {detail.bundle_sha256[:12]}; "
            f"scored {detail.scored_at:%Y-%m-%d %H:%M} UTC on {printable(detail.host or '')} "
            f"by version {printable(detail.code_version or '')}"
            f"{'' if detail.scored_on is None else ': ' + printable(detail.scored_on)}")  # fmt: skip
        now = "-" if found.raw_score is None else f"{found.raw_score:.9g}"
        say(f"raw score then {detail.raw_score:.9g}, now {now}")
        for text in found.notes:
            note(f"note: {printable(text)}")
    if not found.same:
        raise OddlotError(f"item {detail.item_id} was not replayed: {found.notes[0]}")
    if not as_json:
        say(f"the same, within {found.tolerance:.2g}")
