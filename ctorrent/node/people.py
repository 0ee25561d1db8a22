"""Who a peer is: its owner, whether that owner is a friend, which swarms it may enter.

What a peer says of itself is believed only as far as signatures carry it. Friendship is this owner's own word and is
kept in the journal; a swarm membership is a chain of links from the swarm's root.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import trio

from ctorrent.canon import encode
from ctorrent.errors import BadSignature, LimitExceeded, LocalError, Malformed, PeerError
from ctorrent.ledger.trust_rules import ReputationRules
from ctorrent.model.identity import Certificate, Invite, Link, Membership, PeerIdentity
from ctorrent.model.ids import NodeId, OwnerId, Ring, RingKind, node_id, owner_id, owner_public
from ctorrent.model.session import FriendRequest, Introduction, JoinAnswer, JoinRequest
from ctorrent.node import records
from ctorrent.node.patience import printable
from ctorrent.ports import Clock, Delete, Journal, Keys, Put, Write
from ctorrent.seal import Sealed
from ctorrent.wire import codec

CLOCK_SLACK_S = 7200  # readers allow this much between two machines' clocks
REQUESTS_MAX = 100  # friend requests kept: a stranger with many owners must not fill the list
KNOWN_MAX = 4096  # peers whose word is remembered, as many as the directory's contacts: ids are free
OFFER_BYTES_MAX = 4 << 10  # ours with eight GPUs has 600
ROTATIONS_MAX = ReputationRules().rotations_max  # changes of one owner's key that are followed
NAME_CHARS = 60
MEMBER_VALID_S = 365 * 86400  # a membership is renewed by another invite


@dataclass(slots=True)
class Person:
    """One owner this node's owner has an opinion of. state: "friend" or "asks"."""

    state: str
    name: str
    nodes: list[NodeId]


