"""`ctorrent verify` as a stranger to the job: an empty home, another folder, no node, and where the system lets us no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ctorrent.model.job import Equality, Limits, Verify
from ctorrent.model.portable import Part
from ctorrent.plan import codemap
from ctorrent.plan.codemap import CodeMap
from tests.node.test_receipt import lie, without_units
from tests.wire.portable_sample import CODE, MANIFEST, Made, honest, value, written

pytestmark = pytest.mark.real

UNSHARE = ("unshare", "--net")  # as root: inside a user namespace of its own the jail finds no room for its walls


@cache
def cut_off() -> tuple[str, ...]:
    """What goes before a command to take the network from it; nothing where the system does not allow that."""
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20, check=False)
    except OSError:
        return ()
    return UNSHARE if done.returncode == 0 else ()


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    home, where = tmp_path / "home", tmp_path / "where"
    home.mkdir()
    where.mkdir()

    def verify(data: bytes, *words: str, network: bool = True) -> tuple[int, Any]:
        file = tmp_path / "job.ctr"
        file.write_bytes(data)
        environ = {"HOME": os.fspath(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.fspath(Path.cwd()), "CTORRENT_ISOLATION": "jail"}
        command = [*(() if network else cut_off()), sys.executable, "-m", "ctorrent", "verify", os.fspath(file), "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=where, env=environ)
        assert not list(where.iterdir()) and not list(home.iterdir()), "it leaves nothing behind"
        return done.returncode, json.loads(done.stdout)

    return verify


def test_an_honest_receipt_holds_and_all_its_blocks_give_the_same(stranger: Callable[..., tuple[int, Any]]) -> None:
    code, found = stranger(honest(), "--all", network=False)
    assert code == 0, found
    assert [(row["index"], row["verdict"]) for row in found["rows"]] == [(0, "same"), (1, "same"), (2, "same")]
    assert found["checked"] == 3 and found["sentence"].startswith("Proven: ")
    answer = next(row for row in found["findings"] if row["what"] == "answer")
    assert answer["verdict"] == "proven"


def test_a_lie_about_one_output_is_found_by_running_it(stranger: Callable[..., tuple[int, Any]]) -> None:
    """Its requester left out what workers signed, and lied about block 0 alone: signatures cannot tell, the program can."""
    data = written(without_units(Made(keep=lie).parts()))
    assert stranger(data, "--block", "1", "--block", "2")[0] == 0
    code, found = stranger(data, "--all")
    assert code == 1
    assert [row["verdict"] for row in found["rows"]] == ["different", "same", "same"]
    assert found["rows"][0]["words"].startswith("result is 210 and 12"), found["rows"][0]
    assert "block 0" in found["sentence"]


def test_a_job_with_a_tolerance_is_compared_by_it(stranger: Callable[..., tuple[int, Any]]) -> None:
    def near(index: int) -> bytes:
        return value(index) if index else b"\x00\x0d"  # 13 where 12 comes out

    wide = replace(MANIFEST, verify=Verify(equal=Equality.NUMERIC, atol=1.5, rtol=0.0))
    code, found = stranger(written(Made(wide, keep=near, said=lambda worker, index: near(index)).parts()), "--all")
    assert (code, [row["verdict"] for row in found["rows"]]) == (0, ["near", "same", "same"]), found
    assert "2 of 3 blocks run again here gave the same bytes, and 1 other bytes that its tolerance calls equal." in found["sentence"]
    assert "One signer" not in found["sentence"] and "check" not in found["sentence"]


JUDGED = codemap.encode(CodeMap({"f.py": CODE + b"""

def even(output, x, draw):
    return output % 2 == 0 or 'it is odd'

def never(output):
    return False

def stumbles(output, x):
    return x < 2 or 1 / 0
"""}))  # fmt: skip


def judged_by(check: str, keep: Callable[[int], bytes] = value) -> bytes:
    """A receipt of a job with a check; where outputs are not the program's, its workers signed them as they are."""
    return written(Made(replace(MANIFEST, verify=Verify(check=check)), keep=keep, said=lambda worker, index: keep(index), files=JUDGED).parts())


def test_the_jobs_own_check_is_asked_of_the_blocks_that_are_run_again(stranger: Callable[..., tuple[int, Any]]) -> None:
    def odd(index: int) -> bytes:
        return value(index) if index else b"\x00\x0d"  # 13, signed by both its workers

    code, found = stranger(judged_by("f.py:even"), "--all", network=False)
    assert code == 0 and [row["check"] for row in found["rows"]] == ["passed"] * 3, found
    assert check_of(found) == ("proven", "The job's f.py:even accepts 3 of 3 outputs of blocks that ran again here.")
    code, found = stranger(judged_by("f.py:even", odd), "--all")
    assert code == 1 and [row["check"] for row in found["rows"]] == ["refused", "passed", "passed"], found
    assert check_of(found)[1].endswith("accepts 2 of 3 outputs of blocks that ran again here; it refuses that of block 0: f.py:even: it is odd.")
    assert found["sentence"] == "Not to be believed: run again, check are wrong (block 0)."


