"""Cells to test with: a level by name, a program by its source."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.job import Limits, Needs, Program, ProgramKind
from ctorrent.ports import BlockInput, Cell, CellSpec, Sandbox
from ctorrent.sandbox import SandboxRules, open_sandbox
from ctorrent.store import trees

LEVELS = ["jail", "jail without walls", pytest.param("docker", marks=pytest.mark.docker)]
QUICK = Limits(block_s=10.0, output_bytes=1 << 20, log_bytes=1 << 16, scratch_bytes=8 << 20)
SMALL = Needs(memory_bytes=128 << 20)


async def sandbox_of(level: str, data_dir: Path, rules: SandboxRules | None = None) -> Sandbox:
    """The sandbox of that name; skips loudly where Docker is not, unless it must be there."""
    rules = rules or SandboxRules(walls=level != "jail without walls")
    try:
        return await open_sandbox(data_dir, rules, level.split()[0])
    except LocalError as error:
        if level != "docker" or os.environ.get("CTORRENT_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(f"NO DOCKER HERE, NOT TESTED: {error}")


def spec_of(
    sandbox: Sandbox, source: str | dict[str, bytes], entry: str = "program.py:block", argv: tuple[str, ...] = (), **fields: Any
) -> CellSpec:
    """A spec for a program. fields: needs, limits, slots, environment (a name), gpus, outputs (a template)."""
    files = {"program.py": source.encode()} if isinstance(source, str) else source
    name = fields.pop("environment", "base")
    (environment,) = [one for one in sandbox.environments() if one.name == name]
    kind = ProgramKind.COMMAND if argv else ProgramKind.PYTHON
    program = Program(kind, Digest(b""), entry, argv, outputs=fields.pop("outputs", ""))
    filled = {"needs": SMALL, "limits": QUICK, "hash_seed": 7, **fields}
    return CellSpec("testjob", program, folder_of(files), environment, **filled)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # gone with the test process


def folder_of(files: Mapping[str, bytes]) -> str:
    """These files as the store lays them out."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="ct-job-"))
    target = Path(_FOLDERS[-1].name) / "tree"
    trees.lay_out(target, files, {})
    return str(target)


@asynccontextmanager
async def cell_of(level: str, data_dir: Path, source: str | dict[str, bytes], **fields: Any) -> AsyncIterator[Cell]:
    """An open cell, closed afterwards; checks that nothing was left behind."""
    sandbox = await sandbox_of(level, data_dir)
    cell = await sandbox.open(spec_of(sandbox, source, **fields))
    try:
        yield cell
    finally:
        await cell.aclose()
        await sandbox.aclose()
        left = await trio.to_thread.run_sync(lambda: list((data_dir / "cells").iterdir()))
        assert left == []


def block(index: int, files: tuple[tuple[str, str], ...] = (), **params: Any) -> BlockInput:
    return BlockInput(index, index + (1 << 40), canon.encode(params), files)


def in_cell(
    level: str, data_dir: Path, source: str | dict[str, bytes], body: Callable[[Cell], Awaitable[None]], **fields: Any
) -> None:
    """Run `body` with an open cell."""

    async def main() -> None:
        with trio.fail_after(300):
            async with cell_of(level, data_dir, source, **fields) as cell:
                await body(cell)

    trio.run(main)
