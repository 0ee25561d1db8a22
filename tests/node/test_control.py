"""The control server: who may speak, what may be said, and what becomes of the socket."""

from __future__ import annotations

import inspect
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from typing import Any

import pytest
import trio

from ctorrent import canon
from ctorrent.channel import dial
from ctorrent.client import Net, attach
from ctorrent.door import METHODS, STREAMS, Door
from ctorrent.errors import LocalError, Unavailable
from ctorrent.node import control_guard, control_place
from ctorrent.node.control import ControlRules, serve_control
from tests.client.small_door import SmallDoor, serving

pytestmark = pytest.mark.real


class Raw:
    """A client that says what it likes."""

    def __init__(self, path: pathlib.Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(os.fspath(path))

    def say(self, value: Any) -> None:
        body = canon.encode(value)
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def ask(self, number: int, method: str, *args: Any, **kwargs: Any) -> None:
        self.say({"id": number, "method": method, "args": list(args), "kwargs": kwargs})

    def hear(self) -> Any:
        size = int.from_bytes(self._exactly(4), "big")
        return canon.decode(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def test_several_requests_run_at_once_and_answers_carry_their_ids(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock") as path:
        raw = Raw(path)
        raw.ask(1, "watch", "run")
        raw.ask(2, "status")
        seen = []
        while not (seen and seen[-1]["id"] == 2):
            seen.append(raw.hear())
        assert seen[-1]["result"]["name"] == "ann"
        assert all(set(answer) == {"id", "item"} for answer in seen[:-1])
        raw.ask(3, "results", job="abc", after=9)
        answers = iter(raw.hear, None)
        assert len(next(a for a in answers if a["id"] == 3)["result"]) == 2
        raw.socket.close()


def test_only_the_doors_methods_can_be_called(tmp_path: pathlib.Path) -> None:
    door = SmallDoor()
    with serving(door, tmp_path / "control.sock") as path:
        raw = Raw(path)
        for number, name in enumerate(["_row", "__init__", "finish", "serve", "", "__class__"]):
            raw.ask(number, name)
            assert raw.hear()["error"]["kind"] == "Unsupported"
        raw.ask(9, "status", 1, 2, 3)
        assert raw.hear()["error"]["kind"] == "LocalError"
        raw.socket.close()


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        (20 << 20).to_bytes(4, "big") + b"x" * 100,
        b"\0\0\0\x01\xc1",
        b"\0\0\0\x01\x80",
        b"\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_garbage_ends_its_own_connection_only(tmp_path: pathlib.Path, said: bytes) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock") as path:
        other = Raw(path)
        raw = Raw(path)
        raw.socket.sendall(said)
        assert raw.hear()["error"]["kind"] in {"LimitExceeded", "Malformed"}
        with pytest.raises((EOFError, ConnectionError)):
            raw.hear()
        other.ask(1, "status")
        assert other.hear()["result"]["name"] == "ann"
        raw.socket.close()
        other.socket.close()


def test_an_id_in_use_is_refused(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock") as path:
        raw = Raw(path)
        raw.ask(1, "watch", "run")
        raw.ask(1, "status")
        heard = raw.hear()
        while "item" in heard:
            heard = raw.hear()
        assert heard["error"]["kind"] == "Malformed"
        raw.socket.close()


def test_too_many_requests_are_answered_so(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock", ControlRules(requests_max=2)) as path:
        raw = Raw(path)
        for number in range(3):
            raw.ask(number, "watch", "run")
        while "item" in (heard := raw.hear()):
            pass
        assert heard["id"] == 2
        assert heard["error"]["kind"] == "Unavailable"
        raw.socket.close()


def test_too_many_connections_are_refused_and_room_comes_back(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock", ControlRules(connections_max=1)) as path:
        first = Raw(path)
        first.ask(1, "status")
        first.hear()
        second = Raw(path)
        with pytest.raises((EOFError, ConnectionError)):
            second.hear()
        second.socket.close()
        first.ask(2, "status")
        assert first.hear()["id"] == 2
        first.socket.close()


def test_a_client_that_leaves_cancels_what_it_asked(tmp_path: pathlib.Path) -> None:
    door = SmallDoor()
    with serving(door, tmp_path / "control.sock") as path:
        raw = Raw(path)
        raw.ask(1, "watch", "run")
        raw.hear()
        raw.socket.close()
        assert door.unwatched.wait(10)


def test_a_client_that_does_not_read_holds_up_nobody_else(tmp_path: pathlib.Path) -> None:
    door = SmallDoor()
    door.row_bytes = 4 << 20
    with serving(door, tmp_path / "control.sock") as path:
        deaf = Raw(path)
        for number in range(5):
            deaf.ask(number, "results", "abc", 0, 2)
        with attach(tmp_path) as net:
            assert net.status()["name"] == "ann"
        deaf.socket.close()


def test_another_users_process_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_guard.os, "geteuid", lambda: os.getuid() + 1)
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    try:
        assert not control_guard._is_ours(ours)
        monkeypatch.undo()
        assert control_guard._is_ours(ours)
    finally:
        ours.close()
        theirs.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user for a moment")
def test_another_user_who_can_reach_the_socket_gets_no_answer() -> None:
    """Even with every permission opened by mistake, the kernel's word on who connects decides."""
    ask = canon.encode({"id": 1, "method": "status", "args": [], "kwargs": {}})
    frame = len(ask).to_bytes(4, "big") + ask
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n"
        "try:\n s.sendall(bytes.fromhex(sys.argv[2])); print(len(s.recv(9)))\nexcept ConnectionError: print(0)"
    )
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    with tempfile.TemporaryDirectory() as folder, serving(SmallDoor(), pathlib.Path(folder) / "control.sock") as path:
        pathlib.Path(folder).chmod(0o755)
        path.chmod(0o666)
        for user, heard in ((65534, "0"), (0, "9")):
            done = subprocess.run([python, "-c", code, str(path), frame.hex()], user=user, capture_output=True, text=True, check=True, cwd="/")
            assert done.stdout.strip() == heard


def test_the_socket_is_ours_alone_and_gone_afterwards(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    with serving(SmallDoor(), folder / "control.sock") as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in folder.iterdir()) == ["control.lock"]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(LocalError, match="Others may write"):
        trio.run(serve_control, SmallDoor(), folder / "control.sock")


def test_a_second_node_in_one_folder_is_refused(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock"):
        with pytest.raises(LocalError, match="A node runs with the data folder"):
            trio.run(serve_control, SmallDoor(), tmp_path / "control.sock")
        with attach(tmp_path) as net:
            assert net.status()["name"] == "ann", "the refused one left the first alone"


def test_a_dead_nodes_socket_is_replaced(tmp_path: pathlib.Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(os.fspath(tmp_path / "control.sock"))
    stale.close()
    with serving(SmallDoor(), tmp_path / "control.sock"), attach(tmp_path) as net:
        assert net.status()["name"] == "ann"


def test_a_long_path_is_served_elsewhere_and_found(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 10)
    for _ in range(2):  # the second start finds the first one's pointer gone, or stale
        with serving(SmallDoor(), folder / "control.sock") as path:
            assert len(os.fsencode(path)) <= 100
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            with attach(folder) as net:
                assert net.status()["name"] == "ann"
        assert not path.parent.exists()
    (folder / "control.path").write_text("/etc/passwd")
    with serving(SmallDoor(), folder / "control.sock"):
        assert pathlib.Path("/etc/passwd").exists(), "a pointer that is not ours removes nothing"


@pytest.fixture
def far(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data folder whose path is too long for a socket."""
    folder = tmp_path / ("long" * 20) / ("path" * 10)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def test_what_a_killed_node_left_behind_is_taken_away_and_nothing_else(far: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made, mine = tmp_path / "ctorrent-abcd1234", tmp_path / "ctorrent-notes"
    for folder, name in ((made, "control.sock"), (mine, "thesis.tex")):
        folder.mkdir(mode=0o700)
        if name == "control.sock":
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(os.fspath(folder / name))
        else:
            (folder / name).write_text("mine")
        (far / "control.path").write_text(str(folder / name))
        with serving(SmallDoor(), far / "control.sock"), attach(far) as net:
            assert net.status()["name"] == "ann"
    assert not made.exists()
    assert (mine / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("name", ["ctorrent-abcd1234", "ctorrent-notes"])
def test_somebodys_files_beside_a_socket_stay(far: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    kept = tmp_path / name / "control.sock"
    kept.parent.mkdir(mode=0o700)
    kept.write_text("a file of that name")
    (kept.parent / "thesis.tex").write_text("mine")
    (far / "control.path").write_text(str(kept))
    with serving(SmallDoor(), far / "control.sock"):
        pass
    assert sorted(path.name for path in kept.parent.iterdir()) == ["control.sock", "thesis.tex"]


def test_a_pointed_folder_that_is_not_ours_alone_is_not_believed(far: pathlib.Path, tmp_path: pathlib.Path) -> None:
    place = tmp_path / "ctorrent-abcd1234"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(os.fspath(place / "control.sock"))
        theirs.listen()
        theirs.setblocking(False)
        (far / "control.path").write_text(str(place / "control.sock"))
        place.chmod(0o755)
        with pytest.raises(Unavailable, match="open to other users"):
            dial(far)
        place.chmod(0o700)
        place.rename(tmp_path / "real")
        place.symlink_to(tmp_path / "real")
        with pytest.raises(Unavailable, match="not yours"):
            dial(far)
        with pytest.raises(BlockingIOError):
            theirs.accept()
        (far / "control.path").write_text(str(tmp_path / "real" / "control.sock"))
        dial(far).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user for a moment")
def test_another_user_who_listens_in_a_dead_nodes_place_is_told_nothing(far: pathlib.Path) -> None:
    code = (
        "import os, socket, sys; os.umask(0o077); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(1, flush=True)\n"
        "c, _ = s.accept(); print(len(c.recv(9)))"
    )
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    with tempfile.TemporaryDirectory(prefix="ctorrent-", dir="/tmp") as name:
        place = pathlib.Path(name) / "control.sock"
        (far / "control.path").write_text(str(place))
        os.chown(name, 65534, 65534)
        with subprocess.Popen([python, "-c", code, str(place)], user=65534, stdout=subprocess.PIPE, text=True, cwd="/") as thief:
            assert thief.stdout is not None and thief.stdout.readline() == "1\n"
            with pytest.raises(Unavailable, match="not yours") as caught:
                dial(far)
            assert str(place) in str(caught.value) and "ctorrent node" in str(caught.value)
            os.chown(name, 0, 0)  # the folder is right, and who listens is not
            with pytest.raises(Unavailable, match="another user"):
                dial(far)
            assert thief.stdout.readline() == "0\n", "not a byte was sent"


def test_idle_connections_do_not_lock_the_owner_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_guard, "PROVE_S", 60.0)  # so that it is not patience that lets the owner in
    monkeypatch.setattr(control_place, "UNIX_SOCKETS", False)  # a system without: the channel is a port that any local program can reach
    with serving(SmallDoor(), tmp_path / "control.sock") as path:
        port = int(path.read_text().split()[0])
        idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3 * control_guard.UNPROVEN_MAX)]
        assert idle[0].recv(1) == b"", "the oldest was ended for another"
        with attach(tmp_path) as net:
            assert net.status()["name"] == "ann"
            for one in idle:
                one.close()
            assert net.status()["name"] == "ann"


def test_client_and_door_have_the_same_methods() -> None:
    assert set(METHODS) <= {name for name in vars(Net) if not name.startswith("_")}
    assert {name for name in METHODS if hasattr(SmallDoor, name)} == set(METHODS)
    assert {name for name in METHODS if inspect.isasyncgenfunction(getattr(Door, name))} == STREAMS
