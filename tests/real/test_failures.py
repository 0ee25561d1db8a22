"""What a program can do wrong, on real nodes: the other blocks finish, the failure is typed and says why, nobody is blamed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.herd import Tended, ended, herd, joined, rows, until, write_job

pytestmark = pytest.mark.real

PROGRAM = """
    import os, time, random

    def typed(case, index, seed):
        if case == "exception":
            return deeper(index)
        if case == "memory":
            return len(bytearray(3 << 30))
        if case == "time":
            time.sleep(60)
        if case == "output":
            return "x" * 300_000
        if case == "killed":
            os.abort()
        if case == "exit":
            os._exit(7)
        if case == "unencodable":
            return {1, 2}
        print("all is well with", index)
        return index

    def deeper(index):
        raise ValueError(f"block {index} has no luck")

    def wavering(index):
        return {"loss": [1.0, 2.0, int.from_bytes(os.urandom(4), "big")]}

    def once(index):
        if index == 3:
            raise RuntimeError("no")
        time.sleep(0.3)
        return index
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Tended]]:
    """Three friends."""
    with herd() as make:
        made = [make("ann"), make("ben"), make("cat")]
        joined(*made)
        yield made


def job(folder: Path, text: str) -> Path:
    return write_job(folder, PROGRAM, text)


def votes_against(nodes: list[Tended]) -> list[Any]:
    """(author, worker, body) of every entry that holds anything but agreement."""
    found = []
    for node in nodes:
        for row in node.net.ledger():
            body = row["body"]
            if body.get("disputed") or body.get("invalid"):
                found.append((row["author"], body))
    return found


CASES = {  # case -> (kind, a word of the type or text)
    "exception": ("exception", "ValueError"),
    "memory": ("memory", ""),
    "time": ("time", ""),
    "output": ("output", ""),
    "killed": ("killed", ""),
    "exit": ("killed", "exit 7"),
    "unencodable": ("output", "not encodable"),
}


