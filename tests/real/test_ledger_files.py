"""A real journal file cut, copied and restored: the node starts, votes, and no peer sees a fork."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.herd import MEETING_S, Tended, ended, is_connected, joined, until, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = """
    def work(index):
        return index
"""
JOB = """
    python: work.py:work
    blocks: {count: 2}
"""
LOG = "journal.sqlite-wal"  # what SQLite has not folded into the file yet: a loss of power cuts it anywhere


def vote(ann: Tended, ben: Tended, folder: Path) -> None:
    """A job with two owners; its tallies reach ben, and ben sees no fork."""
    until(lambda: is_connected(ann, ben) and is_connected(ben, ann), "they meet", 60)
    known = len(ben.net.ledger())
    status = ended(ann.net, ann.net.submit(write_job(folder, PROGRAM, JOB)), 60)
    assert status["state"] == "settled" and status["cross_validated"], status
    until(lambda: len(ben.net.ledger()) > known, "the votes arrive", MEETING_S)
    for one in (ann, ben):
        found = one.net.ledger_verify()
        assert (found["bad"], found["forks"]) == ([], []), (one.name, found)


def test_a_journal_cut_and_a_backup_restored(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann"), make("ben")
    joined(ann, ben)
    ann.keep_port()
    vote(ann, ben, tmp_path / "0")
    who = ann.id
    backup = tmp_path / "backup"  # made while it runs: what a disk holds when the power goes
    shutil.copytree(ann.data, backup, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    ann.kill()
    size = (backup / LOG).stat().st_size
    assert size > 10_000, "there is something to cut"
    for number, share in enumerate((0.97, 0.8, 0.5), start=1):
        restore(ann, backup)
        with (ann.data / LOG).open("r+b") as log:
            log.truncate(int(size * share))
        ann.start()
        assert ann.id == who
        vote(ann, ben, tmp_path / str(number))
        ann.kill()
    restore(ann, backup)
    ann.start()
    vote(ann, ben, tmp_path / "last")
    until(lambda: len(ann.net.ledger()) == len(ben.net.ledger()), "it has learned what it wrote and lost", MEETING_S)


def restore(ann: Tended, backup: Path) -> None:
    """The node key is in no backup; everything else is put back as it was."""
    key = (ann.data / "node.key").read_bytes()
    shutil.rmtree(ann.data)
    shutil.copytree(backup, ann.data, symlinks=True)
    assert (ann.data / "node.key").read_bytes() == key
    ann.data.chmod(0o700)
