"""What the door offers, by HTTP, of a real node."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctorrent.model.ids import NodeId
from ctorrent.model.series import newest_of_series
from ctorrent.node.ledgerfile import MAGIC
from ctorrent.testing.fake_keys import keys
from ctorrent.wire import codec
from tests.node.test_reading import log_of
from tests.real.herd import until

from .conftest import LIMIT_S, Site
from .jobs import ALONE, JOB, PROGRAM, ended, events, packed, submitted

pytestmark = pytest.mark.real

LISTS = ("jobs", "peers", "friends", "offers", "reputation", "credit", "environments", "ledger", "blobs")
MAPS = ("status", "machine", "pool", "hardware", "ledger/verify")


@pytest.mark.parametrize("path", LISTS)
def test_lists_come_with_what_follows(api: httpx.Client, path: str) -> None:
    found = api.get(f"/api/v1/{path}")
    assert found.status_code == 200 and set(found.json()) == {"items", "next", *(["total"] if path == "jobs" else [])}


@pytest.mark.parametrize("path", MAPS)
def test_maps_of_the_node(api: httpx.Client, path: str) -> None:
    found = api.get(f"/api/v1/{path}")
    assert found.status_code == 200 and isinstance(found.json(), dict)
    assert found.headers["cache-control"] == "no-store"


def test_a_job_from_its_text_to_its_results(api: httpx.Client, site: Site) -> None:
    name = submitted(api)
    status = ended(api, name)
    assert status["state"] == "settled" and status["report"]
    found = api.get(f"/api/v1/jobs/{name}/results").json()
    assert [(row["params"], row["value"]) for row in found["items"]] == [({"x": x}, {"y": x * x}) for x in (1, 2, 3)]
    assert found["next"] is None and all(row["seed"].isdigit() for row in found["items"])
    first = api.get(f"/api/v1/jobs/{name}/results", params={"limit": 2}).json()
    rest = api.get(f"/api/v1/jobs/{name}/results", params={"limit": 2, "after": first["next"]}).json()
    assert [row["index"] for row in first["items"] + rest["items"]] == [0, 1, 2] and rest["next"] is None
    assert [row["y"] for row in api.get(f"/api/v1/jobs/{name}/answer").json()["value"]] == [1, 4, 9]
    assert api.get(f"/api/v1/jobs/{name}/timeline").json()["workers"]
    assert len(api.get(f"/api/v1/jobs/{name}/blocks").json()["changed"]) == 3
    assert api.get(f"/api/v1/jobs/{name}/why").json()["state"] == "settled"
    assert not list((site.data / "jobs-from-http").iterdir())


def test_a_file_that_was_not_sent_is_named_with_how_to_send_it(api: httpx.Client) -> None:
    for path in ("/api/v1/jobs", "/api/v1/jobs/rehearse"):
        found = api.post(path, content=JOB, headers={"Content-Type": "application/yaml"})
        assert found.status_code == 422 and "there is no file work.py" in found.json()["detail"]
        assert '"files": {"work.py"' in found.json()["hint"] and "-F files=@work.py" in found.json()["hint"]
    found = api.post("/api/v1/jobs", json={"job": JOB.replace("{grid: {x: [1, 2, 3]}}", "{files: 'data/*.csv'}"), "files": {"work.py": "def run(file):\n    return 1\n"}})
    assert found.status_code == 422 and "data/*.csv matches no file" in found.json()["detail"] and "files=@data/1.csv;filename=data/1.csv" in found.json()["hint"]


def test_of_a_training_one_row_is_listed() -> None:
    rows = [("softmax a.csv 3/3", "running"), ("softmax a.csv 2/3", "settled"), ("other", "settled"), ("softmax a.csv 1/3", "failed")]
    rows += [("softmax a.csv 3/3", "settled"), ("softmax b.csv 2/2", "settled"), ("softmax a.csv 2/3", "settled"), ("softmax b.csv 1/2", "settled")]
    found = newest_of_series([{"name": name, "state": state} for name, state in rows])
    assert [rows.index((row["name"], row["state"])) for row in found] == [0, 2, 3, 4, 5]


def test_the_list_of_jobs_in_pages(api: httpx.Client) -> None:
    names = [submitted(api) for _ in range(3)]
    seen: list[str] = []
    after = ""
    while after is not None:
        page = api.get("/api/v1/jobs", params={"limit": 2, "after": after}).json()
        seen += [row["job"] for row in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == page["total"] and set(names) <= set(seen)
    gone = api.get("/api/v1/jobs", params={"after": "zzzzzzzz"})
    assert gone.status_code == 400 and "beginning" in gone.json()["hint"]
    for name in names:
        ended(api, name)


def test_a_job_file_alone_a_zip_and_a_form(api: httpx.Client) -> None:
    text = "name: words\ncommand: [sh, -c, 'echo {n} > {output}']\nblocks: {grid: {n: [1, 2]}}\nverify: {replicas: 1}\n"
    plain = api.post("/api/v1/jobs", content=text, headers={"Content-Type": "application/yaml"})
    assert plain.status_code == 201, plain.text
    assert plain.headers["location"] == f"/api/v1/jobs/{plain.json()['job']}"
    options = {"options": '{"replicas": 1}'}
    zipped = api.post("/api/v1/jobs", content=packed({"folder/job.yaml": JOB, "folder/work.py": PROGRAM}), headers={"Content-Type": "application/zip"}, params=options)
    assert zipped.status_code == 201, zipped.text
    files = [("job", ("job.yaml", JOB)), ("files", ("work.py", PROGRAM)), ("files", ("data/in.txt", "x"))]
    form = api.post("/api/v1/jobs", files=files, data=options)
    assert form.status_code == 201, form.text
    assert {ended(api, answer.json()["job"])["state"] for answer in (plain, zipped, form)} == {"settled"}


def test_pause_resume_cancel_and_retry(api: httpx.Client) -> None:
    name = submitted(api, "import time\ndef run(x):\n    time.sleep(60)\n    return x\n")
    assert api.post(f"/api/v1/jobs/{name}/pause").status_code == 200
    until(lambda: api.get(f"/api/v1/jobs/{name}").json()["state"] == "paused", "it pauses")
    assert api.post(f"/api/v1/jobs/{name}/resume").status_code == 200
    until(lambda: api.get(f"/api/v1/jobs/{name}").json()["state"] != "paused", "it goes on")
    assert api.post(f"/api/v1/jobs/{name}/cancel", json={"reason": "enough"}).status_code == 200
    assert ended(api, name)["state"] == "cancelled"
    late = api.post(f"/api/v1/jobs/{name}/pause")
    assert late.status_code == 400 and "ended" in late.json()["detail"]
    again = api.post(f"/api/v1/jobs/{name}/retry")
    assert again.status_code == 201 and again.headers["location"] == f"/api/v1/jobs/{again.json()['job']}"
    new = api.get(again.headers["location"]).json()
    assert new["job"] != name and (new["name"], new["blocks"]) == ("squares", 3) and new["state"] in ("waiting", "running")
    assert api.post(f"/api/v1/jobs/{new['job']}/cancel").status_code == 200
    assert ended(api, new["job"])["state"] == "cancelled"


def test_blocks_appended_with_inputs_come_as_they_end_until_the_seal(api: httpx.Client) -> None:
    table = api.post("/api/v1/blobs", params={"name": "table.csv"}, content=b"1,2,3").json()["hash"]
    program = "def run(x, inputs):\n    return {'x': x * 100_000, 'read': {name: bytes(data).decode() for name, data in inputs.items()}}\n"
    name = submitted(api, program, JOB.replace("[1, 2, 3]", "[a]"), open=True)
    more = {"params": [{"x": "b"}, {"x": "c"}], "inputs": [{"by_hash": table, "by_name": "table.csv"}, {}], "first": 1}
    for _ in range(2):  # the same call made twice adds once
        found = api.post(f"/api/v1/jobs/{name}/blocks", json=more)
        assert (found.status_code, found.json()) == (201, {"first": 1}), found.text
    for wrong, code, words in (
        ({"inputs": [{"a": "never.csv"}, {}]}, 404, "never.csv"), ({"inputs": [{"a": "/etc/passwd"}, {}]}, 404, "/etc/passwd"),
        ({"inputs": [{}]}, 400, "inputs for 1"), ({"inputs": [{"../a": table}, {}]}, 400, "plain file name"), ({"first": 7}, 400, "next block"),
    ):  # fmt: skip
        refused = api.post(f"/api/v1/jobs/{name}/blocks", json=more | wrong)
        assert refused.status_code == code and words in refused.json()["detail"], refused.text
    with api.stream("GET", f"/api/v1/jobs/{name}/outcomes") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        came = events(answer)
        rows: list[Any] = []
        while len(rows) < 3:
            rows += next(came)[1]["rows"]
        with httpx.Client(base_url=api.base_url, headers=api.headers, timeout=LIMIT_S, trust_env=False) as other:
            assert other.post(f"/api/v1/jobs/{name}/seal").status_code == 204
        assert [what for what, _ in came][-1] == "end"
    read = {1: {"by_hash": "1,2,3", "by_name": "1,2,3"}}
    assert {row["index"]: row["value"] for row in rows} == {at: {"x": x * 100_000, "read": read.get(at, {})} for at, x in enumerate("abc")}
    assert all("params" not in row and row["seed"].isdigit() for row in rows)
    assert ended(api, name)["state"] == "settled"
    late = api.post(f"/api/v1/jobs/{name}/blocks", json={"params": [{"x": 4}]})
    assert late.status_code == 400 and "no block can be appended" in late.json()["detail"]


def test_a_seal_ends_an_open_job(api: httpx.Client) -> None:
    name = submitted(api, open=True)
    until(lambda: api.get(f"/api/v1/jobs/{name}").json()["settled"] == 3, "its blocks settle")
    assert api.get(f"/api/v1/jobs/{name}").json()["state"] in ("waiting", "running"), "it may get more"
    for _ in range(2):  # twice is once
        assert api.post(f"/api/v1/jobs/{name}/seal").status_code == 204
    assert ended(api, name)["state"] == "settled"
    assert api.post("/api/v1/jobs/nothing/seal").status_code == 404


def test_a_job_is_watched_to_its_end(api: httpx.Client) -> None:
    name = submitted(api)
    with api.stream("GET", f"/api/v1/jobs/{name}/watch") as answer:
        *states, last = events(answer)
    assert last == ("end", {}) and states[-1][1]["state"] == "settled" and {state["job"] for _, state in states} == {name}
    for path in ("watch", "outcomes"):
        assert api.get(f"/api/v1/jobs/nothing/{path}").status_code == 404


def test_the_ledger_from_a_file_and_back(api: httpx.Client) -> None:
    node = api.get("/api/v1/status").json()["node"]
    entries = [codec.encode_sealed(one.sealed) for one in log_of(keys("dave"), 5, NodeId(node))]
    forged = entries[0][:-1] + bytes([entries[0][-1] ^ 1])
    for word in ("new", "known"):
        taken = api.post("/api/v1/ledger/import", json={"entries": [base64.b64encode(one).decode() for one in (*entries, forged)]})
        assert taken.status_code == 200 and (taken.json()[word], taken.json()["refused"]) == (5, 1), taken.text
        assert taken.json()["why"]
    found = api.get("/api/v1/ledger/export", params={"author": keys("dave").node_id})
    assert found.status_code == 200 and "ctorrent.ledger" in found.headers["content-disposition"]
    assert cut(found.content) == entries
    assert api.get("/api/v1/ledger/verify").json()["entries"] >= 5
    assert api.post("/api/v1/ledger/import", json={"entries": ["no base64!"]}).status_code == 400
    assert api.get("/api/v1/ledger/export", params={"ring": "none"}).status_code == 400


def cut(file: bytes) -> list[bytes]:
    """The entries of a ledger's file, whose form is in docs/ledger.md."""
    found, at = [], len(MAGIC)
    assert file[:at] == MAGIC
    while size := int.from_bytes(file[at : at + 4], "big"):
        found.append(file[at + 4 : at + 4 + size])
        at += 4 + size
    assert int.from_bytes(file[at + 4 :], "big") == len(found)
    return found


