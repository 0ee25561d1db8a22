"""A liar's second job: it is refused, with the reason and its way back, and everybody can see why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.herd import MEETING_S, Tended, ended, joined, until, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = """
    import time

    def work(index):
        time.sleep(0.05)
        return index * 10
"""


def told(node: Tended, *words: str) -> str:
    """What the command prints to the person at `node`."""
    command = [sys.executable, "-m", "ctorrent", *words, "--data-dir", str(node.data)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"}, timeout=60).stdout


def test_a_liar_is_refused_next_time_and_told_its_way_back(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, cat = make("ann"), make("ben"), make("cat")
    eve = make("eve", "--testing-lie", "0.9", testing=True)
    joined(ann, ben, cat, eve)
    until(lambda: sum(peer["connected"] for peer in ann.net.peers()) == 3, "all are connected")
    path = write_job(tmp_path, PROGRAM, "python: work.py:work\nblocks: {count: 60}\nreduce: sum")
    assert ended(ann.net, ann.net.submit(path), 90)["state"] == "settled"
    row = until(lambda: next((row for row in ann.net.reputation(eve.id) if row["held"]), None), "eve is quarantined")
    assert row["state"] == "quarantined" and re.search(r"\d+ of the last \d+ blocks checked here were wrong, since entry \d+", row["held"]), row
    second = ann.net.submit(path)
    assert ended(ann.net, second, 90)["state"] == "settled"
    refused = until(lambda: [why for why in ann.net.why(second)["reasons"] if why.startswith("is refused")], "eve asked and was refused")
    assert "Back on trial after" in refused[0], refused
    assert eve.id not in {worker["node"] for worker in ann.net.job(second)["workers"]}
    shown = told(ann, "reputation", "eve", "--why")
    assert "Its bids are refused" in shown and "Your own, which weigh in full:" in shown and "disputed, weight" in shown, shown
    until(lambda: eve.net.status()["against"], "she reads the same in the ledger", MEETING_S)
    hers = told(eve, "reputation", "me")
    assert "Held against you, by the ledger that this node holds:" in hers and "refuses your nodes' bids" in hers, hers
    assert not any(row["held"] for one in (ben, cat) for row in ann.net.reputation(one.id))
    name, since = eve.id, re.search(r"since entry [\d,]+", row["held"])
    ann.stop()
    ann.start()
    again = json.loads(told(ann, "reputation", name, "--json"))[0]
    assert since and since[0] in again["held"], f"a restart forgives nothing: {again}"
