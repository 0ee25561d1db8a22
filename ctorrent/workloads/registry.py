"""Workloads by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctorrent.workloads import bert

if TYPE_CHECKING:
    from ctorrent.client import Net

Progress = Callable[[float, str], None]  # share done, 0..1, and what happens, in words
Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for. folder: of this run alone, kept between its lives. name: what errors call the dataset."""

    dataset: Path
    epochs: int
    folder: Path
    replicas: int = 2
    name: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """name: as POST /submit-job gives it.

    refuses: why this swarm cannot, in a sentence and a hint; ("", "") where it can. Asked before anything is sent.
    run: trains, and returns plain data with "accuracy" (0..1) and "hash". Raises CTorrentError.
    """

    name: str
    about: str
    refuses: Callable[[Net], tuple[str, str]]
    run: Callable[[Net, Order, Progress], Plain]


def _softmax(net: Net, order: Order, progress: Progress) -> Plain:
    from ctorrent.workloads import softmax

    model = softmax.train(net, order.dataset, order.epochs, progress, order.folder, order.replicas, order.name)
    (order.folder / MODEL).write_bytes(model.canonical())
    return {
        "accuracy": model.accuracy, "hash": model.hash, "classes": list(model.classes), "features": len(model.features),
        "epochs": model.epochs, "rows": model.rows, "rows_held_out": model.rows_held_out,
        "cross_validated": model.cross_validated, "model_file": os.fspath(order.folder / MODEL),
    }  # fmt: skip


MODEL = "model.canon"  # its canonical bytes: what the hash is of


def _can(net: Net) -> tuple[str, str]:
    return "", ""


WORKLOADS: Mapping[str, Workload] = {
    one.name: one
    for one in (
        Workload("softmax", "a classifier of the rows of a CSV file whose last column is the label", _can, _softmax),
        Workload("bert-base", bert.ABOUT, bert.refuses, bert.run),
    )
}
