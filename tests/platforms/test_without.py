"""A system without fcntl, resource, unix sockets and user numbers: everything can be imported, and a node asks others."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ctorrent.channel import dial
from ctorrent.door import LOOPBACK, NONCE_BYTES
from ctorrent.errors import Unavailable
from tests.real.herd import Tended, herd, is_connected, until, write_job

ROOT = Path(__file__).resolve().parents[2]
WINDOWSLIKE = {"PYTHONPATH": f"{Path(__file__).parent / 'windowslike'}:{ROOT}"}

IMPORT_ALL = """
import importlib, pkgutil, sys
import ctorrent
assert sys.modules["fcntl"] is None
apart = ("ctorrent.sandbox.inside", "ctorrent.sandbox.piprun", "ctorrent.__main__", "ctorrent.testing")
names = [found.name for found in pkgutil.walk_packages(ctorrent.__path__, "ctorrent.")]
for name in names:
    if not name.startswith(apart):  # what runs inside a sandbox, as a file of its own; what starts at once
        importlib.import_module(name)
print(len(names))
"""

PLAN_AND_DECODE = """
import json, pathlib, sys
from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.wire import codec
from tests.plan.memory import MemoryFolder
assert sys.modules["resource"] is None
job = parse_jobfile(pathlib.Path("examples/digits/job.yaml").read_text())
blocks = sum(1 for _ in draft_blocks(job, MemoryFolder({})))
vectors = sorted(pathlib.Path("tests/wire/vectors").glob("message-*.json"))
decoded = [codec.decode_message(bytes.fromhex(json.loads(path.read_text())["frame"])) for path in vectors]
print(blocks, len(decoded), len(vectors))
"""


def run(code: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **WINDOWSLIKE, **more}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_every_file_can_be_imported() -> None:
    assert int(run(IMPORT_ALL)) > 150


def test_the_rest_of_what_only_posix_has_is_not_asked_for() -> None:
    """psutil needs these while the tests run, so they cannot be taken away."""
    wrong = [
        str(path)
        for path in (ROOT / "ctorrent").rglob("*.py")
        if "sandbox/inside" not in path.as_posix() and re.search(r"\bos\.(statvfs|uname)\b", path.read_text())
    ]
    assert not wrong


def test_it_plans_a_job_and_decodes_what_travels() -> None:
    blocks, decoded, vectors = (int(word) for word in run(PLAN_AND_DECODE).split())
    assert blocks > 1 and decoded == vectors > 20


def ctorrent(*words: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **WINDOWSLIKE, "CTORRENT_DATA": os.fspath(data), "COLUMNS": "200", **more}
    return subprocess.run(
        [sys.executable, "-m", "ctorrent", *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300
    )


def without(one: Tended) -> Tended:
    """Let this machine lack what Windows lacks."""
    one.environ |= WINDOWSLIKE
    one.flags = tuple(flag for flag in one.flags if flag not in ("--isolation", "jail"))
    return one


@pytest.mark.real
def test_it_submits_follows_and_reads_and_another_machine_works(tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", "def square(n, seed):\n    return n * n\n", """
        python: work.py:square
        blocks: {grid: {n: [1, 2, 3, 4]}}
        verify: {replicas: 1}
    """)  # fmt: skip
    with herd() as make:
        linux, windows = make("linux"), without(make("windows"))
        invite = linux.start().invite(1, 3600)
        windows.start("--join", invite, "--isolation", "auto")
        until(lambda: is_connected(windows, linux), "they meet")
        status = windows.net.status()
        assert (status["isolation"], status["slots"], bool(status["shares"])) == ("none", status["slots"], False)
        assert "this is Windows" in str(status["gaps"])

        submitted = ctorrent("submit", str(job), data=windows.data)
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        name = windows.net.jobs()[0]["job"]
        shown = json.loads(ctorrent("results", name, "--json", data=windows.data).stdout)
        rows = shown if isinstance(shown, list) else shown["rows"]
        assert [row.get("value", row.get("result.value")) for row in rows] == [1, 4, 9, 16]
        assert {worker["name"] for worker in windows.net.job(name)["workers"]} == {"linux"}

        said = ctorrent("doctor", data=windows.data, WINDOWSLIKE_NAME="win32").stdout
        assert "it runs nothing for others" in said and "apt-get install -y docker" not in said
        secret_file = windows.data / LOOPBACK
        assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
        nobody_without_the_secret_is_answered(secret_file)
        assert windows.stop() == 0
        assert not secret_file.exists()


def nobody_without_the_secret_is_answered(secret_file: Path) -> None:
    port = int(secret_file.read_text().split()[0])
    for said in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b"x" * NONCE_BYTES, b"\0" * 2 * NONCE_BYTES):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.sendall(said)
            heard = b""
            with suppress(ConnectionResetError):  # cut while something of ours was still unread there
                while more := stranger.recv(1000):
                    heard += more
        assert len(heard) <= 2 * NONCE_BYTES  # a nonce and a proof, which tell nothing; then the line is cut


def test_a_program_that_took_a_dead_nodes_port_is_not_believed(tmp_path: Path) -> None:
    """It learns neither the secret nor a request."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        (tmp_path / LOOPBACK).write_text(f"{impostor.getsockname()[1]} {'ab' * 32}\n")

        def pretend() -> None:
            connection, _ = impostor.accept()
            with connection:
                heard.append(connection.recv(1000))
                connection.sendall(b"\0" * 2 * NONCE_BYTES)
                heard.append(connection.recv(1000))

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(Unavailable):
            dial(tmp_path)
        thread.join(10)
    assert len(heard[0]) == NONCE_BYTES and heard[1] == b""


@pytest.mark.parametrize("text", ["", "4270", "x y", "99999999 ab", "70000 " + "ab" * 32, "1 zz"])
def test_a_file_that_says_no_port_is_no_node(tmp_path: Path, text: str) -> None:
    (tmp_path / LOOPBACK).write_text(text)
    with pytest.raises(Unavailable):
        dial(tmp_path)
