"""Four systems behind one small interface: start, run a workload with all results in hand, stop.

Each is given two worker processes of one slot. Ours: three nodes of three owners on loopback; the first requests and
does not work (`--no-work`), the other two work, one slot each, in the jail.
"""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

import ctorrent
from tests.benchmarks import work

MIB = 1 << 20
FLAGS = ("--slots", "1", "--isolation", "jail")


@dataclass(frozen=True, slots=True)
class Load:
    """`blocks` calls of one function of work.py. data: what each gets, of 1 MiB; empty for the others."""

    name: str
    function: Any
    blocks: int
    data: tuple[bytes, ...] = ()

    def arguments(self) -> list[Any]:
        return list(self.data) if self.data else list(range(self.blocks))

    def small(self) -> Load:
        """Some blocks of it, to warm a system up."""
        return Load(self.name, self.function, 8, self.data[:8])

    def check(self, values: list[Any]) -> None:
        """Every system must have done the work."""
        assert len(values) == self.blocks, (self.name, len(values))
        if self.data:
            assert all(bytes(value) == work.turn(given) for value, given in zip(values, self.data, strict=True))
        elif self.function is work.busy:
            assert values == list(range(self.blocks))


def loads(quick: bool) -> tuple[Load, ...]:
    """200 x 100 ms, 10,000 x nothing, 200 x 1 MiB each way; less when quick."""
    part = 5 if quick else 1
    blocks = 200 // part
    data = tuple(os.urandom(MIB) for _ in range(blocks))
    return (
        Load("busy", work.busy, blocks),
        Load("empty", work.empty, 10_000 // part),
        Load("megabyte", work.turn, blocks, data),
    )


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until all results are in the caller's hand, and what else was seen on the way."""

    seconds: float
    detail: dict[str, Any] = field(default_factory=dict)


class Pool:
    """concurrent.futures.ProcessPoolExecutor(2)."""

    name = "pool"

    def __enter__(self) -> Pool:
        self._pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self, load: Load) -> Took:
        begun = time.perf_counter()
        values = list(self._pool.map(load.function, load.arguments()))
        took = time.perf_counter() - begun
        load.check(values)
        return Took(took)


class Dask:
    """dask.distributed: two processes of one thread."""

    name = "dask"

    def __enter__(self) -> Dask:
        import dask

        # Quiet: it warns of megabytes as arguments, and of the heartbeats that its own end cuts off.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB", "logging.distributed": "critical"})
        from distributed import Client, LocalCluster

        self._cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
        self._client = Client(self._cluster)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._cluster.close()

    def run(self, load: Load) -> Took:
        begun = time.perf_counter()
        values = self._client.gather(self._client.map(load.function, load.arguments(), pure=False))
        took = time.perf_counter() - begun
        load.check(values)
        return Took(took)


class Ray:
    """Ray with num_cpus=2."""

    name = "ray"

    def __enter__(self) -> Ray:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self._remote = {function: ray.remote(function) for function in (work.busy, work.empty, work.turn)}
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def run(self, load: Load) -> Took:
        remote = self._remote[load.function]
        begun = time.perf_counter()
        values = self._ray.get([remote.remote(argument) for argument in load.arguments()])
        took = time.perf_counter() - begun
        load.check(values)
        return Took(took)


class Ours:
    """Three nodes: one requester that does not work, two workers."""

    name = "ctorrent"

    def __init__(self) -> None:
        self.swarm = ctorrent.swarm(3, flags=FLAGS, extra={0: ("--no-work",)})

    def __enter__(self) -> Ours:
        self._folder = tempfile.TemporaryDirectory(prefix="ctbench-")
        self._home = Path(self._folder.name)
        (self._home / "work.py").write_text(Path(work.__file__).read_text())
        self.swarm.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.swarm.close()
        self._folder.cleanup()

    def run(self, load: Load, replicas: int = 1) -> Took:
        text = self._job(load, replicas)
        before = self._cpu()
        begun = time.perf_counter()
        net = self.swarm.net
        job = net.attach(net.submit(self._home / "job.yaml", text))
        detail = self._watched(job, load.blocks, begun)
        values = [row["value"] for row in job.rows()]
        took = time.perf_counter() - begun
        load.check(values)
        status = job.status()
        assert status["state"] == "settled" and status["replicas_wanted"] == replicas
        report = status["report"]
        assert set(report["isolation"]) == {"jail"}, report["isolation"]
        cpu = [round(after - earlier, 2) for earlier, after in zip(before, self._cpu(), strict=True)]
        return Took(took, {**detail, "assignments": report["assignments"], "node_cpu_s": cpu})

    def _cpu(self) -> list[float]:
        """Processor seconds so far of each node's own process, without its sandboxes: requester, worker, worker."""
        times = [psutil.Process(member.process.pid).cpu_times() for member in self.swarm.members]
        return [one.user + one.system for one in times]

    def _job(self, load: Load, replicas: int) -> str:
        if load.data:
            (self._home / "data.bin").write_bytes(b"".join(load.data))
            entry, blocks = "turn_block", "{split: {file: data.bin, by: bytes, size: 1 MiB}}"
        else:
            entry, blocks = load.function.__name__, f"{{count: {load.blocks}}}"
        return f"python: work.py:{entry}\nblocks: {blocks}\nverify: {{replicas: {replicas}}}\n"

    def _watched(self, job: Any, blocks: int, begun: float) -> dict[str, Any]:
        """When the first block was back, and when all were settled."""
        first = 0.0
        for status in job.watch():
            if not first and status["provisional"] + status["settled"]:
                first = time.perf_counter() - begun
        return {"first_s": round(first, 3), "settled_s": round(time.perf_counter() - begun, 3)}
