"""bert-base: not shipped. What it would need, beside what the swarm has, so that the answer is true today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctorrent.errors import Unavailable

if TYPE_CHECKING:
    from ctorrent.client import Net

ABOUT = "a language model, fine-tuned: not shipped yet"
# Devlin et al., "BERT", NAACL 2019: 110 million parameters. With float32 gradients and Adam's two moments: 16 bytes each.
STATE_BYTES = 110_000_000 * 16
GPU_BYTES = 6 << 30  # that, and activations of 16 sequences of 128 tokens, as its authors fine-tune
RAM_BYTES = 8 << 30  # the same without a GPU, and the program
_HINT = "Shipped today: softmax, a classifier for tables."


def refuses(net: Net) -> tuple[str, str]:
    """Always: it is not shipped. The sentence says whether this swarm could run it."""
    return f"bert-base is not shipped yet; {_swarm(net)}", _HINT


def run(net: Net, order: Any, progress: Any) -> dict[str, Any]:
    raise Unavailable(*refuses(net))


def _swarm(net: Net) -> str:
    """What is there of what it needs, in words."""
    rows = [row for row in net.offers() if row["connected"] or row["local"]]
    gpus = sum(gpu["memory_bytes"] >= GPU_BYTES for row in rows for gpu in row["gpus"])
    roomy = sum(row["memory_bytes"] >= RAM_BYTES for row in rows)
    torch = any("torch" in row["packages"] for row in net.environments())
    has, lacks = list[str](), list[str]()
    for count, what in (
        (gpus, f"GPU{'' if gpus == 1 else 's'} with {GPU_BYTES >> 30} GB or more"),
        (roomy, f"machine{'' if roomy == 1 else 's'} that lend{'s' if roomy == 1 else ''} {RAM_BYTES >> 30} GB of memory"),
    ):
        (has if count else lacks).append(f"{count or 'no'} {what}")
    (has if torch else lacks).append("an environment with torch" if torch else "no environment with torch")
    lacks.append("no weights of the model")
    could = "has the machines for it" if torch and (gpus or roomy) else "could not run it"
    there = f"it has {', '.join(has)}, but " if has else "it has "
    return f"this swarm of {len(rows)} machine{'' if len(rows) == 1 else 's'} {could}: {there}{', '.join(lacks)}."
