"""The HTTP interface answers what stands in the database, as its OpenAPI document says, and refuses in one line."""

import base64
import itertools
import json
import random
import socket
import threading

import httpx
import polling
import pytest
import uvicorn
from fastapi import FastAPI
from openapi_rules import all_references, mistakes, resolve

from db import batches, jobs, listing, models, pruning, verdicts
from db.batches import Outcome
from db.results import ResultFilter, iter_results
from oddlot.words import ItemState, Verdict
from review.interface import document, router

ODD_NAME = "/data/lot/a\udce9<b>\x1b[2J.png"
SCORES = [0.2, 0.7, 0.7, 0.99, 0.5, 0.7, 0.51]


@pytest.fixture
def client(engine):
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.engine = engine
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        polling.eventually(lambda: server.started, "the server does not start")
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60.0) as client:
            yield client
        server.should_exit = True
        serving.join()


@pytest.fixture
def ask(client):
    """The answer to a question that is to be answered, checked against the document of the interface."""
    described = document()

    def ask_for(path: str, template: str | None = None, **query):
        answer = client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        operation = described["paths"][f"/api/v1{template or path}"]["get"]
        assert set(query) <= {parameter["name"] for parameter in operation["parameters"]}
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert list(mistakes(answer.json(), schema, described)) == []
        return answer.json()

    return ask_for


@pytest.fixture
def job_ids(engine) -> list[int]:
    """Three jobs of two models on two lines: some of their items are flagged, some have verdicts, one is unreadable."""
    made = []
    for number, (name, line) in enumerate([("flange", "press 3"), ("flange", None), ("gear", "press 3")]):
        model = models.register_model(
            engine, name=name, bundle_uri=f"{name}/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.5,
            false_alarms=0.1, card={"note": "Größe µ"},
        )  # fmt: skip
        job_id, _ = jobs.create_job(
            engine, model_id=model.id, source="/data/lot\udce9", line=line, lot=f"lot {number}", priority=5,
            recursive=True, glob=None, only_new=False, key=None,
        )  # fmt: skip
        paths = [ODD_NAME, *(f"/data/lot/{i}.png" for i in range(len(SCORES)))]
        listing.add_items(engine, job_id, [(path, 1, 1) for path in paths], 1, 100)
        listing.close_listing(engine, job_id, found=8, seen_before=0, left_out={"hidden": 2}, deferred=[])
        claim = batches.claim_batch(engine, job_id, 1, "me", 60.0)
        outcomes = [
            Outcome(
                item.id, ItemState.SCORED, sha256="a" * 64, raw_score=2 * score, score=score, p_value=0.25,
                flagged=score > 0.5, parts={"latent": 0.5}, map_uri="1/1.png" if score > 0.5 else None,
            )
            for item, score in zip(claim.items, SCORES, strict=False)
        ]  # fmt: skip
        outcomes.append(Outcome(claim.items[-1].id, ItemState.UNREADABLE, error="the file is empty"))
        batches.finish_batch(engine, claim, outcomes, host="press-pc", code_version="0.1", scored_on="OpenVINO 1")
        for word in (Verdict.UNSURE, Verdict.DEFECT):
            verdicts.add_verdict(engine, claim.items[3].id, word, kind="scratch", note="\x1b]0;x", reviewer="ann")
        made.append(job_id)
    return made


