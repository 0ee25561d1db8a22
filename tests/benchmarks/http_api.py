"""How long the HTTP API takes with ten thousand jobs in the journal, and the page's first byte.

    python -m tests.benchmarks.http_api [jobs] [calls of each]

A node's journal is filled with copies of one small job that has ended, the node is started again and asked over one
connection, as a page does. Prints milliseconds: median, 99th percentile, worst, and the processor time that the node took for each, its own
ticking included: what is left of the figure on a machine that others keep busy.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ctorrent.canon import encode
from ctorrent.model.ids import JobId
from ctorrent.node import records
from ctorrent.ports import Put
from ctorrent.seal import digest
from ctorrent.store.journal import open_journal
from ctorrent.store.keys import load_or_create
from ctorrent.wire import codec
from tests.real.herd import Tended, herd
from tests.web.conftest import opened
from tests.web.jobs import ended, submitted

CALLS = (
    "/", "/api/v1/status", "/api/v1/jobs?limit=100", "/api/v1/jobs?limit=100&after={middle}", "/api/v1/jobs/{middle}",
    "/api/v1/jobs/{real}/results", "/api/v1/jobs/{real}/blocks", "/api/v1/peers", "/api/v1/offers", "/api/v1/machine", "/api/v1/pool",
    "/api/v1/ledger", "/api/v1/reputation", "/metrics",
)  # fmt: skip


async def fill(node: Tended, count: int) -> None:
    """Copies of the one job that the journal holds, signed anew with a nonce of their own."""
    keys = load_or_create(node.data, node.owner_dir)
    journal = await open_journal(node.data / "journal.sqlite")
    try:
        ((_, value),) = journal.scan("job")
        sealed, *rest = records.load(value)
        manifest = codec.open_manifest(records.unpack_sealed(sealed)).manifest
        for start in range(0, count, 500):
            puts = []
            for number in range(start, min(count, start + 500)):
                copy = codec.seal_manifest(replace(manifest, nonce=secrets.token_bytes(16), name=f"job-{number}"), keys.node)
                puts.append(Put("job", JobId(digest("ctorrent/job/1", copy.body)), encode([records.pack_sealed(copy), *rest[:2], rest[2] - number, *rest[3:]])))
            await journal.commit(puts)
    finally:
        await journal.aclose()


def measure(api: httpx.Client, path: str, calls: int) -> list[float]:
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        assert api.get(path).status_code == 200, path
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.004)  # below the calls that one token has in a second
    return sorted(times)


def worked(node: Tended) -> float:
    """Processor seconds of the node's own process."""
    assert node.process is not None
    times = psutil.Process(node.process.pid).cpu_times()
    return float(times.user + times.system)


def measured(jobs: int, calls: int) -> Iterator[tuple[str, list[float], float]]:
    """(path, milliseconds of each call in order of size, the node's processor milliseconds a call)."""
    with herd() as make:
        node = make("ann", "--http", "127.0.0.1:0", "--no-dht")
        node.start()
        with opened(node).caller() as api:
            real = submitted(api)
            ended(api, real)
        node.stop()
        trio.run(fill, node, jobs)
        began = time.perf_counter()
        node.start()
        print(f"started with {jobs} jobs in {time.perf_counter() - began:.1f} s")
        with opened(node).caller() as api:
            page = api.get("/api/v1/jobs", params={"limit": 1000}).json()
            words = {"middle": page["items"][len(page["items"]) // 2]["job"], "real": real}
            for path in CALLS:
                before = worked(node)
                times = measure(api, path.format(**words), calls)
                yield path, times, (worked(node) - before) * 1000 / calls


def main(jobs: int, calls: int) -> None:
    for path, times, cpu in measured(jobs, calls):
        print(f"{times[len(times) // 2]:7.2f} {times[int(len(times) * 0.99)]:7.2f} {times[-1]:7.2f} {cpu:7.2f}  {path}", flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["10000", "300"][len(sys.argv) - 1 :])))
