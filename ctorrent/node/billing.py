"""The requester's side of receipts: what settled blocks earned becomes bills, and bills that workers signed, entries.

    result came back ─worked─▶ provisional ─settled─▶ due ─every BILL_S, and at the job's end─▶ Billed
    Countersigned ─▶ RECEIPT in this node's log.   No answer: offered again whenever its worker is met, for BILLS_KEPT_S.

    pay    job id ‖ worker public                  [last number, blocks, core-hours, GPU-hours, credits] that is due
    pay    job id                                  [blocks, core-hours, GPU-hours] of all settled ones, once each
    bill   worker public ‖ job id ‖ number u32     [work, ring, made_unix] that its worker has not signed

A bill's number and amount never change once it was shown, so there is one receipt of a number at most. A worker that
signs nothing costs nothing and gets no receipt.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from ctorrent.canon import encode
from ctorrent.errors import Malformed
from ctorrent.ledger.credit import Receipts
from ctorrent.market.pay import Earned, Pay, Terms
from ctorrent.model.entry import EntryKind, Work, job_tag
from ctorrent.model.ids import JobId, NodeId, Ring, node_id, node_public
from ctorrent.model.session import Billed, Countersigned
from ctorrent.node import plain, records
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.people import People
from ctorrent.node.recall import Unit
from ctorrent.node.records import u32
from ctorrent.node.returned import Given
from ctorrent.node.scribe import Scribe
from ctorrent.node.tender import Tender
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put, Write
from ctorrent.wire import codec

log = logging.getLogger(__name__)

BILL_S = 600.0  # between two bills to one worker of a job: an entry of some 400 bytes for ten minutes' work
BILLS_KEPT_S = 30 * 86400  # for a worker that is away
BILLS_A_MEETING = 64  # offered to one worker when it comes: a frame of 300 bytes each
UNKNOWN_OUT_S = 86400.0  # most that a unit handed out before a restart is believed to have taken


class Persons:
    """Whose uncertified nodes count as. `changes`: how often that did."""

    def __init__(self) -> None:
        self.changes = 0
        self._of: dict[NodeId, str] = {}

    def get(self, node: NodeId) -> str:
        """"" where nothing is known of it."""
        return self._of.get(node, "")

    def note(self, node: NodeId, person: str) -> None:
        if self._of.get(node) != person:
            self._of[node] = person
            self.changes += 1


class Bills:
    """All jobs of this node: bills that wait for a signature, and the jobs that make them."""

    def __init__(self, world: World, people: People, scribe: Scribe, receipts: Receipts) -> None:
        self._world, self._people, self._scribe, self._receipts = world, people, scribe, receipts
        self.open: dict[JobId, Billing] = {}
        self.persons = Persons()

    def of_job(self, record: JobRecord, tender: Tender) -> Billing:
        """A job's own bills, while it is coordinated here."""
        billing = Billing(self._world, self._people, record, tender, self.persons)
        self.open[record.id] = billing
        return billing

    def closed(self, job: JobId) -> None:
        """It ended, and its last bills are in the journal."""
        self.open.pop(job, None)

    def waiting(self, worker: NodeId) -> list[Billed]:
        """What a worker that comes is asked to sign: the oldest first."""
        held = self._world.journal.scan("bill", node_public(worker), BILLS_A_MEETING)
        return [Billed(JobId(key[32:64]), records.load(value)[0]) for key, value in held]

    def unsigned(self) -> list[Work]:
        """Every bill that waits, for who asks what is owed."""
        return [codec.decode_work(records.load(value)[0]) for _, value in self._world.journal.scan("bill")]

    async def countersigned(self, peer: NodeId, message: Countersigned) -> None:
        """A worker's signature. Raises PeerError for one that was not asked for; one that came before is ignored."""
        work = codec.open_work(message.work)
        key = node_public(peer) + message.job + u32(work.number)
        record = self._world.journal.get("bill", key)
        if record is None:
            return
        asked, ring, _ = records.load(record)
        if work.worker != peer or message.work.body != asked:
            raise Malformed("a signature under another bill than the one that was sent")
        if not self._receipts.holds(self._world.node, work.job_tag, peer, work.number):
            await self._scribe.write(Ring.parse(ring), EntryKind.RECEIPT, codec.encode_receipt(message.work))
        await self._world.journal.commit([Delete("bill", key)], durable=False)

    async def tidy(self) -> None:
        """Give up what nobody came to sign."""
        before = self._world.clock.unix() - BILLS_KEPT_S
        gone = [Delete("bill", key) for key, value in self._world.journal.scan("bill") if records.load(value)[2] < before]
        if gone:
            await self._world.journal.commit(gone, durable=False)


