"""The requester: this person's jobs, from a job file to an answer, over restarts."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import CTorrentError, JournalError, LocalError, PeerError, Unavailable
from ctorrent.model.block import Block
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.session import (
    Countersigned,
    Declined,
    HandBack,
    Interest,
    Message,
    NoThanks,
    Offered,
    Progress,
    Returned,
)
from ctorrent.model.status import BlockRow, JobStatus, Timeline, WhyReport
from ctorrent.model.trade import No, NoReason
from ctorrent.node import plain, seen
from ctorrent.node.about import about
from ctorrent.node.admission import Admission, Guest
from ctorrent.node.answer import ANSWER_BYTES_MAX, reduce_answer
from ctorrent.node.billing import Bills
from ctorrent.node.coordinate import Coordination
from ctorrent.node.experience import Experience
from ctorrent.node.growth import closed, parts_of, stored
from ctorrent.node.items import Lost, Order, Said
from ctorrent.node.jobbook import (
    End,
    JobRecord,
    KeptReport,
    ended_blobs,
    find,
    listed_blobs,
    load_blocks,
    load_end,
    load_jobs,
    put_blobs,
)
from ctorrent.node.joblist import JobList
from ctorrent.node.logbook import Piece
from ctorrent.node.memory import Memory
from ctorrent.node.memory_voices import Voices
from ctorrent.node.outcomes import outcomes
from ctorrent.node.packing import named
from ctorrent.node.people import People
from ctorrent.node.pinning import notes
from ctorrent.node.progress import Progress as Board
from ctorrent.node.scribe import Scribe
from ctorrent.node.seeder import Seeder
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.session import Session, hang_up, introduce
from ctorrent.node.settings import Settings
from ctorrent.node.submission import Submission
from ctorrent.node.world import World
from ctorrent.ports import Channel, Write
from ctorrent.wire import codec

log = logging.getLogger(__name__)

OUTPUT_BYTES_MAX = 1 << 30  # of one block, when a person asks for results
WATCH_S = 1.0  # a status at least so often, so that clocks and ETAs move
WATCH_MIN_S = 0.1  # and not oftener than this
NOT_HERE = No(NoReason.FULL, "no such open job here")  # who worked for it takes that as its end, for good
NOT_YET = No(NoReason.BUSY, "the job is being taken up again")
NOT_YET_S = 2.0  # until it may be asked for again: a coordination begins within one turn of the loop


class Requester:
    """One per node. Serves the session protocol to workers."""

    def __init__(
        self, settings: Settings, world: World, people: People, seeder: Seeder, scribe: Scribe, selfrun: SelfRun,
        rng: random.Random, hear_own: Callable[[bytes], None], bills: Bills,
    ) -> None:  # fmt: skip
        self._settings, self._world, self._people = settings, world, people
        self._seeder, self._scribe, self.selfrun, self._rng, self._hear_own = seeder, scribe, selfrun, rng, hear_own
        self._experience, self._bills = Experience(world.journal), bills
        self.submission, self.memory = Submission(settings, world, people), Memory(world, Voices(scribe.trust, people))
        self._records: dict[JobId, JobRecord] = {}
        self._list = JobList(self._records)
        self._open: dict[JobId, Coordination] = {}
        self._guests = Admission(world, people, settings.sessions_max, self._busy)
        self._nursery: trio.Nursery | None = None
        self._read = trio.Event()  # the journal's jobs are known: before that nobody may hear that one is not here

    async def run(self) -> None:
        """Go on with jobs that were open at the last stop, and run new ones, for as long as the node runs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self.memory.open()
            listed: list[Write] = []  # blobs of jobs that ended since the last start: the next one need not look for them
            for record in load_jobs(self._world.journal):
                self._records[record.id] = record
                record.files = await named(self._world.blobs, record.job.manifest.program)
                blobs = listed_blobs(self._world.journal, record.id)
                if blobs is None:
                    blobs = ended_blobs(self._world.journal, record.id)
                    listed += [] if record.open else [put_blobs(record.id, blobs)]
                self._pin(record, blobs)
                if record.open and self._lacks_blobs(record):
                    record.state, record.reason = "failed", "its inputs were lost when the machine lost power: submit it again"
                    await self._world.journal.commit([record.put()])
                if record.open:
                    nursery.start_soon(self._coordinate, record)
            self._read.set()
            if listed:
                await self._world.journal.commit(listed, durable=False)
            await trio.sleep_forever()

    def _pin(self, record: JobRecord, outputs: Sequence[bytes]) -> None:
        """Blobs of a job must outlive the store's tidying; pins do not outlive a restart."""
        why = f"job {record.name}"
        program = [record.job.manifest.program.code, record.job.manifest.lock, *record.files]  # a receipt holds it
        blobs = [record.answer, *program, *outputs]
        if record.open:
            blobs += _blobs_read(record)
        for blob in blobs:
            if blob and self._world.blobs.size(Digest(blob)) is not None:
                self._world.blobs.pin(Digest(blob), why)

    def _lacks_blobs(self, record: JobRecord) -> bool:
        wanted = [record.job.manifest.program.code, *record.files, *_blobs_read(record)]
        return any(self._world.blobs.size(blob) is None for blob in wanted)

    @property
    def records(self) -> dict[JobId, JobRecord]:
        """Every job of this node's, by id."""
        return self._records

    def open_count(self) -> int:
        return len(self._open)

    def open_jobs(self) -> list[tuple[JobRecord, Coordination]]:
        """Those that have not ended."""
        return [(one.record, one) for one in self._open.values() if not one.done.is_set()]

    async def retry(self, prefix: str) -> str:
        """The same job once more. -> its name. Raises LocalError."""
        old = self.find(prefix)
        if old.growing:
            raise LocalError(f"job {old.name} is open: more blocks may come", "Seal or cancel it first.")
        blocks = old.blocks or self._blocks_of(old)
        return self._begin(await self.submission.again(old, blocks))

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def submit(self, path: Path, text: str, options: dict[str, Any]) -> str:
        """Plan, sign, journal, and start. Raises JobFileError before anything is announced."""
        return self._begin(await self.submission.make(path, text, options))

    def _begin(self, record: JobRecord) -> str:
        self._records[record.id] = record
        assert self._nursery is not None
        self._nursery.start_soon(self._coordinate, record)
        # hundreds of MB of inputs take the disk seconds: the job need not wait, and a start after a power cut looks for them
        self._nursery.start_soon(self._world.blobs.flush, [*record.files, *_blobs_read(record)])
        return record.name

    async def _coordinate(self, record: JobRecord) -> None:
        with about(record.name):
            log.info("job %s begins: %d blocks", record.name, len(record.blocks))
            await self._take_through(record)
            log.info("job %s is %s", record.name, record.state)

    async def _take_through(self, record: JobRecord) -> None:
        await self.memory.recall(record)
        coordination = Coordination(
            self._world, self._people, self._scribe, self._seeder, record, self.selfrun, self._experience, self._rng, self._bills
        )
        coordination.memory = self.memory
        if record.own_work:
            coordination.tender.hear_own, coordination.tender.lent = self._hear_own, self.selfrun.lent
        self._open[record.id] = coordination
        try:
            await coordination.run(self._conclude)
        except Exception as error:  # the outermost edge of one job: our bug there must not end the others
            log.exception("job %s ended by an error of ours", record.name)
            await self._give_up(record, error)
        finally:
            coordination.logs.close()
            self._open.pop(record.id, None)
            self._bills.closed(record.id)
        record.digests = []
        await self.memory.remember(record, coordination.ends.kept)

    async def _give_up(self, record: JobRecord, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, JournalError):
            raise error  # the disk is full or broken: the node stops with these words, and the job goes on after it
        record.state = "failed"
        record.reason = f"an error inside ctorrent, which is a bug: {type(error).__name__}: {str(error)[:300]}"
        await self._world.journal.commit([record.put()])

    async def _conclude(self, record: JobRecord) -> None:
        """Reduce what settled into the answer."""
        try:
            values = await self._values(record)
            answer = await reduce_answer(record, values, self.selfrun)
            record.answer = await self._world.blobs.put(answer)
            self._world.blobs.pin(Digest(record.answer), f"job {record.name}")
        except (CTorrentError, KeyError) as error:
            record.answer_error = str(error)

    async def _values(self, record: JobRecord) -> list[tuple[Block, bytes | None]]:
        """Values of settled blocks, as far as an answer can be made of so many bytes; the rest is not even read."""
        values: list[tuple[Block, bytes | None]] = []
        size = 0
        for block in record.blocks:
            value = await self._value(record, block.index) if size <= ANSWER_BYTES_MAX else None
            size += len(value or b"")
            values.append((block, value))
        return values

    async def _value(self, record: JobRecord, index: int) -> bytes | None:
        """The canonical value of a settled block, or None."""
        end = load_end(self._world.journal, record.id, index)
        return None if end is None or end.state != "settled" else await self._output(end)

    async def _output(self, end: End) -> bytes | None:
        output = end.output or (await self._world.blobs.get(Digest(end.blob), OUTPUT_BYTES_MAX) if end.blob else b"")
        return output[1:] if output[:1] == b"\x00" else None

    def find(self, word: str) -> JobRecord:
        """As jobbook.find: the newest of several that have this name. Raises LocalError."""
        return self._list.find(word)

    def live(self, record: JobRecord) -> Coordination | None:
        """The coordination of a job that has not ended, its last records included."""
        coordination = self._open.get(record.id)
        return None if coordination is None or coordination.done.is_set() else coordination

    def replica(self, job: JobId, index: int, worker: NodeId) -> Digest | None:
        """The assignment that a worker answered about a block of an open job, as far as this life of the node saw it."""
        coordination = self._open.get(job)
        kept = None if coordination is None else coordination.ends.kept(index, worker)
        return None if kept is None else kept.assignment

    async def order(self, prefix: str, what: str, why: str) -> None:
        """Pause, resume or cancel. Raises LocalError when the job has ended, or when it is not clear which is meant."""
        record = find(self._records.values(), prefix, one=True)
        coordination = await self._taken_up(record)
        if coordination is None:
            raise LocalError(f"job {record.name} has ended: it is {record.state}")
        await coordination.tell(Order(what, why))

    async def _taken_up(self, record: JobRecord) -> Coordination | None:
        """The coordination of an open job, which begins a moment after it was submitted; None: it has ended."""
        while (coordination := self.live(record)) is None and record.open:  # noqa: ASYNC110 - it takes one turn of the loop
            await trio.sleep(WATCH_MIN_S)
        return coordination

    async def append(self, prefix: str, params: list[bytes], inputs: list[Any], first: int) -> int:
        """Add blocks to a job that was submitted open. -> the first one's index. Raises LocalError, JobClosed."""
        record = find(self._records.values(), prefix, one=True)
        parts = parts_of(params, await stored(inputs, self._world.blobs), self._world.blobs.size)
        read = list(dict.fromkeys(ref.digest for _, refs in parts for ref in refs))
        for blob in read:
            self._world.blobs.pin(blob, "input")
        await self._world.blobs.flush(read)
        coordination = await self._taken_up(record)
        if coordination is None:
            raise closed(record)
        return await coordination.growth.append(parts, first)

    async def seal(self, prefix: str) -> None:
        """No more blocks come. Of a job that was sealed before, or has ended, nothing."""
        coordination = await self._taken_up(find(self._records.values(), prefix, one=True))
        if coordination is not None:
            await coordination.tell(Order("seal"))

    # -- what people see ----------------------------------------------------------------------------------------------

    def statuses(self, after: str = "", limit: int = 0) -> list[JobStatus]:
        return [self.status_of(record) for record in self._list.page(after, limit)]

    def status(self, prefix: str) -> JobStatus:
        return self.status_of(self.find(prefix))

    def status_of(self, record: JobRecord) -> JobStatus:
        coordination = self.live(record)
        if coordination is not None:
            return coordination.status()
        report = record.report.read() if isinstance(record.report, KeptReport) else dict(record.report)
        status: JobStatus = report.pop("status", None) or _bare_status(record)
        status["state"], status["reason"] = record.state, record.reason
        if report:
            status["report"] = report  # type: ignore[typeddict-item]
        return status

    async def watch(self, prefix: str) -> AsyncIterator[JobStatus]:
        """Statuses as they change; the last one is of the ended job."""
        record = self.find(prefix)
        while True:
            coordination = self.live(record)
            yield self.status_of(record)
            if coordination is None:
                if record.open:  # between submit and the first step of its coordination
                    await trio.sleep(WATCH_MIN_S)
                    continue
                return
            changed = coordination.changed
            await trio.sleep(WATCH_MIN_S)
            with trio.move_on_after(WATCH_S):
                await changed.wait()

    async def results(self, prefix: str, after: int, limit: int) -> list[BlockRow]:
        """Rows after an index, in order; blocks that have not ended are shown as waiting."""
        record = self.find(prefix)
        blocks = record.blocks or self._blocks_of(record)
        return [await self._row(record, block) for block in blocks[max(0, after + 1) : max(0, after + 1) + limit]]

    async def _row(self, record: JobRecord, block: Block) -> BlockRow:
        end = load_end(self._world.journal, record.id, block.index)
        if end is None and not record.open:
            end = End("cancelled")
        value = await self._output(end) if end and end.state in ("settled", "provisional") else None
        return plain.row(block, end, value, record.job.manifest.program.outputs)

    async def outcomes(self, prefix: str) -> AsyncGenerator[dict[str, Any], None]:
        """Rows of blocks as they end, in that order, until the job does."""
        record = self.find(prefix)
        async with aclosing(outcomes(record, self._taken_up, self._row, lambda: record.blocks or self._blocks_of(record))) as pages:
            async for item in pages:
                yield item

    def _blocks_of(self, record: JobRecord) -> list[Block]:
        load_blocks(self._world.journal, record)
        return record.blocks

    async def answer(self, prefix: str) -> dict[str, Any]:
        record = self.find(prefix)
        if record.open:
            return {"ready": False, "why": f"the job is {record.state}", "state": record.state}
        if not record.answer:
            return {"ready": False, "why": record.answer_error or "the job has no answer", "state": record.state}
        value = await self._world.blobs.get(Digest(record.answer), 2 * ANSWER_BYTES_MAX)
        return {"ready": True, "value": value, "reduce": record.job.manifest.program.reduce, "state": record.state}

    def timeline(self, prefix: str) -> Timeline:
        """What the plots of a report are drawn from; of an ended job, as the journal keeps it."""
        record = self.find(prefix)
        coordination = self.live(record)
        if coordination is not None:
            return seen.shown(coordination.board)
        board = Board(record, 0.0)
        seen.load(self._world.journal, record.id, board)
        return seen.shown(board)

    async def logs(self, prefix: str, follow: bool) -> AsyncIterator[Piece]:
        record = self.find(prefix)
        coordination = await self._taken_up(record) if follow else self.live(record)
        if coordination is not None:
            async for piece in coordination.logs.follow(follow):
                yield piece
            return
        for block in record.blocks or self._blocks_of(record):
            end = load_end(self._world.journal, record.id, block.index)
            if end is not None and end.log:
                yield Piece(block.index, NodeId(end.workers[0] if end.workers else ""), end.log)

    def why(self, prefix: str) -> WhyReport:
        record = self.find(prefix)
        coordination = self.live(record)
        if coordination is not None:
            return coordination.tender.why()
        over = "nothing: it has ended"
        kept: WhyReport | None = record.report.get("why")
        if kept is None:
            return WhyReport(job=record.name, state=record.state, waits_for=over, saw=0, reasons={}, engaged=0)
        return {**kept, "state": record.state, "waits_for": over} if record.state == "settled" else kept

    # -- workers come -------------------------------------------------------------------------------------------------

    async def serve(self, channel: Channel) -> None:
        """Handler of the session protocol: one worker's channel, for any number of jobs."""
        guest = self._guests.admit(channel.peer)
        try:
            if guest is not None:
                with guest.scope:
                    await self._entertain(channel, guest)
        except Unavailable:
            pass
        finally:
            if guest is not None:
                self._guests.leave(guest)
            await hang_up(channel)

    @property
    def sessions(self) -> int:
        """Workers that are connected to it."""
        return len(self._guests)

    def _busy(self, peer: NodeId) -> bool:
        """Does a job here hold a place for this peer?"""
        return any(coordination.tender.holds(peer) for coordination in self._open.values())

    async def _entertain(self, channel: Channel, guest: Guest) -> None:
        session = await introduce(channel, self._people)
        guest.trusted = guest.trusted or self._people.is_friend(session.identity.owner)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.pump)
            for bill in self._bills.waiting(session.identity.node):
                session.post(bill)
            await self._converse(session, guest)
            nursery.cancel_scope.cancel()

    async def _converse(self, session: Session, guest: Guest) -> None:
        joined: set[JobId] = set()
        try:
            while not session.lost.is_set():
                message = await session.receive()
                guest.heard = trio.current_time()
                await self._route(session, message, joined)
        except Unavailable:
            pass
        except PeerError as error:
            self._world.directory.charge(session.identity.node, 20, error.message)
        finally:
            session.lost.set()
            with trio.CancelScope(shield=True), trio.move_on_after(5):
                for job in sorted(joined):
                    if job in self._open:
                        await self._open[job].tell(Lost(session))

    async def _route(self, session: Session, message: Message, joined: set[JobId]) -> None:
        """Hand a message to the job it concerns."""
        if not isinstance(message, (Returned, HandBack, Progress)):
            session.idle_talk()
        if isinstance(message, Countersigned):
            await self._bills.countersigned(session.identity.node, message)
            return
        if isinstance(message, Interest):
            if not self._read.is_set():
                await self._read.wait()
            coordination = self._open.get(message.job)
            if coordination is None:
                begins = message.job in self._records and self._records[message.job].open
                session.post(Declined(message.job, NOT_YET, NOT_YET_S) if begins else Declined(message.job, NOT_HERE, 0.0))
                return
            if not self._people.may_enter(session.identity, coordination.record.job.manifest.ring):
                session.post(Declined(message.job, No(NoReason.RING), 0.0))
                return
            joined.add(message.job)
        concerned = [job for job in self._concerned(session, message, joined) if job in self._open]
        if not concerned:
            session.idle_talk(len(message.log) if isinstance(message, Progress) else 0)
        for job in concerned:
            if job in self._open:
                await self._open[job].tell(Said(session, message))

    def _concerned(self, session: Session, message: Message, joined: set[JobId]) -> list[JobId]:
        if isinstance(message, (Interest, NoThanks)):
            return [message.job] if message.job in joined else []
        if isinstance(message, Offered):
            job = codec.open_bid(message.bid).job
            return [job] if job in joined else []
        if len(joined) == 1 or not isinstance(message, Returned):
            return sorted(joined)
        assignment = codec.open_result(message.result).assignment
        holders = [job for job in sorted(joined) if job in self._open and self._open[job].gave(assignment)]
        return holders or sorted(joined)[:1]


def _blobs_read(record: JobRecord) -> list[Digest]:
    """What the blocks of a job read."""
    return list(dict.fromkeys(ref.digest for block in record.blocks for ref in block.inputs))


def _bare_status(record: JobRecord) -> JobStatus:
    manifest = record.job.manifest
    return JobStatus(
        job=record.name, id=record.id.hex(), name=manifest.name, state=record.state, reason=record.reason,
        blocks=len(record.blocks), waiting=len(record.blocks), running=0, provisional=0, settled=0, failed=0,
        disputed=0, replicas_done=0, replicas_wanted=manifest.verify.replicas, submitted_unix=record.submitted_unix,
        elapsed_s=0.0, eta_s=None, cross_validated=True, notes=notes(manifest), workers=[],
    )  # fmt: skip
