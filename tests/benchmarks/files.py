"""What moving a job's files costs: `python -m tests.benchmarks.files [GiB]`. Two nodes of this machine, in the jail.

Compared with copying the same bytes from file to file, which is what a disk alone would take.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.real.haul import Weight, arrived, copied, laden, weighed
from tests.real.herd import Tended, ended, herd, joined, until

GIB = 1 << 30


def main(gib: float = 2.0) -> None:
    size = int(gib * GIB)
    with tempfile.TemporaryDirectory(prefix="ct-files-") as folder, herd() as make:
        job = laden(Path(folder) / "job", size)
        started = time.monotonic()
        copied(job.parent / "model" / "weights.bin", Path(folder) / "copy")
        os.sync()
        _say(f"copying {gib:g} GiB from file to file, and syncing", started, size)
        (Path(folder) / "copy").unlink()
        ann, ben = make("ann", "--no-work"), make("ben")
        joined(ann, ben)
        with weighed(ann, ben) as weight:
            _fresh(ann, job, size)
        _weigh("a job of fresh files", weight)
        with weighed(ann, ben) as weight:
            _again(ann, job, size)
        _weigh("the same files again", weight)
        with (job.parent / "model" / "weights.bin").open("r+b") as file:
            file.write(b"other files")
        _killed(ann, ben, job, size)


def _fresh(ann: Tended, job: Path, size: int) -> None:
    started = time.monotonic()
    name = ann.net.submit(job)
    _say("submit: stored and hashed", started, size)
    _settled(ann, name)
    _say("... until the block that hashed it has settled", started, size)


def _again(ann: Tended, job: Path, size: int) -> None:
    started = time.monotonic()
    _settled(ann, ann.net.submit(job))
    _say("another job with the same files, until it has settled", started, size)


def _killed(ann: Tended, ben: Tended, job: Path, size: int) -> None:
    name = ann.net.submit(job)
    until(lambda: arrived(ben) > size // 2, "half of it has come", 600)
    ben.kill()
    had = arrived(ben)
    ben.start()
    least = had
    started = time.monotonic()
    while ann.net.job(name)["state"] != "settled":
        least = min(least, arrived(ben) or least)
        time.sleep(0.01)
    _say(f"worker killed at {had / GIB:.2f} GiB and started again; resumed from {least / GIB:.2f}, until settled", started, size - had)


def _settled(ann: Tended, name: str) -> None:
    status = ended(ann.net, name, 600)
    assert status["state"] == "settled", status


def _say(what: str, started: float, size: int) -> None:
    seconds = time.monotonic() - started
    print(f"{what}: {seconds:.1f} s ({size / seconds / 1e6:.0f} MB/s)", flush=True)


def _weigh(what: str, weight: Weight) -> None:
    print(f"{what}: memory grew by " + ", ".join(f"{mib:.0f} MiB ({name})" for name, mib in weight.grown().items()), flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
