"""ctorrent top: lines that fit any terminal, a live screen that hears keys, plain text where nobody watches. And the peers beside it."""

from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ctorrent.cli import people, top_lines
from ctorrent.cli.top_lines import Seen
from tests.cli.conftest import Ran
from tests.client.small_door import SmallDoor, job_status, serving

LIMIT_S = 60.0  # only what hangs takes so long: a command starts in a second, or ten on a machine that others use
MACHINE: dict[str, object] = {
    "cpu": 0.42, "cores": 8, "memory_used": 6 << 30, "memory_bytes": 16 << 30, "temperature_c": 61.0,
    "gpus": [{"name": "H200", "load": 0.9, "memory_used": 9 << 30, "memory_bytes": 140 << 30, "temperature_c": 55.0}],
    "net_in_bytes_s": 1.2e6, "net_out_bytes_s": 0.0, "disk_free_bytes": 4e11, "sharing": True, "slots": 4, "slots_free": 3,
    "lends": {"cores": 4, "memory_bytes": 8 << 30, "gpus": 1, "disk_bytes": 2e10, "work_for": "friends"}, "earned_credits": 1.5,
    "works_for": [{"owner": "own_bob", "name": "bob", "job": "abcdefgh", "blocks": 3, "since_s": 75.0}],
    "history": [[1.7e9 + n, n / 40, n / 80, 0.0, 0.0, 0.0] for n in range(40)],
}  # fmt: skip
POOL: dict[str, object] = {
    "machines": 4, "cores": 28, "cores_free": 12, "memory_bytes": 64_000_000_000, "gpu_memory_bytes": 32_000_000_000, "gpus": 2,
    "disk_bytes": 410_000_000_000, "slots": 14, "slots_free": 6,
}  # fmt: skip