def test_values_that_json_has_no_word_for(api: httpx.Client) -> None:
    program = "import math\ndef run(x):\n    return {'b': b'\\x00\\xff', 'n': math.nan, 'i': -math.inf, 'big': 2**60, '$odd': 1, 't': (1, None)}\n"
    name = submitted(api, program, JOB.replace("[1, 2, 3]", "[1]"))
    assert ended(api, name)["state"] == "settled"
    (row,) = api.get(f"/api/v1/jobs/{name}/results").json()["items"]
    value = dict(row["value"]["$map"])
    assert value == {
        "b": {"$bytes": base64.b64encode(b"\x00\xff").decode()}, "n": {"$float": "nan"}, "i": {"$float": "-inf"},
        "big": {"$int": str(2**60)}, "$odd": 1, "t": [1, None],
    }  # fmt: skip
    raw = api.get(f"/api/v1/jobs/{name}/results/0/value")
    assert raw.headers["content-type"] == "application/octet-stream" and b"$odd" in raw.content
    assert api.get(f"/api/v1/jobs/{name}/results/7/value").status_code == 404


def test_a_receipt_is_downloaded_and_holds(api: httpx.Client, site: Site, tmp_path: Path) -> None:
    name = submitted(api)
    ended(api, name)
    found = api.get(f"/api/v1/jobs/{name}/receipt", params={"with_data": True})
    assert found.status_code == 200 and f"{name}.receipt" in found.headers["content-disposition"]
    path = tmp_path / "one.receipt"
    path.write_bytes(found.content)
    checked = subprocess.run([sys.executable, "-m", "ctorrent", "verify", str(path)], capture_output=True, text=True, timeout=60, env=site.node.environ)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_invites_friends_and_codes(api: httpx.Client) -> None:
    made = api.post("/api/v1/invites", json={"uses": 2, "valid_s": 3600})
    assert made.status_code == 201
    code = api.get("/api/v1/invites/code", params={"text": made.json()["invite"][:500]}).json()["rows"]
    assert len(code) == len(code[0]) and set("".join(code)) == {"0", "1"}
    nobody = api.delete("/api/v1/friends/own_nobody")
    assert nobody.status_code == 400 and "peers" in nobody.json()["hint"]
    odd = api.post("/api/v1/peers", json={"address": "not an address"})
    assert 400 <= odd.status_code < 500 and odd.headers["content-type"] == "application/problem+json"


