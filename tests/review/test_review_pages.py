"""The pages as they come, without a script: what stands on them, and what does not."""

import html
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from morning import HOSTILE
from page_server import form, serving
from polling import eventually
from sqlalchemy import update

from db.engine import open_database, writing
from db.jobs import get_job
from db.schema import item as item_table
from db.schema import job as job_table
from db.verdicts import add_verdict, verdicts_of
from oddlot.settings import Settings
from oddlot.words import Verdict
from review import report_out


def test_the_first_page_tells_of_each_line(client, home) -> None:
    text = client.get("/").text
    for words in ("press-3", "press-4", "0 unaccounted", "of 13 reviewed", "much darker", "Wednesday, 20 May 2026"):
        assert words in text
    assert text.index("is held") < text.index(">press-3<"), "what is held comes first"


def test_an_empty_home_says_what_to_do(home, morning_engine, client) -> None:
    from db.schema import metadata

    with writing(morning_engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    assert "Nothing was inspected yet" in client.get("/").text
    assert "Nothing was flagged here" in client.get("/flagged").text
    assert "Nothing to review" in client.get("/queue").text


def test_names_and_notes_of_others_are_text(client, home, morning_engine) -> None:
    hostile = home.night.items[HOSTILE]
    note = "<script>alert(1)</script>\x1b[31m"
    add_verdict(morning_engine, hostile, Verdict.DEFECT, kind="<b>", note=note, reviewer='"><i>')
    for address in ("/", "/flagged", "/queue", f"/items/{hostile}", f"/jobs/{home.jobs['held'].job_id}"):
        text = client.get(address).text
        for markup in ("<img src=x", "<script>", "<b>", "<i>", "\x1b"):
            assert markup not in text, (address, markup)
    assert html.escape(HOSTILE, quote=False) in client.get(f"/items/{hostile}").text.replace("&#34;", '"')


def test_a_page_of_a_name_that_is_no_text(client, home) -> None:
    item = next(number for name, number in home.night.items.items() if name.startswith("not-text"))
    assert "not-text-" in client.get(f"/items/{item}").text
    assert client.get(f"/items/{item}/thumb.webp").headers["content-type"] == "image/webp"


def test_a_job_shows_its_completeness_and_what_could_not_be_read(client, home) -> None:
    text = client.get(f"/jobs/{home.night.job_id}").text
    for words in ("broken.png", "not a picture of a known format", "unaccounted", "Scores of this job"):
        assert words in text


def test_the_gallery_keeps_its_filters_in_the_address_and_goes_on(client, home, monkeypatch) -> None:
    from review import flagged_pages

    monkeypatch.setattr(flagged_pages, "PAGE", 4)
    seen, address = [], "/flagged?line=press-3&min_score=0.6"
    while address:
        text = client.get(address).text
        seen += [int(number) for number in re.findall(r'<a href="/items/(\d+)">', text)]
        assert 'value="0.6"' in text
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = html.unescape(following[1]) if following else ""
    assert len(seen) == len(set(seen)) == 10
    assert seen[0] == home.night.items["flange-0000.png"]


@pytest.mark.parametrize(
    "query", ["min_score=many", "min_score=nan", "since=yesterday", "night=2026-13-45", "job=x", "job=-1",
              "verdict=perhaps", "after=%00", "after=W10", "job=99999999999999999999", "line=%00%ff", "at=W251bGwsMV0"],
)  # fmt: skip
def test_nonsense_in_the_address_bar_is_a_page_all_the_same(client, query) -> None:
    for page in ("/flagged", "/queue"):
        assert client.get(f"{page}?{query}").status_code == 200


@pytest.mark.parametrize("address", ["/jobs/999999", "/items/999999", "/items/x", "/jobs/99999999999999999999", "/no"])
def test_what_is_not_there_is_said_in_one_line(client, address) -> None:
    answer = client.get(address)
    assert answer.status_code in (404, 422, 500)
    assert "That did not work" in answer.text
    assert "Traceback" not in answer.text


def test_before_its_verdict_nothing_tells_an_audit_item_from_a_flagged_one(client, home) -> None:
    items = client.get("/queue/next").json()["items"] + client.get("/queue/next?at=").json()["items"]
    audited = {home.night.items[f"flange-00{n}.png"] for n in (12, 20, 25)}
    assert audited & {one["id"] for one in items}
    kinds = {tuple((name, type(value).__name__) for name, value in one.items()) for one in items}
    assert len(kinds) == 1, "all have the same fields, filled in the same way"
    assert not {"score", "p_value", "flagged"} & set(items[0])
    address, shown = "/queue", set()
    while address:
        text = client.get(address).text
        assert not re.search(r"0\.\d{3}|p-value|audit sample", text)
        shown.add(int(re.search(r'action="/items/(\d+)/verdict"', text)[1]))
        following = re.search(r'id="next" href="([^"]+)"', text)
        address = html.unescape(following[1]) if following else ""
    assert audited < shown
    assert len(shown) == 13


def test_heat_maps_of_the_queue_are_as_hot_as_each_other(client, home) -> None:
    import io

    import numpy as np
    from PIL import Image

    def hottest(name: str, query: str) -> tuple[int, ...]:
        data = client.get(f"/items/{home.night.items[name]}/heat.webp{query}").content
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).reshape(-1, 4)
        return tuple(int(value) for value in pixels[pixels[:, 3].argmax()])

    flagged, audited = "flange-0000.png", "flange-0012.png"
    assert np.allclose(hottest(flagged, "?relative=1"), hottest(audited, "?relative=1"), atol=12)
    assert hottest(flagged, "")[3] > hottest(audited, "")[3] + 50


