"""Real nodes whose journals are damaged on the disk, and entries that go by file from one machine to another."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.herd import MEETING_S, Tended, is_connected, joined, until
from tests.real.test_ledger_files import vote

pytestmark = [pytest.mark.real, pytest.mark.slow]


def command(one: Tended, *words: str) -> tuple[int, str]:
    """A command line against a machine's folder. -> its exit code, what it said."""
    environ = {**one.environ, "CTORRENT_OWNER_DIR": str(one.owner_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "ctorrent", *words, "--data-dir", str(one.data)], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def damage(one: Tended, flips: int) -> None:
    """Flip bits all over the journal of a machine that is down; its log is folded in first."""
    one.stop()
    path = one.data / "journal.sqlite"
    data, dice = bytearray(path.read_bytes()), random.Random(flips)
    for _ in range(flips):
        data[dice.randrange(4096, len(data))] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_journal_is_repaired_from_peers_and_the_loss_named(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann"), make("ben")
    joined(ann, ben)
    ann.keep_port()
    for number in range(3):
        vote(ann, ben, tmp_path / str(number))
    before = {row["id"] for row in ann.net.ledger()}
    until(lambda: before <= {row["id"] for row in ben.net.ledger()}, "ben holds all of it", MEETING_S)
    who = ann.id
    damage(ann, 400)
    ann.start()
    assert ann.id == who, "keys are elsewhere"
    assert "journal was damaged" in ann.said() and "Kept:" in ann.said() and "Lost:" in ann.said()
    assert list(ann.data.glob("journal.sqlite.damaged-1")), "nothing is thrown away"
    until(lambda: is_connected(ann, ben), "they meet again", 60)
    if not ann.net.friends():  # lost, as it said: what friends told each other comes back with the friendship
        ann.net.friend_add(ben.net.status()["owner"])
    until(lambda: before <= {row["id"] for row in ann.net.ledger()}, "its own entries and others' come back", MEETING_S)
    vote(ann, ben, tmp_path / "after")
    found = ann.net.ledger_verify()
    assert (found["bad"], found["forks"], found["lies"]) == ([], [], [])
    (ann.data / "journal.sqlite").stat()
    ann.stop()
    (ann.data / "journal.sqlite").write_bytes(b"")  # a disk that was full, or a hand that slipped
    ben.stop()
    ann.start()
    assert "Kept: nothing" in ann.said() and ann.net.ledger() == [], "alone it begins anew, and says so"
    assert "Name your friends again" in ann.said()
    ben.start()
    until(lambda: is_connected(ben, ann), "they meet once more", 60)
    ann.net.friend_add(ben.net.status()["owner"])
    until(lambda: before <= {row["id"] for row in ann.net.ledger()}, "and learns again what it wrote", MEETING_S)


def test_a_repair_by_a_command_is_told_by_that_command_and_once(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann = make("ann")
    ann.start()
    damage(ann, 400)
    code, said = command(ann, "jobs")
    assert code == 0 and "journal was damaged" in said and "Kept:" in said and "Lost:" in said, said
    assert "damaged" not in command(ann, "jobs")[1]


def test_entries_go_by_file_with_and_without_a_node(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben, far = make("ann"), make("ben"), make("far")
    joined(ann, ben)
    vote(ann, ben, tmp_path / "job")
    held = {row["id"] for row in ann.net.ledger() if row["ring"] == "public"} or {row["id"] for row in ann.net.ledger()}
    file = tmp_path / "entries"
    code, said = command(ann, "ledger", "export", str(file), "--json")
    assert code == 0 and json.loads(said)["entries"] == len(ann.net.ledger()), said
    assert command(ann, "ledger", "export", str(file))[0] == 2, "a file that is there is not replaced"
    code, said = command(ben, "ledger", "import", str(file), "--json")
    assert code == 0 and json.loads(said)["new"] == 0 and json.loads(said)["refused"] == 0, said
    ann.stop()
    other = tmp_path / "again"
    code, said = command(ann, "ledger", "export", str(other), "--json")
    assert code == 0, said
    assert other.read_bytes() == file.read_bytes(), "the same without a running node"
    far.start()
    far.stop()
    code, said = command(far, "ledger", "import", str(other), "--json")
    found = json.loads(said)
    assert code == 0 and found["new"] + found["elsewhere"] >= len(held) and found["whole"], said
    data = bytearray(other.read_bytes())
    data[200] ^= 1
    other.write_bytes(data)
    code, said = command(far, "ledger", "import", str(other))
    assert code == 1 and "Refused" in said, said
    other.write_bytes(file.read_bytes()[:-30])
    code, said = command(far, "ledger", "import", str(other))
    assert code == 1 and "cut short" in said, said
    code, said = command(far, "ledger", "import", str(tmp_path / "job" / "job.yaml"))
    assert code == 2 and "not a file of ledger entries" in said, said