def test_errors_are_problems_with_hints(api: httpx.Client) -> None:
    missing = api.get("/api/v1/jobs/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert missing.json() | {"title": ""} == {
        "type": "urn:ctorrent:error:LocalError", "title": "", "status": 404, "detail": "there is no job 'nothing' here", "hint": "`ctorrent jobs` lists them.",
    }  # fmt: skip
    wrong = api.post("/api/v1/jobs", json={"job": "name: x\nblocks: 3\n"})
    assert wrong.status_code == 422 and wrong.json()["type"].endswith("JobFileError") and "job.yaml:" in wrong.json()["detail"]
    assert api.get("/api/v1/jobs", params={"limit": 0}).json()["errors"][0]["where"] == "query.limit"
    assert api.get("/api/v1/never").status_code == 404
    method = api.patch("/api/v1/status")
    assert (method.status_code, method.headers["allow"]) == (405, "GET") and method.json()["hint"] == "It takes GET."
    cut = api.post("/submit-job", content='{"model": "softmax",', headers={"Content-Type": "application/json"}).json()["detail"]
    assert "it is no JSON: " in cut and "(character 20)" in cut, cut
    forgotten = api.get("/submit-job")
    assert (forgotten.status_code, forgotten.headers["allow"]) == (405, "POST")
    both = api.delete("/api/v1/jobs")
    assert (both.status_code, both.headers["allow"]) == (405, "GET, POST")
    assert "application/json" in api.post("/submit-job", content='{"model": "softmax"}', headers={"Content-Type": "application/x-www-form-urlencoded"}).json()["hint"]
    assert api.put("/api/v1/machine/sharing", json={"on": False, "more": 1}).status_code == 422
    assert api.post("/api/v1/jobs", content="x", headers={"Content-Type": "image/png"}).status_code == 415


