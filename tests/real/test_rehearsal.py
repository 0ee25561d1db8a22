"""Jobs before they are announced, on a real node: what a program does wrong is told in seconds, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctorrent.errors import WorkError
from tests.real.herd import Tended, ended, herd, joined, write_job

pytestmark = [pytest.mark.real, pytest.mark.slow]
JOB = "python: work.py:work\nblocks: {count: 20}\n"


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Tended, Tended]]:
    """Nodes of two owners, friends."""
    with herd() as make:
        ann, bob = make("ann", "--slots", "1"), make("bob", "--slots", "1")
        joined(ann, bob)
        yield ann, bob


def rehearsed(node: Tended, folder: Path, program: str, job: str = JOB, **options: Any) -> dict[str, Any]:
    found = node.net.rehearse(write_job(folder, program, job), None, options)
    assert node.net.jobs() == [], "nobody hears of it"
    return found


PROGRAMS = {
    "import sklearn\ndef work():\n    return 1\n": ("No module named 'sklearn'", "needs: {packages: [scikit-learn]}"),
    "def work():\n    return {1, 2}\n": ("result is a set", "A block returns numbers"),
    "import socket\ndef work():\n    socket.create_connection(('example.org', 80))\n": ("PermissionError: [Errno 1] a block has no network", ""),
    "def work():\n    return open('data.csv').read()\n": ("No such file or directory: 'data.csv'", "files: [data.csv]"),
    "def work():\n    return bytearray(2 << 30)\n": ("MemoryError", "needs: {memory:"),
}


def test_what_a_program_does_wrong_is_told_with_its_own_traceback(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    for number, (program, (words, hint)) in enumerate(PROGRAMS.items()):
        found = rehearsed(two[0], tmp_path / str(number), program)
        assert found["state"] == "failed", program
        text = found["failure"]["text"]
        assert words in text and hint in found["hint"], (text, found["hint"])
        assert "ctinside" not in text and "runner.py" not in text
        assert "work.py" in text or found["failure"]["kind"] == "output", "where it happened"


def test_a_block_is_measured_and_the_job_reckoned_with_all_who_are_here(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    program = "import time\ntime.sleep(2)\ndef work():\n    time.sleep(0.1)\n    return 1\n"
    found = rehearsed(two[0], tmp_path, program)
    assert (found["state"], found["blocks"], found["replicas"], found["owners"], found["lacks"]) == ("ran", 20, 2, 2, "")
    assert 0.1 <= found["block_s"] < 1.5 and 1.9 < found["start_s"] < 10.0, found
    assert found["cost"]["machines"] == 2 and found["single"]["replicas"] == 1
    assert found["single"]["seconds"] < found["cost"]["seconds"]
    alone = two[0].net.rehearse(tmp_path / "job.yaml", None, {"work": False})
    assert alone["owners"] == 1 and alone["cost"] is None and alone["lacks"].startswith("waits for a second owner")
    again = two[0].net.rehearse(tmp_path / "job.yaml", None, {"rehearsal": {"state": "ran", "block_s": 7.0, "start_s": 0.0}})
    assert again["block_s"] == 7.0 and again["cost"]["seconds"] > found["cost"]["seconds"], "reckoned anew, not run"


def test_a_script_may_ask_for_a_rehearsal(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    net = two[0].net
    with pytest.raises(WorkError, match="The rehearsal failed: ValueError: seven") as caught:
        net.run(write_job(tmp_path, "def work():\n    raise ValueError('seven')\n", JOB), rehearse=True)
    assert 'File "work.py", line 2, in work' in caught.value.hint
    assert net.jobs() == []


def test_the_smallest_block_is_the_one_that_runs(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    for number, size in enumerate((3000, 10, 500)):
        (tmp_path / f"{number}.txt").write_text("x" * size)
    job = 'python: work.py:work\nblocks: {files: "*.txt"}\n'
    found = rehearsed(two[0], tmp_path, "def work(inputs):\n    assert len(inputs['1.txt']) == 10\n    return 1\n", job)
    assert (found["state"], found["index"], found["blocks"]) == ("ran", 1, 3), found


def test_two_runs_of_a_block_that_differ_are_told(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    found = rehearsed(two[0], tmp_path, "import os\ndef work():\n    return os.urandom(4).hex()\n")
    assert found["state"] == "ran" and found["wavers"].startswith("result is "), found
    assert rehearsed(two[0], tmp_path, "import random\ndef work():\n    return random.random()\n")["wavers"] == ""
    judged = JOB + "verify: {equal: {script: 'work.py:same'}}\n"
    for answer, lax in (("1", False), ("os.urandom(4).hex()", True)):  # whether two outputs are equal is the script's to say
        program = f"import os\ndef work():\n    return {answer}\ndef same(one, other):\n    return True\n"
        found = rehearsed(two[0], tmp_path, program, judged)
        assert (found["state"], found["wavers"], bool(found["lax"])) == ("ran", "", lax), found


WIDE = "python: work.py:work\nblocks: {grid: {x: [1, 2, 30]}}\nverify: {equal: numeric, atol: %g, rtol: 0}\n"


def test_a_comparison_that_tells_no_results_apart_is_told(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    program = "def work(x):\n    return x * 1.5\n"
    assert rehearsed(two[0], tmp_path, program, WIDE % 0.5)["lax"] == ""
    words = rehearsed(two[0], tmp_path, program, WIDE % 1000)["lax"]
    assert words.startswith("The job's comparison (numeric, atol 1000, rtol 0) takes the results of blocks 0 and 2 for the same"), words


def test_a_long_block_is_stopped_and_is_no_failure(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    slow = "import time\ndef work():\n    time.sleep(60)\n"
    short = rehearsed(two[0], tmp_path / "short", slow, JOB + "limits: {seconds: 1}\n")
    assert (short["state"], short["failure"]["kind"]) == ("failed", "time"), "its own limit is another thing"
    assert "limits: {seconds:" in short["hint"]
    found = rehearsed(two[0], tmp_path / "long", slow)
    assert (found["state"], found["block_s"]) == ("long", 10.0)
    assert found["cost"]["seconds"] >= 20 * 10.0 * 2 / 2


def test_what_cannot_run_here_is_said_and_no_failure(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    program = "def work():\n    return 1\n"
    found = rehearsed(two[0], tmp_path / "gpu", program, JOB + "needs: {gpu: 1}\n")
    assert (found["state"], found["cost"]) == ("skipped", None) and "GPU" in found["why"]
    found = rehearsed(two[0], tmp_path / "awk", program, JOB + "needs: {memory: 900 TB}\n")
    assert found["state"] == "skipped" and "memory" in found["why"], found


def test_what_was_measured_is_an_eta_before_any_block_ended(two: tuple[Tended, Tended], tmp_path: Path) -> None:
    path = write_job(tmp_path, "import time\ndef work():\n    time.sleep(1.5)\n    return 1\n", JOB)
    net = two[0].net
    job = net.submit(path, options={"expected": {"block_s": 1.5, "start_s": 0.0, "job_s": 33.0, "lax": "It is\ntoo wide."}})
    changes = net.watch(job)
    first = next(status for status in changes if status["workers"] and status["eta_s"] is not None)
    assert first["settled"] == 0 and 20 < first["eta_s"] <= 33, first["eta_s"]
    changes.close()  # type: ignore[attr-defined]
    assert first["notes"] == ["It is too wide."], "what the rehearsal said of the comparison, in the job's own report"
    net.cancel(job)
    assert ended(net, job)["state"] == "cancelled"
