"""The pages of models and of quality, over a home that the commands have filled."""

import html
import os
import re
import shutil

import httpx
import pytest
from page_server import serving
from polling import eventually

from oddlot.settings import load_settings


@pytest.fixture
def client(inspected):
    settings = load_settings({"ODDLOT_HOME": str(inspected.home)})
    with serving(settings) as address, httpx.Client(base_url=address, timeout=60.0) as opened:
        opened.get("/models")  # for the cookie of the session
        yield opened


def read(client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def press(client, address: str, page: str, **values: str):
    """Send the form of a page as a browser would."""
    token = re.search(r'name="csrf-token" content="([^"]+)"', client.get(page).text)
    assert token is not None
    return client.post(
        address, data={"token": token[1], **values}, headers={"Origin": str(client.base_url).rstrip("/")}
    )


@pytest.fixture
def judged(inspected):
    """Numbers of the night's items, the oddest first; two were called defects, two good."""
    found = sorted(inspected.json("results", "--state", "scored"), key=lambda row: -row["score"])
    for row in found[:2]:
        inspected.run("verdict", row["item"], "defect", "--reviewer", "Ada")
    for row in found[2:4]:
        inspected.run("verdict", row["item"], "good", "--reviewer", "Ada")
    return found


def test_quality_says_what_the_command_says(client, inspected, judged):
    said = inspected.run("quality").splitlines()
    sentence = next(line for line in said if "scored items flagged" in line)
    assert sentence in read(client, "/quality")
    assert "Nothing was scored" in read(client, "/quality?model=other")
    assert "A day is written as" in read(client, "/quality?since=soon")


def test_a_threshold_is_tried_applied_and_taken_back(client, inspected, judged):
    tried = read(client, "/models/flange?rate=50+%25")
    found = inspected.json("threshold", "flange", "--what-if", "0.5")
    assert f"Of 24 scored items it would have flagged {found['would_flag']} instead of {found['flagged']}" in tried
    assert [row["version"] for row in inspected.json("models")] == [1]
    assert "needs 999 good pictures" in read(client, "/models/flange?rate=0.001")
    assert "is written as 0.5 % or 0.005" in read(client, "/models/flange?rate=<b>lots</b>")
    page = "/models/flange?rate=0.5"
    assert press(client, "/models/flange/threshold", page, rate="50 %").status_code == 303
    assert [(row["version"], row["state"]) for row in inspected.json("models")] == [(1, "retired"), (2, "active")]
    assert press(client, "/models/flange/rollback", page).status_code == 303
    assert [(row["version"], row["state"]) for row in inspected.json("models")] == [(1, "active"), (2, "retired")]


def test_nothing_is_changed_by_a_form_of_another_site(client, inspected):
    answer = client.post("/models/flange/threshold", data={"rate": "0.5"}, headers={"Origin": "http://elsewhere"})
    assert answer.status_code == 403
    assert [row["version"] for row in inspected.json("models")] == [1]


def test_a_version_that_loses_confirmed_defects_needs_a_yes(client, inspected, judged):
    inspected.run("threshold", "flange", "--what-if", "0.9", "--apply")
    low = inspected.json("models")[1]["threshold"]
    weak = min((row for row in judged if row["raw_score"] > low), key=lambda row: row["raw_score"])
    inspected.run("verdict", weak["item"], "defect", "--reviewer", "Ada")
    page = "/models/flange?candidate=1"
    shown = read(client, page)
    assert "Version 1 beside version 2" in shown
    assert f"item {weak['item']}" in shown
    assert press(client, "/models/flange/1/promote", page).status_code == 409
    assert inspected.json("models")[1]["state"] == "active"
    assert press(client, "/models/flange/1/promote", page, accept="yes").status_code == 303
    assert inspected.json("models")[0]["state"] == "active"


def test_another_network_is_compared_in_a_process_of_its_own_and_learning_is_queued(client, inspected, judged):
    assert "No false alarm of this model was called good" in read(client, "/models/flange")
    inspected.run("threshold", "flange", "--what-if", "0.9", "--apply")
    inspected.run("inspect", "flange", os.path.dirname(judged[0]["path"]))
    alarm = inspected.json("flagged", "--job", "last")[0]
    inspected.run("verdict", alarm["item"], "good", "--reviewer", "Bob")
    assert "1 false alarm was called good" in read(client, "/models/flange")
    assert press(client, "/models/flange/learn", "/models/flange").status_code == 303
    assert "waits or runs already" in html.unescape(press(client, "/models/flange/learn", "/models/flange").text)
    assert "is queued" in read(client, "/models/flange")
    inspected.run("fit", "flange", "--from-verdicts", "--candidate", "--epochs", "1", "--seed", "1")
    version = max(row["version"] for row in inspected.json("models"))
    page = f"/models/flange?candidate={version}"
    assert press(client, f"/models/flange/{version}/promote", page).status_code == 409, "not compared yet"
    assert press(client, f"/models/flange/{version}/compare", page).status_code == 303
    eventually(lambda: "page looks again by itself" not in read(client, page), "the comparison did not end", 120)
    assert "It is another network, so" in read(client, page)
    answer = press(client, f"/models/flange/{version}/promote", page, accept="yes")
    assert answer.status_code == 303
    assert [row["state"] for row in inspected.json("models")][version - 1] == "active"


def test_a_comparison_that_fails_says_why(client, inspected, judged):
    inspected.run("threshold", "flange", "--what-if", "0.5", "--apply")
    inspected.run("models", "rollback", "flange")
    shutil.rmtree(max((inspected.home / "models" / "flange").iterdir(), key=lambda folder: folder.name))
    page = "/models/flange?candidate=2"
    assert press(client, "/models/flange/2/compare", page).status_code == 303
    eventually(lambda: "page looks again by itself" not in read(client, page), "the comparison did not end", 120)
    assert "the comparison failed" in read(client, page)
    assert press(client, "/models/flange/2/promote", page, accept="yes").status_code == 409