def test_the_queue_works_by_forms_alone(client, home, morning_engine) -> None:
    first = home.night.items["flange-0000.png"]
    text = client.get("/queue").text
    assert f'action="/items/{first}/verdict"' in text
    data = {"word": "defect", "kind": "scratch", "note": "left edge", "next": "/queue"} | form(client)
    answer = client.post(f"/items/{first}/verdict", data=data)
    text = client.get(answer.headers["location"]).text
    assert "flagged, score 0.980" in text
    assert f'action="/items/{first}/verdict"' not in text
    assert ">1</strong> of" in text
    said = verdicts_of(morning_engine, first)
    assert [(row.verdict, row.kind, row.note) for row in said] == [(Verdict.DEFECT, "scratch", "left edge")]
    assert said[0].reviewer
    undo = re.search(r'action="(/items/\d+/verdicts/\d+/undo)"', text)[1]
    client.post(undo, data={"next": "/queue"} | form(client))
    assert verdicts_of(morning_engine, first) == []
    assert f'action="/items/{first}/verdict"' in client.get("/queue").text


def test_an_audit_item_is_told_afterwards(client, home) -> None:
    item = home.night.items["flange-0012.png"]
    data = {"word": "good"} | form(client)
    answer = client.post(f"/items/{item}/verdict", data=data, headers={"Accept": "application/json"}).json()
    assert answer["was"].startswith("audit sample: was not flagged, score 0.170")


def test_a_verdict_bears_the_name_that_was_given(client, home, morning_engine) -> None:
    item = home.night.items["flange-0001.png"]
    client.post("/name", data={"name": " Zoë\n<i> ", "next": "/"} | form(client))
    client.post(f"/items/{item}/verdict", data={"word": "unsure", "kind": "only of defects"} | form(client))
    said = verdicts_of(morning_engine, item)[0]
    assert (said.reviewer, said.verdict, said.kind) == ("Zoë <i>", Verdict.UNSURE, None)


def test_without_a_name_nothing_is_said(locked, home, morning_engine) -> None:
    locked.post("/login", data={"password": "open sesame"} | form(locked, "/login"))
    assert locked.get("/queue").headers["location"].startswith("/name?next=")
    item = home.night.items["flange-0001.png"]
    answer = locked.post(f"/items/{item}/verdict", data={"word": "good"} | form(locked, "/name"))
    assert answer.headers["location"].startswith("/name")
    assert verdicts_of(morning_engine, item) == []


def test_pictures_come_as_pixels_and_by_number_only(client, home) -> None:
    item = home.night.items["flange-0000.png"]
    for name in ("thumb", "picture", "large", "heat", "nearest"):
        answer = client.get(f"/items/{item}/{name}.webp")
        assert answer.headers["content-type"] == "image/webp", name
        assert answer.content[:4] == b"RIFF"
        assert answer.status_code == 200
    for address in (
        "/items/..%2f..%2fetc%2fpasswd/thumb.webp", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py",
        f"/items/{item}/../../etc/passwd", "/items//etc/passwd/picture.webp", f"/items/{item}/picture.webp/x",
    ):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code in (404, 405, 422), address
        assert "root:" not in answer.text
        assert "FastAPI" not in answer.text


@pytest.fixture
def moved(home, morning_engine, tmp_path) -> Path:
    """The night's folder as a copy that the test may change."""
    folder = Path(shutil.copytree(get_job(morning_engine, home.night.job_id).source, tmp_path / "lot 42"))
    with writing(morning_engine) as connection:
        connection.execute(update(job_table).where(job_table.c.id == home.night.job_id).values(source=str(folder)))
        for name, number in home.night.items.items():
            connection.execute(update(item_table).where(item_table.c.id == number).values(path=str(folder / name)))
    return folder


def test_a_picture_that_is_gone_or_another_now_is_said_in_its_place(client, home, moved) -> None:
    gone, changed, linked = ("flange-0000.png", "flange-0001.png", "flange-0002.png")
    (moved / gone).unlink()
    shutil.copy(moved / "flange-0010.png", moved / changed)
    (moved / linked).unlink()
    (moved / linked).symlink_to("/etc/passwd")
    for name, words in ((gone, "not there"), (changed, "SHA-256"), (linked, "link")):
        answer = client.get(f"/items/{home.night.items[name]}/picture.webp")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("image/svg+xml")
        told = " ".join(re.findall(r">([^<]+)</text>", answer.text))
        assert words in told, told
    assert "not there any more" in client.get(f"/items/{home.night.items[gone]}").text


