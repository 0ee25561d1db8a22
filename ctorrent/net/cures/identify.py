"""Identify: what a peer says of itself, kept within limits.

What it cures in libp2p 0.8.1:
  - identity/identify/identify.py:41 says "py-libp2p/0.8.1" whatever the program, and update.py:31 forgets what the
    peer said                                                                              -> `install`, `agent_of`
  - identity/update.py:66 keeps up to 1,000 addresses a peer claims for two hours, and replaces those that worked
                                                                                           -> `install`
"""

from __future__ import annotations

from typing import Any

from libp2p.host import basic_host
from libp2p.identity.identify import identify
from libp2p.identity.identify_push import identify_push
from libp2p.identity.update import update_peerstore_from_identify as _stock
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError

ADDRESSES_MAX = 16
PROTOCOLS_MAX = 128
_AGENT_CHARS = 80
_KEY = "agent"


async def _update(peerstore: Any, peer_id: ID, message: Any) -> None:
    del message.listen_addrs[ADDRESSES_MAX:]
    del message.protocols[PROTOCOLS_MAX:]
    agent = "".join(char for char in message.agent_version[:_AGENT_CHARS] if char.isprintable())
    peerstore.put(peer_id, _KEY, agent)
    await _stock(peerstore, peer_id, message)


def agent_of(peerstore: Any, peer_id: ID) -> str:
    """What the peer calls its program, or "" before it said so."""
    try:
        return str(peerstore.get(peer_id, _KEY))
    except PeerStoreError:
        return ""


def install(agent: str) -> None:
    """For this process."""
    identify.AGENT_VERSION = agent
    basic_host.update_peerstore_from_identify = _update
    identify_push.update_peerstore_from_identify = _update