def test_every_failure_is_typed_and_the_other_blocks_finish(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    names = [*CASES, "fine", "well"]  # each but "time" ends in six seconds, also where the machine stands still for a moment
    path = job(tmp_path, f"""
        python: work.py:typed
        blocks: {{items: {[{"case": case} for case in names]}}}
        needs: {{memory: 256 MB}}
        limits: {{seconds: 6, output: 100 kB}}
        reduce: table
    """)
    name = net.submit(path)
    status = ended(net, name, 90)
    found = {row["params"]["case"]: row for row in rows(net, name)}
    assert status["state"] == "failed", status
    assert (status["settled"], status["failed"], status["disputed"]) == (2, len(CASES), 0), status
    for case, (kind, word) in CASES.items():
        failure = found[case]["failure"]
        assert failure["kind"] == kind, (case, failure)
        assert word in failure["type"] + failure["text"], (case, failure)
        assert len(found[case]["workers"]) >= 2, (case, found[case])  # reproduced by two owners: the program's
    trace = found["exception"]["failure"]["text"]
    assert "block 0 has no luck" in trace and "work.py" in trace and "deeper" in trace, trace
    assert [found[case]["value"] for case in ("fine", "well")] == [len(CASES), len(CASES) + 1]
    assert len(net.answer(name)["value"]) > 0  # the table of what settled
    assert not votes_against(nodes)


def test_a_commands_exit_code_and_last_words(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    name = net.submit(job(tmp_path, """
        command: [sh, -c, "echo before; echo no such luck >&2; exit {code}"]
        blocks: {items: [{code: 0}, {code: 5}]}
    """))
    assert ended(net, name)["state"] == "failed"
    fine, bad = rows(net, name)
    assert fine["state"] == "settled" and len(bad["workers"]) == 2, (fine, bad)
    assert (bad["failure"]["kind"], bad["failure"]["type"]) == ("exit", "5") and "no such luck" in bad["failure"]["text"], bad


def test_submit_exits_3_when_a_block_failed(nodes: list[Tended], tmp_path: Path) -> None:
    path = job(tmp_path, """
        python: work.py:once
        blocks: {count: 5}
    """)
    command = [sys.executable, "-m", "ctorrent", "submit", os.fspath(path), "--data-dir", os.fspath(nodes[0].data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "RuntimeError" in done.stdout + done.stderr and "Traceback" not in done.stderr, done.stdout + done.stderr


def test_on_error_stop_ends_the_job_as_failed(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    name = net.submit(job(tmp_path, """
        python: work.py:once
        blocks: {count: 60}
        on_error: stop
        coalesce: off
    """))
    status = ended(net, name)
    assert status["state"] == "failed", status
    assert "block 3" in status["reason"], status["reason"]
    assert status["failed"] == 1 and status["settled"] < 59, status
    states = {row["state"] for row in rows(net, name)}
    assert {"failed", "cancelled"} <= states, states


def test_a_program_that_wavers_pauses_in_words_and_blames_nobody(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    name = net.submit(job(tmp_path, """
        python: work.py:wavering
        blocks: {count: 12}
    """))
    status = ended(net, name)
    assert status["state"] == "paused", status
    assert 'result["loss"][2] is' in status["reason"] and "verify: {replicas: 1}" in status["reason"], status["reason"]
    assert not votes_against(nodes)
    net.resume(name)
    status = until(lambda: over(net.job(name)), "the resumed job ends", 60)
    assert status["disputed"] == 12 and status["settled"] == 0 and status["state"] == "failed", status
    assert not votes_against(nodes)
    words = [row["words"] for row in rows(net, name)]
    assert all('result["loss"][2]' in text for text in words), words


def over(status: dict[str, Any]) -> dict[str, Any] | None:
    return status if status["state"] in ("settled", "failed", "cancelled") else None


def test_a_paused_job_can_be_cancelled_and_what_settled_is_read(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    name = net.submit(job(tmp_path, """
        python: work.py:once
        blocks: {items: [{index2: 0}, {index2: 1}, {index2: 2}]}
    """.replace("index2", "x")))
    ended(net, name)
    long = net.submit(job(tmp_path, """
        python: work.py:once
        blocks: {count: 200}
        coalesce: off
    """))
    until(lambda: net.job(long)["settled"] >= 2, "two blocks settle")
    net.pause(long)
    until(lambda: net.job(long)["state"] == "paused", "it pauses")
    net.cancel(long, "seen enough")
    status = until(lambda: over(net.job(long)), "it is cancelled")
    assert status["state"] == "cancelled" and status["reason"] == "seen enough", status
    settled = [row for row in rows(net, long) if row["state"] == "settled"]
    assert len(settled) == status["settled"] >= 2
    assert all(row["value"] == row["index"] for row in settled)
    assert net.answer(long)["ready"] or net.answer(long)["why"]


def test_why_adds_up_typed_reasons(nodes: list[Tended], tmp_path: Path) -> None:
    net = nodes[0].net
    name = net.submit(job(tmp_path, """
        python: work.py:once
        blocks: {count: 2}
        needs: {programs: [no-such-program-as-this]}
    """))
    report = until(lambda: (found := net.why(name)) and sum(found["reasons"].values()) >= 3 and found, "three nodes said no")
    assert report["engaged"] == 0
    assert list(report["reasons"].values()) == [3], report
    assert all("no-such-program-as-this" in reason for reason in report["reasons"]), report
    assert "3 peers saw it" in report["waits_for"] and "no-such-program-as-this" in report["waits_for"], report
    until(lambda: "no-such-program" in net.job(name)["reason"], "the job says so too")
    net.cancel(name)
    until(lambda: over(net.job(name)), "it is cancelled")


def test_two_requesters_share_the_workers(nodes: list[Tended], tmp_path: Path) -> None:
    jobs = []
    for number, node in enumerate(nodes[:2]):
        path = job(tmp_path / str(number), """
            python: work.py:typed
            blocks: {count: 30}
            params: {case: fine}
            reduce: sum
        """)
        jobs.append((node.net, node.net.submit(path)))
    for net, name in jobs:
        status = ended(net, name)
        assert status["state"] == "settled" and status["cross_validated"], status
        assert {row["value"] for row in rows(net, name)} == set(range(30))
