"""submit-job, job-status, results: over HTTP, of real nodes, one of which lies; through the death of the node that was asked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ctorrent.errors import Unavailable
from ctorrent.workloads import desk
from tests.real.herd import Tended, herd, is_connected, joined, until
from tests.workloads.tables import write

from .conftest import Site, opened

pytestmark = pytest.mark.real
TRAIN_S = 120.0  # a few epochs of a second each, on two cores that others load


def submitted(api: httpx.Client, dataset: str | Path, epochs: int = 2, **more: Any) -> str:
    found = api.post("/submit-job", json={"model": "softmax", "dataset": str(dataset), "epochs": epochs, **more})
    assert found.status_code == 200 and set(found.json()) == {"id"}, found.text
    return str(found.json()["id"])


def status_of(api: httpx.Client, run: str) -> dict[str, Any]:
    found = api.get("/job-status", params={"id": run})
    assert found.status_code == 200, found.text
    status: dict[str, Any] = found.json()
    assert status["id"] == run and 0 <= status["progress"] <= 100
    return status


def ended(api: httpx.Client, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status = status_of(api, run)
        return status if status["status"] in ("done", "failed") else None

    return until(look, f"training {run} ends", TRAIN_S) or {}


def refused(found: httpx.Response, status: int) -> str:
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    return f"{found.json()['detail']} {found.json().get('hint', '')}"


def show(site: Site, *words: str) -> str:
    """What the program prints of that node, in a wide terminal."""
    return subprocess.run([sys.executable, "-m", "ctorrent", *words, "--data-dir", site.data], env=os.environ | {"COLUMNS": "140"}, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def three() -> Iterator[Tended]:
    """The first of three nodes of three owners; the third lies about every second block."""
    with herd() as make:
        ann, ben, eve = make("ann", "--http", "127.0.0.1:0"), make("ben"), make("eve", "--testing-lie", "0.5", testing=True)
        joined(ann, ben, eve)
        ann.keep_port()
        until(lambda: is_connected(ben, ann) and is_connected(eve, ann), "they meet")
        yield ann


def test_a_training_outlives_the_node_that_was_asked_and_a_liar_changes_no_bit(three: Tended, site: Site, api: httpx.Client, tmp_path: Path) -> None:
    path = write(tmp_path, "digits")
    with opened(three).caller() as swarm:
        run = submitted(swarm, path, 3)
        until(lambda: status_of(swarm, run)["progress"] >= 25, "the first epoch ends", TRAIN_S)
        assert "This training is at" in refused(swarm.get("/results", params={"id": run}), 409)
    three.kill()
    three.start()
    with opened(three).caller() as swarm:
        assert status_of(swarm, run)["progress"] >= 25, "it goes on where it was"
        assert ended(swarm, run)["progress"] == 100
        result = swarm.get("/results", params={"id": run}).json()
    assert result["cross_validated"] and result["accuracy"] > 0.94
    assert hashlib.sha256(Path(result["model_file"]).read_bytes()).hexdigest() == result["hash"]
    assert sorted(each.name for each in Path(result["model_file"]).parent.iterdir()) == ["model.canon", "order.json", "said.txt", "state.json"]
    alone = submitted(api, path, 3, replicas=1)
    assert ended(api, alone)["status"] == "done"
    other = api.get("/results", params={"id": alone}).json()
    assert (other["hash"], other["accuracy"]) == (result["hash"], result["accuracy"])
    assert not other["cross_validated"], "one owner's word is nobody's proof"
    listed = {each: show(site, "jobs", *each) for each in ((), ("--all",), ("--json",))}
    assert ["1/3" in listed[()], "3/3" in listed[()]] == [False, True] and "ctorrent jobs --all" in listed[()]
    assert all(f"{epoch}/3" in listed[each] for each in (("--all",), ("--json",)) for epoch in (1, 2, 3))


def test_an_upload_is_found_by_its_name_and_its_hash(api: httpx.Client, tmp_path: Path) -> None:
    row = api.post("/api/v1/blobs", params={"name": "iris.csv"}, content=write(tmp_path, "iris").read_bytes()).json()
    for dataset in ("iris.csv", row["hash"]):
        run = submitted(api, dataset, 1, replicas=1)
        assert ended(api, run)["dataset"] == "iris.csv"
        assert api.get("/results", params={"id": run}).json()["classes"] == ["setosa", "versicolor", "virginica"]


def test_what_is_wrong_with_a_table_is_said_with_its_line(api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "gap.csv").write_text("a,b,kind\n1,2,x\n3,,y\n")
    run = submitted(api, tmp_path / "gap.csv", replicas=1)
    status = ended(api, run)
    assert status["status"] == "failed"
    assert status["error"] == "gap.csv:3: b: is empty."
    assert "gap.csv:3: b: is empty." in refused(api.get("/results", params={"id": run}), 409)


def test_who_trains_alone_is_told_what_it_waits_for_and_ends_it(api: httpx.Client, tmp_path: Path) -> None:
    run, other = (submitted(api, write(tmp_path, "iris"), 3) for _ in range(2))
    words = until(lambda: status_of(api, run)["words"] if "second owner" in status_of(api, run)["words"] else "", "it says what it waits for")
    assert "epoch 1 of 3: 0 of 2 blocks: waits for a second owner" in words
    def open_jobs() -> list[str]:
        return [row["job"] for row in api.get("/api/v1/jobs").json()["items"] if row["name"] == "softmax iris.csv 1/3" and row["state"] in ("waiting", "running")]

    until(lambda: len(open_jobs()) == 2, "both wait")
    assert {row["id"]: row["status"] for row in api.get("/api/v1/trainings").json()["items"][:2]} == {run: "running", other: "running"}
    assert api.post(f"/api/v1/trainings/{run}/cancel").json()["status"] == "cancelled"
    (job,) = until(lambda: left if len(left := open_jobs()) == 1 else [], "its job ends with it")
    assert status_of(api, run)["status"] == "cancelled"
    assert "was cancelled" in refused(api.get("/results", params={"id": run}), 409)
    assert "has ended: it is cancelled" in refused(api.post(f"/api/v1/trainings/{run}/cancel"), 400)
    assert "no training" in refused(api.post("/api/v1/trainings/0123456789ab/cancel"), 404)
    assert api.post(f"/api/v1/jobs/{job}/cancel", json={"reason": "no more of it"}).status_code < 300
    assert ended(api, other)["error"].startswith("Epoch 1 ended cancelled: ")


def test_a_process_that_dies_is_a_failure_that_is_told(api: httpx.Client, tmp_path: Path) -> None:
    run = submitted(api, write(tmp_path, "iris"), 900, replicas=1)
    until(lambda: status_of(api, run)["progress"] > 0, "it runs", TRAIN_S)
    (process,) = [one for one in psutil.process_iter(["cmdline"]) if run in " ".join(one.info["cmdline"] or ())]
    process.kill()
    assert ended(api, run)["error"] == "Its process ended by a fault: it said nothing."


def test_what_cannot_be_begun(api: httpx.Client, tmp_path: Path) -> None:
    good = {"model": "softmax", "dataset": str(write(tmp_path, "iris")), "epochs": 1}
    assert "There is softmax: a classifier" in refused(api.post("/submit-job", json={**good, "model": "gpt-5"}), 422)
    assert "is not shipped yet; this swarm of" in refused(api.post("/submit-job", json={**good, "model": "bert-base"}), 501)
    assert "sees no file" in refused(api.post("/submit-job", json={**good, "dataset": str(tmp_path / "none.csv")}), 404)
    assert "sees no file" in refused(api.post("/submit-job", json={**good, "dataset": str(tmp_path)}), 404)
    assert "Nothing was uploaded as 'none.csv'" in refused(api.post("/submit-job", json={**good, "dataset": "none.csv"}), 404)
    assert "no zero byte" in refused(api.post("/submit-job", json={**good, "dataset": "/a\0b"}), 422)
    assert "Nobody has the home folder" in refused(api.post("/submit-job", json={**good, "dataset": "~nobody-of-that-name/x.csv"}), 404)
    for wrong in ({"epochs": 0}, {"epochs": 1001}, {"epochs": "1"}, {"epochs": None}, {"dataset": ""}, {"model": 3}, {"replicas": 9}, {"more": 1}):
        refused(api.post("/submit-job", json={**good, **wrong}), 422)
    refused(api.post("/submit-job", json={"model": "softmax"}), 422)


@pytest.mark.parametrize("run", ["", "nonsense", "0123456789ab", "../../../etc", "a" * 50])
def test_who_asks_for_what_is_not_there(api: httpx.Client, run: str) -> None:
    for path in ("/job-status", "/results"):
        assert "There is no training" in refused(api.get(path, params={"id": run}), 404)
        refused(api.get(path), 422)


def test_without_the_token_nothing_is_said(site: Site) -> None:
    with site.client() as stranger:
        assert stranger.post("/submit-job", json={}).status_code == 401
        assert stranger.get("/job-status", params={"id": "x"}).status_code == 401
        assert stranger.get("/results", params={"id": "x"}).status_code == 401


def test_too_many_wait_their_turn_or_are_told_to_come_back(site: Site, api: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk of its own, with the node's folder: what the limits are about is the same."""
    monkeypatch.setattr(desk, "RUNNING_MAX", 1)
    monkeypatch.setattr(desk, "WAITING_MAX", 1)
    path = str(write(tmp_path, "iris"))
    (tmp_path / "data").mkdir()
    for name in ("control.sock", "control.path"):
        if (site.data / name).exists():
            (tmp_path / "data" / name).symlink_to(site.data / name)
    own = desk.Desk(tmp_path / "data")
    try:
        first, second = own.submit("softmax", path, 500, 1), own.submit("softmax", path, 1, 1)
        found = own.look(second)
        assert found is not None and found["status"] == "waiting" and own.look(first) is not None
        with pytest.raises(Unavailable, match="2 trainings are under way"):
            own.submit("softmax", path, 1, 1)
    finally:
        own.close()
    again = desk.Desk(tmp_path / "data")
    assert [(again.look(run) or {})["status"] for run in (first, second)] != ["done", "done"]
    again.close()
