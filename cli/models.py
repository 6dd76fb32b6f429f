"""`oddlot models`: what was learnt, which version is active, and how a model travels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.card import learnt_from, say_findings, trained_for
from cli.output import AsJson, Format, print_json, say, write_rows
from cli.seen import show_seen
from cli.session import Session, open_session
from oddlot.errors import NotFoundError, OddlotError
from oddlot.processes import available_cores
from oddlot.words import ModelState, Runtime

if TYPE_CHECKING:
    from db.models import ModelRow

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[int | None, typer.Option(min=1, help="Version; left out: the active one.")]

COLUMNS = ["model", "version", "state", "architecture", "false_alarms", "threshold", "created_at"]

group = typer.Typer(no_args_is_help=False, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="models", epilog="Example: oddlot models show flange")


@group.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """The models: list (also without a word behind it), show, promote, rollback, export, import."""
    if context.invoked_subcommand is None:
        list_all(None, as_json)
    elif as_json:
        raise typer.BadParameter("write --json behind the word: oddlot models list --json")


@group.command("list", epilog="Example: oddlot models list")
def list_all(
    name: Annotated[str | None, typer.Argument(help="Only versions of this model.")] = None,
    as_json: AsJson = False,
) -> None:
    """All versions of all models, or of one."""
    from db import models as rows

    found = [record(row) for row in rows.list_models(open_session().engine, name, cards=False)]
    if as_json:
        print_json(found)
    elif not found:
        say("No models yet. Learn one: oddlot fit NAME GOOD_DIR")
    else:
        write_rows(found, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)


@group.command("show", epilog="Example: oddlot models show flange --version 2")
def show(
    name: Name,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version; left out: the active one, or the newest candidate.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to write: the synthetic defects, those that were flagged in green.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The card of a model: what it learnt from, how it was calibrated, what it promises, what it sees."""
    from db import models as rows
    from ganomaly.manifest import SHEET

    session = open_session()
    candidate = rows.newest_candidate(session.engine, name) if version is None else None
    try:
        row = rows.get_model(session.engine, name, version)
    except NotFoundError:
        if candidate is None:
            raise
        row = candidate
    if picture is not None:
        _save_sheet(session, row, picture)
    if as_json:
        print_json({**record(row), "bundle_sha256": row.bundle_sha256, "card": row.card})
        return
    card = row.card
    try:
        _say_card(row)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OddlotError):
        # Whoever sealed a bundle that was carried here may have written anything onto its card.
        say(f"{row.name} version {row.version} ({row.state}) has a card that no fit writes: --json shows it")
    reason = rows.reason_against(card)
    if row.state == ModelState.CANDIDATE:
        say(f"It is a candidate{', because ' if reason else ''}{reason}. Make it active: "
            f"oddlot models promote {row.name} {row.version}")  # fmt: skip
    elif reason:
        say(f"Note: {reason}; {'its fit was told --force' if forced(card) else 'somebody made it active all the same'}")
    if candidate is not None and candidate.id != row.id:
        say(f"Version {candidate.version} is newer and a candidate: oddlot models show {name} --version "
            f"{candidate.version}")  # fmt: skip
    say(f"bundle {row.bundle_uri} ({row.bundle_sha256})")
    say(f"picture of the synthetic defects: {session.settings.model_store / row.bundle_uri / SHEET}")


def _say_card(row: "ModelRow") -> None:
    card = row.card
    preprocessing = card["preprocessing"]
    say(f"{row.name} version {row.version} ({row.state}): {row.architecture} network, {card['network']['score']} score")
    say(f"{learnt_from(card)}; {card['pictures']['refused']} files were left out")
    colour = "colour" if preprocessing["channels"] == 3 else "gray"
    say(f"looks at {_looks_at(card)}, {colour}, {preprocessing['depth']} bit")
    if preprocessing["region"] is not None:
        from pictures.region import Region

        region = Region.from_dict(preprocessing["region"])
        other = "" if region.picture is None else "; pictures of another size are unreadable for it"
        say(f"only the region {region}{other}")
    say(f"training: {trained_for(card)}")
    say(f"threshold {row.threshold:.6g}: {card['certificate']}")
    say_findings(card)
    show_seen(card["honesty"])