def test_a_check_that_refuses_what_this_machine_computes_too_is_told_apart(stranger: Callable[..., tuple[int, Any]]) -> None:
    code, found = stranger(judged_by("f.py:never"), "--block", "1")
    assert code == 1 and found["rows"][0]["verdict"] == "same" and check_of(found)[0] == "wrong", found
    assert "it refuses this machine's own result too: the program or its check is at fault" in check_of(found)[1]


def test_a_check_that_fails_leaves_the_question_open(stranger: Callable[..., tuple[int, Any]]) -> None:
    code, found = stranger(judged_by("f.py:stumbles"), "--all")
    assert code == 2 and check_of(found)[0] == "open", found
    assert "could not judge that of block 2: f.py:stumbles raises" in check_of(found)[1]
    assert "The job's check f.py:stumbles could not judge block 2." in found["sentence"]


def check_of(found: Any) -> tuple[str, str]:
    return next((row["verdict"], row["words"]) for row in found["findings"] if row["what"] == "check")


def test_the_sentence_says_what_stands_on_one_signer_and_that_no_check_was_run(stranger: Callable[..., tuple[int, Any]]) -> None:
    made = Made(replace(MANIFEST, verify=Verify(check="f.py:even")))
    code, found = stranger(written([part for part in made.parts() if part != made.unit(1)]), "--sample", "0")
    assert code == 0, found
    assert "One signer only: 3 of 3 settled outputs. The job's check f.py:even was not run." in found["sentence"]


def test_a_job_with_a_script_of_its_own_is_compared_by_it(stranger: Callable[..., tuple[int, Any]]) -> None:
    def off(index: int) -> bytes:
        return (value(0), b"\x00\x0f", b"\x00\x1f")[index]  # 12, 15 for 14, 31 for 16

    own = replace(MANIFEST, verify=Verify(equal=Equality.SCRIPT, script="f.py:near"))
    code, found = stranger(written(Made(own, keep=off, said=lambda worker, index: off(index)).parts()), "--all")
    assert (code, [row["verdict"] for row in found["rows"]]) == (1, ["same", "near", "different"]), found
    code, found = stranger(written(Made(own, keep=off, said=lambda worker, index: off(index)).parts()), "--block", "0", "--block", "1")
    assert code == 0 and "1 of 2 blocks run again here gave the same bytes, and 1 other bytes that its script f.py:near calls equal." in found["sentence"]


def test_what_cannot_be_run_here_is_said_so(stranger: Callable[..., tuple[int, Any]]) -> None:
    parts: list[Part] = Made().parts()
    code, found = stranger(written(parts[:-2]))
    assert code == 2 and any("all its inputs in the file" in row["words"] for row in found["findings"])
    other = replace(MANIFEST, environment=replace(MANIFEST.environment, packages=("no-such-package>=3",)))
    code, found = stranger(written(Made(other).parts()))
    assert code == 2 and any("lacks packages no-such-package" in row["words"] for row in found["findings"]), found


SLEEPY = codemap.encode(CodeMap({"f.py": b"""import time

def double(x, inputs):
    if x == 0:
        time.sleep(1000)
    return 2 * x + len(inputs['words'])
"""}))


def test_a_block_that_does_not_end_neither_agrees_nor_differs(stranger: Callable[..., tuple[int, Any]]) -> None:
    """The job's own limit holds, or --seconds; a failure for want of time there says nothing where there was less of it here."""
    quick = replace(MANIFEST, limits=Limits(block_s=1.0))
    code, found = stranger(written(Made(quick, files=SLEEPY).parts()), "--block", "0", "--block", "1")
    assert code == 2 and [row["verdict"] for row in found["rows"]] == ["unfinished", "same"], found
    assert found["rows"][0]["words"] == "not finished within 1 s: neither the same nor different"
    assert found["sentence"].startswith("Proven: ") and "; 1 was not finished in the time given here." in found["sentence"]

    def late(index: int) -> bytes:
        return value(index) if index else b"\x01\x04deadline"

    endless = replace(MANIFEST, limits=Limits(block_s=1e9), program=replace(MANIFEST.program, reduce=""))
    code, found = stranger(written(Made(endless, keep=late, said=lambda worker, index: late(index), files=SLEEPY).parts()), "--block", "0", "--seconds", "0.5")
    assert code == 2 and [(row["verdict"], row["words"].split(":")[0]) for row in found["rows"]] == [("unfinished", "not finished within 0.5 s")], found


def test_a_broken_file_says_where(stranger: Callable[..., tuple[int, Any]]) -> None:
    data = bytearray(honest())
    data[data.index(MANIFEST.name.encode())] ^= 1
    code, found = stranger(bytes(data))
    assert code == 1 and "the manifest: its signature does not hold" in found["sentence"]


def test_a_file_that_opens_and_does_not_read_is_told_in_words() -> None:
    if not Path("/proc/self/mem").exists():
        pytest.skip("this system has no file of that kind")
    done = subprocess.run([sys.executable, "-m", "ctorrent", "verify", "/proc/self/mem"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "/proc/self/mem cannot be read" in done.stderr and "bug" not in done.stderr, done.stderr
