"""What changes, as it does: server-sent events, logs and the WebSocket of a real node."""

from __future__ import annotations

import json
import math
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ctorrent.web.loglines import Lines

from .conftest import Site
from .jobs import PROGRAM, events, submitted

pytestmark = pytest.mark.real


def test_events_begin_with_the_present_and_follow_a_job(api: httpx.Client, site: Site) -> None:
    with api.stream("GET", "/api/v1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = events(answer)
        kinds: set[str] = set()
        while not {"machine", "pool", "peers"} <= kinds:
            kinds.add(next(found)[1]["kind"])
        with site.caller() as other:
            name = submitted(other)
        while True:
            _, event = next(found)
            if event["kind"] == "job" and event["job"]["job"] == name and event["job"]["state"] == "settled":
                break
        assert "report" not in event["job"]


def test_logs_as_blocks_print_and_their_end(api: httpx.Client) -> None:
    name = submitted(api, PROGRAM + "# not run before: what is remembered prints nothing\n")
    with api.stream("GET", f"/api/v1/jobs/{name}/logs") as answer:
        found = list(events(answer))
    assert found[-1] == ("end", {})
    printed: dict[int, str] = {}
    assert all(data["text"].endswith("\n") for _, data in found[:-1])
    for _, data in found[:-1]:
        printed[data["index"]] = printed.get(data["index"], "") + data["text"]
    assert printed == {0: "block 1\n", 1: "block 2\n", 2: "block 3\n"}
    assert api.get("/api/v1/jobs/nothing/logs").status_code == 404


def test_logs_come_in_whole_lines_but_not_late() -> None:
    lines = Lines()

    def told(text: str, now: float, index: int = 0) -> list[str]:
        return [item["text"] for item in lines.add({"index": index, "worker": "w", "text": text}, now) + lines.due(now)]

    assert told("one\ntw", 0.0) == ["one\n"] and lines.held
    assert told("of another", 0.1, 1) == []
    assert told("o\nthree\n", 0.2) == ["two\nthree\n"]
    assert told("", 0.7) == ["of another"] and not lines.held, "its end may never come"
    assert told("x" * 8192, 1.0) == [] and told("x", 1.0) == ["x" * 8193], "nor does it take all memory"


def test_thousands_of_blocks_that_print_dots_at_once_are_told() -> None:
    lines, began, told = Lines(), time.process_time(), 0
    for index in range(40_000):  # ten thousand in a second: each waits for the end of its line
        now = index / 10_000
        told += len(lines.add({"index": index, "worker": "w", "text": "."}, now)) + len(lines.due(now))
    assert told + len(lines.due(math.inf)) == 40_000 and told > 30_000
    assert time.process_time() - began < 3, "8 where each piece is held against all"
    assert not lines.held and lines.add({"index": 0, "worker": "w", "text": "."}, 5.0) + lines.due(5.6)


def test_the_socket_says_the_same(site: Site) -> None:
    url = site.url.replace("http", "ws") + "/api/v1/ws"
    with connect(url, additional_headers={"Authorization": f"Bearer {site.token}"}, proxy=None) as one, connect(
        url, additional_headers={"Authorization": f"Bearer {site.token}"}, proxy=None
    ) as other:
        for each in (one, other):
            kinds = set()
            while not {"machine", "pool", "peers"} <= kinds:
                kinds.add(json.loads(each.recv(timeout=20))["kind"])


@pytest.mark.parametrize(
    ("headers", "origin"),
    [({}, None), ({"Authorization": "Bearer wrong"}, None), ({"token": ""}, "https://evil.example"), ({"token": ""}, "http://127.0.0.1:1")],
)
def test_the_socket_is_not_for_strangers(site: Site, headers: dict[str, str], origin: str | None) -> None:
    if "token" in headers:
        headers = {"Authorization": f"Bearer {site.token}"}
    with pytest.raises(InvalidStatus) as refused:
        connect(site.url.replace("http", "ws") + "/api/v1/ws", additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code in (401, 403, 429)