@group.command("promote", epilog="Example: oddlot models promote flange 2 --nights 14")
def promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="Version to make active.")],
    nights: Annotated[int, typer.Option(min=1, max=10_000, help="Compare on so many of the last nights.")] = 7,
    no_compare: Annotated[
        bool, typer.Option("--no-compare", help="Do not compare it with the active version.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Also where confirmed defects would be lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the active one; jobs submitted from now on use it.

    Before that it says what the version would have flagged over the last nights compared with the active one, which
    confirmed defects it would lose and which false alarms would be gone. Another network has to look at the pictures
    again for that, at up to 500 of them. Where confirmed defects would be lost it asks; where nobody can be asked,
    nothing is changed without --yes, and the exit code is 1.
    """
    from cli.promotion import compare_first, comparison_record, confirm
    from db import models as rows

    session = open_session()
    comparison = None if no_compare else compare_first(session, name, version, nights, quiet=as_json)
    confirm(name, version, comparison, yes=yes, can_ask=not as_json)
    row = rows.promote(session.engine, name, version, actor())
    if as_json:
        print_json(record(row) | {"comparison": comparison_record(comparison)})
    else:
        _tell_active(row, False)


@group.command("rollback", epilog="Example: oddlot models rollback flange")
def rollback(name: Name, as_json: AsJson = False) -> None:
    """Make the version that was active before the active one again."""
    from db import models as rows

    _tell_active(rows.rollback(open_session().engine, name, actor()), as_json)


@group.command("export", epilog="Example: oddlot models export flange flange.oddlot")
def export(name: Name, file: Annotated[Path, typer.Argument(help="File to write.")], version: Version = None) -> None:
    """Write the bundle of a model as one file, to carry it to another plant."""
    from db import models as rows
    from ganomaly.signing import load_signer, load_trusted_keys
    from ganomaly.transport import export_bundle

    session = open_session()
    row = rows.get_model(session.engine, name, version)
    export_bundle(
        bundle_path(session, row), file, row.bundle_sha256, trusted=load_trusted_keys(session.settings.trusted_keys),
        sign=load_signer(session.settings.signing_key),
    )  # fmt: skip
    say(f"{file}: {row.name} version {row.version}")


@group.command("import", epilog="Example: oddlot models import flange.oddlot --name flange")
def import_(
    file: Annotated[Path, typer.Argument(help="File written by `oddlot models export`.")],
    name: Annotated[str | None, typer.Option(help="Name here; left out: the name it was fitted under.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take over a model from a file: verified, scored again on its golden pictures, made active.

    One that its fit stored as a candidate only is a candidate here, too.
    """
    import os
    import shutil

    from db import models as rows
    from db.audit_log import Act, record_done
    from ganomaly.bundle import open_bundle
    from ganomaly.bundle_store import new_bundle
    from ganomaly.signing import load_trusted_keys
    from ganomaly.transport import import_bundle
    from trainer.fit import check_name

    session = open_session()
    if not file.is_file():
        raise OddlotError(f"{file} is not a file: give one written by `oddlot models export`")
    if name is not None:
        check_name(name)
    uri = f"imported/{os.urandom(8).hex()}"
    trusted = load_trusted_keys(session.settings.trusted_keys)
    with new_bundle(session.settings.model_store / uri, session.settings.home) as folder:
        sha256 = import_bundle(file, folder, trusted=trusted)
        try:
            runtime = Runtime(session.settings.runtime)
            bundle = open_bundle(folder, sha256, runtime=runtime, threads=available_cores(), trusted=trusted)
            name = name or str(bundle.card.get("name"))
            check_name(name)
        except OddlotError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    row = rows.register_model(
        session.engine, name=name, bundle_uri=uri, bundle_sha256=sha256,
        architecture=bundle.detector.config.architecture, threshold=bundle.calibration.threshold,
        false_alarms=bundle.calibration.false_alarms, card=bundle.card,
        activate=_was_activated(bundle.card),
    )  # fmt: skip
    record_done(session.engine, actor(), Act.MODEL_IMPORTED, f"{name} {row.version}", f"bundle {sha256}")
    _tell_active(row, as_json)
    reason = rows.reason_against(row.card)
    if row.state == ModelState.CANDIDATE and not as_json:
        say(f"Because {reason}. Make it active: oddlot models promote {name} {row.version}")
    elif reason and not as_json:
        say(f"Note: {reason}; its fit was told --force")


def _save_sheet(session: Session, row: "ModelRow", file: Path) -> None:
    """The contact sheet of a model as the new file `file`."""
    from ganomaly.bundle import read_sheet

    data = read_sheet(bundle_path(session, row), row.bundle_sha256)
    try:
        with file.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        raise OddlotError(f"{file} is there already: name another file with --picture FILE") from None


def bundle_path(session: Session, row: "ModelRow") -> Path:
    """The folder of its bundle, or of a copy from the object store in which it is."""
    from ganomaly.bundle_store import bundle_folder
    from ganomaly.signing import load_trusted_keys

    settings = session.settings
    return bundle_folder(
        settings.model_store / row.bundle_uri, row.bundle_sha256, settings.home,
        trusted=load_trusted_keys(settings.trusted_keys),
    )  # fmt: skip


def record(row: "ModelRow") -> dict[str, Any]:
    return {
        "model": row.name, "version": row.version, "state": str(row.state), "architecture": row.architecture,
        "false_alarms": row.false_alarms, "threshold": row.threshold, "created_at": row.created_at,
    }  # fmt: skip


def _looks_at(card: dict[str, Any]) -> str:
    """Size and tiles in plain words."""
    network, size = card["network"], card["preprocessing"]["size"]
    rows, columns = network["rows"], network["columns"]
    if (rows, columns) == (1, 1):
        return f"{size}x{size} pixels"
    height, width = card["preprocessing"]["canvas"]
    return f"{width}x{height} pixels in {rows} x {columns} overlapping tiles of {size}x{size}"


def _tell_active(row: "ModelRow", as_json: bool) -> None:
    if as_json:
        print_json(record(row))
    else:
        say(f"{row.name}: version {row.version} is {'a candidate' if row.state == ModelState.CANDIDATE else 'active'}")


def _was_activated(card: dict[str, Any]) -> bool:
    """Whether a fit with this card made its model active."""
    from db.models import reason_against

    return not reason_against(card) or forced(card)


def forced(card: dict[str, Any]) -> bool:
    """Whether the fit was told to make its model active whatever it sees."""
    options = card.get("options")
    return isinstance(options, dict) and options.get("force") is True