def pages(ask, path: str, name: str, template: str | None = None, **query):
    rows, after = [], {}
    for _ in range(100):
        page = ask(path, template, **query, **after)
        assert len(page[name]) <= query["limit"]
        rows += page[name]
        if page["next"] is None:
            return rows
        after = {"after": page["next"]}
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_have_every_item_once_in_the_order_of_the_database(ask, engine, job_ids, limit):
    flagged = [row["item"] for row in iter_results(engine, ResultFilter(flagged_only=True))]
    assert len(flagged) == 3 * 5
    assert [row["item"] for row in pages(ask, "/flagged", "items", limit=limit)] == flagged
    everything = [row["item"] for row in iter_results(engine, ResultFilter())]
    assert [row["item"] for row in pages(ask, "/results", "items", limit=limit)] == everything
    of_job = "/jobs/{job_id}/results"
    rows = pages(ask, f"/jobs/{job_ids[1]}/results", "items", of_job, limit=limit)
    assert [row["item"] for row in rows] == [one for one in everything if one in {row["item"] for row in rows}]
    assert len(rows) == 8
    rows = pages(ask, f"/jobs/{job_ids[1]}/results", "items", of_job, limit=limit, flagged=True)
    assert [row["score"] for row in rows] == [0.99, 0.7, 0.7, 0.7, 0.51]
    assert [row["job"] for row in pages(ask, "/jobs", "jobs", limit=limit)] == job_ids[::-1]
    named = [(row["name"], row["version"], row["state"]) for row in pages(ask, "/models", "models", limit=limit)]
    assert named == [("flange", 1, "retired"), ("flange", 2, "active"), ("gear", 1, "active")]
    nights = pages(ask, "/nights", "nights", limit=limit)
    assert [(row["line"], row["model"], row["model_version"]) for row in nights] == [
        ("press 3", "flange", 1), ("press 3", "gear", 1), (None, "flange", 2)
    ]  # fmt: skip
    assert {(row["scored"], row["flagged"], row["reviewed"], row["confirmed_defects"]) for row in nights} == {
        (7, 5, 1, 1)
    }


def test_filters_are_those_of_the_database(ask, engine, job_ids):
    rng, night = random.Random(7), jobs.get_job(engine, job_ids[0]).night
    choices = {
        "model": ["flange", "gear", "none"], "line": ["press 3"], "lot": ["lot 1", "lot 2"], "min_score": [0.6, 0.7],
        "verdict": ["defect", "good"], "unreviewed": [True], "believed": [True], "night": [night.isoformat()],
        "since": ["2020-01-01", "2020-01-01T00:00:00+09:00"], "until": ["2020-01-01T00:00:00Z", "2099-01-01"],
    }  # fmt: skip
    found = 0
    for _ in range(40):
        query = {name: rng.choice(choices[name]) for name in rng.sample(sorted(choices), rng.randint(1, 3))}
        rows = ask("/flagged", **query)["items"]
        expected = [
            row["item"]
            for row in iter_results(engine, ResultFilter(flagged_only=True))
            if all(_holds(row, name, value) for name, value in query.items())
        ]
        assert [row["item"] for row in rows] == expected, query
        found += bool(expected)
    assert found > 5
    assert [row["error"] for row in ask("/results", state="unreadable")["items"]] == ["the file is empty"] * 3
    assert [row["job"] for row in ask("/jobs", model="gear", line="press 3")["jobs"]] == [job_ids[2]]
    assert ask("/jobs", state="held")["jobs"] == []
    assert len(ask("/nights", since=night.isoformat(), until=night.isoformat())["nights"]) == 3
    assert ask("/nights", until="2020-01-01")["nights"] == []


def _holds(row, name, value) -> bool:
    match name:
        case "min_score":
            return row["score"] >= value
        case "unreviewed":
            return row["verdict"] is None
        case "since":
            return True
        case "until":
            return value.startswith("2099")
        case "believed":
            return row["job_state"] not in ("held", "discarded")
        case _:
            return str(row[name]) == value


def test_one_item_and_one_job_with_names_that_are_no_text(ask, engine, job_ids):
    rows = ask("/flagged", job=job_ids[0])["items"]
    judged = ask(f"/items/{rows[0]['item']}", "/items/{item_id}")
    assert [row["verdict"] for row in judged["verdicts"]] == ["defect", "unsure"]
    assert (judged["verdicts"][0]["kind"], judged["verdicts"][0]["note"]) == ("scratch", "\x1b]0;x")
    assert (judged["score"], judged["has_map"], judged["parts"], judged["host"], judged["scored_on"]) == (
        0.99, True, {"latent": 0.5}, "press-pc", "OpenVINO 1"
    )  # fmt: skip
    (odd,) = [row for row in ask("/results", job=job_ids[0])["items"] if "<b>" in row["path"]]
    assert odd["path"] == "/data/lot/a\\udce9<b>\x1b[2J.png"
    assert ask(f"/items/{odd['item']}", "/items/{item_id}")["path"] == odd["path"]
    job = ask(f"/jobs/{job_ids[0]}", "/jobs/{job_id}")
    assert job["source"] == "/data/lot\\udce9"
    assert (job["listed"], job["scored"], job["unreadable"], job["unaccounted"]) == (8, 7, 1, 0)
    assert ask("/models/gear/1", "/models/{name}/{version}")["card"] == {"note": "Größe µ"}


