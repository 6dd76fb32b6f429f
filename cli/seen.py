"""What a model sees of synthetic defects, for the screen: what its fit measured and the card keeps."""

from typing import Any

from cli.output import Format, say, write_rows


def seen_in_short(honesty: dict[str, Any]) -> str:
    """By kind the smallest size of clear contrast that is reliably seen, in one line."""
    parts = []
    for kind, by_contrast in honesty["smallest"].items():
        found = by_contrast["clear"]
        parts.append(f"{kind} from {100 * found['size']:g} %" if found else f"{kind} none")
    return ", ".join(parts)


def show_seen(honesty: dict[str, Any]) -> None:
    """A small table by kind and contrast, a sentence for each kind, and how the scores compare."""
    pictures = honesty["pictures"]
    say(f"what it sees of {pictures['synthetic']} synthetic defects in {pictures['good']} held-out good pictures "
        "(flagged of pasted, by size as a share of the picture's side):")  # fmt: skip
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for grade in honesty["grades"]:
        row = rows.setdefault(
            (grade["kind"], grade["contrast"]), {"defect": grade["kind"], "contrast": grade["contrast"]}
        )
        row[f"{100 * grade['size']:g} %"] = f"{grade['flagged']}/{grade['pictures']}" if grade["pictures"] else "-"
    for (kind, contrast), row in rows.items():
        found = honesty["smallest"][kind][contrast]
        row["reliably from"] = f"{found['pixels']} pixels" if found else "none"
    columns = list(next(iter(rows.values())))
    write_rows(rows.values(), columns, Format.TABLE, None, table_columns=columns)
    for sentence in honesty["says"]:
        say(sentence)
    if areas := honesty["auroc"]:
        say(f"AUROC on {pictures['compared']} of them: {areas['model']:.3f}; "
            f"plain brightness {areas['brightness']:.3f}, plain pixel distance {areas['pixels']:.3f}")  # fmt: skip
