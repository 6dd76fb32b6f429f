"""`oddlot export`: flagged items, with where they are odd, for a labelling tool."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.jobs import JobId
from cli.output import AsJson, note, print_json, printable, say
from cli.results import MinScore, Said, Unreviewed, item_filter, say_pruned
from cli.session import open_session


class LabelFormat(StrEnum):
    """What labelling tools read."""

    COCO = "coco"


def register(app: typer.Typer) -> None:
    app.command("export", epilog="Example: oddlot export last --unreviewed --copy -o to_label")(export)


def export(
    job_id: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; made where there is none.")],
    min_score: MinScore = None, unreviewed: Unreviewed = False, said: Said = None,
    limit: Annotated[int | None, typer.Option(min=1, max=2**31 - 1, help="The most suspicious so many.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the pictures; left out: they are named by path.")] = False,
    kind: Annotated[LabelFormat, typer.Option("--format", help="How labels are written.")] = LabelFormat.COCO,
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier export wrote there.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the flagged items of a job, each spot of their heat maps outlined, for FiftyOne, CVAT or Label Studio.

    OUTPUT/labels.json is COCO, with the pictures in OUTPUT/data where they are copied.
    """
    from db.results import iter_results
    from report.coco import LABELS, export_coco

    session = open_session()
    wanted = item_filter(
        session, job=job_id, since=None, until=None, night=None, min_score=min_score, unreviewed=unreviewed,
        verdict=said, limit=limit, flagged_only=True,
    )  # fmt: skip
    # Only their numbers are held: the pictures take long to read, and no transaction should stay open for that.
    items = [row["item"] for row in iter_results(session.engine, wanted)]
    found = export_coco(session.engine, session.settings, items, output, copy=copy, force=force)
    if as_json:
        print_json({
            "labels": str(output / LABELS), "format": str(kind), "images": found.images,
            "annotations": found.annotations, "without_map": found.without_map, "left_out": found.left_out,
        })  # fmt: skip
        return
    say(f"{printable(str(output / LABELS))}: {found.images} images, {found.annotations} annotations")
    if found.without_map:
        note(f"{found.without_map} images have no heat map, so no annotations")
    for one in found.left_out[:20]:
        note(f"left out: item {one['item']}, {printable(one['path'])}: {one['why']}")
    if len(found.left_out) > 20:
        note(f"... and {len(found.left_out) - 20} more are left out; --json lists all")
    say_pruned(session, wanted)
