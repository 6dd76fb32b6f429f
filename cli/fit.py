"""`oddlot fit`: learn what good parts look like."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.card import learnt_from, say_findings, trained_for
from cli.output import note, print_json, say
from cli.seen import seen_in_short
from cli.session import Session, open_session
from oddlot.places import place_of
from oddlot.processes import available_cores
from oddlot.words import ModelState

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from ganomaly.training import EpochReport
    from trainer.fit import FitOptions, FitReport


NOT_ACTIVE = 3
"""Exit code of a fit whose model is stored but not active."""


def register(app: typer.Typer) -> None:
    app.command("fit", epilog="Example: oddlot fit flange /data/flange/good --false-alarms 0.01")(fit)


def fit(
    name: Annotated[str, typer.Argument(help="Name of the model; a name that exists gets a new version.")],
    good_dir: Annotated[
        str | None,
        typer.Argument(
            help="Folder of pictures of good parts, sub-folders included, or s3://bucket/prefix. With --from-verdicts "
            "it may be left out: the one that the active version learnt from."
        ),
    ] = None,
    defects: Annotated[
        str | None, typer.Option(help="Folder of known defects: they are only counted, never learnt from.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels at which pictures, or their tiles, are looked at: 128 to 512; paper and article: 32 "
            "to 256. Left out: that of the pictures, at most 256 (paper and article: 64)."
        ),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(
            help="Cut large pictures into overlapping tiles, for small defects: auto, a number, or ROWSxCOLUMNS."
        ),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            help="Look only here: X,Y,WIDTH,HEIGHT in pixels (100,50,400,300) or in percent (10%,5%,40%,30%), or a "
            "picture file as large as the pictures, white where to look."
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Share of good parts that may be flagged, e.g. 0.01. Left out: 1 %, or what few pictures allow."
        ),
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(
            help="features (GANomaly on a pretrained network's features), paper (as published) or article (small)."
        ),
    ] = "features",
    score: Annotated[
        str | None,
        typer.Option(
            help="residual (largest difference from the expected; usual with features) or latent (the paper's)."
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="Arithmetic in which it scores, and for which it is calibrated: float32, or, with OpenVINO and where "
            "every worker's processor has it, bfloat16 (faster) or int8 (fastest with paper and article, but coarse); "
            "graphics cards have bfloat16."
        ),
    ] = "float32",
    epochs: Annotated[
        int | None, typer.Option(help="Rounds over the pictures; left out: until it stops learning.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop training after so many minutes.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    group: Annotated[
        str | None,
        typer.Option(
            help="Pictures that must stay together: folder (of one sub-folder), or a regular expression for the path "
            "below GOOD_DIR whose first bracket is the group, e.g. 'part_([0-9]+)'."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Calibrate with every good picture, by as many networks, each of which did not learn from its share: "
            "for few pictures. Left out: 5 where the rate needs it (features only), else 1."
        ),
    ] = None,
    from_verdicts: Annotated[
        bool,
        typer.Option(
            "--from-verdicts",
            help="Learn also from what this model flagged and a person called good, if the file is still the same; and "
            "leave out every picture that a person called a defect.",
        ),
    ] = False,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Leave active what is: `oddlot models promote` compares first.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Make it active even where it is not better than scores that need no network."),
    ] = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Leave the fit to a trainer worker and return at once.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model as JSON.")] = False,
) -> None:
    """Learn a part from pictures of good ones and make the model active.

    A fit that was killed goes on where it was when the same command is given again.

    Every model is measured on synthetic defects in good pictures that it did not learn from. Where it is not clearly
    better than plain brightness, plain pixel distance and chance, it is stored as a candidate, what was active before
    stays active, and the exit code is 3: `oddlot models promote` or --force makes it active all the same. With
    --candidate that is what was asked for, and no failure.
    """
    from db.audit_log import Act, record_done
    from trainer.fit import FitOptions, why_not_active

    session = open_session()
    given: dict[str, Any] = {
        "defects_dir": str(place_of(defects)) if defects else None,
        "size": size, "architecture": architecture, "score": score, "false_alarms": false_alarms, "epochs": epochs,
        "minutes": minutes, "seed": seed, "group": group, "force": force, "tiles": tiles, "roi": _absolute(roi),
        "precision": precision, "folds": folds, "from_verdicts": from_verdicts, "candidate": candidate,
    }  # fmt: skip
    if good_dir is not None:
        options = FitOptions(name=name, good_dir=str(place_of(good_dir)), **given)
    else:
        options = _like_the_active_one(session, name, given)
    if queue:
        _enqueue(session, options, as_json)
        return
    report = run_fit(session, options, quiet=as_json)
    record_done(session.engine, actor(), Act.MODEL_FITTED, f"{report.model.name} {report.model.version}")
    if as_json:
        print_json(model_record(report))
    else:
        show_report(report)
    if warning := why_not_active(report):
        note(f"oddlot: {warning}")
        if report.reason and not candidate:
            raise typer.Exit(NOT_ACTIVE)


def _like_the_active_one(session: Session, name: str, given: dict[str, Any]) -> "FitOptions":
    """The options that the active version was learnt with, and over them those that are given here.

    Raises OddlotError where its card does not say them.
    """
    if not given["from_verdicts"]:
        raise typer.BadParameter("give the folder of pictures of good parts: oddlot fit NAME GOOD_DIR")
    from dataclasses import fields, replace

    from db.models import get_model
    from trainer.again import options_of
    from trainer.fit import FitOptions

    usual = {field.name: field.default for field in fields(FitOptions)}
    chosen = {key: value for key, value in given.items() if value != usual[key]}
    return replace(options_of(get_model(session.engine, name)), **chosen)


def _absolute(roi: str | None) -> str | None:
    """A rectangle as it is, the path of a mask as a trainer in another folder finds it."""
    from pictures.region import parse_rectangle

    return roi if roi is None or parse_rectangle(roi) is not None else str(Path(roi).expanduser().absolute())


def run_fit(session: Session, options: "FitOptions", *, quiet: bool = False) -> "FitReport":
    """Fit here and now, with progress on standard error."""
    from trainer.fit import Silent, fit

    if quiet or not sys.stderr.isatty():
        progress: Any = Silent() if quiet else PlainProgress()
        return fit(session.engine, session.settings, options, threads=available_cores(), progress=progress)
    with BarProgress() as bars:
        return fit(session.engine, session.settings, options, threads=available_cores(), progress=bars)


def model_record(report: "FitReport") -> dict[str, Any]:
    model = report.model
    return {
        "name": model.name, "version": model.version, "state": model.state, "threshold": model.threshold,
        "false_alarms": model.false_alarms, "bundle_sha256": model.bundle_sha256, "card": report.card,
        "refused": [{"path": path, "reason": reason} for path, reason in report.refused],
    }  # fmt: skip


def show_report(report: "FitReport") -> None:
    model, card = report.model, report.card
    say(f"{model.name} version {model.version} is {model.state}: {learnt_from(card)}")
    say(f"training: {trained_for(card)}")
    say(card["certificate"])
    say_findings(card)
    say(f"synthetic defects that it reliably sees: {seen_in_short(card['honesty'])}")
    if report.reason and model.state == ModelState.ACTIVE:
        say(f"active by --force, although {report.reason}")
    if report.refused:
        say(f"{len(report.refused)} files were left out:")
        for path, reason in report.refused[:10]:
            say(f"  {Path(path).name}: {reason}")
        if len(report.refused) > 10:
            say(f"  ... and {len(report.refused) - 10} more")
    if model.state == ModelState.ACTIVE:
        say(f"Next: oddlot inspect {model.name} FOLDER")


def _enqueue(session: Session, options: "FitOptions", as_json: bool) -> None:
    from dataclasses import asdict

    from db import fits
    from trainer.fit import check_options
    from worker import submission

    check_options(options)
    fit_id = fits.ask_fit(session.engine, options.name, asdict(options), actor())
    published = submission.publish(session.engine, session.settings)
    if as_json:
        print_json({"fit": fit_id, "name": options.name, "state": "queued"})
        return
    say(f"fit {fit_id} of {options.name} is queued; `oddlot doctor` says how it goes")
    if not published:
        say("No trainer runs here: it starts as soon as `oddlot up` does.")


class PlainProgress:
    """For logs and pipes: a line where something changes, none for every picture."""

    def say(self, text: str) -> None:
        typer.echo(text, err=True)

    def reading(self, done: int, total: int) -> None:
        if done == total:
            typer.echo(f"read {total} files", err=True)

    def epoch(self, report: "EpochReport") -> None:
        losses = "  ".join(f"{name} {value:.4f}" for name, value in report.losses.items())
        typer.echo(f"epoch {report.epoch}/{report.epochs}  {losses}", err=True)


class BarProgress:
    """For a terminal: bars."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from cli.output import console

        self._bars: Bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"), console=console(stderr=True),
        )  # fmt: skip
        self._reading: Any = None
        self._training: Any = None

    def __enter__(self) -> "BarProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False)

    def reading(self, done: int, total: int) -> None:
        if self._reading is None:
            self._reading = self._bars.add_task("reading", total=total, detail="")
        self._bars.update(self._reading, completed=done)

    def epoch(self, report: "EpochReport") -> None:
        if self._training is None:
            self._training = self._bars.add_task("training", total=report.epochs, detail="")
        detail = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items() if name.startswith("val"))
        self._bars.update(self._training, completed=report.epoch, detail=detail)
