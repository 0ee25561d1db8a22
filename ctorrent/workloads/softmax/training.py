"""Epochs as jobs of the swarm, from a folder that remembers how far they are."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctorrent.errors import CTorrentError, LocalError, WorkError
from ctorrent.workloads.softmax import block, plan
from ctorrent.workloads.softmax.model import Model, accuracy
from ctorrent.workloads.softmax.table import Table, read_table

if TYPE_CHECKING:
    from ctorrent.client import Job, Net

EPOCHS_MAX = 1000  # a quarter of an hour on a small table; it has long stopped learning
REPLICAS_MAX = 5
NAME_MAX = 60  # characters of the table's name in those of its jobs: a list has room for them
NUMPY_STEPS = 100_000_000  # rows × weights of an epoch from which on it is worth a package: half a minute without it
BLOCK_S = 1200  # the longest shard without numpy takes a tenth on a slow core

Progress = Callable[[float, str], None]  # share done, 0..1, and what happens, in words


def _silent(done: float, words: str) -> None:
    """Nobody looks."""


def train(
    net: Net, path: str | os.PathLike[str], epochs: int, progress: Progress = _silent, folder: Path | None = None, replicas: int = 2, name: str = ""
) -> Model:
    """Train on a CSV file of this machine. Returns when the last epoch is averaged.

    folder: kept between calls, to go on where an earlier one of the same file and epochs ended. replicas: owners that
    run every block; 1 checks nothing. name: what errors call the file. Raises LocalError for the file, WorkError where the swarm could not.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or not 1 <= epochs <= EPOCHS_MAX:
        raise LocalError(f"{epochs!r:.40} epochs: give a whole number from 1 to {EPOCHS_MAX}.")
    if not 1 <= replicas <= REPLICAS_MAX:
        raise LocalError(f"{replicas} replicas: give 1 to {REPLICAS_MAX}.")
    progress(0.0, "reading the table")
    table, called = read_table(Path(path).expanduser(), name), name or Path(path).name
    if folder is not None:
        return _Run(net, table, epochs, progress, folder, replicas, True, called).model()
    with tempfile.TemporaryDirectory(prefix="ctsoftmax-") as made:
        return _Run(net, table, epochs, progress, Path(made), replicas, False, called).model()


