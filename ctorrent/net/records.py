"""Signed peer records: who may be dialled where, in the peer's own word (libp2p RFC 0003)."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peerstore import env_to_send_in_RPC
from multiaddr import Multiaddr

from ctorrent.errors import BadSignature, Malformed
from ctorrent.net.addresses import parse

RECORD_BYTES_MAX = 2 << 10  # sixteen addresses take a quarter of it
_DOMAIN = "libp2p-peer-record"


def own_record(libp2p_host: Any) -> bytes:
    """This node's record as an envelope, made anew when its addresses changed."""
    envelope: bytes = env_to_send_in_RPC(libp2p_host)[0]
    return envelope


def read_record(envelope: bytes) -> tuple[ID, list[Multiaddr]]:
    """The author and those of its addresses that TCP can dial. Raises Malformed or BadSignature."""
    if len(envelope) > RECORD_BYTES_MAX:
        raise Malformed(f"a peer record of {len(envelope)} bytes, where {RECORD_BYTES_MAX} is the limit")
    try:
        sealed, record = consume_envelope(envelope, _DOMAIN)
    except DecodeError:
        raise Malformed("a peer record that does not decode") from None
    except Exception as error:  # noqa: BLE001  the library raises ValueError and its own kinds for damage and for forgery
        if "signature" in str(error).lower():
            raise BadSignature("a peer record whose signature does not verify") from None
        raise Malformed(f"a peer record that does not decode: {error}") from None
    if ID.from_pubkey(sealed.public_key) != record.peer_id:
        raise BadSignature("a peer record signed by someone else")
    return record.peer_id, [a for a in (parse(str(address)) for address in record.addrs) if a is not None]