class TopDoor(SmallDoor):
    """Tells of its job until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.over = "running", threading.Event()

    async def machine(self) -> dict[str, object]:
        return MACHINE

    async def pool(self) -> dict[str, object]:
        return POOL

    def row(self) -> dict[str, object]:
        return job_status("runaaaaa", self.state, settled=3, running=2, waiting=7, eta_s=9.0)

    async def jobs(self, after: str = "", limit: int = 0) -> list[dict[str, object]]:
        return [self.row(), job_status("abcdefgh", "settled")]

    async def pause(self, job: str) -> None:
        await super().pause(job)
        self.state = "paused"

    async def resume(self, job: str) -> None:
        await super().resume(job)
        self.state = "running"

    async def events(self) -> AsyncIterator[dict[str, object]]:
        while not self.over.is_set():
            yield {"kind": "job", "job": self.row()}
            await trio.sleep(0.05)


@pytest.fixture
def door() -> TopDoor:
    return TopDoor()


def peer(n: int, name: str = "", **changes: object) -> dict[str, object]:
    return {
        "node": f"12D3KooW{n:040}", "name": name, "owner": f"own_{n}", "how": "dht", "connected": True, "friend": n % 2 == 0, "accepted": True,
        "wants_friendship": False, "version": "0.1.0", "latency_s": n / 1000 or None, "bandwidth_bytes_s": None, "addresses": [], **changes,
    }  # fmt: skip


HOSTILE = "\x1b[2J\x07[red]名前\u202e\n" * 3


@given(st.integers(20, 250), st.integers(8, 70), st.integers(0, 60), st.integers(0, 60), st.booleans(), st.sampled_from(["ann", HOSTILE]))
def test_a_picture_fits_its_terminal(width: int, height: int, jobs: int, peers: int, fancy: bool, name: str) -> None:
    rows = {f"job{n:05}": job_status(f"job{n:05}", "running", name=name, reason=name, submitted_unix=n) for n in range(jobs)}
    machine = {**MACHINE, "works_for": [{**MACHINE["works_for"][0], "name": name}] * 4}  # type: ignore[index]
    seen = Seen({"name": name}, machine, POOL, rows, [peer(n, name) for n in range(peers)])
    chosen = f"job{jobs // 2:05}"
    lines = top_lines.screen(seen, width, height, chosen, "q end", fancy)
    assert len(lines) == height
    assert all(line.cell_len <= width for line in lines)
    shown = "\n".join(line.plain for line in lines)
    assert not set(shown) & set("\x1b\x07\u202e")
    assert "q end" in lines[-1].plain
    if jobs and height >= 24 and width >= 40:
        assert re.search(rf"^[▶>] {chosen}", shown, re.MULTILINE), "the chosen job is among those there is room for"


def test_the_past_of_a_gauge_is_drawn_beside_it() -> None:
    processor, memory, *_ = [line.plain for line in top_lines._machine(MACHINE, 100, True)]
    assert processor.endswith("▅▅▅▅▅▆▆▆▆▆▇▇▇▇▇█████"), processor
    assert memory.endswith("▃▃▃▃▃▃▃▃▃▃▄▄▄▄▄▄▄▄▄▄"), memory


def test_the_head_says_what_the_pool_has() -> None:
    lines = top_lines.everything(Seen({"name": "ann"}, MACHINE, POOL, {}, []), 80)
    assert lines[0].plain == "4 machines · 28 cores (12 free) · 64 GB RAM · 32 GB VRAM on 2 GPUs · 410 GB disk"
    assert "works for bob: 3 blocks of job abcdefgh, for 1 min 15 s" in "\n".join(line.plain for line in lines)


def test_events_change_what_is_seen() -> None:
    seen = Seen({"name": "ann"}, MACHINE, POOL)
    seen.take({"kind": "job", "job": job_status("aaaaaaaa", "settled", submitted_unix=9)})
    seen.take({"kind": "job", "job": job_status("bbbbbbbb", "running", submitted_unix=1)})
    assert [job["job"] for job in seen.order()] == ["bbbbbbbb", "aaaaaaaa"], "what is under way comes first"
    seen.take({"kind": "gone", "job": "bbbbbbbb"})
    seen.take({"kind": "peers", "peers": [peer(1)]})
    seen.take({"kind": "machine", "machine": {**MACHINE, "cpu": 1.0}})
    seen.take({"kind": "pool", "pool": {**POOL, "machines": 3}})
    assert (list(seen.jobs), len(seen.peers), seen.machine["cpu"], seen.pool["machines"]) == (["aaaaaaaa"], 1, 1.0, 3)


def test_without_a_terminal_it_is_printed_once(run: object, door: TopDoor) -> None:
    ran: Ran = run("top")  # type: ignore[operator]
    assert ran.code == 0 and ran.err == ""
    assert "4 machines" in ran.out and "runaaaaa  running" in ran.out and "\x1b" not in ran.out
    assert "Peers (1 connected of 2 known)" in ran.out
    ran = run("top", "--json")  # type: ignore[operator]
    assert ran.code == 0 and '"machine": {' in ran.out


class Terminal:
    """`ctorrent top` in a pseudo-terminal."""

    def __init__(self, data: pathlib.Path, columns: int, rows: int, **environ: str) -> None:
        self.end, inner = pty.openpty()
        self.size(columns, rows)
        given = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        take = "import fcntl, termios, runpy, sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0); sys.argv[0] = 'ctorrent'"
        self.child = subprocess.Popen(
            [sys.executable, "-c", f"{take}; runpy.run_module('ctorrent', run_name='__main__')", "top"], stdin=inner, stdout=inner, stderr=inner,
            env={**given, "CTORRENT_DATA": str(data), "TERM": "xterm-256color", **environ}, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        self.raw = ""

    def size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.end, keys)

    def picture(self) -> list[str]:
        """The last whole one."""
        pictures = self.raw.split("\x1b[H")
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", pictures[-2] if len(pictures) > 2 else "")
        return plain.split("\r\n")

    def wait_for(self, pattern: str, lines: int = 0) -> str:
        """Until a picture has `pattern`, and so many lines where they are given."""
        until = time.monotonic() + LIMIT_S
        while True:
            picture = self.picture()
            if re.search(pattern, "\n".join(picture)) and lines in (0, len(picture)):
                return "\n".join(picture)
            assert time.monotonic() < until, f"{pattern!r} did not appear in:\n{self.raw[-3000:]}"
            self._read()

    def _read(self) -> bool:
        if not select.select([self.end], [], [], 0.2)[0]:
            return True
        try:
            self.raw += os.read(self.end, 65536).decode(errors="replace")
        except OSError:
            return False
        return True

    def code(self) -> int:
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until and self._read():
            pass
        return self.child.wait(LIMIT_S)

    def close(self) -> None:
        os.close(self.end)
        self.child.kill()
        self.child.wait()


@pytest.fixture
def screen(door: TopDoor, tmp_path: pathlib.Path) -> Iterator[Terminal]:
    with serving(door, tmp_path / "control.sock"):
        terminal = Terminal(tmp_path, 80, 24)
        yield terminal
        terminal.close()


@pytest.mark.real
def test_keys_and_a_terminal_that_changes_its_size(screen: Terminal, door: TopDoor) -> None:
    shown = screen.wait_for(r"▶ runaaaaa  running", lines=24)
    assert "q end" in shown
    screen.type(b"p")
    assert "p again lets it go on" in screen.wait_for(r"▶ runaaaaa  paused")
    screen.type(b"p")
    screen.wait_for(r"▶ runaaaaa  running")
    screen.type(b"c")
    screen.wait_for(r"Cancel runaaaaa\?")
    screen.type(b"n")
    screen.wait_for(r"q end")
    screen.type(b"\x1b[B")
    screen.wait_for(r"▶ abcdefgh")
    screen.type(b"p")
    screen.wait_for(r"abcdefgh has ended")
    screen.type(b"k")
    screen.wait_for(r"▶ runaaaaa")
    screen.size(60, 30)
    assert all(len(line) <= 60 for line in screen.wait_for(r"runaaaaa", lines=30).split("\n"))
    screen.type(b"cy")
    screen.wait_for(r"is cancelled")
    assert [asked[0] for asked in door.asked] == ["pause", "resume", "cancel"]
    screen.type(b"q")
    assert screen.code() == 0
    assert screen.raw.rstrip().endswith("\x1b[?25h\x1b[?1049l"), "the cursor is back, and the terminal as it was"


@pytest.mark.real
def test_a_node_that_stops_ends_it_with_a_sentence(screen: Terminal, door: TopDoor) -> None:
    screen.wait_for(r"▶ runaaaaa")
    door.over.set()
    assert screen.code() == 1
    assert "The node has stopped" in screen.raw


@pytest.mark.real
def test_ctrl_c_and_no_colour(door: TopDoor, tmp_path: pathlib.Path) -> None:
    with serving(door, tmp_path / "control.sock"):
        terminal = Terminal(tmp_path, 80, 24, NO_COLOR="1")
        try:
            terminal.wait_for(r"runaaaaa")
            assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.raw), "no colours"
            terminal.type(b"\x03")
            assert terminal.code() in (0, 130)
        finally:
            terminal.close()


def test_who_asks_under_a_friends_name_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"connected": True, "how": "mdns", "node": "12D3KooWA", "name": "ben", "latency_s": None, "version": "", "friend": True, "accepted": True, "wants_friendship": False, "owner": "own_ben"}
    people._show_peers([row, row | {"node": "12D3KooWB", "owner": "own_eve", "friend": False, "wants_friendship": True}])
    assert "It has the name of a friend of yours, and is somebody else. To accept: ctorrent friend add own_eve" in capsys.readouterr().out
    people._show_peers([row, row | {"node": "12D3KooWB", "name": "eve", "owner": "own_eve", "friend": False, "wants_friendship": True}])
    assert "somebody else" not in capsys.readouterr().out
