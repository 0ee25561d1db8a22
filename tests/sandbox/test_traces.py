"""Nothing is left behind: not by a cell, not by a node that was killed; and none of it needs root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest
import trio

from ctorrent.sandbox import SandboxRules
from ctorrent.sandbox.room import Room, remove_leftovers
from tests.sandbox.cells import LEVELS, block, sandbox_of, spec_of

pytestmark = pytest.mark.real
_ROOT = Path(__file__).parents[2]

# a node that opens a cell, says so, and works for ever
_NODE = """
import sys, trio
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.sandbox.cells import block, sandbox_of, spec_of
async def main():
    sandbox = await sandbox_of({level!r}, Path({data!r}))
    cell = await sandbox.open(spec_of(sandbox, "def block(index):\\n    while index: pass\\n    return 1\\n"))
    outcome = (await cell.run([block(0)]))[0]
    print("ready" if outcome.value else outcome, flush=True)
    await cell.run([block(1)])
trio.run(main)
"""


def _processes_naming(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in words and "boot.py" in words:
            found.append(words)
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_node_leaves_no_process_and_the_next_removes_the_rest(level: str, tmp_path: Path) -> None:
    async def check() -> None:
        await (await sandbox_of(level, tmp_path)).aclose()

    trio.run(check)  # skips where there is no Docker
    script = _NODE.format(root=str(_ROOT), level=level, data=str(tmp_path))
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None and node.stdout.readline() == "ready\n"
    (room,) = (tmp_path / "cells").iterdir()
    mark = "/ctlib/" if level == "docker" else str(room)
    assert level == "docker" or _processes_naming(mark)
    node.send_signal(signal.SIGKILL)
    node.wait()
    node.stdout.close()
    deadline = time.monotonic() + 20
    while _processes_naming(mark) and level != "docker":
        assert time.monotonic() < deadline, _processes_naming(mark)
        time.sleep(0.02)
    if level == "docker":
        api = docker.from_env().api
        while api.containers(all=True, filters={"label": f"ctorrent.room={room}"}):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        api.close()
    trio.run(check)
    assert list((tmp_path / "cells").iterdir()) == []


@pytest.mark.docker
def test_a_container_whose_node_died_before_it_started_is_removed(tmp_path: Path) -> None:
    async def main() -> None:
        sandbox = await sandbox_of("docker", tmp_path)
        cell = await sandbox.open(spec_of(sandbox, "def block(): pass"))
        enclosure = cell._enclosure  # type: ignore[attr-defined]
        (room,) = (tmp_path / "cells").iterdir()
        shutil.rmtree(room)
        other = await sandbox_of("docker", tmp_path / "other")
        assert await enclosure.trouble() is not None
        await cell.aclose()
        await other.aclose()
        await sandbox.aclose()

    trio.run(main)


def test_rooms_of_the_living_stay(tmp_path: Path) -> None:
    living, dead = Room(tmp_path), Room(tmp_path)
    dead._alive.close()
    assert remove_leftovers(tmp_path) == [dead.folder.name]
    assert living.open.is_dir() and not dead.folder.exists()
    living.remove()
    dead.remove()


def test_a_long_data_folder_does_not_matter(tmp_path: Path) -> None:
    async def main() -> None:
        for walls in (True, False):
            sandbox = await sandbox_of("jail", tmp_path / ("long-" * 30), SandboxRules(walls=walls))
            cell = await sandbox.open(spec_of(sandbox, "def block(): return 1"))
            assert (await cell.run([block(0)]))[0].value == b"\x01"
            await cell.aclose()

    trio.run(main)


@pytest.mark.skipif(os.getuid() != 0, reason="this is already an unprivileged user")
@pytest.mark.parametrize("walls", [True, False])
def test_the_jail_works_for_an_unprivileged_user(tmp_path: Path, walls: bool) -> None:
    """Run by another user and another Python, since root's own may be in a folder that only root can open."""
    python = next((path for path in ("/usr/bin/python3.11", "/usr/bin/python3.12", "/usr/bin/python3.13") if Path(path).exists()), None)
    if python is None:
        pytest.skip("no system Python 3.11 or later")
    home = Path("/var/tmp") / f"ctorrent-test-{os.getpid()}-{walls}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    script = f"""
import sys; sys.path[:0] = [{str(_ROOT)!r}, {packages!r}]
import trio
from pathlib import Path
from ctorrent.sandbox.jail import JailSandbox
from ctorrent.sandbox import SandboxRules
from tests.sandbox.cells import block, spec_of
async def main():
    sandbox = JailSandbox(Path({str(home)!r}), SandboxRules(walls={walls}))
    cell = await sandbox.open(spec_of(sandbox, "import os\\ndef block(index):\\n    open('/etc/passwd').read() if index else 0\\n    return os.getuid()\\n"))
    good, bad = await cell.run([block(0), block(1)])
    assert good.failure is None and bad.failure.type in ("PermissionError", "FileNotFoundError"), (good, bad)
    await cell.aclose()
    if sandbox.commands():
        cell = await sandbox.open(spec_of(sandbox, "", argv=("sh", "-c", "id -u > {{output}}")))
        (only,) = await cell.run([block(0)])
        assert only.failure is None, only
        await cell.aclose()
    print("fine", sandbox.commands())
trio.run(main)
"""
    try:
        done = subprocess.run(
            ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", python, "-c", script],
            capture_output=True, text=True, check=False, cwd="/", env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    finally:
        shutil.rmtree(home)
    assert done.stdout.startswith("fine"), done.stderr[-3000:]
