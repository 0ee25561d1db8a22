"""Certificates, membership chains, and invites as a line of text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ctorrent.errors import BadSignature, LimitExceeded, Malformed
from ctorrent.model.identity import Certificate, Invite, Link, Membership
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    canonical,
    few,
    node_from_wire,
    node_to_wire,
    nonce_of,
    owner_from_wire,
    owner_to_wire,
    parse_canonical,
    seal,
    signed_by,
    text,
    unseal,
    whole,
)
from ctorrent.wire.pb import identity_pb2 as pb

CERTIFICATE_DOMAIN = "ctorrent/certificate/1"
MEMBERSHIP_DOMAIN = "ctorrent/membership/1"
INVITE_PREFIX = "ctorrent1:"
_CHECK_BYTES = 4  # of a digest: a mistyped line is found with 1 - 2^-32
_INVITE_BYTES_MAX = 2 << 10  # three keys, a token and sixteen addresses
_INVITE_CHARS_MAX = 8 << 10  # that in base32, with blanks that a mail program put in


def seal_certificate(certificate: Certificate, owner: Signer) -> Sealed:
    """Sign with the owner's key."""
    message = pb.Certificate(
        owner=owner_to_wire(certificate.owner),
        node=node_to_wire(certificate.node),
        issued_unix_s=certificate.issued_unix_s,
        valid_s=certificate.valid_s,
        label=certificate.label,
    )
    return seal(CERTIFICATE_DOMAIN, message, owner, message.owner, BOUNDS.vouch_bytes)


def open_certificate(sealed: Sealed) -> Certificate:
    """Check and decode. Whether it is still valid, and of the node that showed it, is the reader's to check."""
    m = unseal(CERTIFICATE_DOMAIN, sealed, pb.Certificate, BOUNDS.vouch_bytes)
    signed_by(sealed, m.owner, "certificate")
    return Certificate(
        owner=owner_from_wire(m.owner),
        node=node_from_wire(m.node),
        issued_unix_s=whole(m.issued_unix_s, "issued_unix_s", high=BOUNDS.time_s),
        valid_s=whole(m.valid_s, "valid_s", high=BOUNDS.time_s),
        label=text(m.label, "label"),
    )


def seal_link(link: Link, inviter: Signer) -> Sealed:
    """Sign with the inviting owner's key."""
    message = pb.Link(
        swarm=owner_to_wire(link.swarm),
        inviter=owner_to_wire(link.inviter),
        member=owner_to_wire(link.member),
        depth=link.depth,
        issued_unix_s=link.issued_unix_s,
        valid_s=link.valid_s,
    )
    return seal(MEMBERSHIP_DOMAIN, message, inviter, message.inviter, BOUNDS.vouch_bytes)


def open_link(sealed: Sealed) -> Link:
    """Check and decode one step; `open_membership` checks that steps lead to one another."""
    m = unseal(MEMBERSHIP_DOMAIN, sealed, pb.Link, BOUNDS.vouch_bytes)
    signed_by(sealed, m.inviter, "membership link")
    return Link(
        swarm=owner_from_wire(m.swarm),
        inviter=owner_from_wire(m.inviter),
        member=owner_from_wire(m.member),
        depth=whole(m.depth, "depth", low=1, high=BOUNDS.links),
        issued_unix_s=whole(m.issued_unix_s, "issued_unix_s", high=BOUNDS.time_s),
        valid_s=whole(m.valid_s, "valid_s", high=BOUNDS.time_s),
    )


def open_membership(links: Sequence[Sealed]) -> Membership:
    """A chain, root first: each link signed by the member before it, the first by the root.

    Raises Malformed, LimitExceeded, BadSignature. Validity in time is the reader's to check (`open_link`).
    """
    few(len(links), "membership links", BOUNDS.links)
    if not links:
        raise Malformed("a membership of no link")
    opened = [open_link(sealed) for sealed in links]
    expected = swarm = opened[0].swarm
    for depth, link in enumerate(opened, 1):
        if link.swarm != swarm or link.depth != depth:
            raise Malformed(f"membership link {depth} is of another swarm or place")
        if link.inviter != expected:
            raise BadSignature(f"membership link {depth} is not signed by the member before it")
        expected = link.member
    return Membership(swarm, expected, tuple(links))


# Invites -------------------------------------------------------------------------------------------------------------


def encode_invite(invite: Invite) -> str:
    """One line that survives a chat window and a phone: "ctorrent1:" and lower-case base32 with a checksum."""
    body = canonical(
        pb.Invite(
            inviter=node_to_wire(invite.inviter),
            owner=owner_to_wire(invite.owner),
            swarm=owner_to_wire(invite.swarm),
            token=invite.token,
            addresses=invite.addresses,
        )
    )
    return INVITE_PREFIX + base64.b32encode(body + _check(body)).decode().rstrip("=").lower()


def decode_invite(line: str) -> Invite:
    """The inverse; blanks and case do not matter. Raises Malformed, LimitExceeded."""
    if len(line) > _INVITE_CHARS_MAX:
        raise LimitExceeded(f"an invite of {len(line)} characters: at most {_INVITE_CHARS_MAX}")
    compact = "".join(line.split()).lower()
    if not compact.startswith(INVITE_PREFIX):
        raise Malformed(f"an invite begins with {INVITE_PREFIX}")
    letters = compact.removeprefix(INVITE_PREFIX).upper()
    try:
        raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):  # ValueError: letters that are not ASCII
        raise Malformed("it is cut or mistyped") from None
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if check != _check(body):
        raise Malformed("it is cut or mistyped")
    return _invite_from_wire(parse_canonical(pb.Invite, body, _INVITE_BYTES_MAX))


def _invite_from_wire(m: pb.Invite) -> Invite:
    few(len(m.addresses), "addresses", BOUNDS.addresses)
    return Invite(
        inviter=node_from_wire(m.inviter),
        owner=owner_from_wire(m.owner),
        swarm=owner_from_wire(m.swarm),
        token=nonce_of(m.token, "token"),
        addresses=tuple(text(a, "address") for a in m.addresses),
    )


def _check(body: bytes) -> bytes:
    return digest("ctorrent/invite/1", body)[:_CHECK_BYTES]