class Billing:
    """Of one job. `puts`: records for the durable commit that must come before a bill leaves."""

    def __init__(self, world: World, people: People, record: JobRecord, tender: Tender, persons: Persons) -> None:
        self.puts: list[Write] = []
        self._world, self._people, self._record, self._tender, self._persons = world, people, record, tender, persons
        self._pay = Pay()
        self._tag = job_tag(record.id, record.job_secret)
        self._numbers: dict[NodeId, int] = {}
        self._billed: dict[NodeId, float] = {}  # when, on this node's clock
        self._began = self._oldest = world.clock.now()  # the oldest: no bill is older of those to whom something is due
        for key, value in world.journal.scan("pay", record.id):
            if len(key) == len(record.id):
                self._pay.paid = Earned(*records.load(value))
                continue
            worker = node_id(key[len(record.id) :])
            number, *amounts = records.load(value)
            self._numbers[worker] = number
            if amounts[0]:
                self._pay.restore(worker, Earned(*amounts))

    # -- what happens to blocks ---------------------------------------------------------------------------------------

    def worked(self, given: Given) -> None:
        """A unit came back whole and opens to what was committed: its claims are noted, and nothing is owed yet."""
        out_s = self._world.clock.now() - given.at if given.at else UNKNOWN_OUT_S
        needs = self._record.job.manifest.needs
        usages = [output.usage for output in given.outputs]
        terms = self._terms(given.worker)
        core_s, gpu_s = out_s * max(1, needs.cpu), out_s * needs.gpu
        given.claim = float(terms.price), float(terms.gflops), float(terms.tflops), float(core_s), float(gpu_s)
        self._pay.worked(given.worker, terms, list(given.indices), usages, core_s, gpu_s)

    def recall(self, unit: Unit, still: Collection[int]) -> None:
        """A unit of a life before a restart: its claims count on where its blocks are not final. still: those."""
        if unit.claim:
            price, gflops, tflops, core_s, gpu_s = unit.claim
            indices, usages = [line.index for line in unit.lines], [line.usage for line in unit.lines]
            self._pay.worked(unit.worker, Terms(unit.owner, price, gflops, tflops), indices, usages, core_s, gpu_s)
            self.revoked([index for index in indices if index not in still])

    def settled(self, indices: Sequence[int], workers: Sequence[Sequence[NodeId]]) -> None:
        """These blocks' results are final; workers: of each block, all whose answers agree with it."""
        changed: dict[NodeId, None] = {}
        self._numbers = {**dict.fromkeys((worker for agreed in workers for worker in agreed), 0), **self._numbers}
        for index, agreed in zip(indices, workers, strict=True):
            changed |= dict.fromkeys(self._pay.settled(index, agreed, self._terms))
        self._oldest = min([self._oldest, *(self._billed.get(worker, self._began) for worker in changed)])
        paid = self._pay.paid
        self.puts += [self._due(worker) for worker in changed]
        self.puts.append(Put("pay", self._record.id, encode([paid.blocks, float(paid.core_hours), float(paid.gpu_hours)])))

    def revoked(self, indices: Sequence[int]) -> None:
        """Provisional results that late evidence took back, and blocks that end without one: nobody is paid."""
        for index in indices:
            self._pay.revoked(index)

    # -- bills --------------------------------------------------------------------------------------------------------

    def bills(self, last: bool = False) -> list[tuple[NodeId, Billed]]:
        """Those that are due now; last: all, and nothing is remembered. To be sent after `puts` are on the disk."""
        now, made = self._world.clock.now(), list[tuple[NodeId, Billed]]()
        if not last and now - self._oldest < BILL_S:
            return made
        for worker in self._pay.workers():
            if last or now - self._billed.get(worker, self._began) >= BILL_S:
                self._billed[worker] = now
                if self._tender.owner_of(worker) != self._world.owner:  # one's own machines owe each other nothing
                    made.append((worker, self._bill(worker)))
        self._oldest = min((self._billed.get(worker, self._began) for worker in self._pay.workers()), default=now)
        if last:
            self.puts += [Delete("pay", self._record.id + node_public(worker)) for worker in sorted(self._numbers)]
            self.puts.append(Delete("pay", self._record.id))
        return made

    def _bill(self, worker: NodeId) -> Billed:
        number, earned = self._numbers.get(worker, 0) + 1, self._pay.take(worker)
        self._numbers[worker] = number
        work = Work(
            self._tag, self._world.node, worker, self._world.owner, self._tender.certified_owner(worker), number,
            earned.blocks, earned.core_hours, earned.gpu_hours, earned.credits,
        )  # fmt: skip
        body, ring = codec.encode_work(work), str(self._record.job.manifest.ring)
        key = node_public(worker) + self._record.id + u32(number)
        self.puts += [Put("bill", key, encode([body, ring, self._world.clock.unix()])), self._due(worker)]
        return Billed(self._record.id, body)

    def _due(self, worker: NodeId) -> Put:
        earned = self._pay.due(worker)
        fields = [self._numbers.get(worker, 0), earned.blocks, float(earned.core_hours), float(earned.gpu_hours), float(earned.credits)]
        return Put("pay", self._record.id + node_public(worker), encode(fields))

    def take(self) -> list[Write]:
        """Records for the next durable commit."""
        taken, self.puts = self.puts, []
        return taken

    def withheld(self) -> dict[NodeId, Earned]:
        """What workers did for this job and have no bill for: provisional, or due."""
        found = self._pay.withheld()
        for worker in self._pay.workers():
            found[worker] = found.get(worker, Earned()).plus(self._pay.due(worker))
        return {worker: earned for worker, earned in found.items() if self._tender.owner_of(worker) != self._world.owner}

    def _terms(self, worker: NodeId) -> Terms:
        """As the worker bid; its GPUs' speed as its offer says."""
        bid, owner = self._tender.bid_of(worker), self._tender.owner_of(worker)
        self._persons.note(worker, owner)
        tflops = plain.decode_offer(self._people.offers.get(worker, b"")).get("tflops", 0.0)
        known = tflops if isinstance(tflops, int | float) and 0 < tflops < 1e6 else 0.0
        return Terms(owner, bid.price if bid else 0.0, bid.speed_gflops if bid else 0.0, float(known))
