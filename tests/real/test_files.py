"""Files beside a job reach a worker once, from disk to disk, and what had come before a break is not sent again.

With 2 GiB: python -m tests.benchmarks.files
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ctorrent.errors import LocalError
from tests.real.haul import MIB, arrived, laden, weighed
from tests.real.herd import Tended, joined, rows, until

pytestmark = [pytest.mark.real, pytest.mark.slow]
SIZE = 192 * MIB
GROWTH_MIB = 60  # of a process that moves them: chunks under way, a window of a file that is hashed, and what Python keeps


def expected(job: Path) -> list[object]:
    return [42, hashlib.sha256((job.parent / "model" / "weights.bin").read_bytes()).hexdigest(), "a,b\n1,2\n"]


def test_large_files_take_no_memory_survive_a_kill_and_are_sent_once(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann", "--no-work"), make("ben")
    joined(ann, ben)
    job = laden(tmp_path / "first", SIZE)
    with weighed(ann, ben) as weight:
        name = ann.net.submit(job)
        until(lambda: arrived(ben) > 16 * MIB, "some of it has come", 30)
        ben.kill()
    before = arrived(ben)
    assert 16 * MIB < before < SIZE
    ben.start()
    seen: list[int] = []

    def over(job: str) -> bool:
        seen.append(arrived(ben))
        return bool(ann.net.job(job)["state"] == "settled")

    until(lambda: over(name), "the job settles", 120)
    assert min((size for size in seen if size), default=before) >= before, "what had come was sent again"
    assert [row["value"] for row in rows(ann.net, name)] == [expected(job)]
    with weighed(ann, ben) as second:
        seen.clear()
        again = ann.net.submit(job)  # the same files in another job
        until(lambda: over(again), "the next job settles", 120)
        assert not any(seen), "the same files were sent again"
    for grown in (weight.grown(), second.grown()):
        assert all(mib < GROWTH_MIB for mib in grown.values()), grown
    until(lambda: not list((ben.data / "blobs" / "trees").iterdir()), "the worker tidies its folders away", 30)


def test_a_worker_without_room_says_so_and_works_when_there_is_some(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann", "--no-work"), make("ben", "--disk", "60MB")
    joined(ann, ben)
    job = laden(tmp_path / "job", 80 * MIB)
    name = ann.net.submit(job)
    until(lambda: "too little disk free" in str(ann.net.why(name)), "the worker says why", 20)
    assert "MB wanted" in str(ann.net.why(name)), ann.net.why(name)


def test_what_is_wrong_with_the_folder_is_said_at_submit(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann = make("ann", "--no-work")
    net = ann.start()
    job = laden(tmp_path / "job", 1 * MIB)
    secret = tmp_path / "secret"
    secret.write_text("key")
    (job.parent / "model" / "stolen").symlink_to(secret)
    with pytest.raises(LocalError, match="model/stolen leads out of the job"):
        net.submit(job)
    (job.parent / "model" / "stolen").unlink()
    (job.parent / "model" / "round").symlink_to(job.parent / "model")
    with pytest.raises(LocalError, match="model/round is a link to a folder that it is in"):
        net.submit(job)
