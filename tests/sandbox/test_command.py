"""Commands: files in, files out, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Limits, Needs
from ctorrent.model.result import FailureKind as Kind
from ctorrent.ports import Cell
from tests.sandbox.cells import block, in_cell, sandbox_of, spec_of

LEVELS = ["jail", pytest.param("docker", marks=pytest.mark.docker)]
pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]
LIMITS = Limits(block_s=5, output_bytes=1 << 20, log_bytes=1 << 16, scratch_bytes=4 << 20)
SH = ("python3", "-c")


def _text(tmp_path: Path, name: str, text: str) -> tuple[str, str]:
    (tmp_path / "in").mkdir(exist_ok=True)
    path = tmp_path / "in" / name
    path.write_text(text)
    return name, str(path)


def test_input_and_output_are_files(level: str, tmp_path: Path) -> None:
    files = [_text(tmp_path, f"{i}.txt", f"word {i}\n" * (i + 1)) for i in range(3)]

    async def body(cell: Cell) -> None:
        outcomes = await cell.run([block(i, (files[i],)) for i in range(3)])
        assert [o.failure for o in outcomes] == [None] * 3
        assert [canon.decode(o.value or b"") for o in outcomes] == [b"1", b"2", b"3"]
        assert outcomes[0].log == b"counted\n"

    program = "import sys; open(sys.argv[2], 'w').write(str(len(open(sys.argv[1]).readlines()))); print('counted')"
    in_cell(level, tmp_path, "", body, argv=(*SH, program, "{input}", "{output}"), limits=LIMITS)


def test_made_files_come_back_by_name_with_code_beside(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(3, colour="red")])
        assert only.failure is None
        assert canon.decode(only.value or b"") == {"deep/b": b"red 3", "a": b"x"}

    files = {"run.py": b"import os, sys\nos.mkdir('deep')\nopen('a', 'w').write('x')\nopen('deep/b', 'w').write(' '.join(sys.argv[1:]))\n"}
    in_cell(level, tmp_path, files, body, argv=("python3", "run.py", "{colour}", "{index}"), limits=LIMITS)


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("import sys; print('sorry'); sys.exit(7)", Kind.EXIT),
        ("while True: pass", Kind.TIME),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", Kind.TIME),
        ("x = bytearray(1 << 30)", Kind.MEMORY),
        ("open('big', 'wb').write(bytes(32 << 20))", Kind.OUTPUT),
        ("f = open('a', 'wb')\nfor i in range(40): open(str(i), 'wb').write(bytes(1 << 20))", Kind.OUTPUT),
        ("open('a', 'wb').write(bytes(2 << 20))", Kind.OUTPUT),
        ("import os; os.symlink('/etc/passwd', 'a')", Kind.OUTPUT),
        ("import os; os.mkfifo('a')", Kind.OUTPUT),
        ("import ctypes; ctypes.string_at(0)", Kind.KILLED),
        ("import socket; socket.socket()", Kind.EXIT),
        ("import os; open('p', 'w').write('#!/bin/sh\\necho'); os.chmod('p', 0o755); os.execv('./p', ['p'])", Kind.EXIT),
        ("import os; os.kill(os.getppid(), 11)", Kind.KILLED),
    ],
)
def test_what_goes_wrong_has_a_type_and_the_next_block_runs(level: str, program: str, kind: Kind, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        before, wrong, after = await cell.run([block(0, code="pass"), block(1, code=program), block(2, code="pass")])
        assert before.value == after.value == canon.encode({})
        assert wrong.failure is not None and wrong.failure.kind is kind, wrong

    block_s = 3 if kind is Kind.TIME else 30  # its neighbours take a moment too, on a busy machine a long one
    limits = Limits(block_s=block_s, output_bytes=1 << 20, log_bytes=1 << 16, scratch_bytes=8 << 20)
    in_cell(level, tmp_path, "", body, argv=(*SH, "{code}"), limits=limits, needs=Needs(memory_bytes=256 << 20))


def test_an_unknown_program_is_named(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0)])
        assert only.failure is not None and (only.failure.kind, only.failure.type) == (Kind.EXIT, "127")
        assert "no-such-program" in only.failure.text

    in_cell(level, tmp_path, "", body, argv=("no-such-program",), limits=LIMITS)


def test_what_it_leaves_running_ends_with_its_block(level: str, tmp_path: Path) -> None:
    count = (
        "import glob\nn = 0\nfor name in glob.glob('/proc/[0-9]*/cmdline'):\n    try:\n        n += b'sleep' + b'(600)' in open(name, 'rb').read()\n"
        "    except OSError:\n        pass\nopen('n', 'w').write(str(n))"
    )
    leave = "import os, time\nfor _ in range(5):\n    if not os.fork():\n        os.setsid(); time.sleep(600)"

    none = {"n": b"0"}

    async def body(cell: Cell) -> None:
        _, _, last = await cell.run([block(1, code=leave), block(2, code=leave), block(3, code=count)])
        assert canon.decode(last.value or b"") == none
        with trio.move_on_after(0.5):
            await cell.run([block(1, code=leave + "\ntime.sleep(600)")])
        again = (await cell.run([block(3, code=count)]))[0]
        assert canon.decode(again.value or b"") == none
        (seen,) = await cell.run([block(4, code=leave + "\n" + count)])  # while they run: they can be seen
        assert canon.decode(seen.value or b"") == {"n": b"6"}  # itself and its five

    in_cell(level, tmp_path, "", body, argv=(*SH, "{code}"), limits=LIMITS)


def test_it_sees_a_small_world(level: str, tmp_path: Path) -> None:
    program = """
import os, socket
seen = [p for p in ("/root", "/home", "/work", "/var", "/etc/shadow", "/etc/hostname", os.environ.get("USER")) if p and os.path.exists(p)]
for folder in ("/", "/etc", "/usr", "/ct", "/scratch", "/dev", "/proc/self"):
    try: open(folder + "/new", "w"); seen.append("wrote " + folder)
    except OSError: pass
open("seen", "w").write(repr((seen, socket.gethostname(), os.getuid() == 0)))
"""

    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0, code=program)])
        assert only.failure is None, only
        seen, host, root = eval(canon.decode(only.value or b"")["seen"])
        assert (host, root) == ("sandbox", False)
        assert set(seen) <= ({"/etc/hostname", "/root"} if level == "docker" else {"/root"})  # the path to the interpreter

    in_cell(level, tmp_path, "", body, argv=(*SH, "{code}"), limits=LIMITS)


def test_a_jail_without_walls_says_that_it_cannot(level: str, tmp_path: Path) -> None:
    async def main() -> None:
        sandbox = await sandbox_of("jail without walls", tmp_path)
        assert not sandbox.commands() and any("Commands cannot run" in gap for gap in sandbox.gaps)
        with pytest.raises(LocalError, match="user namespaces"):
            await sandbox.open(spec_of(sandbox, "", argv=("true",)))

    trio.run(main)
