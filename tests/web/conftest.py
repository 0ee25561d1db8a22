"""One real node with its HTTP side on, for all tests of this room; and a client that shows its token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.real.herd import Tended, herd

LIMIT_S = 30.0  # of one call: two cores may be shared with a whole test run


@dataclass(frozen=True)
class Site:
    """Where the node is reached."""

    node: Tended
    url: str
    token: str

    @property
    def data(self) -> Path:
        return self.node.data

    def client(self, **headers: str) -> httpx.Client:
        """Without the token."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=LIMIT_S, trust_env=False)

    def code(self, token: str) -> int:
        """What a call with this token is answered."""
        with self.client(Authorization=f"Bearer {token}") as client:
            return client.get("/api/v1/status").status_code

    def caller(self) -> httpx.Client:
        return self.client(Authorization=f"Bearer {self.token}")


def opened(node: Tended) -> Site:
    return Site(node, (node.data / "http.addr").read_text().strip(), (node.data / "http.token").read_text().strip())


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with herd() as make:
        node = make("ann", "--http", "127.0.0.1:0", "--no-dht")
        node.start()
        yield opened(node)


@pytest.fixture
def api(site: Site) -> Iterator[httpx.Client]:
    with site.caller() as client:
        yield client
