"""Who vouches for whom: node certificates, swarm memberships, invites.

A node certificate says "this node key is mine", signed by an owner. A membership is a chain of links from a swarm's
root owner to a member: each link is signed by the owner before it. An invite carries a one-time token that its maker
exchanges, over the network, for a link that names the joiner: possession of the token alone is no membership.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.ids import NodeId, OwnerId
from ctorrent.seal import Sealed


@dataclass(frozen=True, slots=True)
class Certificate:
    """Owner -> node. Sealed by the owner's key under "ctorrent/certificate/1"."""

    owner: OwnerId
    node: NodeId
    issued_unix_s: int
    valid_s: int  # 0: until rotated
    label: str = ""  # what the owner calls this node


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a membership chain, sealed by `inviter` under "ctorrent/membership/1"."""

    swarm: OwnerId  # the root owner
    inviter: OwnerId
    member: OwnerId
    depth: int  # 1 for those the root itself invited
    issued_unix_s: int
    valid_s: int


@dataclass(frozen=True, slots=True)
class Membership:
    """Links from the root to the member, in order; each still in its sealed bytes."""

    swarm: OwnerId
    member: OwnerId
    links: tuple[Sealed, ...]


@dataclass(frozen=True, slots=True)
class Invite:
    """What one line of text carries: where the inviter may be reached, and a token it will exchange."""

    inviter: NodeId
    owner: OwnerId
    swarm: OwnerId
    token: bytes  # 16 random bytes; the inviter keeps how often it may still be used
    addresses: tuple[str, ...]  # multiaddrs without /p2p


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """A peer as this node knows it after its Hello was checked."""

    node: NodeId
    owner: OwnerId | None  # None: uncertified; then its network stands for its owner
    name: str = ""
    swarms: tuple[OwnerId, ...] = ()
    version: str = ""
    branches: tuple[OwnerId, ...] = ()  # of each of these swarms: whom its root invited, on the way to this one
