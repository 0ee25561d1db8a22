"""Blocks in a warm jail, one after the other, without a network."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import trio

from ctorrent import canon
from ctorrent.model.ids import Digest
from ctorrent.model.job import Limits, Needs, Program, ProgramKind
from ctorrent.ports import BlockInput, CellSpec, Sandbox
from ctorrent.sandbox import SandboxRules, open_sandbox
from tests.sandbox.cells import folder_of

WARM = 20  # blocks before the measured ones


def one_by_one(source: Path, entry: str, blocks: int) -> float:
    """Median seconds from handing a single-block unit over to its outcome."""
    return trio.run(_measure, source, entry, blocks)


async def _measure(source: Path, entry: str, blocks: int) -> float:
    with tempfile.TemporaryDirectory(prefix="ctwarm-") as folder:
        sandbox = await open_sandbox(Path(folder), SandboxRules(), prefer="jail")
        try:
            cell = await sandbox.open(_spec(sandbox, source, entry))
            took = []
            for index in range(WARM + blocks):
                begun = time.perf_counter()
                outcome = (await cell.run([BlockInput(index, index, canon.encode({}))]))[0]
                took.append(time.perf_counter() - begun)
                assert outcome.failure is None, outcome.failure
            await cell.aclose()
        finally:
            await sandbox.aclose()
    return statistics.median(took[WARM:])


def _spec(sandbox: Sandbox, source: Path, entry: str) -> CellSpec:
    code = folder_of({source.name: source.read_bytes()})
    program = Program(ProgramKind.PYTHON, Digest(b"c" * 32), entry=entry)
    return CellSpec("bench", program, code, sandbox.environments()[0], Needs(), Limits(), hash_seed=0)
