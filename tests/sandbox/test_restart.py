"""A supervisor that dies takes its processes along; the cell starts another and goes on."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Limits
from ctorrent.model.result import FailureKind
from ctorrent.ports import Cell
from tests.sandbox.cells import block, in_cell, sandbox_of, spec_of

pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", ["jail", "jail without walls"])]
_SOURCE = "def block(index):\n    while index == 1: pass\n    return index\n"


def _kill_supervisor(cell: Cell) -> None:
    with suppress(ProcessLookupError):  # the last unit may have been served by a child that outlived it for a moment
        os.kill(cell._enclosure._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]


def test_the_block_it_died_with_fails_and_the_next_runs(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        async with trio.open_nursery() as nursery:

            async def kill_soon() -> None:
                await trio.sleep(0.3)
                _kill_supervisor(cell)

            nursery.start_soon(kill_soon)
            (lost,) = await cell.run([block(1)])
        assert lost.failure is not None and lost.failure.kind in (FailureKind.MEMORY, FailureKind.TIME)
        assert (await cell.run([block(2)]))[0].value == canon.encode(2)

    in_cell(level, tmp_path, _SOURCE, body, limits=Limits(block_s=1.5))


def test_between_units_nobody_notices(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        for index in (0, 2, 3):
            assert (await cell.run([block(index)]))[0].value == canon.encode(index)
            _kill_supervisor(cell)
            deadline = time.monotonic() + 10
            while cell._enclosure._process.poll() is None:  # type: ignore[attr-defined]
                assert time.monotonic() < deadline
                await trio.sleep(0.01)

    in_cell(level, tmp_path, _SOURCE, body)


def test_an_interpreter_that_cannot_start_is_this_machines_fault(level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        sandbox = await sandbox_of(level, tmp_path)
        monkeypatch.setattr("ctorrent.sandbox.description.boot_file", lambda _: "/nonexistent/boot.py")
        with pytest.raises(LocalError, match=r"boot\.py"):
            await sandbox.open(spec_of(sandbox, _SOURCE))
        assert list((tmp_path / "cells").iterdir()) == []

    trio.run(main)
