"""The Door of a running node: each request of a person, carried to whoever answers it."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from ctorrent.door import Plain
from ctorrent.errors import LocalError, PeerError
from ctorrent.model.ids import NodeId, OwnerId, node_public
from ctorrent.model.status import FriendRow, NodeStatus
from ctorrent.node import ledgercheck, ledgerfile, plain, records, standing_words
from ctorrent.node.credit_words import CreditWords
from ctorrent.node.defence import Defence
from ctorrent.node.drain import Drain
from ctorrent.node.gate import Gate
from ctorrent.node.installs import Installs
from ctorrent.node.live import Live
from ctorrent.node.people import People
from ctorrent.node.portable import Portable
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
        installs: Installs, retention: Retention, credit: CreditWords, defence: Defence, live: Live,
    ) -> None:  # fmt: skip
        self._settings, self._world, self._people, self._gate = settings, world, people, gate
        self._scribe, self._requester, self._share = scribe, requester, share
        self._add_environment, self._stop = add_environment, stop
        self._rehearsals = Rehearsals(world, people, share, requester.submission, requester.selfrun)
        self._drain, self._installs, self._retention, self._credit = drain, installs, retention, credit
        self._turned: tuple[int, bytes] = (0, b"")  # a position in the ledger, and the key of the entry there
        self._defence = defence
        self._live = live

    # -- this node ----------------------------------------------------------------------------------------------------

    async def status(self) -> Plain:
        settings, world = self._settings, self._world
        connected = sum(contact.connected for contact in world.directory.contacts())
        testing = f"lies about {settings.testing_lie:.0%} of blocks" if settings.testing_lie else ""
        return dict(NodeStatus(
            node=world.node, owner=world.owner, name=self._people.name, version=self._people.version,
            data_dir=str(settings.data_dir), owner_dir=str(settings.owner_dir or ""), addresses=list(world.directory.addresses()),
            isolation=world.sandbox.level.name.lower(), gaps=list(world.sandbox.gaps), shares=self._share.on, mdns=settings.mdns,
            slots=self._share.slots, slots_free=self._share.slots_free, peers=connected,
            jobs=len(self._requester.records), jobs_open=self._requester.open_count(), testing=testing, installing=self._installs.words(), draining=self._drain.begun,
            ledger_read=self._scribe.book.share_read, against=self._defence.renown.words(self._called),
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

    # -- what changes while somebody looks ----------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Plain]:
        async with aclosing(self._live.events()) as events:
            async for event in events:
                yield event

    async def blocks(self, job: str, since: int = -1) -> Plain:
        return await self._live.blocks(job, since)

    async def offers(self) -> list[Plain]:
        return self._live.offers()

    async def machine(self) -> Plain:
        return await self._live.machine()

    async def share(self, on: bool) -> Plain:
        return await self._live.set_share(on)

    async def pool(self) -> Plain:
        return self._live.pool()

    async def retry(self, job: str) -> str:
        return await self._live.retry(job)

    async def blob_add(self, path: str, name: str = "") -> Plain:
        return await self._live.blob_add(Path(path), name)

    async def blobs(self) -> list[Plain]:
        return self._live.blobs()

    async def blob_remove(self, which: str) -> Plain:
        return await self._live.blob_remove(which)

    async def blob_find(self, which: str) -> Plain:
        return self._live.blob_find(which)

    async def metrics(self) -> Plain:
        return await self._live.metrics()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def submit(self, path: str, text: str, options: Plain) -> str:
        return await self._requester.submit(Path(path), text, options)

    async def append(self, job: str, params: list[bytes], inputs: list[Any] = [], first: int = -1) -> int:  # noqa: B006
        return await self._requester.append(job, params, inputs, first)

    async def seal(self, job: str) -> None:
        await self._requester.seal(job)

    async def outcomes(self, job: str) -> AsyncIterator[Plain]:
        async with aclosing(self._requester.outcomes(job)) as pages:
            async for item in pages:
                yield item

    async def rehearse(self, path: str, text: str, options: Plain) -> Plain:
        return dict(await self._rehearsals.rehearse(Path(path), text, options))

    async def jobs(self, after: str = "", limit: int = 0) -> list[Plain]:
        return [dict(status) for status in self._requester.statuses(after, limit)]

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
        cut: dict[tuple[int, str], bytes] = {}  # the first bytes of a character whose others come with the next piece
        async for piece in self._requester.logs(job, follow):
            raw = cut.pop((piece.index, piece.worker), b"") + piece.text
            text, used = codecs.utf_8_decode(raw, "replace", False)
            if raw[used:]:
                cut[piece.index, piece.worker] = raw[used:]
            yield {"index": piece.index, "worker": piece.worker, "text": text}

    async def receipt(self, job: str, with_data: bool = False) -> AsyncIterator[Plain]:
        async for piece in Portable(self._world, self._people).file(self._requester.find(job), with_data):
            yield {"bytes": piece}

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
        return self._live.peers()

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
        at, key = self._turned if self._turned[0] <= after else (0, b"")  # where the last page ended
        while at < after and (rows := self._world.journal.scan("entry", limit=min(after - at, ledgerfile.PAGE_ROWS), after=key)):
            at, key = at + len(rows), rows[-1][0]
            await trio.lowlevel.checkpoint()
        held = self._world.journal.scan("entry", limit=min(limit, ROWS_MAX), after=key) if at == after else []
        self._turned = (at + len(held), held[-1][0] if held else key)
        signed = [codec.read_entry(records.unpack_sealed(records.load(value))) for _, value in held]
        return [dict(plain.ledger_row(position, one)) for position, one in enumerate(signed, start=after + 1)]

    async def ledger_verify(self) -> Plain:
        """Check every signature and link again, from the bytes in the journal."""
        return await ledgercheck.verify(self._world.journal, self._scribe.book)

    async def ledger_export(self, ring: str = "", author: str = "") -> AsyncIterator[Plain]:
        rings = ledgerfile.rings_named(self._scribe.rings, ring) if ring else ()
        async for piece in ledgerfile.pieces(self._world.journal, rings, self._node_of(author) if author else None):
            yield {"bytes": piece}

    async def ledger_import(self, entries: list[bytes]) -> Plain:
        return asdict(await ledgerfile.bring(self._scribe.book, self._scribe.rings, entries))

    async def reputation(self, who: str = "") -> list[Plain]:
        nodes = [self._node_of(who)] if who else sorted(self._scribe.snapshot())
        rows: list[Plain] = []
        for node in nodes:
            if len(rows) % 200 == 0:
                await trio.lowlevel.checkpoint()
            standing = self._scribe.trust.standing(node, bool(who))
            row = dict(standing_words.row(node, self._called(node), standing, self._world.owner, self._called))
            rows.append(row | {"against": self._defence.rows() if node == self._world.node else []})
        return rows

    async def credit(self, who: str = "") -> list[Plain]:
        return [dict(row) for row in self._credit.rows(who)]

    def _called(self, who: str) -> str:
        """What a node or an owner is called here; "" for a node that said no name."""
        if who == self._world.node:
            return self._people.name
        if (person := self._people.persons.get(OwnerId(who))) is not None and person.name:
            return person.name
        nodes = [NodeId(who), *self._scribe.trust.reputation.nodes_of(who)]
        names = [known.name for node in nodes if (known := self._people.known.get(node)) is not None and known.name]
        return names[0] if names else "" if who.startswith("12D3") else who[:12]

    def _node_of(self, who: str) -> NodeId:
        named = {node for node, known in self._people.known.items() if who == known.name or node.startswith(who)}
        if len(named) == 1:
            return named.pop()
        try:
            node_public(NodeId(who))
        except PeerError:
            found = f"{len(named)} nodes are" if named else "no node is"
            raise LocalError(f"{found} known here by {who!r}", "`ctorrent reputation` and `ctorrent peers` list names and ids.") from None
        return NodeId(who)