class _Run:
    """One training in a folder: shards/, block.py, weights.bin, epoch.json. kept: another life may go on from it."""

    def __init__(self, net: Net, table: Table, epochs: int, progress: Progress, folder: Path, replicas: int, kept: bool, name: str) -> None:
        self.kept, self.job = kept, ""  # of an earlier life, for the epoch that it had begun
        self.net, self.epochs, self.progress, self.folder, self.replicas = net, epochs, progress, folder, replicas
        self.table, self.plan = table, plan.make(table)
        self.name = "".join(sign if sign.isprintable() else "-" for sign in name)[:NAME_MAX]
        self.settings = _settings(net, self.plan, table, replicas)
        self.validated = True

    def model(self) -> Model:
        epoch, weights = self._lay_out()
        while epoch < self.epochs:
            weights = self._epoch(epoch, weights)
            epoch += 1
            self._remember(epoch, weights)
        table, made = self.table, self.plan
        self.progress(1.0, "trained")
        return Model(
            table.features, table.classes, made.mean, made.scale, weights, self.epochs, accuracy(weights, made.held),
            made.rows, table.rows - made.rows, self.validated,
        )  # fmt: skip

    def _lay_out(self) -> tuple[int, bytes]:
        """Write what jobs read. -> the next epoch, and its weights."""
        shutil.rmtree(self.folder / "shards", ignore_errors=True)
        (self.folder / "shards").mkdir(parents=True)
        for number, shard in enumerate(self.plan.shards):
            (self.folder / "shards" / f"{number:04}.bin").write_bytes(shard)
        shutil.copyfile(Path(block.__file__), self.folder / "block.py")
        size = (len(self.table.features) + 1) * len(self.table.classes)
        try:
            kept = json.loads((self.folder / "epoch.json").read_text())
            weights = bytes.fromhex(kept["weights"])
            if len(weights) == 8 * size and 0 <= kept["epoch"] <= self.epochs:
                self.validated, self.job = bool(kept["validated"]), str(kept["job"])
                return int(kept["epoch"]), weights
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it was cut short: begin anew
            pass
        return 0, bytes(8 * size)

    def _remember(self, epoch: int, weights: bytes, job: str = "") -> None:
        spare = self.folder / "epoch.new"
        spare.write_text(json.dumps({"epoch": epoch, "weights": weights.hex(), "validated": self.validated, "job": job}))
        spare.replace(self.folder / "epoch.json")

    def _epoch(self, epoch: int, weights: bytes) -> bytes:
        """A job from `weights`. -> the average of what its blocks learned."""
        job = self._begun() or self._submit(epoch, weights)
        try:
            status = self._watch(job, epoch)
            if status["state"] != "settled" or status["failed"] or status["disputed"]:
                raise _stopped(job, status, epoch)
        except BaseException as error:
            if not self.kept or isinstance(error, WorkError):  # nobody will read it
                with suppress(CTorrentError):  # it may have ended, or its node
                    job.cancel("its training ended")
            raise
        self.validated = self.validated and bool(status["cross_validated"])
        parts = (_checked(row["value"], len(weights)) for row in job.rows())  # of 16 MB, and there may be 512
        return plan.average(parts, self.plan.shard_rows)

    def _submit(self, epoch: int, weights: bytes) -> Job:
        (self.folder / "weights.bin").write_bytes(weights)
        params = {"rate": plan.rate(epoch, len(self.table.features))}
        text = json.dumps({**self.settings, "name": f"softmax {self.name} {epoch + 1}/{self.epochs}", "params": params})  # which is YAML too
        name = self.net.submit(self.folder / "job.yaml", text)
        self._remember(epoch, weights, name)
        return self.net.attach(name)

    def _begun(self) -> Job | None:
        """The job of this epoch that an earlier life submitted, unless it ended otherwise than well."""
        name, self.job = self.job, ""
        if not name:
            return None
        try:
            job = self.net.attach(name)
        except LocalError:  # forgotten by its node
            return None
        state = job.status()["state"]
        if state == "paused":
            self.net.resume(job.name)
        return None if state in ("failed", "cancelled") else job

    def _watch(self, job: Job, epoch: int) -> dict[str, Any]:
        with closing(job.watch()) as changes:  # type: ignore[type-var]
            for status in changes:
                done = (epoch + status["settled"] / max(1, status["blocks"])) / self.epochs
                words = f"epoch {epoch + 1} of {self.epochs}: {status['settled']} of {status['blocks']} blocks"
                if status["state"] != "settled" and status["reason"]:
                    words += f": {status['reason']}"
                self.progress(done, words)
                if status["state"] == "paused" and status["reason"]:
                    break
        return job.status()


def _settings(net: Net, made: plan.Plan, table: Table, replicas: int) -> dict[str, Any]:
    """What the jobs of all epochs have in common."""
    needs = {}
    if made.rows * (len(table.features) + 1) * len(table.classes) > NUMPY_STEPS and _has_numpy(net):
        needs = {"needs": {"packages": ["numpy"]}}
    return {
        "python": "block.py:train", "files": ["weights.bin"], "blocks": {"files": "shards/*.bin"}, "reduce": "table",
        "verify": {"equal": "exact", "replicas": replicas}, "limits": {"seconds": BLOCK_S}, **needs,
    }  # fmt: skip


def _has_numpy(net: Net) -> bool:
    """Is there an environment with it on the node's own machine? Others install it, or have it too."""
    return any("numpy" in row["packages"] for row in net.environments())


def _checked(part: Any, size: int) -> bytes:
    """The weights of a block's answer. Owners agreed on it; that it is of the right form is checked all the same."""
    weights = part.get("weights") if isinstance(part, dict) else None
    if not isinstance(weights, bytes) or len(weights) != size:
        raise WorkError("A block answered something else than weights.", "Two owners agreed on it: look who they are with ctorrent results.")
    return weights


def _stopped(job: Job, status: dict[str, Any], epoch: int) -> WorkError:
    failures = status.get("failures") or []
    why = failures[0]["words"] if failures else status["reason"] or job.why().get("waits_for", "")
    return WorkError(f"Epoch {epoch + 1} ended {status['state']}: {str(why).rstrip('.')}.", f"See: ctorrent status {job.name}, ctorrent logs {job.name}")
