"""Nodes in the background, and the ways they end: drained, at once, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctorrent.client import Net, attach
from ctorrent.errors import Unavailable
from tests.real.herd import Tended, joined, rows, until, write_job
from tests.real.terminal import Terminal
from tests.real.test_consent import FLAGS, data, environ

pytestmark = pytest.mark.real

PROGRAM = """
    import time

    def work(index, seed, pause):
        time.sleep(pause)
        return index
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "a home"
    home.mkdir()
    yield home
    subprocess.run(cli("stop"), env=environ(home), check=False, capture_output=True, timeout=60)


def cli(*words: str) -> list[str]:
    return [sys.executable, "-m", "ctorrent", *words]


def ran(home: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(cli(*words), env=environ(home), check=False, capture_output=True, text=True, timeout=90)
    return done.returncode, done.stdout + done.stderr


def one_that_works(make: Callable[..., Tended], folder: Path, pause: float, count: int) -> tuple[Tended, Tended, str]:
    """-> the requester, the only worker with a block under way, the job."""
    ann, ben = make("ann", "--no-work"), make("ben", "--slots", "1")
    joined(ann, ben)
    more = f"blocks: {{count: {count}}}\nparams: {{pause: {pause}}}\nverify: {{replicas: 1}}\nlimits: {{seconds: 60}}\n"
    path = write_job(folder, PROGRAM, "")
    path.write_text("python: work.py:work\n" + more)
    name = ann.net.submit(path)
    until(lambda: ben.net.status()["slots_free"] == 0, "ben runs a block")
    return ann, ben, name


def ended(net: Net) -> bool:
    try:
        net.status()
    except Unavailable:
        return True
    return False


def draining(net: Net) -> bool:
    """Or over already: then a look came late."""
    try:
        return bool(net.status()["draining"])
    except Unavailable:
        return True


def test_a_stop_lets_a_block_end_and_delivers_it(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, name = one_that_works(make, tmp_path, 3.0, 20)
    assert ben.process is not None
    with subprocess.Popen(cli("stop", "--data-dir", str(ben.data)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stop:
        until(lambda: draining(ben.net), "ben drains")
        before = ann.net.job(name)["settled"]  # some had time to end while the command started
        out, said = stop.communicate(timeout=60)
    assert stop.returncode == 0 and "Stopped." in out and "Waiting for 1 unit" in said, (out, said)
    assert ben.process._child.wait(20) == 0
    got = until(lambda: [row for row in rows(ann.net, name) if row["state"] == "settled"], "the block is settled")
    assert 1 <= len(got) <= before + 2 and ann.net.job(name)["state"] == "running"  # one ran; another may have been on its way
    assert all(row["value"] == row["index"] for row in got)


def test_a_second_stop_is_at_once(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, name = one_that_works(make, tmp_path, 50.0, 2)
    with subprocess.Popen(cli("stop", "--data-dir", str(ben.data)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        until(lambda: ben.net.status()["draining"], "ben drains")
        began = time.monotonic()
        assert subprocess.run(cli("stop", "--data-dir", str(ben.data)), timeout=60, check=False).returncode == 0
        assert time.monotonic() - began < 25
        assert first.wait(20) == 0
    until(lambda: ended(ben.net), "ben is gone")
    assert ann.net.job(name)["settled"] == 0  # and the job waits for somebody else


def test_ctrl_c_on_a_stop_is_at_once(make: Callable[..., Tended], tmp_path: Path) -> None:
    _, ben, _ = one_that_works(make, tmp_path, 50.0, 2)
    with Terminal(["stop", "--data-dir", str(ben.data)], os.environ) as stop:
        stop.wait_for("Waiting for 1 unit")
        stop.type("\x03")
        assert stop.wait_end(60) == 0, stop.said
        assert "Stopped at once." in stop.said


def test_detach_comes_back_when_it_is_up(home: Path) -> None:
    code, said = ran(home, "node", *FLAGS, "--detach")
    assert code == 0 and "is up." in said and "ctorrent stop" in said, said
    assert "Others may use" in said
    with attach(data(home)) as net:
        assert net.status()["node"] in said
    code, again = ran(home, "node", *FLAGS, "--detach")
    assert code == 2 and "already" in again, again
    assert (data(home) / "logs").stat().st_mode & 0o777 == 0o700
    assert all(log.stat().st_mode & 0o777 == 0o600 for log in (data(home) / "logs").iterdir())
    assert " is up: process" in (data(home) / "logs/node.log").read_text()
    assert ran(home, "stop") == (0, "Stopped.\nStopping …\n")
    assert "nothing to stop" in ran(home, "stop")[1]


@pytest.mark.parametrize("flag", ["-d", "-dy"])
def test_however_detach_is_written_one_node_starts(home: Path, flag: str) -> None:
    code, said = ran(home, "node", *FLAGS, "--name=-x", "--no-work", flag)
    assert code == 0 and "Node '-x' is up." in said, said
    started = [path for path in Path("/proc").glob("[0-9]*/environ") if f"HOME={home}\0".encode() in _read(path) and b"ctorrent\0node" in _read(path.with_name("cmdline"))]
    assert len(started) == 1, started
    assert ran(home, "stop")[0] == 0


def _read(path: Path) -> bytes:
    """Of a process; nothing of one that is gone or another's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_two_at_once_and_a_killed_one(home: Path) -> None:
    pair = [subprocess.Popen(cli("node", *FLAGS, "--detach", "--json"), env=environ(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=90) for one in pair]
    codes = sorted(one.returncode for one in pair)
    assert codes == [0, 2], said
    told = [json.loads(out) for out, _ in said]
    (up,) = [one for one in told if "pid" in one]
    (refused,) = [one for one in told if "error" in one]
    assert "already" in refused["error"]["message"] or "another node" in refused["error"]["message"]
    os.kill(up["pid"], signal.SIGKILL)
    until(lambda: not Path(f"/proc/{up['pid']}").exists() or "State:\tZ" in Path(f"/proc/{up['pid']}/status").read_text(), "it is dead")
    assert (data(home) / "control.sock").exists() or (data(home) / "control.path").exists()
    assert "nothing to stop" in ran(home, "stop")[1]
    code, again = ran(home, "node", *FLAGS, "--detach")
    assert code == 0 and up["node"] in again, again
    assert ran(home, "stop")[0] == 0


def test_a_start_that_fails_in_the_background_says_why(home: Path) -> None:
    data(home).mkdir(parents=True, mode=0o700)
    (data(home) / "node.key").write_text("nonsense")
    (data(home) / "node.key").chmod(0o600)
    code, said = ran(home, "node", *FLAGS, "--detach")
    assert code == 2 and "node.key" in said and "damaged" in said and "Traceback" not in said, said
    (data(home) / "node.key").unlink()
    code, said = ran(home, "node", *FLAGS, "--detach", "--join", "ctorrent1:abc")
    error = said[said.index("Error") :]
    assert code == 2 and error.startswith("Error: The invite cannot be read: it is cut or mistyped.") and "its whole line" in error, said
    assert error.count("invite") == 2 and "foreground" not in error, error


def test_more_slots_than_cores(home: Path) -> None:
    """A flag is refused; a file of another machine is told and capped."""
    many = str(len(os.sched_getaffinity(0)) + 90)
    code, said = ran(home, "node", *FLAGS, "--slots", many, "--detach")
    assert code == 2 and "At most --slots" in said and not data(home).exists(), said
    data(home).mkdir(parents=True, mode=0o700)
    (data(home) / "settings.toml").write_text(f"slots = {many}\n")
    code, said = ran(home, "node", *FLAGS, "--detach")
    assert code == 0 and f"The settings say {many} slots" in said and "--slots" in said, said
    with attach(data(home)) as net:
        assert 0 < net.status()["slots"] <= int(many) - 90
    assert ran(home, "stop")[0] == 0
