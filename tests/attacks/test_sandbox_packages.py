"""What a package may do whose wheels somebody else pinned: no more than a block. Most of all, not in the supervisor."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.model.lock import Lock, Pinned, Wheel
from ctorrent.sandbox import SandboxRules
from ctorrent.sandbox.install import PipPackages
from tests.sandbox.cells import LEVELS, block, sandbox_of, spec_of
from tests.sandbox.wheels import only_here, wheel

pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]

DIGEST = hashlib.sha256(b"a friend's lock").digest()
NAME = f"lock-{DIGEST.hex()[:16]}"

# what it got away with, as it was imported, and in which process
EVIL = """
import os, socket
born, got = os.getpid(), []
def tries(name, call):
    try:
        call()
        got.append(name)
    except (OSError, MemoryError):
        pass
tries("connect", lambda: socket.socket(socket.AF_UNIX).connect(CONTROL))
tries("chmod", lambda: os.chmod(VICTIM, 0o777))
tries("utime", lambda: os.utime(VICTIM, (1, 1)))
tries("fork", lambda: os.fork() or os._exit(0))
tries("memory", lambda: bytearray(3 << 30))
"""
PROGRAM = """
import os, subprocess, sums
def block(index):
    return [sums.got, sums.born == os.getpid()]
"""


@pytest.mark.parametrize("inside", ["sums/__init__.py", "winreg.py", "msvcrt.py"])
def test_it_runs_in_a_blocks_process_and_has_a_blocks_rights(level: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under a name that the standard library knows on other systems: subprocess itself asks for msvcrt."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    before = victim.stat().st_mtime
    source = EVIL.replace("CONTROL", repr(str(tmp_path / "s"))).replace("VICTIM", repr(str(victim)))
    top = inside.removesuffix(".py").split("/")[0]
    data, name = tmp_path / "data", "other" if top != "sums" else "sums"
    only_here(tmp_path / "wheels", monkeypatch)
    path = wheel(tmp_path / "wheels", name, "1", source, extra={} if top == "sums" else {inside: source})
    pinned = Wheel(path.name, hashlib.sha256(path.read_bytes()).digest(), path.stat().st_size)

    async def main() -> None:
        await PipPackages(data, SandboxRules(pip_s=60)).install(Lock((Pinned(name, "1", (pinned,)),)), DIGEST, 10**8, lambda size: None)
        sandbox = await sandbox_of(level, data)
        spec = spec_of(sandbox, PROGRAM.replace("sums", top), environment=NAME)
        cell = await sandbox.open(spec)
        (outcome,) = await cell.run([block(4)])
        await cell.aclose()
        assert outcome.failure is None, outcome.failure
        got, in_its_block = canon.decode(outcome.value or b"")
        assert got == [] and in_its_block
        if top == "sums":  # of one's own lock they are loaded ahead, as of an environment that the owner made
            cell = await sandbox.open(replace(spec, own=True))
            (outcome,) = await cell.run([block(4)])
            await cell.aclose()
            got, in_its_block = canon.decode(outcome.value or b"")
            assert not in_its_block and not {"chmod", "utime"} & set(got)
        await sandbox.aclose()

    listening = _socket(tmp_path / "s")
    try:
        trio.run(main)
    finally:
        os.close(listening)
    assert victim.stat().st_mode & 0o777 == 0o644 and victim.stat().st_mtime == before


def _socket(path: Path) -> int:
    """A socket that takes connections, as a node's own control socket does."""
    import socket

    made = socket.socket(socket.AF_UNIX)
    made.bind(os.fspath(path))
    path.chmod(0o777)
    made.listen(8)
    return made.detach()
