"""What a sandbox costs: `python -m tests.sandbox.speed [LEVEL]…`. Medians; a machine that does something else shows it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from ctorrent.model.job import Limits
from ctorrent.ports import BlockInput
from tests.sandbox.cells import cell_of, sandbox_of, spec_of

_SOURCE = "def block(inputs):\n    return inputs.get('data')\n"
_LIMITS = Limits(block_s=60, output_bytes=4 << 20)


async def _median(times: int, what: Callable[[], Awaitable[object]], pause_s: float = 0.0) -> float:
    taken = []
    for _ in range(times):
        await trio.sleep(pause_s)
        start = time.perf_counter()
        await what()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


async def measure(level: str, data: Path) -> dict[str, float]:
    """-> figure by name."""
    sandbox = await sandbox_of(level, data)
    spec = spec_of(sandbox, _SOURCE, limits=_LIMITS)

    async def start() -> None:
        cell = await sandbox.open(spec)
        await cell.run([BlockInput(0, 0, b"\x80")])
        await cell.aclose()

    found = {"start, first unit and stop, ms": 1e3 * await _median(5, start)}
    await sandbox.aclose()
    path = data / "megabyte"
    path.write_bytes(b"x" * (1 << 20))
    async with cell_of(level, data, _SOURCE, limits=_LIMITS) as cell:
        one = [BlockInput(0, 0, b"\x80")]
        empty = [BlockInput(i, i, b"\x80") for i in range(1000)]
        large = [BlockInput(i, i, b"\x80", (("data", str(path)),)) for i in range(32)]
        found["a unit of one empty block, idle, ms"] = 1e3 * await _median(20, lambda: cell.run(one), 0.02)
        found["the same back to back, ms"] = 1e3 * await _median(100, lambda: cell.run(one))
        busy = time.process_time()
        for _ in range(100):
            await cell.run(one)
        found["  of it the node's processor, ms"] = 10 * (time.process_time() - busy)
        found["an empty block in a unit of 1000, µs"] = 1e3 * await _median(10, lambda: cell.run(empty))
        found["1 MiB in and 1 MiB out, in a unit of 32, ms"] = 1e3 / 32 * await _median(5, lambda: cell.run(large))
    return found


def main() -> None:
    for level in sys.argv[1:] or ["jail", "jail without walls"]:
        with tempfile.TemporaryDirectory() as folder:
            for name, figure in trio.run(measure, level, Path(folder)).items():
                print(f"{level:20} {name:45} {figure:8.3f}")


if __name__ == "__main__":
    main()