def test_uploads_come_back_as_they_were(api: httpx.Client, site: Site) -> None:
    data = bytes(range(256)) * 20_000
    made = api.post("/api/v1/blobs", params={"name": "numbers.bin"}, content=iter([data[:1_000_000], data[1_000_000:]]))
    assert made.status_code == 201, made.text
    assert made.json()["bytes"] == len(data)
    assert any(row["name"] == "numbers.bin" for row in api.get("/api/v1/blobs").json()["items"])
    assert api.get("/api/v1/blobs/numbers.bin").content == data
    assert api.get(f"/api/v1/blobs/{made.json()['hash']}").headers["content-type"] == "application/octet-stream"
    assert not list((site.data / "uploads").iterdir())
    assert api.delete("/api/v1/blobs/numbers.bin").status_code == 200
    assert api.get("/api/v1/blobs/numbers.bin").status_code == 404


def test_two_clients_at_once(site: Site) -> None:
    with site.caller() as one, site.caller() as other:
        name = submitted(one)
        assert ended(other, name)["job"] == name
        assert one.get("/api/v1/jobs").json()["items"][0]["job"] == other.get("/api/v1/jobs").json()["items"][0]["job"]


def test_numbers_for_prometheus(api: httpx.Client, site: Site) -> None:
    found = api.get("/metrics")
    assert found.status_code == 200 and found.headers["content-type"].startswith("text/plain")
    with site.client() as stranger:
        assert stranger.get("/metrics").status_code == 401


def test_rehearsal_by_http(api: httpx.Client) -> None:
    found = api.post("/api/v1/jobs/rehearse", json={"job": JOB, "files": {"work.py": PROGRAM}, "options": ALONE})
    assert found.status_code == 200 and found.json()["state"] == "ran"
