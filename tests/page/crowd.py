"""A Door that knows five hundred peers, and the real web application over it, served in a thread."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import trio

from ctorrent.door import Door, Plain
from ctorrent.web import place
from ctorrent.web.app import Choices
from ctorrent.web.serve import serve

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"  # a name that a stranger gave itself
UPDATES_S = 0.2  # between two rounds of events: five a second, each with every peer
START_S = 30.0


class Crowd:
    """What a node with `count` peers answers. Latencies and throughputs are others with every event."""

    def __init__(self, count: int, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self.rows = [self._peer(number) for number in range(count)]
        self.rows[1] |= {"how": "mdns", "name": "next-door"}
        self.rows[4] |= {"name": "machine-0", "wants_friendship": True}  # as a friend of ours is called
        self.rows[9] |= {"how": "mdns", "name": "asked-and-off", "accepted": False}
        self.rows[2] |= {"how": "mdns", "name": HOSTILE, "version": HOSTILE, "addresses": [HOSTILE]}
        self.told, self.asked = 0, ""

    def _id(self) -> str:
        return "12D3KooW" + "".join(self._random.choices(ALPHABET, k=44))

    def _peer(self, number: int) -> Plain:
        connected = number % 9 != 0
        return {
            "node": self._id(), "name": f"machine-{number}", "owner": "own_" + self._id()[8:], "how": "dht", "connected": connected,
            "friend": number % 3 == 0, "accepted": True, "wants_friendship": False, "version": "0.1.0", "latency_s": None, "bandwidth_bytes_s": None,
            "addresses": [f"/ip4/10.0.{number // 250}.{number % 250}/tcp/4270"],
        }  # fmt: skip

    async def peers(self) -> list[Plain]:
        for row in self.rows:
            if row["connected"]:
                row["latency_s"] = self._random.lognormvariate(-4, 1.2)
                row["bandwidth_bytes_s"] = self._random.lognormvariate(14, 1.5)
        return self.rows

    async def offers(self) -> list[Plain]:
        return [self._offer(row) for row in self.rows]

    def _offer(self, row: Plain) -> Plain:
        cores = self._random.choice([4, 8, 16, 32])
        shared = {key: row[key] for key in ("node", "name", "owner", "friend", "connected", "latency_s", "bandwidth_bytes_s")}
        gpus = [{"name": "GPU", "memory_bytes": 24 << 30}] if cores == 32 else []
        return shared | {
            "local": False, "cores": cores, "slots": cores // 2, "slots_free": self._random.randint(0, cores // 2),
            "memory_bytes": cores << 31, "disk_bytes": 20 * 10**9, "gpus": gpus, "isolation": self._random.choice(["docker", "jail"]),
            "price": 1.0, "gpu_price": 10.0, "gflops": 20.0 * cores, "trust": self._random.random(),
        }  # fmt: skip

    async def pool(self) -> Plain:
        return {
            "machines": 4, "cores": 28, "cores_free": 20, "memory_bytes": 64 << 30, "gpu_memory_bytes": 32 << 30, "gpus": 2,
            "disk_bytes": 410 * 10**9, "slots": 14, "slots_free": 9,
        }  # fmt: skip

    async def events(self) -> AsyncIterator[Plain]:
        yield {"kind": "pool", "pool": await self.pool()}
        while True:
            yield {"kind": "peers", "peers": await self.peers()}
            self.told += 1
            await trio.sleep(UPDATES_S)

    async def jobs(self, after: str = "", limit: int = 100) -> list[Plain]:
        return []

    async def friends(self) -> list[Plain]:
        return [{"owner": self.rows[0]["owner"], "name": "machine-0", "state": "friend", "nodes": [self.rows[0]["node"]]}]

    async def friend_add(self, who: str) -> Plain:
        self.asked = who
        return {"owner": who, "name": "", "told": 1}

    async def status(self) -> Plain:
        return {"node": self.rows[0]["node"], "name": "crowded", "jobs": 0}


class CrowdedNode:
    """What conftest's browse() asks of a node: a data folder with an address and a token."""

    def __init__(self, data: Path, door: Crowd) -> None:
        self.data, self.door = data, door


@contextmanager
def serving(door: Crowd, folder: Path) -> Iterator[CrowdedNode]:
    """Served until the block ends."""
    scope, ready = trio.CancelScope(), threading.Event()

    async def run() -> None:
        with scope:
            claimed = place.claim("127.0.0.1:0", folder)
            assert claimed is not None
            async with trio.open_nursery() as nursery:
                await nursery.start(serve, claimed, Choices(folder), cast(Door, door))
                token.append(trio.lowlevel.current_trio_token())
                ready.set()

    def thread() -> None:
        try:
            trio.run(run)
            done.append(True)
        finally:
            ready.set()

    token: list[Any] = []
    done: list[bool] = []
    runner = threading.Thread(target=thread, name="crowded node")
    runner.start()
    try:
        assert ready.wait(START_S) and token, "the stand-in did not start: its thread's words are above"
        yield CrowdedNode(folder, door)
    finally:
        if token:
            token[0].run_sync_soon(scope.cancel)
        runner.join(START_S)
    assert done


def quantile(values: list[float], share: float) -> float:
    """Of what was measured in a window; of nothing, as where the page stood still, infinity."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else math.inf
