"""What is measured without another system beside it: an idle node, the command, a warm sandbox, the bare channel."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import trio

import ctorrent
from ctorrent.embedded import wait_for
from ctorrent.net import open_network
from tests.benchmarks import work
from tests.benchmarks.net import ECHO, MIB, RULES
from tests.benchmarks.systems import FLAGS

TALLY_S = 60.0  # one tally per worker in 30 s: the job before may have used this one's turn


def transport(exchanges: int) -> float:
    """1 MiB each way, pipelined over one channel between two processes. -> exchanges a second."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.net", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        try:
            return trio.run(_exchange, other.stdout.readline().strip(), exchanges)
        finally:
            other.stdin.close()


async def _exchange(address: str, exchanges: int) -> float:
    async with open_network(os.urandom(32), RULES) as network:
        channel = await network.streams.open(await network.directory.connect(address), ECHO)
        frame = os.urandom(MIB)

        async def send(count: int) -> None:
            for _ in range(count):
                await channel.send(frame)

        begun = 0.0
        for count in (8, exchanges):  # the first few warm the path
            begun = time.perf_counter()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, count)
                for _ in range(count):
                    await channel.receive()
        took = time.perf_counter() - begun
        await channel.aclose()
        return exchanges / took


def idle(seconds: float) -> dict[str, float]:
    """A node that eight others joined, left alone. -> MB resident, and per cent of one core."""
    with ctorrent.swarm(9, flags=FLAGS) as swarm:
        assert sum(peer["connected"] for peer in swarm.net.peers()) >= 8
        node = psutil.Process(swarm.members[0].process.pid)
        time.sleep(seconds / 2)  # what joining set going comes to rest
        before, begun = node.cpu_times(), time.perf_counter()
        time.sleep(seconds)
        after, took = node.cpu_times(), time.perf_counter() - begun
        used = after.user + after.system - before.user - before.system
        return {"mb": node.memory_info().rss / 1e6, "percent": 100 * used / took}


def help_seconds(times: int = 7) -> float:
    """`ctorrent --help`, process start to end, median."""
    command = [str(Path(sys.executable).with_name("ctorrent")), "--help"]
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def secured(swarm: Any) -> None:
    """Assert that the figures were taken with everything on: jail, Noise alone, signatures, the journal on disk."""
    for member in swarm.members:
        status = member.net.status()
        assert status["isolation"].startswith("jail"), status["isolation"]
        assert not status["testing"], status["testing"]
        for address in status["addresses"]:
            _noise_alone(address)
        assert list(member.process.data_dir.glob("journal*")), "no journal on disk"
    wait_for(lambda: _tallies(swarm.net), time.monotonic() + TALLY_S, "The ledger tells of the two-replica job")
    checked = swarm.net.ledger_verify()
    assert checked["entries"] and not checked["bad"] and not checked["forks"], checked


def _tallies(net: Any) -> int | None:
    """Votes recorded so far; None while there are none."""
    return sum(row["kind"] == "tally" for row in net.ledger()) or None


def _noise_alone(address: str) -> None:
    """The node's port accepts /noise and nothing weaker, asked by multistream-select on a bare socket."""
    words = address.split("/")
    for offered, accepted in (("/plaintext/2.0.0", False), ("/secio/1.0.0", False), ("/noise", True)):
        with contextlib.closing(socket.create_connection((words[2], int(words[4])), timeout=10)) as connection:
            for line in ("/multistream/1.0.0", offered):
                raw = line.encode() + b"\n"
                connection.sendall(bytes((len(raw),)) + raw)
            answers = [_line(connection), _line(connection)]
        assert answers == ["/multistream/1.0.0", offered if accepted else "na"], answers


def _line(connection: socket.socket) -> str:
    size = connection.recv(1)[0]
    raw = b""
    while len(raw) < size:
        raw += connection.recv(size - len(raw))
    return raw.decode().rstrip("\n")


def sandbox_seconds(blocks: int) -> float:
    """A block in a warm jail, one after the other: what it adds to an empty function. Median."""
    from tests.benchmarks.warm import one_by_one

    return one_by_one(Path(work.__file__), "work.py:empty", blocks)
