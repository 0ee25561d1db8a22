"""A Door with two jobs in memory, and a thread that serves it on a real control socket."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from ctorrent import canon
from ctorrent.door import Plain
from ctorrent.errors import CTorrentError, JobFileError, LocalError, Unavailable
from ctorrent.node.control import ControlRules, serve_control

RULES = ControlRules()
NODE = "12D3KooWSmallDoor1111111111111111111111111111111111"
OTHER = "12D3KooWOther22222222222222222222222222222222222222"
LIAR = "12D3KooWLiar333333333333333333333333333333333333333"


def worker(node: str, name: str, **changes: Any) -> Plain:
    return {
        "node": node, "name": name, "owner": f"own_{name}", "isolation": "jail", "state": "engaged", "running": [],
        "done": 0, "agreed": 0, "disputed": 0, "invalid": 0, "busy_s": 0.0, "local": False, **changes,
    }  # fmt: skip


def job_status(job: str, state: str, **changes: Any) -> Plain:
    return {
        "job": job, "id": job * 8, "name": "digits", "state": state, "reason": "", "blocks": 12, "waiting": 0, "running": 0,
        "provisional": 0, "settled": 12, "failed": 0, "disputed": 0, "replicas_done": 25, "replicas_wanted": 2,
        "submitted_unix": 1_700_000_000, "elapsed_s": 3.5, "eta_s": None, "cross_validated": True,
        "workers": [
            worker(NODE, "ann", local=True, done=12, agreed=12, busy_s=2.0),
            worker(OTHER, "bob", done=12, agreed=12, busy_s=2.0),
            worker(LIAR, "eve", done=3, agreed=1, disputed=2, busy_s=0.4),
        ],
        **changes,
    }  # fmt: skip


def report(**changes: Any) -> Plain:
    return {
        "wall_s": 3.5, "block_s": 6.0, "all_s": 12.5, "speedup": 1.71, "machine_cores": 2, "isolation": {"jail": 25},
        "gaps": ["a kernel bug reaches the machine"], "disputes_total": 1, "entries": 3, "assignments": 14, "expired": 0,
        "disputes": [{"index": 4, "words": 'result["accuracy"] is 0.97 and 0.1', "outvoted": [LIAR], "state": "settled"}],
        "coalesce": True, **changes,
    }  # fmt: skip


def rehearsal(**changes: Any) -> Plain:
    cost = {"machines": 4, "owners": 4, "replicas": 2, "seconds": 360.0, "speedup": 1.9, "credits": 0.0}
    return {
        "name": "digits", "state": "ran", "why": "", "hint": "", "log": "", "index": 0, "params": canon.encode({"C": 0, "gamma": 0.5}),
        "block_s": 0.25, "start_s": 0.1, "wavers": "", "lax": "", "blocks": 12, "replicas": 2, "economy": False, "owners": 4, "lacks": "", "cost": cost,
        "single": {**cost, "replicas": 1, "seconds": 180.0, "speedup": 3.7}, **changes,
    }  # fmt: skip


class SmallDoor:
    """Knows the jobs "abcdefgh" (settled) and "runaaaaa" (runs until `finish`); keeps what it was asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.finish = threading.Event()
        self.watched = threading.Event()
        self.unwatched = threading.Event()
        self.statuses: list[Plain] = []  # what watch yields before the job ends
        self.hold_at = -1  # after this many of them watch waits for go_on
        self.go_on = threading.Event()
        self.end = job_status("abcdefgh", "settled", report=report())
        self.found_answer: Plain = {"value": canon.encode({"C": 10, "gamma": 0.001, "accuracy": 0.97})}
        self.row_bytes = 0
        self.rows: list[Plain] = []  # instead of twelve made-up ones
        self.workers_seen: list[Plain] = []  # of the timeline
        self.rehearsed: list[tuple[Any, ...]] = []
        self.rehearsal = rehearsal()

    async def status(self) -> Plain:
        return {
            "node": NODE, "owner": "own_ann", "name": "ann", "version": "0.1.0", "data_dir": "/data", "isolation": "jail",
            "addresses": [f"/ip4/127.0.0.1/tcp/4270/p2p/{NODE}"], "gaps": ["a kernel bug reaches the machine"],
            "shares": True, "slots": 2, "slots_free": 1, "peers": 1, "jobs": 2, "jobs_open": 1, "testing": "", "installing": "",
        }  # fmt: skip

    async def submit(self, path: str, text: str, options: Plain) -> str:
        self.asked.append(("submit", path, text, options))
        if "nonsense" in text:
            raise JobFileError("job.yaml:1: nonsense: there is no such field.", "Fields: python, command, blocks …")
        return "abcdefgh"

    async def append(self, job: str, params: list[bytes], inputs: list[Any] = [], first: int = -1) -> int:  # noqa: B006
        self.asked.append(("append", job, params, inputs, first))
        return max(first, 0)

    async def seal(self, job: str) -> None:
        self.asked.append(("seal", job))

    async def outcomes(self, job: str) -> AsyncIterator[Plain]:
        yield {"rows": await self.results(job), "state": "settled", "reason": ""}

    async def rehearse(self, path: str, text: str, options: Plain) -> Plain:
        self.rehearsed.append((path, text, options))
        if "nonsense" in text:
            raise JobFileError("job.yaml:1: nonsense: there is no such field.", "Fields: python, command, blocks …")
        return self.rehearsal

    async def jobs(self, after: str = "", limit: int = 0) -> list[Plain]:
        return [self.end, job_status("runaaaaa", "running", settled=3, running=4, waiting=5, eta_s=61.0)]

    async def job(self, job: str) -> Plain:
        if "abcdefgh".startswith(job) or job == "digits":
            return self.end
        if "runaaaaa".startswith(job):
            return job_status("runaaaaa", "running", settled=3)
        raise LocalError(f"There is no job {job!r}.", "See: ctorrent jobs")

    async def watch(self, job: str) -> AsyncIterator[Plain]:
        self.watched.set()
        for number, status in enumerate(self.statuses):
            yield status
            await trio.sleep(0.02)
            while number == self.hold_at and not self.go_on.is_set():  # noqa: ASYNC110  set by another thread
                await trio.sleep(0.02)
        if "runaaaaa".startswith(job):
            try:
                while not self.finish.is_set():
                    yield job_status("runaaaaa", "running", settled=3, waiting=9, replicas_done=6)
                    await trio.sleep(0.02)
            finally:
                self.unwatched.set()
            return
        yield self.end

    async def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        await self.job(job)
        if self.rows:
            return self.rows[after + 1 :][:limit]
        return [self._row(index) for index in range(after + 1, 12)][:limit]

    def _row(self, index: int) -> Plain:
        row: Plain = {
            "index": index, "seed": index, "params": canon.encode({"C": index, "gamma": 0.5}), "state": "settled",
            "workers": [NODE, OTHER], "agreed": 2, "seconds": 0.25,
        }  # fmt: skip
        if index == 5:
            return {**row, "state": "failed", "failure": {"kind": "EXCEPTION", "type": "ValueError", "text": "bad C"}}
        value = {"accuracy": index / 10, "more": {"n": index}, "pad": b"x" * self.row_bytes}
        return {**row, "value": canon.encode(value)}

    async def answer(self, job: str) -> Plain:
        await self.job(job)
        return self.found_answer

    async def timeline(self, job: str) -> Plain:
        await self.job(job)
        spans = [[n % 2, n, 1, n * 0.5, n * 0.5 + 0.4, n == 5] for n in range(12)]
        lines = [{**one, "number": n, "cpu_s": 1.0, "price": 0.5, "gflops": 20.0, "busy": [0.05] * 40} for n, one in enumerate(self.end["workers"])]
        return {
            "workers": self.workers_seen or lines, "column_s": 0.05, "spans": spans, "complete": True, "shortest_s": 0.2, "longest_s": 0.9,
            "times": [[0.1, 0.3, 10], [0.3, 1.0, 15]], "failures": [[5, "Traceback\nValueError: bad C"]], "about": [["program", "search.py:score"]],
        }  # fmt: skip

    async def logs(self, job: str, follow: bool = False) -> AsyncIterator[Plain]:
        yield {"index": 0, "worker": NODE, "text": "hello\n"}
        yield {"index": 1, "worker": OTHER, "text": "two\nlines"}

    async def receipt(self, job: str, with_data: bool = False) -> AsyncIterator[Plain]:
        yield {"bytes": b"\x89CTR"}
        yield {"bytes": b"all" if with_data else b"some"}

    async def why(self, job: str) -> Plain:
        return {
            "job": "runaaaaa", "state": "running", "waits_for": "It waits for a second owner.", "saw": 9, "engaged": 1,
            "reasons": {"lacks packages: numpy": 6, "is busy": 2},
        }  # fmt: skip

    async def cancel(self, job: str, reason: str = "") -> None:
        self.asked.append(("cancel", job, reason))
        self.finish.set()

    async def pause(self, job: str) -> None:
        self.asked.append(("pause", job))

    async def resume(self, job: str) -> None:
        self.asked.append(("resume", job))

    async def peers(self) -> list[Plain]:
        row = {"latency_s": 0.0012, "bandwidth_bytes_s": 5e7, "addresses": ["/ip4/10.0.0.2/tcp/4270"], "version": "0.1.0"}
        offer = {"cores": 8, "memory_bytes": 16 << 30, "gpus": [], "isolation": "docker", "slots_free": 3, "gflops": 40.0}
        bob = {"node": OTHER, "name": "bob", "owner": "own_bob", "how": "mdns", "connected": True, "friend": True, "accepted": True}
        eve = {"node": LIAR, "name": "eve", "owner": "own_eve", "how": "dht", "connected": False, "friend": False, "accepted": True}
        return [
            {**row, **bob, "wants_friendship": False, "offer": offer},
            {**row, **eve, "wants_friendship": True, "latency_s": None, "bandwidth_bytes_s": None},
        ]

    async def connect(self, address: str) -> Plain:
        raise Unavailable(f"{address} does not answer.", "Is it running?")

    async def invite(self, uses: int, valid_s: int) -> str:
        return f"ctorrent:invite:{uses}:{valid_s}"

    async def friends(self) -> list[Plain]:
        return [{"owner": "own_bob", "name": "bob", "state": "friend", "nodes": [OTHER]}]

    async def friend_add(self, who: str) -> Plain:
        self.asked.append(("friend_add", who))
        return {"owner": who, "name": "eve", "state": "friend", "nodes": []}

    async def friend_remove(self, who: str) -> None:
        self.asked.append(("friend_remove", who))

    async def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]:
        rows = [
            {"position": n, "author": NODE, "incarnation": 0, "seq": n, "kind": "TALLY", "ring": "public", "id": "ab" * 32,
             "issued_unix": 1_700_000_000, "body": {"worker": OTHER, "agreed": n, "disputed": 0, "invalid": 0}}
            for n in range(1, 4)
        ]  # fmt: skip
        return [row for row in rows if row["position"] > after][:limit]

    async def ledger_export(self, ring: str = "", author: str = "") -> AsyncIterator[Plain]:
        yield {"bytes": b"ctorrent ledger 1\n" + (3).to_bytes(4, "big") + b"abc" + bytes(4) + (1).to_bytes(8, "big")}

    async def ledger_import(self, entries: list[bytes]) -> Plain:
        return {"new": len(entries), "known": 0, "waiting": 0, "forks": 0, "elsewhere": 0, "refused": 0, "why": ""}

    async def ledger_verify(self) -> Plain:
        return {"authors": 2, "entries": 3, "forks": 0, "gaps": 0}

    async def reputation(self, who: str = "") -> list[Plain]:
        return [{"node": OTHER, "name": "bob", "agreed": 12.0, "disputed": 0.0, "lower_bound": 0.79, "newcomer": False, "state": "", "held": "", "past": "", "trust": 0.0, "established": 12, "dues": 20.0, "why": []}]

    async def credit(self, who: str = "") -> list[Plain]:
        did = {"receipts": 1, "blocks": 12, "core_hours": 0.5, "gpu_hours": 0.0, "credits": 0.5}
        none = {"receipts": 0, "blocks": 0, "core_hours": 0.0, "gpu_hours": 0.0, "credits": 0.0}
        receipt = {"job": "ab" * 8, "number": 1, "requester": OTHER, "worker": NODE, "for_me": False, "blocks": 12, "core_hours": 0.5,
                   "gpu_hours": 0.0, "credits": 0.5, "issued_unix": 1_700_000_000, "entry": "0.3"}  # fmt: skip
        row = {"person": "own_bob0000000000", "name": "bob", "friend": False, "nodes": [OTHER], "for_me": none, "for_them": did, "balance": 0.5,
               "waits_for_me": none, "waits_for_them": did, "limit": 10.0, "backed": 0.0, "left": 9.5, "receipts": [receipt] if who else []}  # fmt: skip
        return [row]

    async def hardware(self, measure: bool = False) -> Plain:
        return {
            "arch": "x86_64", "system": "Linux", "cpu_model": "A CPU", "cores": 2, "memory_bytes": 8 << 30, "gpus": [],
            "memory_free_bytes": 4 << 30, "disk_free_bytes": 100 << 30, "gpu_note": "none", "gflops": 50.0 * measure,
            "memory_gbs": 10.0 * measure,
        }  # fmt: skip

    async def environments(self) -> list[Plain]:
        return [{"name": "base", "python": "3.11.7", "arch": "x86_64", "packages": [["numpy", "2.0"]], "fingerprint": "ab" * 32}]

    async def environment_add(self, name: str, packages: list[str]) -> Plain:
        if name == "crash":
            raise ZeroDivisionError("a bug of ours")
        if name == "group":
            raise ExceptionGroup("a nursery's", [CTorrentError("The inner sentence.", "The inner hint.")])
        return {"name": name, "python": "3.11.7", "arch": "x86_64", "packages": [[p, "1"] for p in packages], "fingerprint": "cd" * 32}

    async def gc(self, dry_run: bool = False) -> list[Plain]:
        self.asked.append(("gc", dry_run))
        return [{"what": "old jobs", "count": 1, "bytes": 1 << 20, "names": ["abcdefgh"], "note": ""}]

    async def drain(self) -> Plain:
        self.asked.append(("drain",))
        return {"running": 0, "owed": 0, "left_s": 60.0}

    async def stop(self) -> None:
        self.asked.append(("stop",))

    async def events(self) -> AsyncIterator[Plain]:
        yield {"kind": "job", "job": self.end}
        yield {"kind": "pool", "pool": await self.pool()}

    async def blocks(self, job: str, since: int = -1) -> Plain:
        await self.job(job)
        changed = [[index, "settled", 0, 2] for index in range(12)] if since < 7 else []
        return {"version": 7, "blocks": 12, "workers": [{"node": NODE, "name": "ann", "local": True}], "changed": changed}

    async def offers(self) -> list[Plain]:
        return []

    async def machine(self) -> Plain:
        lends = {"cores": 1, "memory_bytes": 4 << 30, "gpus": 0, "disk_bytes": 20 * 10**9, "work_for": "friends"}
        return {
            "cpu": 0.5, "cores": 2, "memory_used": 3 << 30, "memory_bytes": 8 << 30, "gpus": [], "temperature_c": None, "net_in_bytes_s": 0.0,
            "net_out_bytes_s": 0.0, "disk_free_bytes": 100 << 30, "sharing": True, "slots": 1, "slots_free": 1, "lends": lends, "works_for": [],
            "earned_credits": 0.0, "history": [],
        }  # fmt: skip

    async def share(self, on: bool) -> Plain:
        self.asked.append(("share", on))
        return {**await self.machine(), "sharing": on}

    async def pool(self) -> Plain:
        return {"machines": 1, "cores": 2, "cores_free": 1, "memory_bytes": 8 << 30, "gpu_memory_bytes": 0, "gpus": 0, "disk_bytes": 0, "slots": 2, "slots_free": 1}

    async def retry(self, job: str) -> str:
        self.asked.append(("retry", job))
        return "againaaa"

    async def blob_add(self, path: str, name: str = "") -> Plain:
        return {"hash": "ab" * 32, "bytes": 3, "name": name or path, "added_unix": 1_700_000_000}

    async def blobs(self) -> list[Plain]:
        return [await self.blob_add("data.csv")]

    async def blob_remove(self, which: str) -> Plain:
        self.asked.append(("blob_remove", which))
        return await self.blob_add("data.csv")

    async def blob_find(self, which: str) -> Plain:
        return {**await self.blob_add("data.csv"), "path": "/data/blobs/ab"}

    async def metrics(self) -> Plain:
        return {"gauges": {}, "counters": {}, "histograms": {}, "help": {}}


@contextmanager
def serving(door: SmallDoor, path: pathlib.Path, rules: ControlRules = RULES) -> Iterator[pathlib.Path]:
    """Serve `door` from another thread. -> the socket's real path."""
    started = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            found["socket"] = await nursery.start(serve_control, door, path, rules)
            found["token"] = trio.lowlevel.current_trio_token()
            found["scope"] = nursery.cancel_scope
            started.set()

    thread = threading.Thread(target=trio.run, args=(serve,), daemon=True)
    thread.start()
    assert started.wait(30), "the control server did not start"
    try:
        yield found["socket"]
    finally:
        found["token"].run_sync_soon(found["scope"].cancel)
        thread.join(30)
        assert not thread.is_alive(), "the control server did not end"
