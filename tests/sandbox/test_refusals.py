"""What a program is told when it asks for what a block may not have, and how long a block had run that was ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ctorrent.model.result import FailureKind
from ctorrent.ports import Cell
from tests.sandbox.cells import LEVELS, QUICK, block, in_cell

pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]

NO_NETWORK = "a block has no network: give it data as inputs or files"
ONE_PROCESS = "a block is one process: use n_jobs=1 and more blocks"
OWN_FILES = "a block reads only what its job names, and writes no files: return what is to be kept"

# what it does -> the sentence on the last line of its traceback
ASKS = {
    "import socket; socket.create_connection(('example.org', 80))": NO_NETWORK,
    "import socket; socket.socket()": NO_NETWORK,
    "import urllib.request; urllib.request.urlopen('http://example.org/')": NO_NETWORK,
    "import subprocess; subprocess.run(['ls'])": ONE_PROCESS,
    "import os; os.fork()": ONE_PROCESS,
    "open('out.csv', 'w')": OWN_FILES,
    "open('/home/me/data.csv')": OWN_FILES,
    "import os; os.kill(1, 9)": "a block may not do this",
}


def test_a_refused_call_says_why_in_a_sentence(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        for index, (what, sentence) in enumerate(ASKS.items()):
            (only,) = await cell.run([block(index)])
            assert only.failure is not None, what
            assert sentence in only.failure.text.strip().splitlines()[-1], (what, only.failure.text)
            assert f'File "program.py", line {2 * index + 3}' in only.failure.text, "and where the program asked"
            assert "runner.py" not in only.failure.text, "without our own frames"

    lines = [line for at, what in enumerate(ASKS) for line in (f"    if index == {at}:", f"        {what}")]
    in_cell(level, tmp_path, "\n".join(["def block(index):", *lines]), body)


def test_a_program_may_wake_itself_and_run_coroutines(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0)])
        assert only.failure is None, only.failure

    source = "import asyncio\ndef block():\n    async def one():\n        await asyncio.sleep(0.01)\n        return 1\n    return asyncio.run(one())\n"
    in_cell(level, tmp_path, source, body)


def test_a_block_that_was_ended_has_run_as_long_as_it_did(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        ran: list[float] = []
        while len(ran) < 6 and min(ran, default=9.0) > 1.2:  # another program may have the machine when its time is over
            (late,) = await cell.run([block(0)])
            assert late.failure is not None and late.failure.kind is FailureKind.TIME
            ran.append(late.usage.wall_s)
        assert 1.0 <= min(ran) <= 1.2, ran
        (crashed,) = await cell.run([block(1)])
        assert crashed.failure is not None and crashed.usage.wall_s >= 0.3

    source = "import os, time\ndef block(index):\n    time.sleep(0.3 if index else 60)\n    os._exit(7)\n"
    in_cell(level, tmp_path, source, body, limits=replace(QUICK, block_s=1.0))