class People:
    """Owners, friends and swarms as this node knows them. Synchronous but for what must be durable."""

    def __init__(self, journal: Journal, keys: Keys, clock: Clock, name: str, version: str) -> None:
        self._journal, self._keys, self._clock = journal, keys, clock
        self.name, self.version = name, version
        self.node = node_id(keys.node.public)
        self.owner = owner_id(keys.owner.public)
        self.certificate = codec.seal_certificate(Certificate(self.owner, self.node, clock.unix(), 0, name), keys.owner)
        self.offer: dict[str, Any] = {}  # set by the worker as its state changes
        self.persons: dict[OwnerId, Person] = {}
        self.swarms: dict[OwnerId, tuple[Sealed, ...]] = {self.owner: ()}
        self.known: dict[NodeId, PeerIdentity] = {}
        self.offers: dict[NodeId, bytes] = {}
        self.replaced: dict[OwnerId, OwnerId] = {}  # owners that have another key now, as they were heard: see node/kin.py
        self.changes = 0  # of `replaced`, and of whose the nodes in `known` are
        self._redeeming = trio.Lock()
        self._load()

    def _load(self) -> None:
        for key, value in self._journal.scan("person"):
            state, name, nodes = records.load(value)
            self.persons[owner_id(key)] = Person(state, name, nodes)
        for key, value in self._journal.scan("swarm"):
            self.swarms[owner_id(key)] = tuple(records.unpack_sealed(link) for link in records.load(value))

    # -- introductions ------------------------------------------------------------------------------------------------

    def introduction(self, peer: NodeId) -> Introduction:
        """What this node says of itself to a peer at the start of a session."""
        memberships = tuple(links for links in self.swarms.values() if links)
        return Introduction(self.certificate, memberships, self.name, self.version, self._offer_to(peer))

    def _offer_to(self, peer: NodeId) -> bytes:
        """With `you`: what its owner is here, once that is known. Whoever asked for friendship sees whether it was accepted."""
        if not self.offer:
            return b""
        known = self.known.get(peer)
        you = {} if known is None else {"you": "friend" if self.is_friend(known.owner) else "stranger"}
        return encode(self.offer | you)

    def learn(self, peer: NodeId, said: Introduction) -> PeerIdentity:
        """Check what a peer says of itself and remember it. Raises PeerError for a lie."""
        if len(said.offer) > OFFER_BYTES_MAX:
            raise LimitExceeded(f"{peer} offers {len(said.offer)} bytes of words: at most {OFFER_BYTES_MAX}")
        owner = self._certified(peer, said.certificate)
        swarms = {owner} if owner is not None else set()  # the root of its own swarm
        branches: dict[OwnerId, None] = {}
        for root, links in self._shared(said).items():
            membership = self._checked(codec.open_membership(links))
            if membership.member != owner:
                raise BadSignature(f"{peer} shows a membership of somebody else")
            swarms.add(root)
            branches[codec.open_link(links[0]).member] = None
        name, version = printable(said.name, NAME_CHARS), printable(said.version, NAME_CHARS)
        identity = PeerIdentity(peer, owner, name, tuple(sorted(swarms)), version, tuple(branches))
        self._remember(identity, said.offer)
        return identity

    def _shared(self, said: Introduction) -> dict[OwnerId, tuple[Sealed, ...]]:
        """Chains that concern this node: one of each swarm it is in. The first link is signed by the swarm's root.

        Whatever else is shown is neither believed nor checked: 256 signatures cost more than the frame they came in.
        """
        chains = {owner_id(links[0].public): links for links in said.memberships if links}
        return {root: links for root, links in chains.items() if root in self.swarms}

    def _remember(self, identity: PeerIdentity, offer: bytes) -> None:
        """Most recent last; friends stay, strangers give way to newer ones."""
        before = self.known.pop(identity.node, None)
        self.known[identity.node] = identity
        self.offers[identity.node] = offer
        self.changes += before is None or before.owner != identity.owner
        if len(self.known) > KNOWN_MAX:
            old = next((node for node, who in self.known.items() if not self.is_friend(who.owner)), identity.node)
            del self.known[old], self.offers[old]

    def _certified(self, peer: NodeId, sealed: Sealed | None) -> OwnerId | None:
        if sealed is None:
            return None
        certificate = codec.open_certificate(sealed)
        if certificate.node != peer:
            raise BadSignature(f"{peer} shows the certificate of {certificate.node}")
        self._in_time(certificate.issued_unix_s, certificate.valid_s, "certificate")
        if certificate.owner in self.replaced:
            raise PeerError(f"{peer} shows a certificate by a key that its owner replaced", "Its node has to be given the new owner key.")
        return certificate.owner

    def _checked(self, membership: Membership) -> Membership:
        for sealed in membership.links:
            link = codec.open_link(sealed)
            self._in_time(link.issued_unix_s, link.valid_s, "membership")
        return membership

    def _in_time(self, issued: int, valid_s: int, what: str) -> None:
        now = self._clock.unix()
        if issued > now + CLOCK_SLACK_S:
            raise PeerError(f"the {what} was issued in the future", "One of the two clocks is wrong.")
        if valid_s and issued + valid_s < now - CLOCK_SLACK_S:
            raise PeerError(f"the {what} has expired", "Ask for a new invite.")

    # -- rings --------------------------------------------------------------------------------------------------------

    def is_friend(self, owner: OwnerId | None) -> bool:
        """This owner itself, or one it named."""
        if owner is None:
            return False
        person = self.persons.get(owner)
        return owner == self.owner or (person is not None and person.state == "friend")

    def friends(self) -> tuple[OwnerId, ...]:
        return tuple(sorted(owner for owner, person in self.persons.items() if person.state == "friend"))

    def may_enter(self, identity: PeerIdentity, ring: Ring) -> bool:
        """May this peer see and run things of `ring`, as far as this node can tell?"""
        if ring.kind is RingKind.PUBLIC:
            return True
        if ring.kind is RingKind.SWARM:
            return ring.root in self.swarms and ring.root in identity.swarms
        return ring.root == self.owner and self.is_friend(identity.owner)

    def serves(self, ring: Ring, requester: OwnerId | None) -> bool:
        """Is a job of `ring`, requested by `requester`, one this node could run?"""
        if ring.kind is RingKind.PUBLIC:
            return True
        if ring.kind is RingKind.SWARM:
            return ring.root in self.swarms
        return ring.root == requester and self.is_friend(requester)

    def both_in(self, identity: PeerIdentity, ring: Ring) -> bool:
        """May this node speak of `ring` with that peer, as far as it can tell? Nodes of one owner share all."""
        if ring.kind is not RingKind.FRIENDS:
            return self.may_enter(identity, ring)
        if identity.owner == self.owner:
            return True
        return ring.root in (self.owner, identity.owner) and self.is_friend(identity.owner)

    def rings(self, friends_only: bool) -> tuple[Ring, ...]:
        """Rings this node listens to."""
        mine = [Ring(RingKind.FRIENDS, owner) for owner in (self.owner, *self.friends())]
        if friends_only:
            return tuple(mine)
        swarms = [Ring(RingKind.SWARM, root) for root in sorted(self.swarms)]
        return (*mine, *swarms, Ring(RingKind.PUBLIC))

    # -- friends ------------------------------------------------------------------------------------------------------

    async def befriend(self, owner: OwnerId, name: str = "") -> Person:
        """Name an owner a friend: their jobs may run in the jail here, and ours there once they do the same."""
        owner_public(owner)
        if owner == self.owner:
            raise LocalError("this is your own owner id", "Your own nodes are friends already.")
        person = self.persons.get(owner) or Person("friend", name, [])
        person.state, person.name = "friend", name or person.name
        await self._keep(owner, person)
        return person

    async def unfriend(self, owner: OwnerId) -> None:
        """Forget an owner; what runs goes on to its end."""
        if self.persons.pop(owner, None) is None:
            raise LocalError(f"{owner} is not a friend", "`ctorrent friend ls` shows who is.")
        await self._journal.commit([Delete("person", owner_public(owner))])

    async def asked(self, peer: NodeId, request: FriendRequest) -> None:
        """A peer would like to be a friend: shown in `peers` until answered, never granted by itself."""
        owner = self._certified(peer, request.certificate)
        if owner is None or owner in self.persons or owner == self.owner:
            return
        asks = {who: person for who, person in self.persons.items() if person.state == "asks"}
        earlier = next((who for who, person in asks.items() if peer in person.nodes), None)
        if earlier is not None:  # owner keys are free: one node asks for one owner
            del self.persons[earlier]
        elif len(asks) >= REQUESTS_MAX:
            return  # nobody is charged: who asks does not know how many others did
        self.persons[owner] = Person("asks", printable(request.name, NAME_CHARS), [peer])
        changed = [owner] if earlier is None else [earlier, owner]  # in one commit: meanwhile each may be made a friend
        await self._journal.commit([self.record(one) for one in changed], durable=False)

    def newest(self, owner: str) -> str:
        """The key that an owner has by now, as far as was told; whatever is no owner's key stays what it is."""
        for _ in range(ROTATIONS_MAX):
            found = self.replaced.get(OwnerId(owner))
            if found is None:
                break
            owner = found
        return owner

    def succeed(self, old: OwnerId, new: OwnerId) -> tuple[OwnerId, ...]:
        """An owner has a new key: it is who the old one was, here. -> whose `record` changed."""
        self.replaced[old] = new
        self.changes += 1
        heir, person = OwnerId(self.newest(new)), self.persons.pop(old, None)  # what follows the new key may have been heard first
        if person is None:
            return ()
        if heir == self.owner:
            return (old,)
        if heir not in self.persons or person.state == "friend":
            self.persons[heir] = person
        return old, heir

    def unfollow(self, owners: Iterable[OwnerId]) -> None:
        """Forget which keys came after these, for want of room."""
        for owner in owners:
            del self.replaced[owner]
        self.changes += 1

    def record(self, owner: OwnerId) -> Write:
        """What the journal should hold of an owner by now."""
        person = self.persons.get(owner)
        if person is None:
            return Delete("person", owner_public(owner))
        return Put("person", owner_public(owner), encode([person.state, person.name, list(person.nodes)]))

    async def _keep(self, owner: OwnerId, person: Person) -> None:
        self.persons[owner] = person
        await self._journal.commit([self.record(owner)])

    # -- invites ------------------------------------------------------------------------------------------------------

    async def invite(self, addresses: tuple[str, ...], uses: int, valid_s: int) -> Invite:
        """A line of text that lets `uses` others into this owner's swarm, and makes each a friend."""
        token = self._clock.random_bytes(16)
        expires = self._clock.unix() + valid_s
        await self._journal.commit([Put("invite", token, encode([uses, expires]))])
        return Invite(self.node, self.owner, self.owner, token, addresses)

    def made(self, token: bytes) -> bool:
        """Was there ever an invite with this token? One that is used up is no guess."""
        return self._journal.get("invite", token) is not None

    def invite_state(self, token: bytes) -> str:
        """"good", "used up", "expired", or "unknown": no such invite was made here."""
        record = self._journal.get("invite", token)
        if record is None:
            return "unknown"
        uses, expires = records.load(record)
        if expires < self._clock.unix():
            return "expired"
        return "good" if uses > 0 else "used up"

    def is_member(self, invite: Invite) -> bool:
        """Was this swarm entered before, and is its inviter a friend still?"""
        return invite.swarm in self.swarms and self.is_friend(invite.owner)

    async def redeem(self, peer: NodeId, request: JoinRequest) -> JoinAnswer:
        """Exchange a token for a membership that names the joiner's owner."""
        joiner = self._certified(peer, request.certificate)
        async with self._redeeming:  # the last use must not be read by two before one of them has written
            record = self._journal.get("invite", request.token)
            if joiner is None or record is None:
                return JoinAnswer((), None, "this invite is not known here: ask for a new one")
            uses, expires = records.load(record)
            if uses < 1 or expires < self._clock.unix():
                return JoinAnswer((), None, "this invite is used up or too old: ask for a new one")
            await self._journal.commit([Put("invite", request.token, encode([uses - 1, expires]))])
        link = Link(self.owner, self.owner, joiner, 1, self._clock.unix(), MEMBER_VALID_S)
        if joiner != self.owner:
            await self.befriend(joiner, self.known[peer].name if peer in self.known else "")
        return JoinAnswer((codec.seal_link(link, self._keys.owner),), self.certificate)

    async def joined(self, invite: Invite, answer: JoinAnswer) -> None:
        """Take a membership that an inviter signed, and name the inviter a friend."""
        if not answer.links:
            raise LocalError(f"the invite was refused: {answer.reason[:200]}")
        membership = self._checked(codec.open_membership(answer.links))
        if membership.member != self.owner or membership.swarm != invite.swarm:
            raise Malformed("the inviter signed a membership for somebody else")
        if invite.owner == self.owner:
            return
        self.swarms[membership.swarm] = membership.links
        packed = encode([records.pack_sealed(link) for link in membership.links])
        await self._journal.commit([Put("swarm", owner_public(membership.swarm), packed)])
        await self.befriend(invite.owner)

    def join_request(self, invite: Invite) -> JoinRequest:
        return JoinRequest(invite.token, self.certificate)

    def friend_request(self) -> FriendRequest:
        return FriendRequest(self.certificate, self.name)
