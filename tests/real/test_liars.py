"""One worker lies: it is out-voted where a majority can be had, recorded, and never believed alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctorrent.client import Job
from tests.real.herd import MEETING_S, Tended, ended, joined, rows, until, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = """
    import time

    def work(index):
        time.sleep(0.05)
        return index * 10
"""


def job(folder: Path, count: int, more: str = "") -> Path:
    return write_job(folder, PROGRAM, f"""
        python: work.py:work
        blocks: {{count: {count}}}
        reduce: sum
        {more}
    """)


def against(node: Tended) -> dict[str, int]:
    """worker -> blocks it is voted against for, in all entries this node holds."""
    found: dict[str, int] = {}
    for row in node.net.ledger():
        body: dict[str, Any] = row["body"]
        if body.get("disputed") or body.get("invalid"):
            found[body["worker"]] = found.get(body["worker"], 0) + body["disputed"] + body["invalid"]
    return found


def test_a_liar_among_four_is_outvoted_and_recorded(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, cat = make("ann"), make("ben"), make("cat")
    eve = make("eve", "--testing-lie", "0.3", testing=True)
    joined(ann, ben, cat, eve)
    until(lambda: sum(peer["connected"] for peer in ann.net.peers()) == 3, "all are connected")
    name = ann.net.submit(job(tmp_path, 40))
    status = ended(ann.net, name, 90)
    assert status["state"] == "settled" and status["cross_validated"], (status["state"], status["reason"])
    assert Job(ann.net, name).answer() == 10 * sum(range(40))
    assert all(row["agreed"] >= 2 for row in rows(ann.net, name))
    lies = [dispute for dispute in status["report"]["disputes"] if dispute["outvoted"]]
    assert lies and all(dispute["outvoted"] == [eve.id] for dispute in lies), status["report"]["disputes"]
    assert "result is" in lies[0]["words"], lies[0]
    for one in (ann, ben, cat):
        until(lambda one=one: against(one), f"{one.name} has the vote", MEETING_S)
        assert set(against(one)) == {eve.id}, against(one)
    standing = {row["node"]: row for row in ann.net.reputation()}
    assert standing[eve.id]["disputed"] > 0 and standing[eve.id]["lower_bound"] < min(
        standing[one.id]["lower_bound"] for one in (ann, ben, cat)
    )


def test_a_liar_and_one_honest_node_settle_nothing_wrong(make: Callable[..., Tended], tmp_path: Path) -> None:
    """Two owners who contradict each other are no majority: the requester's own check is the third voice, or none is."""
    ann, eve = make("ann"), make("eve", "--testing-lie", "0.3", testing=True)
    joined(ann, eve)
    name = ann.net.submit(job(tmp_path, 20))
    status = ended(ann.net, name, 90)
    found = rows(ann.net, name)
    assert status["settled"] >= 10, status
    for row in found:
        assert row["state"] in ("settled", "disputed"), row
        assert row["state"] == "disputed" or row["value"] == row["index"] * 10, row
        assert row["state"] == "disputed" or row["agreed"] >= 2, row
    disputed = [row for row in found if row["state"] == "disputed"]
    assert disputed and all("result is" in row["words"] for row in disputed), disputed
    assert status["state"] == "failed" and set(against(ann)) <= {eve.id}


def test_one_owner_is_enough_only_for_a_job_that_says_so(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann = make("ann")
    ann.start()
    waits = ann.net.submit(job(tmp_path, 4))
    words = until(lambda: said if (said := ann.net.job(waits)["reason"]).startswith("waits for a") else "", "the job says for whom it waits")
    assert words.startswith("waits for a second owner: every block is to be run by 2 owners and only yours is here."), words
    assert "ctorrent invite" in words and "--replicas 1" in words
    assert ann.net.why(waits)["waits_for"] == words
    status = ended(ann.net, ann.net.submit(job(tmp_path, 4), options={"replicas": 1}))
    assert status["state"] == "settled" and not status["cross_validated"], status
    assert ann.net.ledger() == [], "nobody vouched for anything"
    until(lambda: ann.net.job(waits)["replicas_done"] == 4, "what one owner can do is done")
    assert ann.net.job(waits)["settled"] == 0, "and the number of owners is never lowered"
    bob = make("bob", "--join", ann.net.invite(1, 3600))
    bob.start()
    status = ended(ann.net, waits)
    assert status["state"] == "settled" and status["cross_validated"] and not status["reason"], status
