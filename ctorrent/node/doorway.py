"""The Door of a running node: each request of a person, carried to whoever answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import trio

from ctorrent.door import Plain
from ctorrent.errors import LocalError, PeerError
from ctorrent.model.ids import NodeId, OwnerId, node_public
from ctorrent.model.status import FriendRow, NodeStatus, PeerRow
from ctorrent.node import plain, records
from ctorrent.node.drain import Drain
from ctorrent.node.gate import Gate
from ctorrent.node.installs import Installs
from ctorrent.node.people import People
from ctorrent.node.rehearsal import Rehearsals
from ctorrent.node.requester import Requester
from ctorrent.node.retention import Retention
from ctorrent.node.scribe import Scribe
from ctorrent.node.settings import Settings
from ctorrent.node.share import Share
from ctorrent.node.world import World
from ctorrent.wire import codec

ROWS_MAX = 10_000  # of one answer; a frame of the control channel holds them


class Doorway:
    """Implements door.Door."""

    def __init__(
        self, settings: Settings, world: World, people: People, gate: Gate, scribe: Scribe, requester: Requester,
        share: Share, add_environment: Callable[[str, list[str]], Awaitable[Plain]], stop: trio.Event, drain: Drain,
        installs: Installs, retention: Retention,
    ) -> None:  # fmt: skip
        self._settings, self._world, self._people, self._gate = settings, world, people, gate
        self._scribe, self._requester, self._share = scribe, requester, share
        self._add_environment, self._stop = add_environment, stop
        self._rehearsals = Rehearsals(world, people, share, requester.submission, requester.selfrun)
        self._drain, self._installs, self._retention = drain, installs, retention

    # -- this node ----------------------------------------------------------------------------------------------------

    async def status(self) -> Plain:
        settings, world = self._settings, self._world
        connected = sum(contact.connected for contact in world.directory.contacts())
        testing = f"lies about {settings.testing_lie:.0%} of blocks" if settings.testing_lie else ""
        return dict(NodeStatus(
            node=world.node, owner=world.owner, name=self._people.name, version=self._people.version,
            data_dir=str(settings.data_dir), owner_dir=str(settings.owner_dir or ""), addresses=list(world.directory.addresses()),
            isolation=world.sandbox.level.name.lower(), gaps=list(world.sandbox.gaps), shares=settings.work,
            slots=self._share.slots, slots_free=self._share.slots_free, peers=connected,
            jobs_open=self._requester.open_count(), testing=testing, installing=self._installs.words(), draining=self._drain.begun,
        ))  # fmt: skip

    async def hardware(self, measure: bool = False) -> Plain:
        world = self._world
        if measure:
            world.hardware = await world.machine.benchmark()
        else:
            world.hardware = await world.machine.probe()
        return plain.hardware(world.hardware)

    async def environments(self) -> list[Plain]:
        return [plain.environment(info) for info in self._world.sandbox.environments()]

    async def environment_add(self, name: str, packages: list[str]) -> Plain:
        return await self._add_environment(name, packages)

    async def gc(self, dry_run: bool = False) -> list[Plain]:
        return await self._retention.collect(dry_run)

    async def drain(self) -> Plain:
        return self._drain.begin()

    async def stop(self) -> None:
        self._stop.set()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def submit(self, path: str, text: str, options: Plain) -> str:
        return await self._requester.submit(Path(path), text, options)

    async def rehearse(self, path: str, text: str, options: Plain) -> Plain:
        return dict(await self._rehearsals.rehearse(Path(path), text, options))

    async def jobs(self) -> list[Plain]:
        return [dict(status) for status in self._requester.statuses()]

    async def job(self, job: str) -> Plain:
        return dict(self._requester.status(job))

    async def watch(self, job: str) -> AsyncIterator[Plain]:
        async for status in self._requester.watch(job):
            yield dict(status)

    async def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        return [dict(row) for row in await self._requester.results(job, after, min(limit, ROWS_MAX))]

    async def answer(self, job: str) -> Plain:
        return await self._requester.answer(job)

    async def timeline(self, job: str) -> Plain:
        return dict(self._requester.timeline(job))

    async def logs(self, job: str, follow: bool = False) -> AsyncIterator[Plain]:
        async for piece in self._requester.logs(job, follow):
            yield {"index": piece.index, "worker": piece.worker, "text": piece.text.decode(errors="replace")}

    async def why(self, job: str) -> Plain:
        return dict(self._requester.why(job))

    async def cancel(self, job: str, reason: str = "") -> None:
        await self._requester.order(job, "cancel", reason or "cancelled by its requester")

    async def pause(self, job: str) -> None:
        await self._requester.order(job, "pause", "")

    async def resume(self, job: str) -> None:
        await self._requester.order(job, "resume", "")

    # -- people -------------------------------------------------------------------------------------------------------

    async def peers(self) -> list[Plain]:
        rows = []
        for contact in self._world.directory.contacts():
            known = self._people.known.get(contact.node)
            owner = known.owner if known and known.owner else ""
            person = self._people.persons.get(OwnerId(owner)) if owner else None
            row = PeerRow(
                node=contact.node, name=known.name if known else "", owner=owner, how=contact.how,
                connected=contact.connected, friend=self._people.is_friend(OwnerId(owner)) if owner else False,
                wants_friendship=person is not None and person.state == "asks",
                version=known.version if known else contact.agent, latency_s=contact.latency_s,
                bandwidth_bytes_s=contact.bandwidth_bytes_s, addresses=list(contact.addresses),
            )  # fmt: skip
            offer = plain.decode_offer(self._people.offers.get(contact.node, b""))
            if offer:
                row["offer"] = offer
            rows.append(dict(row))
        return rows

    async def connect(self, address: str) -> Plain:
        node = await self._gate.join(address)
        known = self._people.known.get(node)
        return {"node": node, "name": known.name if known else "", "owner": (known.owner or "") if known else ""}

    async def invite(self, uses: int, valid_s: int) -> str:
        if not 1 <= uses <= 1000 or not 60 <= valid_s <= 365 * 86400:
            raise LocalError("an invite has 1 to 1000 uses and is valid for a minute to a year")
        addresses = tuple(address.split("/p2p/")[0] for address in self._world.directory.addresses())
        return codec.encode_invite(await self._people.invite(addresses, uses, valid_s))

    async def friends(self) -> list[Plain]:
        rows = []
        for owner, person in sorted(self._people.persons.items()):
            known = [peer for peer in self._people.known.values() if peer.owner == owner]
            nodes = sorted({*person.nodes, *(peer.node for peer in known)})
            name = person.name or next((peer.name for peer in known if peer.name), "")
            rows.append(dict(FriendRow(owner=owner, name=name, state=person.state, nodes=list(nodes))))
        return rows

    async def friend_add(self, who: str) -> Plain:
        owner = self._owner_of(who)
        nodes = [node for node, known in self._people.known.items() if known.owner == owner]
        name = self._people.known[nodes[0]].name if nodes else ""
        person = await self._people.befriend(owner, name)
        heard = await self._gate.ask_friends(nodes)
        return {"owner": owner, "name": person.name, "told": heard}

    async def friend_remove(self, who: str) -> None:
        await self._people.unfriend(self._owner_of(who))

    def _owner_of(self, who: str) -> OwnerId:
        """An owner by its id, an unambiguous prefix of it, a node's id or a node's name."""
        if who.startswith("own_") and len(who) > 40:
            return OwnerId(who)
        found = {owner for owner, person in self._people.persons.items() if who == person.name or owner.startswith(who)}
        for node, known in self._people.known.items():
            if known.owner and (who in (node, known.name) or known.owner.startswith(who)):
                found.add(known.owner)
        if len(found) != 1:
            what = "nobody" if not found else f"{len(found)} owners"
            raise LocalError(f"{who!r} names {what} here", "`ctorrent peers` shows owner ids; use one of them.")
        return found.pop()

    # -- ledger -------------------------------------------------------------------------------------------------------

    async def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]:
        """Entries in the order author, incarnation, seq; `after` skips that many."""
        held = self._world.journal.scan("entry")[after : after + min(limit, ROWS_MAX)]
        rows = []
        for position, (_, value) in enumerate(held, start=after + 1):
            signed = codec.open_entry(records.unpack_sealed(records.load(value)))
            rows.append(dict(plain.ledger_row(position, signed)))
        return rows

    async def ledger_verify(self) -> Plain:
        """Check every signature and link again, from the bytes in the journal."""
        bad: list[str] = []
        last: dict[tuple[str, int], bytes] = {}
        entries = 0
        for key, value in self._world.journal.scan("entry"):
            entries += 1
            if entries % 200 == 0:
                await trio.lowlevel.checkpoint()
            try:
                signed = codec.open_entry(records.unpack_sealed(records.load(value)))
            except PeerError as error:
                bad.append(f"entry at {key.hex()[:16]}: {error.message}")
                continue
            entry, log = signed.entry, (signed.entry.author, signed.entry.incarnation)
            if entry.seq > 1 and last.get(log) != entry.prev:
                bad.append(f"entry {entry.seq} of {entry.author} does not follow the one before it")
            last[log] = signed.id
        forks = [{"author": author, "incarnation": inc, "seq": seq} for author, inc, seq in self._scribe.forks]
        return {"entries": entries, "authors": len({log[0] for log in last}), "bad": bad, "forks": forks}

    async def reputation(self, who: str = "") -> list[Plain]:
        nodes = [self._node_of(who)] if who else sorted(self._scribe.snapshot())
        rows = []
        for node in nodes:
            record, why = self._scribe.standing(node)
            known = self._people.known.get(node)
            name = self._people.name if node == self._world.node else known.name if known else ""
            rows.append(dict(plain.reputation_row(node, name, record, why)))
        return rows

    def _node_of(self, who: str) -> NodeId:
        named = {node for node, known in self._people.known.items() if who == known.name or node.startswith(who)}
        if len(named) == 1:
            return named.pop()
        node_public(NodeId(who))
        return NodeId(who)

