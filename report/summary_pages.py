"""The body of the e-mail: the same few lines as text and as HTML. The whole report is attached to it."""

from typing import Any

from report.job_report import environment


def summary_text(record: dict[str, Any]) -> str:
    """A record of `job_summary` as plain text."""
    job, counts = record["job"], record["completeness"]
    place = f"Lot {job['lot']}" + (f", line {job['line']}" if job["line"] else "")
    lines = [
        record["headline"], "", f"{place}, night {job['night']}, model {job['model']} version {job['version']}",
        f"{counts['listed']:,} listed = {counts['scored']:,} scored + {counts['unreadable']:,} unreadable "
        f"+ {counts['quarantined']:,} quarantined + {counts['cancelled']:,} cancelled; "
        f"unaccounted {counts['unaccounted']:,}",
    ]  # fmt: skip
    for title, sentences in (("Why it is held:", record["held"]), ("Besides:", record["notes"])):
        lines += ["", title, *(f"- {text}" for text in sentences)] if sentences else []
    if record["top"]:
        lines += ["", f"The {len(record['top'])} most suspicious of {record['flagged']:,} flagged:"]
        lines += [f"{one['score']:.3f}  {one['file']} (item {one['item']})" for one in record["top"]]
    if record["link"]:
        lines += ["", f"Review page: {record['link']}"]
    return "\n".join([*lines, "", "The attached report opens in any browser.", ""])


def summary_html(record: dict[str, Any]) -> str:
    """A record of `job_summary` as a small page without pictures."""
    return environment().get_template("mail.html").render(record=record)
