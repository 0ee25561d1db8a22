"""Which nodes are one owner's, and which owner took another's place: certificates and rotations, out of the ledger and into it.

    successor   old owner public        the rotation that both keys signed: kept when the log that told it is long gone

Every log of this node opens with its certificate and its owner's rotations, so that they survive its checkpoints. Of two
rotations of one key the first one heard binds: who has a stolen key can make another, but not unmake what is known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice

import trio

from ctorrent.errors import PeerError
from ctorrent.model.entry import EntryKind, Rotation, SignedEntry
from ctorrent.model.ids import NodeId, OwnerId, owner_public
from ctorrent.node.people import People
from ctorrent.node.scribe import Scribe
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put, Write
from ctorrent.wire import codec

log = logging.getLogger(__name__)

TICK_S = 1.0  # until what a rotation changed is written down; after a crash before that it is heard again
NODES_MAX = 65_536  # whose owner is remembered; the longest unheard of gives way
SUCCESSORS_MAX = 65_536  # rotations believed; keys are free, so there is an end: strangers' oldest give way
GIVE_WAY = 256  # at once: who is a stranger is asked of 4,096 known peers
ROTATED = b"rotations told"  # under "self": the last one that was published


class Kin:
    """One per node. rotations: of this node's own owner, oldest first, as `owner rotate` wrote them."""

    def __init__(self, world: World, people: People, scribe: Scribe, rotations: Sequence[bytes]) -> None:
        self._world, self._people, self._scribe = world, people, scribe
        self._rotations = tuple(rotations)
        self.owners: dict[NodeId, OwnerId] = {}
        self._due: list[Write] = []
        self._changed: dict[OwnerId, None] = {}  # whose friendship passed on
        for _, body in world.journal.scan("successor"):
            self._changed |= dict.fromkeys(self._believe(codec.open_rotation(body)))
        scribe.book.on(EntryKind.CERTIFICATE, self._certificate)
        scribe.book.on(EntryKind.ROTATION, self._rotation)
        certificate = (EntryKind.CERTIFICATE, codec.encode_sealed(people.certificate))
        scribe.preface = (certificate, *((EntryKind.ROTATION, body) for body in self._rotations))

    def owner_of(self, node: NodeId) -> OwnerId | None:
        """As an entry of that node certified; by its owner's newest key."""
        return self.newest(self.owners[node]) if node in self.owners else None

    def newest(self, owner: OwnerId) -> OwnerId:
        """The key that an owner has by now."""
        return OwnerId(self._people.newest(owner))

    async def run(self) -> None:
        """Tell a rotation once, in every ring; then keep what others' rotations changed."""
        newest = self._rotations[-1] if self._rotations else b""
        if newest and self._world.journal.get("self", ROTATED) != newest:
            for ring in self._scribe.rings:
                await self._scribe.open_log(ring)
            await self._world.journal.commit([Put("self", ROTATED, newest)])
        while True:
            # What a person said of them meanwhile is not undone: the record is as it is now.
            due, self._due, changed, self._changed = self._due, [], self._changed, {}
            due += [self._people.record(owner) for owner in changed]
            if due:
                await self._world.journal.commit(due)
            await trio.sleep(TICK_S)

    def _certificate(self, signed: SignedEntry) -> None:
        certificate = codec.open_certificate(codec.decode_sealed(signed.entry.body, codec.BOUNDS.entry_bytes))
        node = signed.entry.author
        if certificate.node != node:
            raise PeerError("a certificate of another node than the one that published it")
        self.owners.pop(node, None)
        self.owners[node] = certificate.owner
        if len(self.owners) > NODES_MAX:
            del self.owners[next(iter(self.owners))]
        self._scribe.trust.certified(node, self.newest(certificate.owner))

    def _rotation(self, signed: SignedEntry) -> None:
        rotation = codec.open_rotation(signed.entry.body)
        if rotation.old in self._people.replaced:
            if self._people.replaced[rotation.old] != rotation.new:
                log.warning("a second key claims to follow %s: %s is not believed", rotation.old, rotation.new)
            return
        if self.newest(rotation.new) == rotation.old:
            return
        self._due.append(Put("successor", owner_public(rotation.old), signed.entry.body))
        self._changed |= dict.fromkeys(self._believe(rotation))
        self._make_room()

    def _believe(self, rotation: Rotation) -> tuple[OwnerId, ...]:
        """Friendship and reputation pass to the new key; the old one is refused from now on. -> whose record changed."""
        changed = self._people.succeed(rotation.old, rotation.new)
        for node in [node for node, owner in self.owners.items() if owner == rotation.old]:
            self._scribe.trust.certified(node, rotation.new)
        self._scribe.trust.reputation.rotated(rotation.old, rotation.new)
        return changed

    def _make_room(self) -> None:
        """A friend's rotation, and that of an owner whom this node meets, is believed however many strangers made."""
        replaced = self._people.replaced
        if len(replaced) <= SUCCESSORS_MAX:
            return
        near = {self._people.owner, *self._people.persons, *(peer.owner for peer in self._people.known.values())}
        strangers = (old for old in replaced if old not in near and self.newest(old) not in near)
        gone = list(islice(strangers, GIVE_WAY)) or list(islice(replaced, 1))
        self._people.unfollow(gone)
        self._due += [Delete("successor", owner_public(old)) for old in gone]
