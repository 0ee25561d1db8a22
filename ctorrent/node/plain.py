"""Models into the plain maps that cross the door (model/status.py)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ctorrent.canon import CanonError, decode
from ctorrent.model.block import Block
from ctorrent.model.entry import EntryKind, SignedEntry
from ctorrent.model.offer import EnvironmentInfo, Hardware, Offer
from ctorrent.model.output_name import output_name
from ctorrent.model.result import FailureKind
from ctorrent.model.status import BlockRow, LedgerRow
from ctorrent.node import entrywords
from ctorrent.node.jobbook import End
from ctorrent.node.patience import printable


def hardware(machine: Hardware) -> dict[str, Any]:
    """A machine as a map of numbers, text and lists."""
    found = asdict(machine)
    found["gpus"] = [dict(gpu) for gpu in found["gpus"]]
    return found


def environment(info: EnvironmentInfo) -> dict[str, Any]:
    return {
        "name": info.name, "python": info.python, "arch": info.arch, "image": info.image,
        "packages": dict(info.packages), "programs": list(info.programs),
        "fingerprint": info.fingerprint.hex(),
    }  # fmt: skip


FIGURE_MAX, TEXT_CHARS_MAX = 1e18, 80  # of what a peer claims: no larger figure is one
_FIGURES = frozenset({
    "slots", "slots_free", "memory_bytes", "gpus_free", "price", "gflops_per_slot", "disk_bytes", "gpu_price", "gpus_lent", "gpu_memory_bytes", "cores",
    "gflops", "tflops",
})  # fmt: skip
_TEXTS, _LISTS = frozenset({"isolation", "work_for", "cpu", "you"}), frozenset({"pythons", "gpus"})


def offer_fields(offer: Offer) -> dict[str, Any]:
    """What an introduction carries: enough for `peers`, small enough for every session. People adds whom it is said to."""
    machine = offer.hardware
    fields: dict[str, Any] = {
        "slots": offer.slots, "slots_free": offer.slots_free, "memory_bytes": offer.memory_bytes,
        "gpus_free": offer.gpus_free, "isolation": offer.isolation.name.lower(), "price": offer.price,
        "gflops_per_slot": offer.speed_gflops, "disk_bytes": offer.disk_bytes, "gpu_price": offer.gpu_price,
        "gpus_lent": len(offer.lent_gpus), "gpu_memory_bytes": sum(gpu.memory_bytes for gpu in offer.lent_gpus), "work_for": offer.work_for,
    }  # fmt: skip
    fields["pythons"] = sorted({".".join(info.python.split(".")[:2]) for info in offer.environments})[:16]  # functions are of one minor version
    if machine is not None:
        fields |= {
            "cores": machine.cores, "gflops": machine.gflops, "cpu": machine.cpu_model,
            "tflops": max((gpu.tflops for gpu in machine.gpus), default=0.0),
            "gpus": [f"{gpu.model} {gpu.memory_bytes >> 30} GiB" for gpu in machine.gpus],
        }  # fmt: skip
    return fields


def decode_offer(raw: bytes) -> dict[str, Any]:
    """A peer's offer, as far as it can be read: what offer_fields names, each of its own kind. What a stranger wrote otherwise is left out."""
    try:
        value = decode(raw) if raw else {}
    except CanonError:
        return {}
    if not isinstance(value, dict):
        return {}
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if key in _FIGURES and isinstance(item, (int, float)) and 0 <= item <= FIGURE_MAX:  # which NaN is not
            kept[key] = item
        elif key in _TEXTS and isinstance(item, str):
            kept[key] = printable(item, TEXT_CHARS_MAX)
        elif key in _LISTS and isinstance(item, list):
            kept[key] = [printable(text, TEXT_CHARS_MAX) for text in item[:16] if isinstance(text, str)]
    return kept


def row(block: Block, end: End | None, value: bytes | None, outputs: str = "") -> BlockRow:
    """One block with how it ended. `value`: the canonical value, read from where it lies; outputs: the job's template."""
    found = BlockRow(
        index=block.index, seed=block.seed, params=block.params, state=end.state if end else "waiting", workers=[],
        agreed=0, seconds=0.0, output=output_of(block, outputs),
    )  # fmt: skip
    if end is None:
        return found
    found["workers"], found["agreed"], found["seconds"] = list(end.workers), end.agreed, end.seconds
    if value is not None:
        found["value"] = value
    elif end.output[:1] == b"\x01":
        kind = FailureKind(end.output[1]).name.lower() if len(end.output) > 1 else "killed"
        found["failure"] = {"kind": kind, "type": end.output[2:].decode(errors="replace"), "text": end.failure_text}
    if end.words:
        found["words"] = end.words
    return found


def output_of(block: Block, template: str) -> str | None:
    """What a block's file is called, as the job file says; None where it does not, or cannot."""
    if not template:
        return None
    try:
        params = decode(block.params)
        return output_name(template, block.index, block.seed, params, block.inputs[0].name if block.inputs else "")
    except (CanonError, ValueError, TypeError):
        return None


def ledger_row(position: int, signed: SignedEntry) -> LedgerRow:
    entry = signed.entry
    known = {kind.value: kind.name.lower() for kind in EntryKind}
    return LedgerRow(
        position=position, author=entry.author, incarnation=entry.incarnation, seq=entry.seq,
        kind=known.get(entry.kind, f"kind {entry.kind}"), ring=str(entry.ring), id=signed.id.hex(),
        issued_unix=entry.issued_unix_s, body=entrywords.body(signed),
    )  # fmt: skip
