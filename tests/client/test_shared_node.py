"""A node that a program started for itself, in a folder where other programs find it too."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import psutil
import pytest

import ctorrent
from ctorrent import embedded
from ctorrent.client import attach
from tests.real.herd import until

pytestmark = pytest.mark.real
LIMIT_S = 60.0
FIRST = "import sys, ctorrent\nwith ctorrent.connect() as net:\n print(net.embedded, flush=True)\n sys.stdin.readline()\nprint('left', flush=True)\nsys.stdin.readline()\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "settings.toml").write_text('listen = ["127.0.0.1"]\nport = 0\nmdns = false\ndht = false\n')
    monkeypatch.setenv("CTORRENT_DATA", os.fspath(tmp_path))
    monkeypatch.setenv("CTORRENT_OWNER_DIR", os.fspath(tmp_path / "owner"))
    return tmp_path


def slowly(x: int) -> int:
    time.sleep(0.5)
    return x


def first_program() -> subprocess.Popen[str]:
    script = subprocess.Popen([sys.executable, "-c", FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert script.stdout is not None and script.stdout.readline() == "True\n"
    return script


@pytest.mark.parametrize("how", ["leaves", "is killed"])
def test_it_stays_while_another_program_uses_it(folder: pathlib.Path, how: str) -> None:
    with first_program() as first:
        (node,) = psutil.Process(first.pid).children()
        with ctorrent.connect() as net:
            assert not net.embedded
            slow = net.map(slowly, range(6))
            until(lambda: net.jobs()[0]["running"], "its calls run")
            if how == "leaves":
                assert first.stdin is not None and first.stdout is not None
                first.stdin.write("\n")
                first.stdin.flush()
                assert first.stdout.readline() == "left\n"
            else:
                first.kill()
            assert list(slow) == list(range(6)), "the other's calls go on"
            for _ in net.watch(net.jobs()[0]["job"]):  # a stream that is broken off takes its connection along
                break
            until(lambda: net.status()["attached"] == 2, "one that asks, and one that is held")
        until(lambda: not node.is_running() or node.status() == psutil.STATUS_ZOMBIE, "the node ends with the last of them")
        first.kill()


def test_without_others_it_is_gone_when_its_program_has_left_it(folder: pathlib.Path) -> None:
    with ctorrent.connect() as net:
        assert net.embedded
        (node,) = psutil.Process().children()
        attach().close()
    assert not node.is_running()


def test_one_that_hangs_is_ended_all_the_same(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_S", 1.0)
    with ctorrent.connect():
        (node,) = psutil.Process().children()
        node.suspend()
    assert not node.is_running()
