"""What arrives in a coordination's inbox, beside the events of its machines."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from ctorrent.model.ids import Digest
from ctorrent.model.session import Message
from ctorrent.node.returned import Given
from ctorrent.node.session import Session
from ctorrent.verify import words as q


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
    """What the requester's person wants: "pause", "resume", "cancel"."""

    what: str
    why: str = ""


Item = Said | Lost | Fetched | Order | q.Event


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