def test_the_small_copy_outlives_the_picture(client, home, moved) -> None:
    item = home.night.items["flange-0003.png"]
    small = client.get(f"/items/{item}/thumb.webp").content
    (moved / "flange-0003.png").unlink()
    assert client.get(f"/items/{item}/thumb.webp").content == small
    assert client.get(f"/items/{item}/picture.webp").content == small


def test_a_file_without_a_result_has_a_page_too(client, home) -> None:
    item = home.night.items["broken.png"]
    text = client.get(f"/items/{item}").text
    assert "not a picture of a known format" in text
    assert client.get(f"/items/{item}/picture.webp").status_code == 404


@pytest.mark.parametrize(("word", "state"), [("release", "done"), ("discard", "discarded")])
def test_a_held_job_is_decided_by_a_button(client, home, morning_engine, word, state) -> None:
    held = home.jobs["held"].job_id
    assert f"/jobs/{held}/{word}" in client.get("/").text
    client.post(f"/jobs/{held}/{word}", data={"note": "lamp replaced"} | form(client))
    job = get_job(morning_engine, held)
    assert job.state == state
    assert job.validity["decided"]["note"] == "lamp replaced"
    assert client.post(f"/jobs/{held}/{word}", data=form(client)).status_code == 409


def test_the_report_of_a_job_is_a_file_to_keep(client, home) -> None:
    answer = client.get(f"/jobs/{home.night.job_id}/report.html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "lot 42" in answer.text
    assert client.get("/jobs/999999/report.html").status_code == 404


def test_reports_are_made_two_at_a_time_and_nobody_waits_for_them(client, home, monkeypatch) -> None:
    """Each takes a process: without a limit, a report that is asked for again and again takes the machine."""
    begun, go_on, address = threading.Semaphore(0), threading.Event(), f"/jobs/{home.night.job_id}/report.html"

    def made(settings: Settings, job_id: int) -> bytes:
        begun.release()
        assert go_on.wait(60)
        return b"report"

    monkeypatch.setattr(report_out, "_made", made)
    most = report_out.AT_ONCE + report_out.WAITING
    with ThreadPoolExecutor(most) as pool:
        asked = [pool.submit(httpx.get, f"{client.base_url}{address}", timeout=60) for _ in range(most)]
        try:
            assert all(begun.acquire(timeout=60) for _ in range(report_out.AT_ONCE))
            waiting = report_out._MAKING.statistics
            eventually(lambda: waiting().tasks_waiting == report_out.WAITING, "they do not wait")
            refused = client.get(address, timeout=60)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
            assert client.get("/").status_code == 200
            assert not begun.acquire(blocking=False), "one more is made"
        finally:
            go_on.set()
        assert {one.result().content for one in asked} == {b"report"}


def test_a_job_that_found_no_pictures_is_not_shown_as_all_well(client, home, morning_engine) -> None:
    pages = ("/", f"/jobs/{home.night.job_id}")
    assert not any("no pictures found" in client.get(page).text.lower() for page in pages)
    nothing = dict.fromkeys(("found", "listed", "scored", "flagged", "unreadable", "quarantined", "cancelled"), 0)
    for only_new in (False, True):  # nothing new is no mistake
        with writing(morning_engine) as connection:
            of_night = update(job_table).where(job_table.c.id == home.night.job_id)
            connection.execute(of_night.values(only_new=only_new, **nothing))
        assert all(("no pictures found" in client.get(page).text.lower()) != only_new for page in pages)


@pytest.mark.parametrize("address", ["/items/{n}", "/jobs/{n}", "/items/{n}/thumb.webp", "/jobs/{n}/report.html"])
@pytest.mark.parametrize("number", ["0", str(2**63), "9" * 20])
def test_a_number_that_nothing_has_is_no_fault_of_the_database(client, address, number) -> None:
    answer = client.get(address.format(n=number))
    assert answer.status_code == 422
    assert "database" not in answer.text


def test_a_name_that_postgresql_does_not_look_up_is_no_fault_of_it(home, postgres_url) -> None:
    """SQLite takes a NUL, and finds nothing."""
    open_database(postgres_url).dispose()
    with serving(replace(home.settings, database_url=postgres_url)) as address:
        for path in ("/models/%00", "/quality?model=%00"):
            answer = httpx.get(address + path, timeout=60)
            assert (answer.status_code, "does not answer" in answer.text) == (422, False), path


def test_the_json_interface_is_behind_the_same_guard(client, locked, home) -> None:
    assert client.get(f"/api/v1/jobs/{home.night.job_id}").status_code == 200
    assert client.get("/api/v1/jobs", headers={"Host": "evil.example"}).status_code == 421
    assert locked.get("/api/v1/jobs").status_code == 401
    assert locked.get("/api/v1/jobs", headers={"Authorization": "Bearer open sesame"}).status_code == 200
