"""`oddlot report`, and what the command line says of reports that go out by themselves."""

import os

import pytest
from browser import needs_chromium

SECRET = "s3kr1t-Geheim"


def test_a_report_is_one_file_with_everything_in_it(inspected, tmp_path) -> None:
    output = tmp_path / "report.html"
    assert f"report of job 1: {output}" in inspected.run("report", "1", "-o", output)
    html = output.read_text(encoding="utf-8")
    flagged = inspected.json("flagged", "--job", "last")
    assert f"{len(flagged)} of" in html
    assert html.count('class="heat"') == len(flagged)
    record = inspected.json("report", "last", "-o", output)
    assert record == {"job": 1, "report": str(output), "bytes": output.stat().st_size, "state": "done"}
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("report")] == ["report.html"]


@needs_chromium
def test_a_pdf_is_printed_by_the_chromium_of_the_machine(inspected, tmp_path) -> None:
    inspected.run("report", "last", "-o", tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_without_a_chromium_a_pdf_is_one_line(inspected, tmp_path) -> None:
    inspected.environ["PATH"] = str(tmp_path)
    error = inspected.run("report", "last", "-o", tmp_path / "report.pdf", status=1)
    assert error.startswith("oddlot: a PDF needs a Chromium on this machine and there is none: install chromium")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "report.pdf").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("report", "99"), "there is no job 99"), (("report", "x"), "'x' is not a job"),
     (("report", "1", "-o", "a.docx"), "does not end in .html or .pdf"),
     (("report", "1", "-o", "/nowhere/a.html"), "cannot be written")],
)  # fmt: skip
def test_what_cannot_be_reported_is_one_line(inspected, arguments, said) -> None:
    error = inspected.run(*arguments, status=1)
    assert said in error
    assert len(error.splitlines()) == 1


def test_inspect_sends_its_report_before_it_ends(oddlot, drawn, tmp_path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    oddlot.environ |= {
        "ODDLOT_REPORT_FOLDER": str(folder), "ODDLOT_WEBHOOK_URL": f"http://ada:{SECRET}@127.0.0.1:9/{SECRET}",
        "ODDLOT_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    record = oddlot.json("inspect", "flange", drawn / "tonight")
    assert [one.name for one in folder.iterdir()] == ["tonight-job-1.html"]
    by_kind = {one["kind"]: one for one in record["deliveries"]}
    assert by_kind["folder"]["state"] == "sent"
    assert (by_kind["webhook"]["state"], by_kind["webhook"]["attempts"]) == ("waiting", 1)
    assert by_kind["webhook"]["target"] == "http://127.0.0.1:9"
    said = oddlot.run("job", "1")
    assert f"report to folder {folder}: sent at 20" in said
    assert "report to webhook http://127.0.0.1:9: waiting, 1 attempt, the next at 20" in said
    assert "Connection refused" in said
    doctor = oddlot.run("doctor", "--json")
    assert f"folder {folder}" in doctor
    assert "webhook http://127.0.0.1:9, signed" in doctor
    assert SECRET not in said + doctor + str(record)


def test_doctor_tells_which_target_cannot_be_reached(inspected, tmp_path) -> None:
    inspected.environ |= {
        "ODDLOT_REPORT_FOLDER": str(tmp_path / "missing"), "ODDLOT_REPORT_EMAIL": "ada@plant.example",
        "ODDLOT_SMTP_URL": f"smtp://ada:{SECRET}@127.0.0.1:9",
    }  # fmt: skip
    process = inspected.start("doctor", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "No such file or directory" in out
    assert "mail server smtp://127.0.0.1:9 for ada@plant.example" in out
    assert "Connection refused" in out
    assert SECRET not in out + err


BAD = {
    "ODDLOT_SMTP_URL": [
        f"smtp://x:{SECRET}@host:port",
        f"http://x:{SECRET}@host",
        SECRET,
        f"smtp://ada:12/{SECRET}@host",
        f"smtp://ada:12#{SECRET}@host",
    ],
    "ODDLOT_WEBHOOK_URL": [f"ftp://x:{SECRET}@host", f"http://{SECRET}@", f"http://host/\n{SECRET}"],
    "ODDLOT_PUBLIC_URL": ["javascript:alert(1)", "oddlot.example"],
    "ODDLOT_REPORT_EMAIL": ["ada", "ada@plant\nBcc: eve@plant", "a b@c"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_settings_that_cannot_be_used_are_one_line_without_a_secret(name, value, tmp_path) -> None:
    from oddlot.errors import SettingsError
    from oddlot.settings import load_settings

    variables = {"ODDLOT_HOME": str(tmp_path), "ODDLOT_SMTP_URL": "smtp://mail:25", name: value}
    with pytest.raises(SettingsError) as caught:
        load_settings(variables)
    assert SECRET not in str(caught.value)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_secret_is_not_in_the_settings_as_text(tmp_path) -> None:
    from oddlot.settings import load_settings

    settings = load_settings({
        "ODDLOT_HOME": str(tmp_path), "ODDLOT_SMTP_URL": f"smtps://ada:{SECRET}@mail",
        "ODDLOT_WEBHOOK_URL": f"https://host/{SECRET}", "ODDLOT_WEBHOOK_SECRET": SECRET,
    })  # fmt: skip
    assert SECRET not in repr(settings)
    assert os.fspath(settings.thumb_store) == str(tmp_path / "thumbnails")
