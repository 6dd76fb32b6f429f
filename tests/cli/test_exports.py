"""What `flagged`, `results` and `export` write for other programs."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from cli.output import Format, write_rows

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'quoted'", 'a"b,c\nd', "\x1b[2J", "bytes-\udce9", "Größe µ"]


def test_a_spreadsheet_finds_no_formula_and_other_programs_find_the_text_as_it_is(tmp_path):
    rows = [{"item": n, "lot": text, "score": -0.5, "p_value": None} for n, text in enumerate(HOSTILE)]
    columns = ["item", "lot", "score", "p_value"]

    def written(kind: Format) -> str:
        write_rows(iter(rows), columns, kind, tmp_path / kind, table_columns=columns)
        return (tmp_path / kind).read_bytes().decode()

    cells = [row["lot"] for row in csv.DictReader(io.StringIO(written(Format.CSV), newline=""))]
    assert cells[:6] == [f"'{text}" for text in HOSTILE[:6]]
    assert cells[6:] == [*HOSTILE[6:9], "bytes-\\udce9", "Größe µ"]
    scores = [row["score"] for row in csv.DictReader(io.StringIO(written(Format.CSV), newline=""))]
    assert scores == ["-0.5"] * len(rows), "a number is no formula"
    assert json.loads(written(Format.JSON)) == rows
    lines = written(Format.JSONL).splitlines()
    assert [json.loads(line) for line in lines] == rows


@pytest.mark.parametrize("kind", [Format.CSV, Format.JSON, Format.JSONL])
def test_no_rows_are_a_valid_file_too(kind, tmp_path):
    assert write_rows(iter([]), ["item"], kind, tmp_path / "out", table_columns=["item"]) == 0
    text = (tmp_path / "out").read_text()
    assert text == {Format.CSV: "item\n", Format.JSON: "[]\n", Format.JSONL: ""}[kind]


def test_rows_are_written_as_they_come(tmp_path):
    """A million rows are never held: what was given is on its way before the next is asked for."""
    taken = []

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            taken.append("written")
            return super().write(text)

    def rows():
        for number in range(5):
            taken.append("asked")
            yield {"item": number}

    from cli import output

    output._write_json(rows(), ["item"], Watched(), lines=True)
    assert taken == ["asked", "written"] * 5 + ["written"]


def test_every_format_has_the_same_rows(inspected, tmp_path):
    rows = inspected.json("results", "--job", "last")
    assert len(rows) == 25
    lines = inspected.run("results", "--job", "last", "--format", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(inspected.run("results", "--job", "last", "--format", "csv"))))
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    inspected.run("results", "--job", "last", "--format", "parquet", "-o", tmp_path / "night.parquet")
    assert [row["path"] for row in pq.read_table(tmp_path / "night.parquet").to_pylist()] == [
        row["path"] for row in rows
    ]


def test_filters_of_night_and_verdict(inspected):
    everything = inspected.json("results")
    night = everything[0]["night"]
    assert inspected.json("results", "--night", night) == everything
    assert inspected.json("results", "--night", "2020-01-01") == []
    item = everything[0]["item"]
    inspected.run("verdict", item, "good")
    inspected.run("verdict", item, "defect", "--reviewer", "ann")
    assert [row["item"] for row in inspected.json("results", "--verdict", "defect")] == [item]
    assert inspected.json("results", "--verdict", "good") == []
    error = inspected.run("flagged", "--night", "yesterday", status=1)
    assert "--night does not understand 'yesterday'" in error


def test_the_flagged_of_a_job_are_exported_for_labelling(inspected, tmp_path):
    flagged = inspected.json("flagged", "--job", "last")
    found = inspected.json("export", "last", "--copy", "-o", tmp_path / "out")
    assert (found["images"], found["left_out"]) == (len(flagged), [])
    coco = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert [image["id"] for image in coco["images"]] == [row["item"] for row in flagged]
    assert {image["file_name"] for image in coco["images"]} == {
        path.name for path in (tmp_path / "out" / "data").iterdir()
    }
    error = inspected.run("export", "last", "-o", tmp_path / "out", status=1)
    assert "exists" in error
    few = inspected.json("export", "last", "-o", tmp_path / "few", "--limit", "1", "--format", "coco")
    assert few["images"] == min(1, len(flagged))
