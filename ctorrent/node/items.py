"""What arrives in a coordination's inbox, beside the events of its machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from ctorrent.errors import LocalError
from ctorrent.model.block import InputRef
from ctorrent.model.ids import Digest
from ctorrent.model.session import Message
from ctorrent.node.returned import Given
from ctorrent.node.session import Session
from ctorrent.verify.screen import Event


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a session that concerns this job."""

    session: Session
    message: Message


@dataclass(frozen=True, slots=True)
class Lost:
    """A session ended."""

    session: Session


@dataclass(frozen=True, slots=True)
class Fetched:
    """The blobs of a unit are here: blob digest -> output digest. `failed` says why they are not."""

    given: Given
    outputs: dict[Digest, Digest]
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What the requester's person wants: "pause", "resume", "cancel", "seal"."""

    what: str
    why: str = ""


Part = tuple[bytes, tuple[InputRef, ...]]  # params and inputs of a block to come


@dataclass(slots=True)
class Grow:
    """Blocks for an open job: who asks waits until it is heard."""

    parts: Sequence[Part]
    expected: int  # the index that the first is to have; -1: whichever is next
    heard: trio.Event = field(default_factory=trio.Event)
    first: int = -1  # what it came to
    refused: LocalError | None = None  # or why not


@dataclass(frozen=True, slots=True)
class Stored:
    """Appended blocks that are on the disk."""

    first: int
    count: int


Item = Said | Lost | Fetched | Order | Grow | Stored | Event


async def gather(inbox: trio.MemoryReceiveChannel[Item], within_s: float, most: int) -> list[Item]:
    """What is there, at most `most`; waits up to within_s for the first. Empty: only time passed."""
    items: list[Item] = []
    with trio.move_on_after(within_s):
        items.append(await inbox.receive())
    while items and len(items) < most:
        try:
            items.append(inbox.receive_nowait())
        except trio.WouldBlock:
            break
    return items
