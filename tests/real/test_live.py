"""Real nodes while somebody looks: a machine given back to its owner in a moment, and a pool that knows who has left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctorrent.client import Net, attach
from ctorrent.errors import CTorrentError
from tests.real.herd import Tended, ended, joined, until, write_job

pytestmark = pytest.mark.real

FREE_S = 2.0  # from the click to the last process
LEFT_S = 3.0  # from a friend's leaving to the head of a page
SLEEPER = """
    import time

    def work(index, seed, pause):
        time.sleep(pause)
        return index
"""
LONG = "python: work.py:work\nblocks: {count: 4}\nparams: {pause: 20}\nverify: {replicas: 1}\nlimits: {seconds: 60}\n"


def inside(node: Tended) -> list[psutil.Process]:
    """Processes of a node's sandboxes: all its children but the one that writes its journal."""
    assert node.process is not None
    found = []
    for child in psutil.Process(node.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "writer.py" not in " ".join(child.cmdline()):
                found.append(child)
    return found


@contextmanager
def pools(net: Net) -> Iterator[list[tuple[float, dict[str, Any]]]]:
    """What a page would show in its head, with the moment each came."""
    seen: list[tuple[float, dict[str, Any]]] = []

    def follow() -> None:
        with suppress(CTorrentError), attach(net.folder) as there:  # the node ends with the test
            for event in there.events():
                if event["kind"] == "pool":
                    seen.append((time.monotonic(), event["pool"]))

    threading.Thread(target=follow, daemon=True).start()
    until(lambda: seen, "the first pool")
    yield seen


def freed(ben: Tended) -> float:
    """Lending off while blocks of ann's run. -> seconds until nothing of them does."""
    until(lambda: ben.net.machine()["slots"] and ben.net.status()["slots_free"] == 0, "ben runs blocks")
    running = until(lambda: len(found := inside(ben)) >= 2 and found, "each in a process")
    assert ben.net.machine()["works_for"][0]["name"] == "ann"
    began = time.monotonic()
    found = ben.net.share(False)
    took = time.monotonic() - began
    assert not inside(ben) and not [one for one in running if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not found["sharing"] and not found["works_for"] and found["slots"] == 0
    return took


def test_lending_off_frees_the_machine_and_the_job_ends_elsewhere(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann", "--no-work"), make("ben", "--slots", "2")
    joined(ann, ben)
    path = write_job(tmp_path, SLEEPER, LONG)
    job = ann.net.submit(path)
    took = freed(ben)
    if took >= FREE_S:  # the whole machine may have stood still: once more
        assert ben.net.share(True)["sharing"]
        took = freed(ben)
    assert took < FREE_S
    assert "work = false" in (ben.data / "settings.toml").read_text()
    until(lambda: ann.net.job(job)["running"] == 0, "ann knows that nobody runs it")
    ann.net.cancel(job)
    ben.stop()
    assert not ben.start().status()["shares"], "a restart keeps it off"
    quick = write_job(tmp_path / "quick", SLEEPER, LONG.replace("pause: 20", "pause: 0.1"))
    job = ann.net.submit(quick)
    cat = make("cat", "--join", ann.net.invite(1, 3600))
    cat.start()
    assert ended(ann.net, job)["state"] == "settled" and not ben.net.machine()["works_for"]
    assert all(worker["name"] == "cat" for worker in ann.net.job(job)["workers"] if worker["done"])
    cat.net.share(False)
    job = ann.net.submit(quick)
    assert ben.net.share(True)["sharing"]
    assert ended(ann.net, job)["state"] == "settled", "and on again it works at once"


def test_a_friends_leaving_changes_the_pool_within_three_seconds(make: Callable[..., Tended]) -> None:
    ann, *others = make("ann"), make("goodbye"), make("killed"), make("unplugged")
    joined(ann, *others)
    with pools(ann.net) as seen:
        for left, (one, how) in enumerate(zip(others, (signal.SIGINT, signal.SIGKILL, signal.SIGSTOP), strict=True)):
            took = left_after(ann, seen, one, how, 3 - left)
            if took >= LEFT_S:  # this machine may have stood still: once more
                one.kill()
                one.start()
                took = left_after(ann, seen, one, how, 3 - left)
            assert took < LEFT_S, (one.name, seen)


def left_after(ann: Tended, seen: list[tuple[float, dict[str, Any]]], one: Tended, how: int, machines: int) -> float:
    """-> seconds from its leaving until the pool had so many machines."""
    until(partial(counts, seen, machines + 1), f"ann counts {one.name} too", 60)  # who is back dials again within 20 s
    assert one.process is not None
    known, began = len(seen), time.monotonic()
    os.kill(one.process.pid, how)
    try:
        until(partial(counts, seen, machines), f"ann counts {one.name} no more")
        assert not any(peer["connected"] for peer in ann.net.peers() if peer["name"] == one.name)
    finally:
        if how == signal.SIGSTOP:
            os.kill(one.process.pid, signal.SIGCONT)
    return next(at for at, pool in seen[known:] if pool["machines"] == machines) - began


def counts(seen: list[tuple[float, dict[str, Any]]], machines: int) -> bool:
    return bool(seen[-1][1]["machines"] == machines)
