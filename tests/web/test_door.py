"""All that the door offers is offered by HTTP: each of its methods has a call, and that call asks for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from ctorrent.door import METHODS, STREAMS, Plain
from ctorrent.errors import LocalError
from ctorrent.web.rules import WebRules
from tests.real.herd import until

from .document import bodies
from .served import Small, small

pytestmark = pytest.mark.real

CALLS = {  # a method of the door: what asks for it, below /api/v1 where it begins without a slash
    "status": ["GET status"],
    "submit": ["POST jobs"],
    "append": ["POST jobs/{job}/blocks"],
    "seal": ["POST jobs/{job}/seal"],
    "outcomes": ["GET jobs/{job}/outcomes"],
    "rehearse": ["POST jobs/rehearse"],
    "jobs": ["GET jobs"],
    "job": ["GET jobs/{job}"],
    "watch": ["GET jobs/{job}/watch"],
    "results": ["GET jobs/{job}/results", "GET jobs/{job}/results/{index}/value"],
    "answer": ["GET jobs/{job}/answer"],
    "timeline": ["GET jobs/{job}/timeline"],
    "logs": ["GET jobs/{job}/logs"],
    "receipt": ["GET jobs/{job}/receipt"],
    "why": ["GET jobs/{job}/why"],
    "cancel": ["POST jobs/{job}/cancel"],
    "pause": ["POST jobs/{job}/pause"],
    "resume": ["POST jobs/{job}/resume"],
    "retry": ["POST jobs/{job}/retry"],
    "peers": ["GET peers"],
    "connect": ["POST peers"],
    "invite": ["POST invites"],
    "friends": ["GET friends"],
    "friend_add": ["POST friends"],
    "friend_remove": ["DELETE friends/{who}"],
    "ledger": ["GET ledger"],
    "ledger_verify": ["GET ledger/verify"],
    "ledger_export": ["GET ledger/export"],
    "ledger_import": ["POST ledger/import"],
    "reputation": ["GET reputation"],
    "credit": ["GET credit"],
    "hardware": ["GET hardware", "POST hardware/measure"],
    "environments": ["GET environments"],
    "environment_add": ["POST environments"],
    "gc": ["POST gc"],
    "drain": ["POST drain"],
    "stop": ["POST stop"],
    "events": ["GET events"],  # and ws
    "blocks": ["GET jobs/{job}/blocks"],
    "offers": ["GET offers"],
    "machine": ["GET machine"],
    "share": ["PUT machine/sharing"],
    "pool": ["GET pool"],
    "blob_add": ["POST blobs"],
    "blobs": ["GET blobs"],
    "blob_remove": ["DELETE blobs/{which}"],
    "blob_find": ["GET blobs/{which}"],
    "metrics": ["GET /metrics"],
}
OF_THE_PAGE = {"POST links", "POST session", "DELETE session", "GET invites/code"}  # of the browser's cookie, and a picture of a text
FIRST: dict[str, Any] = {  # what is asked before others, with what must be known then; and what is asked after the answer
    "job": {"job": "k3f9abcd"}, "blobs": [{"name": "table.csv", "hash": "9e07" * 16}], "stop": None,
}  # fmt: skip


class Asked:
    """A door that only keeps what it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        return self._stream(name) if name in STREAMS else self._call(name)

    def _call(self, name: str) -> Any:
        async def call(*args: Any, **words: Any) -> Any:
            self.names.append(name)
            if name in FIRST:
                return FIRST[name]
            raise LocalError("it is only asked")

        return call

    def _stream(self, name: str) -> Any:
        async def stream(*args: Any, **words: Any) -> AsyncIterator[Plain]:
            self.names.append(name)
            raise LocalError("it is only asked")
            yield {}

        return stream


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with small(tmp_path_factory.mktemp("node"), WebRules(), door=Asked()) as served:
        yield served


@pytest.fixture
def api(site: Small) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.token}"}, timeout=30.0, trust_env=False) as client:
        yield client


def test_every_method_of_the_door_has_a_call_and_every_call_a_method(api: httpx.Client) -> None:
    assert set(CALLS) == METHODS
    served = {
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, operations in api.get("/api/v1/openapi.json").json()["paths"].items() for method in operations
    }  # fmt: skip
    assert served == {call for calls in CALLS.values() for call in calls} | OF_THE_PAGE


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_a_call_asks_the_door_for_it(site: Small, api: httpx.Client, name: str, call: str) -> None:
    method, _, short = call.partition(" ")
    path = short if short.startswith("/") else f"/api/v1/{short}"
    document = api.get("/api/v1/openapi.json").json()
    site.door.names.clear()
    sent: dict[str, Any] = {}
    for media, _, examples in bodies(document, document["paths"][path][method.lower()]):
        if media == "application/json" and examples:
            sent = {"json": examples[0]}
        elif media == "application/octet-stream":
            sent = {"content": b"x"}
    answer = api.request(method, re.sub(r"\{\w+\}", "0", path), **sent)
    until(lambda: name in site.door.names, f"the door is asked, and not only {site.door.names}; the answer was {answer.status_code} {answer.text}")


def test_the_socket_asks_for_events(site: Small) -> None:
    site.door.names.clear()
    with connect(f"{site.url.replace('http', 'ws')}/api/v1/ws", additional_headers={"Authorization": f"Bearer {site.token}"}, proxy=None) as socket:
        assert "it is only asked" in str(socket.recv(timeout=20))
    assert site.door.names == ["events"]
