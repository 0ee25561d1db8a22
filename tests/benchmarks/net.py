"""Two processes, one channel: round trips and megabytes. `python -m tests.benchmarks.net [--json FILE]`.

Encryption (Noise), multiplexing (Yamux), framing and credit are on; that is the path every job's bytes take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import trio

from ctorrent.net import NetRules, open_network
from ctorrent.net.network import Network
from ctorrent.ports import Channel

RULES = NetRules(listen=("127.0.0.1",), port=0, mdns=False)
ECHO, SINK, SOURCE = "/bench/echo/1", "/bench/sink/1", "/bench/source/1"
MIB = 1 << 20
ROUND_TRIP_MS_MAX = 1.5  # the target the room was built to
MB_S_MIN = 200.0


async def serve() -> None:
    """The other process: echo, swallow, produce. Ends with its standard input."""
    async with open_network(os.urandom(32), RULES) as network:
        network.streams.serve(ECHO, _echo)
        network.streams.serve(SINK, _sink)
        network.streams.serve(SOURCE, _source)
        print(network.directory.addresses()[0], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def _echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


async def _sink(channel: Channel) -> None:
    size = int.from_bytes(await channel.receive(), "big")
    while size > 0:
        size -= len(await channel.receive())
    await channel.send(b"done")


async def _source(channel: Channel) -> None:
    count = int.from_bytes(await channel.receive(), "big")
    frame = os.urandom(MIB)
    for _ in range(count):
        await channel.send(frame)
    await channel.receive()


async def measure(address: str) -> dict[str, float]:
    async with open_network(os.urandom(32), RULES) as network:
        began = time.perf_counter()
        peer = await network.directory.connect(address)
        figures = {"connect_ms": (time.perf_counter() - began) * 1e3}
        figures["open_ms"] = await _opens(network, peer)
        figures["round_trip_ms"] = await _round_trips(network, peer, 64)
        figures["round_trip_16k_ms"] = await _round_trips(network, peer, 16 << 10)
        figures["small_frames_s"] = await _small_frames(network, peer)
        figures["upload_mb_s"] = await _upload(network, peer, 256)
        figures["download_mb_s"] = await _download(network, peer, 256)
        return {name: round(value, 3) for name, value in figures.items()}


async def _opens(network: Network, peer: str) -> float:
    took = []
    for _ in range(50):
        began = time.perf_counter()
        channel = await network.streams.open(peer, ECHO)  # type: ignore[arg-type]
        took.append(time.perf_counter() - began)
        await channel.aclose()
    return statistics.median(took) * 1e3


async def _round_trips(network: Network, peer: str, size: int) -> float:
    channel = await network.streams.open(peer, ECHO)  # type: ignore[arg-type]
    frame, took = os.urandom(size), []
    for _ in range(500):
        began = time.perf_counter()
        await channel.send(frame)
        await channel.receive()
        took.append(time.perf_counter() - began)
    await channel.aclose()
    return statistics.median(took) * 1e3


async def _small_frames(network: Network, peer: str) -> float:
    """Frames a second there and back, many under way: what pipelined empty blocks do."""
    channel = await network.streams.open(peer, ECHO)  # type: ignore[arg-type]
    count, frame = 20_000, os.urandom(200)

    async def send() -> None:
        for _ in range(count):
            await channel.send(frame)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        for _ in range(count):
            await channel.receive()
    took = time.perf_counter() - began
    await channel.aclose()
    return count / took


async def _upload(network: Network, peer: str, mib: int) -> float:
    channel = await network.streams.open(peer, SINK)  # type: ignore[arg-type]
    frame = os.urandom(MIB)
    began = time.perf_counter()
    await channel.send((mib * MIB).to_bytes(8, "big"))
    for _ in range(mib):
        await channel.send(frame)
    await channel.receive()
    took = time.perf_counter() - began
    await channel.aclose()
    return mib * MIB / 1e6 / took


async def _download(network: Network, peer: str, mib: int) -> float:
    channel = await network.streams.open(peer, SOURCE)  # type: ignore[arg-type]
    began = time.perf_counter()
    await channel.send(mib.to_bytes(8, "big"))
    for _ in range(mib):
        await channel.receive()
    took = time.perf_counter() - began
    await channel.send(b"done")
    await channel.aclose()
    return mib * MIB / 1e6 / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help="be the other process")
    options = parser.parse_args()
    if options.serve:
        trio.run(serve)
        return
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.net", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        try:
            figures = trio.run(measure, other.stdout.readline().strip())
        finally:
            other.stdin.close()
            other.wait(10)
    _report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def _report(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        print(f"     {name:20} {value:10.2f}")
    trip, speed = figures["round_trip_ms"], min(figures["upload_mb_s"], figures["download_mb_s"])
    print(f"{'OK  ' if trip < ROUND_TRIP_MS_MAX else 'MISS'} a round trip of 64 bytes: {trip:.2f} ms, target < {ROUND_TRIP_MS_MAX} ms")
    print(f"{'OK  ' if speed > MB_S_MIN else 'MISS'} 256 MiB in frames of 1 MiB: {speed:.0f} MB/s, target > {MB_S_MIN:.0f} MB/s")


if __name__ == "__main__":
    main()
