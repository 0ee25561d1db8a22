"""What arrives in a coordination's inbox, beside the events of its machines."""

from __future__ import annotations

from dataclasses import dataclass

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
