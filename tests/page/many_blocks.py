"""A Door with one job of many blocks that goes on at a set pace: what a block map has to keep up with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import trio

from ctorrent import canon
from ctorrent.door import Plain
from ctorrent.errors import LocalError

UPDATES_S = 0.2  # between two events of a job, as a node sends them at most
NAME = "manyblok"
WORKERS = 12


class ManyBlocks:
    """`pace` blocks change with each event."""

    def __init__(self, blocks: int, pace: int) -> None:
        self.blocks_, self.pace, self.at, self.told = blocks, pace, 0, 0
        self.states: list[list[Any]] = [[index, "waiting", -1, 0] for index in range(blocks)]
        self.counts = dict.fromkeys(("waiting", "running", "provisional", "settled", "failed", "disputed"), 0) | {"waiting": blocks}
        self.changes: list[int] = []  # indices, in order: a version is how many

    def _step(self) -> None:
        for index in range(self.at, min(self.blocks_, self.at + self.pace)):
            state = "disputed" if index % 97 == 5 else "failed" if index % 89 == 7 else "settled"
            self._put(index, state, 2)
            if index + self.pace < self.blocks_:
                self._put(index + self.pace, "running", 0)
        self.at = (self.at + self.pace) % self.blocks_

    def _put(self, index: int, state: str, agreed: int) -> None:
        self.counts[self.states[index][1]] -= 1
        self.counts[state] += 1
        self.states[index] = [index, state, index // 40 % WORKERS, agreed]
        self.changes.append(index)

    def _status(self) -> Plain:
        workers = [
            {"node": f"12D3KooW{n:044d}", "name": f"machine-{n}", "owner": f"own_{n}", "isolation": "jail", "state": "engaged", "running": [], "done": n, "agreed": n, "disputed": 0, "invalid": 0, "busy_s": 1.0, "local": n == 0}
            for n in range(WORKERS)
        ]
        return {
            "job": NAME, "id": "00" * 32, "name": "many", "state": "running", "reason": "", "blocks": self.blocks_, **self.counts, "replicas_done": 0, "replicas_wanted": 2,
            "submitted_unix": int(time.time()), "elapsed_s": 1.0, "eta_s": 60.0, "cross_validated": True, "notes": [f"sent at {time.time() * 1000:.1f}"], "workers": workers,
        }  # fmt: skip

    async def events(self) -> AsyncIterator[Plain]:
        while True:
            self._step()
            self.told += 1
            yield {"kind": "job", "job": self._status()}
            await trio.sleep(UPDATES_S)

    async def job(self, job: str) -> Plain:
        if job != NAME:
            raise LocalError(f"There is no job {job}.", "ctorrent jobs lists them.")
        return self._status()

    async def jobs(self, after: str = "", limit: int = 100) -> list[Plain]:
        return [self._status()]

    async def blocks(self, job: str, since: int = -1) -> Plain:
        changed = self.states if since < 0 else [self.states[index] for index in sorted(set(self.changes[since:]))]
        workers = [{"node": f"12D3KooW{n:044d}", "name": f"machine-{n}", "local": n == 0} for n in range(WORKERS)]
        return {"version": len(self.changes), "blocks": self.blocks_, "workers": workers, "changed": changed}

    async def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        indices = range(after + 1, min(self.blocks_, after + 1 + limit))
        return [{"index": index, "seed": index, "params": canon.encode({"beta": index / 10}), "state": self.states[index][1], "workers": [], "agreed": 0, "seconds": 0.0, "output": None} for index in indices]

    async def why(self, job: str) -> Plain:
        return {"job": NAME, "state": "running", "waits_for": "", "saw": WORKERS, "reasons": {}, "engaged": WORKERS}

    async def status(self) -> Plain:
        return {"node": "12D3KooW" + "0" * 44, "name": "many", "jobs": 1}
