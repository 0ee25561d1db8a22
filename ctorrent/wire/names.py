"""Protocol ids, topics, versions and the limits both ends must share."""

from __future__ import annotations

from ctorrent.model.ids import Ring
from ctorrent.seal import digest

VERSION_MINOR = 0  # of every protocol below; sent in Hello
AGENT = "ctorrent"

SESSION = "/ctorrent/session/1"
BLOB = "/ctorrent/blob/1"
LEDGER = "/ctorrent/ledger/1"
JOIN = "/ctorrent/join/1"
EVIDENCE = "/ctorrent/evidence/1"
KADEMLIA = "/ctorrent/kad/1.0.0"

FRAME_BYTES_MAX = 1 << 20  # larger values travel as blobs; libp2p's own request/response dies above 6 MB
INLINE_BYTES_MAX = 256 << 10  # an output up to this size rides inside Returned
CREDIT_BYTES = 8 << 20  # bytes a receiver lets a sender have under way: 8 frames hide 80 ms at 100 MB/s
GOSSIP_BYTES_MAX = 64 << 10  # py-libp2p silently loses RPCs above 1 MiB; ours stay far below
GOSSIP_MUTE_BELOW = -50.0  # of a neighbour's score: it is sent no messages and told of none
ANNOUNCEMENT_BYTES_MAX = 2 << 10


def jobs_topic(ring: Ring) -> str:
    """Where jobs of a ring are announced. The ring's root is hashed: a topic names nobody."""
    return f"ctorrent/jobs/1/{_tag(ring)}"


def ledger_topic(ring: Ring) -> str:
    """Where entries of a ring are gossiped."""
    return f"ctorrent/ledger/1/{_tag(ring)}"


def _tag(ring: Ring) -> str:
    return digest("ctorrent/topic/1", str(ring).encode()).hex()[:32]
