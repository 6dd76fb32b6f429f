"""`oddlot explain`: where the detector looked, and what that score means among good pictures."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.items import ItemNumber, item_id
from cli.output import AsJson, note, print_json, printable, say
from cli.session import open_session
from oddlot.errors import OddlotError

if TYPE_CHECKING:
    from db.items import ItemDetail
    from worker.explaining import Explanation

_FINE = 10_000


def register(app: typer.Typer) -> None:
    app.command("explain", epilog="Example: oddlot explain 17 -o odd.png")(explain)


def explain(
    item: ItemNumber,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG to write; left out: explain-ITEM.png here, and none with --json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show why an item got its score, and draw where: its picture, and beside it the same with a heat map.

    Computed again from the picture and the model of the result. The colours mean the same for all pictures of a model:
    blue is below the threshold, yellow to red above it. Coordinates are pixels of the upright picture.
    """
    from db.items import get_item
    from db.verdicts import verdicts_of

    session = open_session()
    detail = get_item(session.engine, item_id(item))
    record = _record(detail) | {"verdicts": [asdict(row) for row in verdicts_of(session.engine, detail.item_id)]}
    if detail.raw_score is None:
        from worker.explaining import why_not_scored

        record["why"] = why_not_scored(detail)
        if as_json:
            print_json(record)
        else:
            _say_head(record)
            say(printable(record["why"]))
            _say_verdicts(record)
        return
    from worker import explaining

    found = explaining.explain(session.settings, detail)
    record |= _findings(detail, found)
    if output is None and not as_json:
        output = Path(f"explain-{detail.item_id}.png")
    if output is not None and found.heat is not None:
        _write_sheet(detail, found, output)
        record["overlay"] = str(output)
    if as_json:
        print_json(record)
    else:
        _say_scored(record)


def _record(detail: "ItemDetail") -> dict[str, Any]:
    return {
        "item": detail.item_id, "job": detail.job_id, "path": detail.path, "state": str(detail.state),
        "error": detail.error, "note": detail.note, "why": None, "line": detail.line, "lot": detail.lot,
        "night": detail.night, "model": detail.model_name, "version": detail.model_version,
        "architecture": detail.architecture, "bundle_sha256": detail.bundle_sha256, "sha256": detail.sha256,
        "scored_at": detail.scored_at, "host": detail.host, "code_version": detail.code_version,
        "scored_on": detail.scored_on, "threshold": detail.threshold, "raw_score": detail.raw_score,
        "score": detail.score, "p_value": detail.p_value, "flagged": detail.flagged, "parts": detail.parts,
        "map_uri": detail.map_uri, "pruned_at": detail.pruned_at,
    }  # fmt: skip


def _findings(detail: "ItemDetail", found: "Explanation") -> dict[str, Any]:
    size = None
    if found.picture is not None:
        size = {"width": found.picture.shape[1], "height": found.picture.shape[0]}
    return {
        "raw_score_now": found.raw_score, "calibration": asdict(found.standing) if found.standing else None,
        "heat_from": found.heat_from, "localises": found.localises, "upright_picture": size,
        "peak": _peak(found), "overlay": None, "notes": found.notes,
    }  # fmt: skip


def _peak(found: "Explanation") -> dict[str, Any] | None:
    """The hottest place: its middle and size in pixels of the upright picture, and the middle as shares of it."""
    if found.heat is None:
        return None
    from pictures.heatmap import peak, place_box

    row, column = peak(found.heat)
    # In shares of a picture that is large enough for whole pixels to be exact shares.
    share = [v / _FINE for v in place_box(row, column, found.heat.shape, _FINE, _FINE, found.region).center]
    values: dict[str, Any] = {
        "heat": float(found.heat[row, column]), "share_x": share[0], "share_y": share[1],
        "x": None, "y": None, "width": None, "height": None,
    }  # fmt: skip
    if found.picture is not None:
        height, width = found.picture.shape[:2]
        box = place_box(row, column, found.heat.shape, width, height, found.region)
        values |= {"x": box.center[0], "y": box.center[1]}
        values |= {"width": box.right - box.left, "height": box.bottom - box.top}
    return values


def _write_sheet(detail: "ItemDetail", found: "Explanation", output: Path) -> None:
    from pictures.sheet import draw_sheet

    assert found.heat is not None
    decision = "flagged" if detail.flagged else "not flagged"
    caption = f"item {detail.item_id}: {decision}, score {detail.score:.4f}, p-value {detail.p_value:.4g}"
    try:
        draw_sheet(found.picture, found.heat, caption, found.region).save(output, "PNG")
    except OSError as error:
        raise OddlotError(f"{output} cannot be written: {error.strerror or error}") from error


def _say_head(record: dict[str, Any]) -> None:
    say(f"item {record['item']} of job {record['job']} ({record['state']}): {printable(record['path'])}")
    place = f", line {record['line']}" if record["line"] else ""
    say(f"model {record['model']} version {record['version']} ({record['architecture']}); lot {record['lot']}{place}")


def _say_scored(record: dict[str, Any]) -> None:
    _say_head(record)
    decision = "flagged" if record["flagged"] else "not flagged"
    say(f"{decision}: raw score {record['raw_score']:.6g}, threshold {record['threshold']:.6g}; "
        f"score {record['score']:.4f}, p-value {record['p_value']:.4g}")  # fmt: skip
    if (among := record["calibration"]) is not None:
        nearest = [f"{among['below']:.6g} below"] if among["below"] is not None else []
        nearest += [f"{among['at_least']:.6g} as high or above"] if among["at_least"] is not None else []
        say(f"higher than {among['higher_than']} of {among['n']} good pictures of the calibration; "
            f"the nearest: {', '.join(nearest)}")  # fmt: skip
    if (peak := record["peak"]) is not None:
        _say_peak(record, peak)
    _say_verdicts(record)
    say("parts: " + ", ".join(f"{name} {value:.6g}" for name, value in record["parts"].items()))
    for text in [record["note"], *record["notes"]]:
        if text:
            note(f"note: {printable(text)}")
    if record["overlay"] is not None:
        say(f"drawn: {printable(record['overlay'])}")


def _say_verdicts(record: dict[str, Any]) -> None:
    for row in record["verdicts"]:
        about = "".join(f", {printable(text)}" for text in (row["kind"], row["note"]) if text)
        say(f"verdict of {row['at']:%Y-%m-%d %H:%M} UTC, by {printable(row['reviewer'] or 'nobody')}: "
            f"{row['verdict']!s}{about}")  # fmt: skip


def _say_peak(record: dict[str, Any], peak: dict[str, Any]) -> None:
    shares = f"{peak['share_x']:.0%} from the left, {peak['share_y']:.0%} from the top"
    kept = "" if record["heat_from"] == "picture" else " (from the stored heat map)"
    if peak["x"] is None:
        where = shares
    else:
        size = record["upright_picture"]
        where = (
            f"x {peak['x']:.0f}, y {peak['y']:.0f} of {size['width']} x {size['height']} pixels of the upright "
            f"picture ({shares}), a place of {peak['width']:.3g} x {peak['height']:.3g}"
        )
    say(f"oddest at {where}: heat {peak['heat']:.4f}{kept}")
    if not record["localises"]:
        say("this model's score has no place of its own: that is where picture and reconstruction differ most")
