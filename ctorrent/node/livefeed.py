"""The stream of what changes here, for every face that follows: one looks for all, and each reads at its own pace.

    hub, ten times a second while anybody follows ─▶ by key, the newest of each ─▶ follower ─▶ its reader
A key is a job, "peers", "machine" or "pool". A follower that reads slowly finds the newest state of a key where an older
one waited: it misses states between, never the last, and what waits for it is bounded by what there is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import trio

from ctorrent.door import Plain
from ctorrent.errors import Unavailable
from ctorrent.model.ids import JobId
from ctorrent.node.neighbours import Neighbours
from ctorrent.node.requester import Requester
from ctorrent.node.vitals import Vitals

TICK_S = 0.1  # between looks at what changed: with JOB_S, 0.2 s behind the event at most
JOB_S = 0.2  # of one job, at most five states a second
CLOCK_S = 1.0  # a running job is told so often even if nothing happens: its clock and its ETA move
PEERS_S = 1.0  # latencies change all the time; who comes and goes is told with the next tick
POOL_S = 0.5
JOBS_A_TICK = 50  # states made in one turn, those that waited longest first: 50 take ~5 ms
JOBS_FIRST = 200  # the newest jobs, told at the beginning; older ones that have ended are in door.Door.jobs()
FOLLOWERS_MAX = 64  # a page has one each


@dataclass(slots=True, eq=False)
class _Follower:
    """What waits for one reader."""

    waiting: dict[str, Plain] = field(default_factory=dict)
    news: trio.Event = field(default_factory=trio.Event)

    def tell(self, key: str, event: Plain) -> None:
        self.waiting[key] = event
        self.news.set()


class LiveFeed:
    """Of one node."""

    def __init__(self, requester: Requester, neighbours: Neighbours, vitals: Vitals) -> None:
        self._requester, self._neighbours, self._vitals = requester, neighbours, vitals
        self._followers: dict[_Follower, None] = {}
        self._came = trio.Event()
        self._known: set[JobId] = set()
        self._names: dict[JobId, str] = {}
        self._marks: dict[JobId, Any] = {}  # of open jobs: the event that their next change sets
        self._told: dict[JobId, float] = {}  # and when they were told
        self._peers: list[Plain] = []
        self._present: object = None
        self._pool: Plain = {}
        self._samples = -1
        self._at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._followers)

    async def events(self) -> AsyncGenerator[Plain, None]:
        """See door.Door.events(). Raises Unavailable where too many follow."""
        if len(self._followers) >= FOLLOWERS_MAX:
            raise Unavailable(f"{FOLLOWERS_MAX} programs follow this node already.", "Close a page of it.")
        follower = _Follower()
        if not self._followers:
            self._known, self._marks, self._told = set(self._requester.records), {}, {}
        self._followers[follower] = None
        self._came.set()
        try:
            await self._begin(follower)
            while True:
                await follower.news.wait()
                follower.news = trio.Event()
                while follower.waiting:
                    yield follower.waiting.pop(next(iter(follower.waiting)))
        finally:
            del self._followers[follower]

    async def run(self) -> None:
        """Look while anybody follows, for as long as the node runs."""
        while True:
            self._came = trio.Event()
            if not self._followers:
                await self._came.wait()
            while self._followers:
                self._look_at_jobs()
                await self._look_around()
                await trio.sleep(TICK_S)

    async def _begin(self, follower: _Follower) -> None:
        """The present state of each. What changes from here on is the hub's to tell."""
        self._neighbours.look()
        for record, _ in self._requester.open_jobs():
            self._marks.setdefault(record.id, None)
        for status in self._requester.statuses("", JOBS_FIRST):
            follower.tell(status["job"], _job(dict(status)))
        for record, _ in self._requester.open_jobs():
            if record.name not in follower.waiting:
                follower.tell(record.name, _job(dict(self._requester.status_of(record))))
        follower.tell("peers", {"kind": "peers", "peers": self._neighbours.peers()})
        follower.tell("machine", {"kind": "machine", "machine": dict(await self._vitals.now())})
        follower.tell("pool", {"kind": "pool", "pool": dict(self._neighbours.pool())})

    def _tell(self, key: str, event: Plain) -> None:
        for follower in self._followers:
            follower.tell(key, event)

    def _look_at_jobs(self) -> None:
        records, now = self._requester.records, trio.current_time()
        if records.keys() != self._known:
            for job in sorted(self._known - records.keys()):
                name = self._names.pop(job, "")
                self._tell(name, {"kind": "gone", "job": name})
            for job in sorted(records.keys() - self._known):
                self._marks[job] = None
            self._known = set(records)
        if len(self._names) != len(records):
            self._names = {job: record.name for job, record in records.items()}
        live = {record.id: coordination.changed for record, coordination in self._requester.open_jobs()}
        due = []
        for job in dict.fromkeys([*self._marks, *live]):
            since = now - self._told.get(job, float("-inf"))
            ended = job not in live and job in records and not records[job].open  # between two looks, it may be, and was never live in one
            changed = ended or self._marks.get(job) is not live.get(job) or job not in self._told
            if (changed and since >= JOB_S) or (job in live and since >= CLOCK_S):
                due.append((-since, job))
        for _, job in sorted(due, key=lambda one: one[0])[:JOBS_A_TICK]:
            self._tell_job(job, live.get(job), now)

    def _tell_job(self, job: JobId, mark: Any, now: float) -> None:
        record = self._requester.records.get(job)
        if record is None:
            self._marks.pop(job, None)
            self._told.pop(job, None)
            return
        self._tell(record.name, _job(dict(self._requester.status_of(record))))
        self._told[job], self._marks[job] = now, mark
        if mark is None and not record.open:  # it has ended: nothing follows
            del self._told[job], self._marks[job]

    async def _look_around(self) -> None:
        self._neighbours.look()
        self._vitals.look()
        present = self._neighbours.present()
        moved, self._present = present != self._present, present
        if moved or self._is_due("peers", PEERS_S):
            peers = self._neighbours.peers()
            if peers != self._peers:
                self._peers = peers
                self._tell("peers", {"kind": "peers", "peers": peers})
        if moved or self._is_due("pool", POOL_S):
            pool = dict(self._neighbours.pool())
            if pool != self._pool:
                self._pool = pool
                self._tell("pool", {"kind": "pool", "pool": pool})
        if self._vitals.samples != self._samples or self._vitals.changed:
            self._samples, self._vitals.changed = self._vitals.samples, False
            self._tell("machine", {"kind": "machine", "machine": dict(await self._vitals.now())})

    def _is_due(self, what: str, every_s: float) -> bool:
        now = trio.current_time()
        if now - self._at.get(what, float("-inf")) < every_s:
            return False
        self._at[what] = now
        return True


def _job(status: Plain) -> Plain:
    status.pop("report", None)
    return {"kind": "job", "job": status}
