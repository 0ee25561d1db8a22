"""What persons owe each other, as this node knows it: receipts, work that has none yet, and how far anybody may go.

    credit    requester public ‖ tag ‖ worker public ‖ number u32   [work, incarnation, seq, issued_unix]: this node's own
    whose     node public                                           owner, of nodes whose certificates were seen

This node's own receipts stay when the entries they came in are pruned or forked. Others' are learned from the ledger as
far as they concern this person's machines and friends; whose a node is, is believed by its certificate, never by what a
receipt says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from ctorrent.canon import encode
from ctorrent.ledger.credit import Account, Accounts, Limits, Receipt, Receipts, Room, accounts, room
from ctorrent.market.pay import Earned
from ctorrent.market.price import worth
from ctorrent.model.entry import EntryKind, SignedEntry, Work
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import NodeId, OwnerId, node_id, node_public
from ctorrent.model.trade import No, NoReason
from ctorrent.node import records
from ctorrent.node.admission import network_of
from ctorrent.node.billing import Bills
from ctorrent.node.earnings import Earnings
from ctorrent.node.people import People
from ctorrent.node.records import u32
from ctorrent.node.scribe import Scribe
from ctorrent.node.settings import Settings
from ctorrent.node.world import World
from ctorrent.ports import Put
from ctorrent.wire import codec

log = logging.getLogger(__name__)

KEEP_S = 2.0  # what was learned reaches the journal within; the entries it came from are there already
TIDY_S = 3600.0
GIVES_BACK = 0.5  # who gave back half of what it took, or took less than the next, waits behind nobody
TOOK_LITTLE = 1.0  # reference core-hours


class Credit:
    """One per node."""

    def __init__(self, settings: Settings, world: World, people: People, scribe: Scribe) -> None:
        self._settings, self._world, self._people = settings, world, people
        self.receipts = Receipts()
        self.bills = Bills(world, people, scribe, self.receipts)
        self.earnings = Earnings(world)
        self._whose: dict[NodeId, str] = {node_id(key): value.decode() for key, value in world.journal.scan("whose")}
        self._certified = 0  # changes of that
        self._puts: list[Put] = []
        self._cached: tuple[object, Accounts] | None = None
        for key, value in world.journal.scan("credit"):
            work, incarnation, seq, issued = records.load(value)
            self._take(node_id(key[:32]), Receipt(codec.decode_work(work), incarnation, seq, issued))
        for node, person in self.earnings.persons().items():
            self.bills.persons.note(node, person)
        scribe.book.on(EntryKind.RECEIPT, self._learn)
        scribe.book.on_fork(self.receipts.forked)

    async def run(self) -> None:
        """Keep what was learned, and forget what is too old."""
        tidied = -TIDY_S
        while True:
            if (now := self._world.clock.now()) - tidied >= TIDY_S:
                tidied = now
                await self.bills.tidy()
                await self.earnings.tidy()
            if self._puts:
                puts, self._puts = self._puts, []
                await self._world.journal.commit(puts)
            await trio.sleep(KEEP_S)

    # -- receipts -----------------------------------------------------------------------------------------------------

    def _learn(self, signed: SignedEntry) -> None:
        """A RECEIPT entry was accepted. Raises PeerError where its worker never signed it."""
        entry = signed.entry
        said = codec.decode_work(codec.decode_sealed(entry.body, len(entry.body)).body)
        if not self._concerns(said):
            return
        work = codec.decode_receipt(entry.body)
        receipt = Receipt(work, entry.incarnation, entry.seq, entry.issued_unix_s)
        if self._take(entry.author, receipt) and self._world.node in (work.requester, work.worker):
            key = node_public(work.requester) + work.job_tag + node_public(work.worker) + u32(work.number)
            if self._world.journal.get("credit", key) is None:
                value = [codec.encode_work(work), entry.incarnation, entry.seq, entry.issued_unix_s]
                self._puts.append(Put("credit", key, encode(value)))

    def _take(self, author: NodeId, receipt: Receipt) -> bool:
        work = receipt.work
        own = self._world.node in (work.requester, work.worker)
        if own:  # this node asked, or signed, only after it had seen the other's certificate
            other, owner = (work.worker, work.worker_owner) if work.requester == self._world.node else (work.requester, work.requester_owner)
            if owner:
                self._know(other, owner)
        if why := self.receipts.learn(author, receipt, own):
            log.info("a receipt of %s counts for nothing: %s", author, why)
        return not why

    def _concerns(self, work: Work) -> bool:
        """Is it about this person's machines, or a friend's? By their own words: what is believed is seen later."""
        owners = (work.requester_owner, work.worker_owner, self._owner(work.requester), self._owner(work.worker))
        return self._world.node in (work.requester, work.worker) or any(owner and self._people.is_friend(OwnerId(owner)) for owner in owners)

    def _owner(self, node: NodeId) -> str:
        """By certificate; "" where none was seen."""
        if node == self._world.node:
            return self._world.owner
        known = self._people.known.get(node)
        if known is not None and known.owner is not None:
            owner = self._people.newest(known.owner)
            if self._people.is_friend(OwnerId(owner)):
                self._know(node, owner)
            return owner
        return self._people.newest(self._whose.get(node, ""))

    def _know(self, node: NodeId, owner: str) -> None:
        """Remember whose a node is over a restart."""
        if self._whose.get(node) != owner:
            self._whose[node] = owner
            self._certified += 1
            self._puts.append(Put("whose", node_public(node), owner.encode()))

    def person(self, node: NodeId, claimed: str = "") -> str:
        """Whose a node is; an uncertified one counts as its network, or, where that is not known, as itself.

        claimed: what a receipt says, which nobody has to believe.
        """
        return self._owner(node) or self._people.newest(self.bills.persons.get(node) or node)

    # -- accounts -----------------------------------------------------------------------------------------------------

    def accounts(self) -> Accounts:
        """All that receipts say, added up by persons."""
        version = (self.receipts.version, self._certified, self._people.changes, self.bills.persons.changes, self._people.friends())
        if self._cached is None or self._cached[0] != version:
            self._cached = version, accounts(self.receipts.all(), self._world.owner, self.person)
        return self._cached[1]

    def account(self, person: str) -> Account:
        return self.accounts().with_me.get(person, Account())

    def debts(self) -> dict[str, float]:
        """Person -> credits that it owes here: receipts, and work that waits for one."""
        found = {person: account.balance for person, account in self.accounts().with_me.items()}
        for person, earned in self.unpaid().items():
            found[person] = found.get(person, 0.0) + earned.credits
        return found

    def unpaid(self) -> dict[str, Earned]:
        """By who each person is now: an owner may have changed its key since the work was done."""
        found: dict[str, Earned] = {}
        for person, earned in self.earnings.unpaid().items():
            now = self._people.newest(person)
            found[now] = found.get(now, Earned()).plus(earned)
        return found

    def room(self, person: str) -> Room:
        """How far a person may go, here."""
        limits = Limits(self._settings.credit_friends, self._settings.credit_strangers)
        return room(person, self.debts(), self._people.friends(), self.accounts().owed, limits)

    def person_of(self, identity: PeerIdentity) -> str:
        """As limits count: an owner, or for an uncertified node the network it comes from."""
        return identity.owner or f"net_{network_of(self._world, identity.node)}"

    def refuses(self, identity: PeerIdentity | None, price: float) -> No | None:
        """Why no more is done for this requester at this price; None: it is."""
        if identity is None or price <= 0 or identity.node == self._world.node or identity.owner == self._world.owner:
            return None
        found = self.room(self.person_of(identity))
        if found.left > 0:
            return None
        return No(NoReason.CREDIT, f"it owes {max(0.0, found.owes):.3g} credits here, and may owe {found.limit:.3g}")

    def waits(self, identity: PeerIdentity) -> bool:
        """Does this requester's work give way to others'? It took, and did not give back."""
        if not self._settings.prefer_givers or identity.owner == self._world.owner:
            return False
        person = self.person_of(identity)
        account, unpaid = self.account(person), self.unpaid().get(person, Earned())
        took = worth(1.0, account.for_them.core_hours + unpaid.core_hours, account.for_them.gpu_hours + unpaid.gpu_hours)
        gave = worth(1.0, account.for_me.core_hours, account.for_me.gpu_hours)
        return took > TOOK_LITTLE and gave < GIVES_BACK * took

    def withheld(self) -> dict[str, Earned]:
        """Person -> work done for this person's jobs that has no receipt: provisional, due, or not signed."""
        found: dict[str, Earned] = {}
        for billing in self.bills.open.values():
            for worker, earned in billing.withheld().items():
                self._add(found, worker, earned)
        for work in self.bills.unsigned():
            self._add(found, work.worker, Earned(work.blocks, work.core_hours, work.gpu_hours, work.credits))
        return found

    def _add(self, found: dict[str, Earned], worker: NodeId, earned: Earned) -> None:
        person = self.person(worker)
        found[person] = found.get(person, Earned()).plus(earned)

    def receipts_of(self, person: str) -> Sequence[Receipt]:
        """Those between this person and another, by the time their requesters say, oldest first."""
        me = self._world.owner
        found = []
        for receipt in self.receipts.all():
            both = self.person(receipt.work.requester), self.person(receipt.work.worker)
            if both in ((me, person), (person, me)):
                found.append(receipt)
        return sorted(found, key=lambda receipt: (receipt.issued_unix_s, receipt.name))