def test_a_pruned_job_says_so(ask, engine, job_ids):
    rule = pruning.older_than(engine, -1.0, keep_verdicts=False)
    assert pruning.begin(engine, job_ids[0], rule)
    assert sum(results for results, _ in pruning.remove_rows(engine, job_ids[0], keep_verdicts=False)) == 7
    job = ask(f"/jobs/{job_ids[0]}", "/jobs/{job_id}")
    assert (job["flagged"], job["pruned_at"] is None) == (5, False)
    row = ask("/results", job=job_ids[0], state="scored")["items"][0]
    assert (row["score"], row["flagged"], row["pruned_at"]) == (None, None, job["pruned_at"])
    assert ask(f"/items/{row['item']}", "/items/{item_id}")["raw_score"] is None


def _cursor(*place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


REFUSED = [
    ("/jobs/77", 404, "no job 77"),
    ("/jobs/77/results", 404, "no job 77"),
    ("/items/77", 404, "no item 77"),
    ("/models/none/1", 404, "none"),
    ("/jobs/0", 422, "job_id"),
    ("/jobs/last", 422, "job_id"),
    (f"/items/{2**63}", 422, "item_id"),
    ("/flagged?limit=1001", 422, "limit"),
    ("/flagged?limit=0", 422, "limit"),
    ("/flagged?min_score=nan", 422, "min_score"),
    ("/flagged?verdict=maybe", 422, "verdict"),
    ("/flagged?since=yesterday", 422, "since"),
    ("/flagged?lnie=press", 422, "lnie: there is no such filter"),
    ("/flagged?line=%00", 422, "line"),
    ("/flagged?after=x", 422, "after"),
    ("/flagged?after=%ff", 422, "after"),
    ("/flagged?after=é", 422, "after"),
    (f"/flagged?after={_cursor(0.5)}", 422, "after"),
    (f"/flagged?after={_cursor(0.5, 'x')}", 422, "after"),
    (f"/flagged?after={_cursor(True, 1)}", 422, "after"),
    (f"/flagged?after={_cursor(float('nan'), 1)}", 422, "after"),
    (f"/results?after={_cursor(2**70)}", 422, "after"),
    (f"/nights?after={_cursor('soon', None, 'a', 1)}", 422, "after"),
    (f"/models?after={_cursor('a')}", 422, "after"),
    ("/flagged?line=%ff%fe", 200, ""),
    ("/flagged?line=' OR 1=1 --", 200, ""),
]
"""Question, status, and a word of the answer; 200 for what is odd and can be answered."""


def test_what_cannot_be_answered_is_refused_in_one_line(client, job_ids):
    described = document()
    for path, status, words in REFUSED:
        answer = client.get(f"/api/v1{path}")
        assert answer.status_code == status, (path, answer.text)
        if status != 200:
            assert list(answer.json()) == ["error"]
            assert words in answer.json()["error"], path
            assert "\n" not in answer.json()["error"]
            assert list(mistakes(answer.json(), described["components"]["schemas"]["Problem"], described)) == []


def test_a_database_that_is_gone_is_said_in_one_line(client, engine, job_ids):
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP VIEW nightly_summary")
        connection.commit()
    answer = client.get("/api/v1/nights")
    assert (answer.status_code, list(answer.json())) == (503, ["error"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(client, job_ids, method):
    for path in ("/jobs", f"/jobs/{job_ids[0]}", "/flagged", "/items/1", "/models", "/nights"):
        assert client.request(method, f"/api/v1{path}").status_code == 405


def test_the_document_is_complete(client):
    served = client.get("/api/v1/openapi.json").json()
    assert served == document()
    assert served["openapi"].startswith("3.1")
    assert set(served["info"]) >= {"title", "version"}
    for reference in all_references(served):
        resolve(reference, served)
    operations = list(itertools.chain(*(path.items() for path in served["paths"].values())))
    assert {method for method, _ in operations} == {"get"}
    names = [operation["operationId"] for _, operation in operations]
    assert len(set(names)) == len(names) == 9
    for path, (_, operation) in zip(served["paths"], operations, strict=True):
        assert operation["description"]
        assert set(operation["responses"]) == {"200", "401", "403", "404", "422", "429", "503"}
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert all(one["required"] for one in operation["parameters"] if one["in"] == "path")
