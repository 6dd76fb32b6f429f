"""`oddlot demo`: the main job on pictures that it draws, through the real queue and database."""

import csv
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.jobs import raise_unless_done
from cli.output import say
from cli.session import Session, open_session
from oddlot.words import FINISHED_JOB_STATES

if TYPE_CHECKING:
    from db.jobs import JobRow

FOLDER = "oddlot-demo"
MODEL = "flange"
GOOD = 400
TONIGHT_GOOD = 80
DEFECTS = 20
SIZE = 128
FALSE_ALARMS = 0.05


def register(app: typer.Typer) -> None:
    app.command("demo", epilog="Example: oddlot demo --folder /tmp/oddlot-demo")(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where pictures and the demo's own home are put.")] = Path(FOLDER),
) -> None:
    """Draw pictures of a part, learn the good ones, inspect a night with defects in it, show what was found."""
    from cli.fit import run_fit, show_report
    from cli.inspect import run_inspection, show_inspection
    from trainer.fit import FitOptions
    from worker.submission import Submission

    started = time.monotonic()
    folder = folder.absolute()
    os.environ["ODDLOT_HOME"] = str(folder / "home")  # never touches the user's own models and jobs
    for name in [name for name in os.environ if name.startswith("ODDLOT_") and name != "ODDLOT_HOME"]:
        del os.environ[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oddlot.toml").write_text("# Empty, so that no other oddlot.toml is met.\n", encoding="utf-8")
    os.environ["ODDLOT_CONFIG"] = str(folder / "oddlot.toml")
    say(f"1. Drawing {GOOD} good pictures to learn from and a night of {TONIGHT_GOOD + DEFECTS}, in {folder}")
    draw(folder)
    session = open_session()
    good = folder / "train" / "good"
    fit = FitOptions(name=MODEL, good_dir=str(good), size=SIZE, false_alarms=FALSE_ALARMS)
    say(f"\n2. oddlot fit {MODEL} {_short(good)} --size {SIZE} --false-alarms {FALSE_ALARMS}")
    show_report(run_fit(session, fit))
    say(f"\n3. oddlot inspect {MODEL} {_short(folder / 'tonight')}")
    row = run_inspection(session, Submission(model=MODEL, folder=folder / "tonight", line="demo"))
    if row is None or row.state not in FINISHED_JOB_STATES:
        raise typer.Abort
    show_inspection(session, row)
    raise_unless_done(session, row)
    say("\n4. What a person who knows the answers sees (the detector never did)")
    say(compare_with_labels(session, row, folder / "labels.csv"))
    command = f"ODDLOT_HOME={shlex.quote(_short(folder / 'home'))} {_ourselves()}"
    say(f"\nDone in {time.monotonic() - started:.0f} s. Where to go next:")
    for arguments, gives in (
        (f"{command} review", "the review page: each flagged picture, one key a verdict"),
        (f"{command} results --job {row.id}", "every picture with its score"),
        (f"{command} models show {MODEL}", "what was learnt, and what is promised"),
        (f"{_ourselves()} fit NAME GOOD_DIR", "your own part"),
    ):
        say(f"  {arguments:<70}  {gives}")


def _ourselves() -> str:
    """How this very command is called from here."""
    return "oddlot" if shutil.which("oddlot") else _short(Path(sys.argv[0]).absolute())


def draw(folder: Path) -> None:
    """The pictures of the demo, once: a folder that has them is left as it is."""
    if (folder / "labels.csv").exists():
        return
    from pictures.drawing import draw_set

    draw_set(folder, good_train=GOOD, good_test=TONIGHT_GOOD, defects=DEFECTS, seed=0)


def compare_with_labels(session: Session, row: "JobRow", labels: Path) -> str:
    """How many of the defects that were drawn are flagged, and how many good parts are."""
    from db.results import ResultFilter, iter_results

    with labels.open(encoding="utf-8", newline="") as stream:
        truth = {record["file"]: record["label"] for record in csv.DictReader(stream)}
    flagged = {Path(r["path"]).name for r in iter_results(session.engine, ResultFilter(job_id=row.id)) if r["flagged"]}
    defects = {name for name, label in truth.items() if label != "good"}
    good = set(truth) - defects
    return (
        f"flagged {len(flagged & defects)} of {len(defects)} defects "
        f"and {len(flagged & good)} of {len(good)} good parts"
    )


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
