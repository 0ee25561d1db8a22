"""`submit` as a person meets it: no node runs, the own machine is alone, Ctrl-C, and the way back. In a real terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.herd import write_job
from tests.real.terminal import Terminal

pytestmark = [pytest.mark.real, pytest.mark.slow]
SLOW = "import time\ndef work(index):\n    time.sleep(0.4)\n    return index\n"
JOB = "python: work.py:work\nblocks: {count: 12}\nreduce: sum\n"
LONG = JOB.replace("12", "30")  # not over when its node ends: three seconds after Ctrl-C, and what the machine takes


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Surroundings of a person whose machine knows nobody, and of whose nodes nothing is looked for."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings = 'mdns = false\ndht = false\nlisten = ["127.0.0.1"]\nport = 0\nisolation = "jail"\n'
    (data / "settings.toml").write_text(settings)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    own = {"HOME": str(tmp_path), "CTORRENT_DATA": str(data), "CTORRENT_OWNER_DIR": str(tmp_path / "owner"), "TMPDIR": str(temporary)}
    return {**os.environ, **own, "TERM": "xterm-256color"}


def jobs(home: dict[str, str]) -> list[dict[str, object]]:
    ran = subprocess.run([sys.executable, "-m", "ctorrent", "jobs", "--json"], env=home, capture_output=True, text=True, check=True, timeout=60)
    found: list[dict[str, object]] = json.loads(ran.stdout)
    return found


def test_alone_a_person_is_asked_leaves_and_comes_back(home: dict[str, str], tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", SLOW, LONG)
    with Terminal(["submit", str(path)], home) as terminal:
        terminal.wait_for("No node runs here: starting one for this command")
        shown = terminal.wait_for("[w/1]")
        assert "Rehearsed: one block took" in shown
        assert "Only your own machine is here, and every block is to be run by 2 owners: people, each with their machines." in " ".join(shown.split())
        terminal.type("maybe\n")
        terminal.type("1\n")
        terminal.wait_like(r"\b[1-9]\d* / 30")  # a screen that is drawn late shows not every number
        terminal.type("\x03")
        shown = terminal.wait_for("Ctrl-C again within 3 seconds cancels it.")
        found = re.search(r"ctorrent resume (\w+)", shown)
        assert found is not None and terminal.wait_end() == 130
    (job,) = jobs(home)
    assert (job["job"], job["replicas_wanted"], job["state"]) == (found[1], 1, "running")
    with Terminal(["resume", found[1]], home, columns=40) as terminal:
        shown = terminal.wait_for("Answer  435")
        assert "No node runs here: starting one for this" in shown
        assert terminal.wait_end() == 0
    with Terminal(["resume", found[1]], home) as terminal:
        terminal.wait_for(f"Job {found[1]} has ended: it is settled.")
        assert terminal.wait_end() == 2


def test_ctrl_c_before_the_job_is_announced_leaves_nothing(home: dict[str, str], tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", "import time\ndef work():\n    time.sleep(60)\n", JOB)
    for words in (["submit", str(path)], ["submit", "--local", "2", str(path)]):
        with Terminal(words, home) as terminal:
            terminal.wait_for("Rehearsing one block here")
            terminal.type("\x03")
            terminal.wait_for("Nothing was submitted.")
            assert terminal.wait_end() == 130
    assert jobs(home) == []
    assert list((tmp_path / "tmp").glob("ctswarm-*")) == []


def test_local_nodes_are_not_left_by_a_slip(home: dict[str, str], tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", SLOW, JOB)
    with Terminal(["submit", "--local", "2", str(path), "-o", str(tmp_path / "rows")], home) as terminal:
        terminal.wait_for("━")
        terminal.type("\x03")
        terminal.wait_for("Leaving ends this job")
        terminal.wait_for("Answer  66")
        assert "ctorrent results" not in terminal.wait_for("Wrote 12 rows"), "those nodes end here"
        assert terminal.wait_end() == 0
    assert (tmp_path / "rows" / "results.csv").exists()


def test_a_job_file_is_checked_before_any_node_starts(home: dict[str, str], tmp_path: Path) -> None:
    path = write_job(tmp_path / "job", "def work():\n    return 1\n", "python: absent.py:work\nblocks: {count: 3}\n")
    for words, said in (
        (["submit", str(path)], "absent.py"),
        (["submit", "--local", "2", str(path)], "absent.py"),
        (["submit", "--local", "1", str(write_job(tmp_path / "good", SLOW, JOB))], "--local 1 makes 1 owner"),
    ):
        ran = subprocess.run([sys.executable, "-m", "ctorrent", *words], env=home, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 2 and said in ran.stderr, ran.stderr
        assert "tarting" not in ran.stderr
    assert not (tmp_path / "data" / "journal.sqlite").exists()
