"""Nodes that are killed and started again: the same identity, peers, ledger and jobs, and no settled block runs twice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctorrent.client import Job
from tests.real.herd import MEETING_S, Tended, ended, is_connected, joined, rows, until, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = """
    import time

    def work(index, seed, pause):
        time.sleep(pause)
        return {"index": index, "square": index * index, "seed": seed % 1000}
"""
JOB = """
    python: work.py:work
    blocks: {{count: {count}}}
    params: {{pause: {pause}}}
    reduce: sum
    {more}
"""


# Its results differ from run to run: whether two are the same, the job's own script says, in the requester's sandbox.
ROUGH = """
    import random, time

    def work(index):
        time.sleep(0.2)
        return 100 * index + random.SystemRandom().randrange(3)

    def same(one, other):
        return abs(one - other) <= 3
"""
ROUGH_JOB = """
    python: work.py:work
    blocks: {count: 24}
    verify: {equal: {script: "work.py:same"}}
"""
BLOCKS = 45  # so that three kills come before its end


def job(folder: Path, count: int = 40, pause: float = 0.2, more: str = "") -> Path:
    return write_job(folder, PROGRAM, JOB.format(count=count, pause=pause, more=more))


def right(net: Any, name: str, count: int) -> None:
    """Every block settled with its own value, and the answer is their sum."""
    found = rows(net, name)
    assert [row["value"]["square"] for row in found] == [index * index for index in range(count)]
    assert [row["value"]["seed"] for row in found] == [row["seed"] % 1000 for row in found]
    assert Job(net, name).answer()["square"] == sum(index * index for index in range(count))


def settled(net: Any, name: str) -> dict[int, dict[str, Any]]:
    return {row["index"]: row for row in rows(net, name) if row["state"] == "settled"}


def befriended(net: Any) -> set[tuple[str, str, str]]:
    """Whom the node calls what. Their nodes are left out: those are known once they are met again."""
    return {(friend["name"], friend["owner"], friend["state"]) for friend in net.friends()}


def test_a_requester_killed_again_and_again_goes_on(make: Callable[..., Tended], tmp_path: Path) -> None:
    """Three SIGKILLs at drawn instants: what was settled stays as it was, byte for byte, and the job ends right.

    So does a job beside it whose results only its own script can compare.
    """
    dice = random.Random(20260101)
    ann, ben, cat = make("ann"), make("ben"), make("cat")
    joined(ann, ben, cat)
    ann.keep_port()
    who = {key: ann.net.status()[key] for key in ("node", "owner", "name")}
    friends = until(lambda: len(found := befriended(ann.net)) == 2 and found, "both are friends")
    rough = ann.net.submit(write_job(tmp_path / "rough", ROUGH, ROUGH_JOB))
    name = ann.net.submit(job(tmp_path, BLOCKS))
    cut: list[int] = []  # blocks of the rough one that were settled at each kill
    for _ in range(3):
        known = len(settled(ann.net, name))
        until(lambda known=known: len(settled(ann.net, name)) > known, "a block settles", 60)
        time.sleep(dice.uniform(0, 0.7))  # the instant of the kill is what varies
        before, compared = settled(ann.net, name), settled(ann.net, rough)
        cut.append(len(compared))
        ann.kill()
        ann.start()
        for one, were in ((name, before), (rough, compared)):
            after = settled(ann.net, one)
            assert all(after[index] == row for index, row in were.items())
        assert {key: ann.net.status()[key] for key in who} == who and befriended(ann.net) == friends
    first = settled(ann.net, name)
    before_it = sum(worker["done"] for worker in ann.net.job(name)["workers"])
    status = ended(ann.net, name, 90)
    assert status["state"] == "settled" and status["cross_validated"] and status["settled"] == BLOCKS, status
    right(ann.net, name, BLOCKS)
    assert all(rows(ann.net, name)[index] == row for index, row in first.items())
    assert all(row["agreed"] >= 2 for row in rows(ann.net, name))
    assert status["elapsed_s"] >= 3, "the time of the lives before counts"
    done = sum(worker["done"] for worker in status["workers"])
    assert done >= sum(row["agreed"] for row in rows(ann.net, name)), "the workers' lines tell of every life"
    done -= before_it
    assert done <= 2 * (BLOCKS - len(first)) + 12, f"{done} replicas in the last life for {BLOCKS - len(first)} blocks"
    beside = ended(ann.net, rough, 60)
    assert beside["state"] == "settled" and beside["cross_validated"] and not beside["notes"], beside
    assert [row["value"] // 100 for row in rows(ann.net, rough)] == list(range(24)) and cut[0] < 24, cut
    assert all(row["agreed"] >= 2 for row in rows(ann.net, rough)) and not any(worker["disputed"] for worker in beside["workers"])
    seen = ann.net.timeline(name)
    assert sum(span[2] for span in seen["spans"]) == sum(worker["done"] for worker in seen["workers"]) == status["replicas_done"]
    assert ann.net.ledger_verify()["bad"] == [] and ann.net.ledger()
    for one in (ben, cat):
        until(lambda one=one: len(one.net.ledger()) == len(ann.net.ledger()), f"{one.name} has the whole ledger", MEETING_S)
        assert one.net.ledger_verify()["forks"] == []


def test_a_requester_stopped_and_started_goes_on_and_its_past_is_readable(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann"), make("ben")
    joined(ann, ben)
    old = ann.net.submit(job(tmp_path / "old", 6, 0.01))
    ended(ann.net, old)
    cancelled = ann.net.submit(job(tmp_path / "cancelled", 200, 0.2))
    until(lambda: settled(ann.net, cancelled), "a block settles")
    ann.net.cancel(cancelled, "not needed")
    until(lambda: ann.net.job(cancelled)["state"] == "cancelled", "it is cancelled")
    paused = ann.net.submit(job(tmp_path / "paused", 12, 0.2))
    ann.net.pause(paused)
    until(lambda: ann.net.job(paused)["state"] == "paused", "it pauses")
    name = ann.net.submit(job(tmp_path / "new", 20, 0.2))
    until(lambda: settled(ann.net, name), "a block settles")
    facts = [(ann.net.job(one)["state"], ann.net.job(one)["reason"], rows(ann.net, one)) for one in (old, cancelled)]
    assert ann.stop(signal.SIGINT) == 0
    ann.start()
    assert [(ann.net.job(one)["state"], ann.net.job(one)["reason"], rows(ann.net, one)) for one in (old, cancelled)] == facts
    right(ann.net, old, 6)
    assert ann.net.job(old)["report"]["assignments"] > 0
    assert ann.net.job(paused)["state"] == "paused", "a paused job stays paused"
    status = ended(ann.net, name, 90)
    assert status["state"] == "settled" and status["cross_validated"], status
    right(ann.net, name, 20)
    ann.net.resume(paused)
    until(lambda: ann.net.job(paused)["state"] == "settled", "the resumed job settles", 60)
    right(ann.net, paused, 12)


def test_a_worker_killed_loses_its_blocks_to_others_and_comes_back(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, cat = make("ann", "--no-work"), make("ben"), make("cat")
    joined(ann, ben, cat)
    name = ann.net.submit(job(tmp_path, 120, 0.2, "verify: {replicas: 1}"))  # not over when ben is back, however slowly he starts
    until(lambda: len(settled(ann.net, name)) >= 4, "blocks settle")
    victim = ben.id
    ben.kill()
    lost = until(lambda: next((w for w in ann.net.job(name)["workers"] if w["node"] == victim and w["state"] == "lost"), None), "it is missed")
    assert lost["running"] == []
    more = len(settled(ann.net, name)) + 4
    until(lambda: len(settled(ann.net, name)) >= more, "others go on")
    ben.start()
    until(lambda: any(w["node"] == victim and w["done"] > lost["done"] for w in ann.net.job(name)["workers"]), "it works again", 60)
    status = ended(ann.net, name, 90)
    assert status["state"] == "settled" and status["failed"] == 0, status
    right(ann.net, name, 120)


def test_a_result_outlives_its_workers_and_its_requesters_death(make: Callable[..., Tended], tmp_path: Path) -> None:
    """Both die while a block is done and not handed over: its one result arrives after both are back."""
    ann, ben = make("ann", "--no-work"), make("ben", "--slots", "1")
    joined(ann, ben)
    ann.keep_port()
    name = ann.net.submit(job(tmp_path, 1, 8.0, "verify: {replicas: 1}"))  # not done before ann is killed
    until(lambda: ann.net.job(name)["running"] and not ben.net.status()["slots_free"], "the block runs")
    ann.kill()
    until(lambda: owed(ben), "the result waits at its worker", 60)
    ben.kill()
    ann.start()
    assert ann.net.job(name)["state"] == "running" and not settled(ann.net, name)
    ben.start()
    status = ended(ann.net, name)
    assert status["state"] == "settled", status
    assert status["report"]["assignments"] == 1, "no second assignment was made: the first one's result came"
    right(ann.net, name, 1)
    until(lambda: not owed(ben), "the worker has forgotten it")


def owed(worker: Tended) -> int:
    """Records of results that this worker has not handed over, read from its journal beside it."""
    import sqlite3

    with sqlite3.connect(f"file:{worker.data / 'journal.sqlite'}?mode=ro", uri=True) as journal:
        count = journal.execute("SELECT count(*) FROM records WHERE space='undelivered'").fetchone()[0]
    journal.close()
    return int(count)


def test_all_stop_and_find_each_other_again(make: Callable[..., Tended], tmp_path: Path) -> None:
    """At the same ports all at once, and then each at another port, one after another: nobody is told anything."""
    ann, ben, cat = trio = [make("ann"), make("ben"), make("cat")]
    joined(*trio)
    until(lambda: is_connected(ben, cat) or True, "")
    for one in trio:
        one.keep_port()
    for one in trio:
        one.stop()
    for one in trio:
        one.launch()
    for one in trio:
        one.ready()
    for one in (ben, cat):
        until(lambda one=one: is_connected(ann, one), f"ann meets {one.name} again", 60)
    for one in trio:
        one.stop()
        one.port = 0
        one.start()
        for other in trio:
            if other is not one and (one is ann or other is ann):
                until(lambda a=one, b=other: is_connected(a, b) and is_connected(b, a), f"{one.name} meets {other.name}", 60)
    assert {peer["how"] for peer in ann.net.peers() if peer["connected"]} <= {"last time", "inbound", "join", "dht"}
    name = ann.net.submit(job(tmp_path, 6, 0.05))
    assert ended(ann.net, name)["state"] == "settled"
    right(ann.net, name, 6)


def test_a_job_waits_for_the_first_worker(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann = make("ann", "--no-work")
    ann.start()
    name = ann.net.submit(job(tmp_path, 4, 0.05, "verify: {replicas: 1}"))
    status = until(lambda: "no peer" in (found := ann.net.job(name))["reason"] and found, "it says what it waits for")
    assert status["state"] == "waiting", status
    invite = ann.net.invite(1, 3600)
    ann.kill()
    ann.start()
    assert ann.net.job(name)["state"] == "waiting"
    ben = make("ben")
    ben.start("--join", ann.net.invite(1, 3600))
    status = ended(ann.net, name, 60)
    assert status["state"] == "settled", status
    right(ann.net, name, 4)
    assert invite
