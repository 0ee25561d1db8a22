"""Swarms of real node processes on loopback: they meet, they work from a script, and they leave nothing."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import trio

import ctorrent
from ctorrent.embedded import Swarm, start_node, wait_for

pytestmark = pytest.mark.real
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Swarm]:
    with ctorrent.swarm(2, extra={1: ("--no-work",)}) as swarm:
        yield swarm


def test_nodes_have_their_own_folders_and_owners_and_know_one_another(pair: Swarm) -> None:
    first, second = (member.net.status() for member in pair.members)
    assert first["node"] != second["node"]
    assert first["owner"] != second["owner"]
    assert first["data_dir"] != second["data_dir"]
    assert (first["shares"], second["shares"]) == (True, False), "extra flags go to the node they are for"
    assert all(address.startswith("/ip4/127.0.0.1/") for address in first["addresses"])
    assert [peer["node"] for peer in pair.net.peers() if peer["connected"]] == [second["node"]]


def test_connect_finds_a_node_that_runs(pair: Swarm) -> None:
    with ctorrent.connect(pair.members[0].process.data_dir) as net:
        assert not net.embedded
        assert net.status()["node"] == pair.net.status()["node"]
    assert pair.members[0].process.alive(), "leaving does not end what was there before"


def test_connect_brings_up_a_node_that_ends_with_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTORRENT_OWNER_DIR", str(tmp_path / "owner"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.toml").write_text('listen = ["127.0.0.1"]\nport = 0\nmdns = false\ndht = false\n')
    with pytest.raises(KeyError), ctorrent.connect(tmp_path / "data") as net:
        assert net.embedded
        who = net.status()["node"]
        (child,) = [process for process in psutil.Process().children() if str(tmp_path) in " ".join(process.cmdline())]
        assert net.submit(pow, 2, 5).result(LIMIT_S) == 32
        raise KeyError("a mistake in the cell")
    assert not child.is_running()
    with ctorrent.connect(tmp_path / "data") as net:
        assert net.status()["node"] == who, "what it knows stays"
        assert net.jobs()[0]["state"] in ("settled", "cancelled"), "no job of a cell that is gone stays open"


def long(x: int) -> None:
    time.sleep(600)


def test_under_trio_it_ends_with_who_is_cancelled_while_its_calls_are_waited_for(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTORRENT_OWNER_DIR", str(tmp_path / "owner"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.toml").write_text('listen = ["127.0.0.1"]\nport = 0\nmdns = false\ndht = false\n')

    async def main() -> str:
        with trio.CancelScope() as scope:
            async with ctorrent.connect(tmp_path / "data") as net:
                future = await net.submit(long, 1)
                with trio.fail_after(LIMIT_S):
                    while not future.job:  # noqa: ASYNC110  set by another thread
                        await trio.sleep(0.01)
                scope.deadline = trio.current_time() + 0.5
        assert scope.cancelled_caught and trio.current_time() - scope.deadline < LIMIT_S, "the call takes 600 s"
        async with ctorrent.connect(tmp_path / "data") as net:
            assert (await net.jobs[future.job]).name == future.job
            with pytest.raises(TypeError):
                list(net.jobs)
            with pytest.raises(TypeError):
                assert future.job in net.jobs
            return str((await net.job(future.job))["state"])

    assert trio.run(main) == "cancelled", "no job of a program that is gone stays open"
    assert not [process for process in psutil.Process().children() if str(tmp_path) in " ".join(process.cmdline())]


WAITS = """
import ctorrent, trio
def long(x):
    __import__("time").sleep(600)
async def main():
    async with ctorrent.connect() as net:
        await (await net.map(long, range(2), replicas=1)).values()
trio.run(main)
"""


def test_ctrl_c_under_trio_cancels_the_job_that_was_waited_for(tmp_path: pathlib.Path) -> None:
    (tmp_path / "settings.toml").write_text('listen = ["127.0.0.1"]\nport = 0\nmdns = false\ndht = false\n')
    environ = {**os.environ, "CTORRENT_DATA": str(tmp_path), "CTORRENT_OWNER_DIR": str(tmp_path / "owner")}
    with subprocess.Popen([sys.executable, "-c", WAITS], stderr=subprocess.PIPE, text=True, env=environ) as script:
        assert script.stderr is not None
        said = []
        while not said or "long: 0 of 2" not in said[-1]:
            said.append(script.stderr.readline())
            assert said[-1], said
        script.send_signal(signal.SIGINT)
        _, last = script.communicate(timeout=LIMIT_S)
    assert re.fullmatch(r"ctorrent: Interrupted\. Job \w{8} is cancelled: its node ends with this program\.\n", last)


def test_a_swarm_leaves_nothing() -> None:
    with ctorrent.swarm(1) as swarm:
        folder, pid = swarm.folder, swarm.members[0].process.pid
        assert folder.is_dir()
    assert not folder.exists()
    assert not psutil.pid_exists(pid)


def test_nodes_die_with_a_parent_that_is_killed(tmp_path: pathlib.Path) -> None:
    code = "import ctorrent, time\nwith ctorrent.swarm(1) as s:\n print(s.members[0].process.pid, s.folder, flush=True)\n time.sleep(600)"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environ)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline().split()[0])
    node = psutil.Process(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    node.wait(LIMIT_S)


def test_a_node_that_cannot_start_says_why(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ctorrent.LocalError) as caught:
        start_node(tmp_path, ("--isolation", "nonsense", "--listen", "127.0.0.1", "--port", "0", "--owner-dir", str(tmp_path / "o")))
    assert "nonsense" in caught.value.message
    assert "ended before it was ready" in caught.value.message
    assert not [process for process in psutil.Process().children() if str(tmp_path) in " ".join(process.cmdline())]


def test_a_swarm_that_fails_to_start_leaves_nothing() -> None:
    swarm = ctorrent.swarm(2, extra={1: ("--isolation", "nonsense")})
    with pytest.raises(ctorrent.LocalError, match="nonsense"), swarm:
        pass
    assert not swarm.folder.exists()
    assert not [p for p in psutil.Process().children() if str(swarm.folder) in " ".join(p.cmdline())]


def test_waiting_has_a_limit() -> None:
    seen: list[int] = []

    def never() -> None:
        seen.append(1)

    with pytest.raises(ctorrent.Unavailable, match=r"The moon was there: not within the time limit\. It is new\."):
        wait_for(never, time.monotonic() + 0.2, "The moon was there", lambda: "It is new.")
    assert len(seen) > 1
    with pytest.raises(ctorrent.LocalError):
        ctorrent.swarm(0)


def test_two_programs_that_start_a_node_at_once_share_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTORRENT_OWNER_DIR", str(tmp_path / "owner"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.toml").write_text('listen = ["127.0.0.1"]\nport = 0\nmdns = false\ndht = false\n')
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: start_node(tmp_path / "data"), range(2))
    try:
        assert one.status()["node"] == two.status()["node"]
    finally:
        one.close()
        two.close()
