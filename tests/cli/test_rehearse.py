"""What is said before a job is announced, and what is not announced."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import pytest

from ctorrent.cli import rehearse
from ctorrent.cli.jobs import _hints
from tests.cli.conftest import Ran
from tests.client.small_door import SmallDoor, rehearsal

pytestmark = pytest.mark.real
Run = Callable[..., Ran]


@pytest.fixture
def job_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "job.yaml"
    path.write_text("python: search.py:score\n")
    return path


def test_a_dry_run_announces_nothing(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    ran = run("submit", str(job_file), "--dry-run")
    assert (ran.code, door.asked) == (0, [])
    assert "digits: 12 blocks, each run by 2 owners that must agree." in ran.err
    assert "Nothing was announced." in ran.err
    found = json.loads(run("submit", str(job_file), "--dry-run", "--json").out)
    assert (found["announced"], found["cost"]["speedup"], found["block_s"]) == (False, 1.9, 0.25)
    assert run("submit", str(job_file), "--dry-run", "-o", str(job_file.parent / "rows.csv")).code == 2
    assert run("submit", str(job_file), "--dry-run", "--no-rehearsal").code == 0
    assert door.rehearsed[-1][2] == {"rehearsal": False}


def test_a_rehearsal_that_fails_is_told_in_the_programs_words(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    failure = {"kind": "exception", "type": "ModuleNotFoundError", "text": "Traceback …\nModuleNotFoundError: No module named 'sklearn'\n"}
    hint = "Name it: needs: {packages: [scikit-learn]}."
    door.rehearsal = rehearsal(state="failed", failure=failure, hint=hint, log="one\ntwo\n", cost=None, single=None)
    ran = run("submit", str(job_file))
    assert (ran.code, door.asked) == (3, [])
    assert "Rehearsal: block 0 (C 0, gamma 0.5) failed on this machine.\n  printed: one\n  printed: two\nTraceback …\n" in ran.err
    assert "ModuleNotFoundError: No module named 'sklearn'\n  → Name it" in ran.err
    assert "Nothing was announced." in ran.err and ran.out == ""
    assert json.loads(run("submit", str(job_file), "--json").out)["failure"] == failure


def test_without_a_rehearsal_nothing_is_expected(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.rehearsal = rehearsal(state="skipped", why="as asked", cost=None, single=None)
    ran = run("submit", str(job_file), "--no-rehearsal")
    assert ran.code == 0 and "ehears" not in ran.err
    assert door.asked[0][3] == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "long", "why": "", "block_s": 10.0}, "The first block takes more than 10 s"),
        ({"state": "long", "why": "", "block_s": 10.0}, "every block twice: about 1.9 × this machine alone, at least 6 min;"),
        ({"state": "skipped", "why": "it lacks packages torch.", "cost": None, "single": None}, "Not rehearsed here: it lacks packages torch.\n"),
        ({"wavers": "result is 1 and 2"}, "Two runs of that block differ: result is 1 and 2. Draw from the seed"),
        ({"lax": "The job's comparison (numeric) takes …"}, "The job's comparison (numeric) takes …"),
        ({"lacks": "waits for a second owner: …"}, "The job waits for a second owner: …."),
        ({"audited": True}, "every block twice: about 1.9 × this machine alone, 6 min, and some once more (about 2.1 runs a block);\n"),
        ({"economy": True}, "newcomers' blocks twice: about 1.9 × this machine alone, 6 min, less once owners are known and run alone (about 1.1 to 1.3 runs a block);\n"),
        ({"single": None, "replicas": 1}, "every block twice: about 1.9 × this machine alone, 6 min.\n"),
    ],
)
def test_what_a_rehearsal_found_is_said(run: Run, door: SmallDoor, job_file: pathlib.Path, changes: dict[str, object], words: str) -> None:
    door.rehearsal = rehearsal(**changes)
    ran = run("submit", str(job_file))
    assert ran.code == 0 and words in ran.err, ran.err


def test_what_a_job_costs_is_said_in_round_words() -> None:
    assert [rehearse.roughly(s) for s in (0.2, 7.4, 23, 58, 95, 400, 5400, 36000, 200_000)] == [
        "1 s", "7 s", "25 s", "60 s", "1.6 min", "6.7 min", "1.5 h", "10 h", "2.3 d",
    ]  # fmt: skip
    slow = {"machines": 1, "owners": 1, "replicas": 1, "seconds": 2.0, "speedup": 0.001, "credits": 1.25}
    assert rehearse.costs({"state": "ran", "cost": slow, "single": None}) == [
        "1 machine, every block once: about 2 s (this machine alone: less than 0.1 s). Price: about 1.2 credits."
    ]
    twice = {**slow, "replicas": 2, "seconds": 3.0, "speedup": 0.2}
    assert rehearse.costs({"state": "ran", "cost": twice, "single": {**slow, "speedup": 1.25}}) == [
        "1 machine, every block twice: about 3 s (this machine alone, without checking: 0.6 s);",
        "with verify: {replicas: 1} 1.2 ×, 2 s. Price: about 1.2 credits.",
    ]
    assert rehearse.costs({"state": "ran", "cost": None, "single": slow}, 3)[0].startswith("With --replicas 1, 3 nodes here: about 2 s")


def test_resume_says_what_it_met(run: Run, door: SmallDoor) -> None:
    assert "Job runaaaaa is not paused: it is running. Follow it: ctorrent attach runaaaaa" in run("resume", "run").out
    ran = run("resume", "abc")
    assert ran.code == 2 and "has ended: it is settled" in ran.err and "ctorrent results abcdefgh" in ran.err
    assert run("attach", "abc").code == 0


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    text = "4 machines, every block twice: about 1.9 × this machine alone, 6 min; it took 2.5 s."
    for width in range(20, 90):
        lines = rehearse.unbroken(text, width).split("\n")
        assert " ".join(lines) == text and all(len(line) <= width for line in lines)
        assert not [line for line in lines if line.rsplit(" ", 1)[-1] in ("1.9", "6", "2.5")], lines


def test_a_job_is_called_by_its_name(run: Run, door: SmallDoor) -> None:
    for words in (("status", "digits"), ("attach", "digits"), ("results", "digits"), ("logs", "digits")):
        ran = run(*words)
        assert ran.code == 0 and "2 jobs are called 'digits': this is the newest, abcdefgh." in ran.err, ran.err
        assert "are called" not in run(words[0], "abcdefgh").err
    for word in ("cancel", "pause", "resume"):
        ran = run(word, "digits")
        assert ran.code == 2 and "'digits' names 2 jobs." in ran.err and "abcdefgh, runaaaaa" in ran.err
    assert not [asked for asked in door.asked if asked[0] in ("cancel", "pause", "resume")]


def test_why_names_what_a_machine_of_ones_own_could_offer() -> None:
    reasons = {"has ffmpeg, sox, but its owner does not offer them: ctorrent node --allow-program ffmpeg --allow-program sox": 2}
    assert _hints({"job": "a", "state": "waiting", "reasons": reasons}) == [
        "On a machine of yours that is to run it: ctorrent stop, then ctorrent node --allow-program ffmpeg --allow-program sox"
    ]
    assert _hints({"job": "a", "state": "waiting", "reasons": {"has $(x), but its owner does not offer it": 1, "is busy": 1}}) == []
