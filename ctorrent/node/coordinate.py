"""One job, coordinated by its requester: messages and time in, machines asked, effects performed.
    sessions ─messages─▶ inbox ─▶ auction   ─▶ announcements, engagements
                                  dispatch  ─▶ assignments, revocations ─▶ sessions
                                  quorum    ─▶ blocks that ended, votes ─▶ journal, scribe
    quorum's wishes become dispatch's events and the other way round, here and nowhere else.
What promises something leaves after its commit."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

import trio

from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.errors import Malformed, PeerError
from ctorrent.model.entry import job_tag
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import AmendmentKind
from ctorrent.model.result import Verdict
from ctorrent.model.session import (
    Acknowledged,
    Amended,
    Finished,
    HandBack,
    Interest,
    Message,
    NoThanks,
    Offered,
    Progress,
    Returned,
    Revoke,
)
from ctorrent.model.status import JobStatus
from ctorrent.node.commits import Batch, Committer
from ctorrent.node.ends import Ends
from ctorrent.node.errands import Errands
from ctorrent.node.experience import Experience
from ctorrent.node.items import Fetched, Item, Lost, Order, Said, gather
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.node.logbook import Logbook
from ctorrent.node.people import People
from ctorrent.node.progress import Progress as ProgressBoard
from ctorrent.node.proofs import Proofs
from ctorrent.node.returned import Given, hand_out, make_room
from ctorrent.node.scribe import Scribe
from ctorrent.node.seeder import Seeder
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.session import Session
from ctorrent.node.tender import Tender
from ctorrent.node.underway import UnderWay
from ctorrent.node.world import World
from ctorrent.verify import words as q
from ctorrent.verify.compare import check_output
from ctorrent.verify.quorum import Quorum
from ctorrent.wire import codec

log = logging.getLogger(__name__)

INBOX = 1024  # messages of all sessions: beyond it, sessions are read no further until the job caught up
CHECKS_S = 60.0  # after the last block: then votes that no self-check backs are dropped
BATCH = 256  # messages handled between two commits
PROMISES = (Acknowledged, Amended, Finished)  # said only after what they stand on is on the disk


class Coordination:
    """One open job of this node."""

    def __init__(
        self, world: World, people: People, scribe: Scribe, seeder: Seeder, record: JobRecord, selfrun: SelfRun,
        experience: Experience, rng: random.Random,
    ) -> None:  # fmt: skip
        self.world, self.record = world, record
        self.changed = trio.Event()
        self.done = trio.Event()
        self.sessions: dict[NodeId, Session] = {}
        self.logs = Logbook(record.job.manifest.limits.log_bytes)
        self.board = ProgressBoard(record, world.clock.now())
        self._scribe, self._experience = scribe, experience
        self._committer = Committer(world.journal, world.blobs)
        self._errands = Errands(world, seeder, record, selfrun, self.tell)
        manifest = record.job.manifest
        terms = d.Terms(
            manifest.verify.replicas, manifest.limits.attempts, manifest.limits.block_s, manifest.coalesce,
            manifest.keep_errors,
        )  # fmt: skip
        self._out = UnderWay(world.journal, record)
        rules = d.tuned(d.Rules(), record.expected.block_s, record.expected.start_s)
        self._dispatch = Dispatch(terms, random.Random(record.draw_secret), rules, self._out.first_number)
        self._quorum = Quorum(manifest.verify)
        self.tender = Tender(world, people, scribe, experience, record, rng)
        self._inbox_send, self._inbox = trio.open_memory_channel[Item](INBOX)
        self._ends, self._proofs = Ends(world, scribe, record, self.board, self.tender), Proofs(world, scribe, record.id)
        self._posts: list[tuple[Session, Message]] = []
        self._early = ""  # why the job ends before all its blocks did
        self._nursery: trio.Nursery | None = None
        self._checks_end: float | None = None

    async def tell(self, item: Item) -> None:
        """Queue something for this job; waits while the inbox is full."""
        if not self.done.is_set():
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._inbox_send.send(item)

    def status(self) -> JobStatus:
        running = self._out.blocks(self._dispatch.running()) if self.record.open else 0
        state = self.record.state if self.record.open or self.done.is_set() else "running"  # its last records are under way
        return self.board.status(self.world.clock.now(), state, running)

    def gave(self, assignment: Digest) -> bool:
        return assignment in self._out.by_id

    async def run(self, conclude: Callable[[JobRecord], Awaitable[None]]) -> None:
        """Until every block has ended, or the job was cancelled. conclude: makes the answer before the last word."""
        manifest = self.record.job.manifest
        self._scribe.open_job(self.record.id, job_tag(self.record.id, self.record.job_secret), manifest.ring)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._committer.run)
            await self._until_done()
            await self._finish(conclude)
            self._committer.close()
        self.done.set()
        self._changed()

    async def _until_done(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._begin()
            while not self._dispatch.done or self._still_checking():
                await self._flush()
                self._changed()
                items = await self._wait()
                for item in items:
                    self._take(item)
                self._on_dispatch(self._dispatch.handle(d.Tick(), self.world.clock.now()))
                self._tender(None)
                self._out_of_time()
            await self._flush()
            nursery.cancel_scope.cancel()

    def _begin(self) -> None:
        """Tell the machines what there is, and what a run before a restart already decided."""
        blocks = self.record.blocks
        sizes = [len(block.params) + 64 * len(block.inputs) + 48 for block in blocks]
        now = self.world.clock.now()
        self._on_quorum(self._quorum.handle(q.Total(len(blocks), True), now))
        ended = self._ends.before()
        self._on_quorum(self._quorum.handle(q.Abandoned(sorted(index for indices in ended.values() for index in indices)), now))
        self._on_dispatch(self._dispatch.handle(d.Pause("starting"), now))
        self._on_dispatch(self._dispatch.handle(d.AddBlocks(0, len(blocks), sizes), now))
        for state in sorted(ended):
            self._on_dispatch(self._dispatch.handle(d.Decided(ended[state], d.BlockState[state.upper()]), now))
        for given in self._out.adopted:
            adopt = d.Adopt(given.number, given.worker, given.owner, given.indices, given.alone)
            self._on_dispatch(self._dispatch.handle(adopt, now))
        if self.record.state != "paused":
            self._on_dispatch(self._dispatch.handle(d.Resume(), now))
        if (why := self.record.cancelled_why()) is not None:  # said before the restart
            self._cancel(why, now)
        self._on_dispatch(self._dispatch.handle(d.Close(), now))
        self._tender(self.tender.begin(now))

    def _still_checking(self) -> bool:
        """Votes wait for the coordinator's own runs a while longer than the blocks do."""
        if self._checks_end is None:
            self._checks_end = self.world.clock.now() + CHECKS_S
        return self._quorum.checking and self.world.clock.now() < self._checks_end

    def _out_of_time(self) -> None:
        """A job has a time of its own, counted from its submission, over restarts."""
        limit = self.record.job.manifest.limits.job_s
        if self.world.clock.unix() - self.record.submitted_unix > limit:
            self._order(Order("cancel", f"the job's own limit of {limit:g} s is over"), self.world.clock.now())

    async def _wait(self) -> list[Item]:
        """What arrived, at most BATCH, or nothing when a machine wants to be woken."""
        wakes = [t for t in (self._dispatch.next_wakeup, self.tender.next_wakeup) if t is not None]
        pause = max(0.0, min(wakes) - self.world.clock.now()) if wakes else 1.0
        return await gather(self._inbox, pause, BATCH)

    async def _flush(self) -> None:
        """Say what promises nothing at once; hand the rest to the committer, which says it after its commit."""
        soft = self._out.take_soft()
        puts, blobs = self._ends.take()
        puts, self._proofs.puts = puts + self._proofs.puts, []
        posts, self._posts = self._posts, []
        if soft:
            await self.world.journal.commit(soft, durable=False)
        for session, message in posts:
            if not isinstance(message, PROMISES):
                session.post(message)
        await self._committer.hand(Batch(puts, [post for post in posts if isinstance(post[1], PROMISES)], blobs))

    def _changed(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _take(self, item: Item) -> None:
        now = self.world.clock.now()
        match item:
            case Said(session=session, message=message):
                try:
                    self._said(session, message, now)
                except PeerError as error:
                    log.warning("worker %s: %s", session.identity.node, error.message)
                    self.world.directory.charge(session.identity.node, 20, error.message)
                    session.lost.set()
                    self._lost(session, error.message, now)
            case Lost(session=session):
                self._lost(session, "its session ended", now)
            case Fetched():
                self._fetched(item, now)
            case Order():
                self._order(item, now)
            case _:
                self._on_quorum(self._quorum.handle(item, now))

    def _said(self, session: Session, message: Message, now: float) -> None:
        peer = session.identity.node
        match message:
            case Interest():
                if (old := self.sessions.get(peer, session)) is not session:
                    self._lost(old, "it came back on another session", now)
                self.sessions[peer] = session
                self._tender(self.tender.interest(session, now))
            case Offered(bid=sealed):
                self._tender(self.tender.bid(session, codec.open_bid(sealed), now))
            case NoThanks(reasons=reasons):
                self._tender(self.tender.no(session, reasons, now))
                self._on_dispatch(self._dispatch.handle(d.WorkerLeft(peer, "it withdrew"), now))
            case Returned():
                self._returned(session, message, now)
            case HandBack(assignment=assignment, no=no):
                given = self._out.by_id.get(assignment)
                if given is None or given.worker != peer:
                    session.idle_talk()
                else:
                    self._drop(given)
                    self._on_dispatch(self._dispatch.handle(d.HandedBack(given.number, no.detail), now))
            case Progress(assignment=assignment, index=index, log=text):
                given = self._out.by_id.get(assignment)
                if given is None or given.worker != peer or not self.logs.add(index, peer, text, given.indices):
                    session.idle_talk(len(text))
            case _:
                pass

    def _lost(self, session: Session, why: str, now: float) -> None:
        peer = session.identity.node
        if self.sessions.get(peer) is not session:
            return
        del self.sessions[peer]
        if peer in self.board.workers:
            self.board.workers[peer].state = "lost"
        for given in self._out.of(peer):
            self.board.over(peer, list(given.indices))
        self._on_dispatch(self._dispatch.handle(d.WorkerLeft(peer, why), now))
        self._tender(self.tender.lost(peer, now))

    def _order(self, order: Order, now: float) -> None:
        if order.what == "cancel":
            self._amend(AmendmentKind.CANCEL, order.why[:200])
            self._cancel(order.why, now)
        elif order.what == "pause" and self.record.state != "paused":
            self._pause(order.why or "paused by its requester", now)
        elif order.what == "resume" and self.record.state == "paused":
            self.record.state, self.record.reason = "running", ""
            self._amend(AmendmentKind.RESUME, "")
            self._on_quorum(self._quorum.handle(q.Resume(), now))
            self._on_dispatch(self._dispatch.handle(d.Resume(), now))

    def _cancel(self, why: str, now: float) -> None:
        self._early = why
        self._on_dispatch(self._dispatch.handle(d.Cancel(why or "cancelled"), now))

    def _pause(self, why: str, now: float) -> None:
        self.record.state, self.record.reason = "paused", why
        self._amend(AmendmentKind.PAUSE, why[:200])
        self._on_dispatch(self._dispatch.handle(d.Pause(why), now))

    def _amend(self, kind: AmendmentKind, reason: str, draw_secret: bytes = b"") -> None:
        """Sign the next link, keep it, and tell every worker."""
        record = self.record
        self._ends.puts += [record.link(kind, reason, draw_secret, self.world.keys.node), record.put()]
        self._posts += [(session, Amended(record.amendments[-1])) for session in self.sessions.values()]

    # -- results ------------------------------------------------------------------------------------------------------

    def _returned(self, session: Session, message: Returned, now: float) -> None:
        peer, result = session.identity.node, codec.open_result(message.result)
        self._proofs.look(peer, self.tender.certified_owner(peer), result, message.result)
        given = self._out.by_id.get(result.assignment)
        if given is None:
            session.idle_talk()
            self._posts.append((session, Acknowledged(result.assignment)))
            return
        if given.worker != peer:
            raise Malformed("a result for somebody else's assignment")
        try:
            whole = given.collect(result, message, self.record.job.manifest.limits.output_bytes)
            self._proofs.took(result, message.result)
            blobs = [output.blob for output in given.outputs if output.blob is not None]
            if blobs or not whole:
                make_room(self._out.by_id.values(), given, whole)
        except PeerError as error:
            self._spoiled(given, error.message, now)
            return
        if whole and blobs and not given.fetching:
            given.fetching = True
            self._spawn(self._errands.fetch, given)
        elif whole and not blobs:
            self._fetched(Fetched(given, {}), now)

    def _fetched(self, item: Fetched, now: float) -> None:
        given = item.given
        if self._out.by_id.get(given.id) is not given:
            return
        if item.failed:
            self._drop(given)
            self._on_dispatch(self._dispatch.handle(d.HandedBack(given.number, item.failed), now))
            return
        try:
            inside = given.opened(item.outputs)
            for output in given.outputs:
                if output.data is not None:
                    check_output(output.data)
        except PeerError as error:
            self._spoiled(given, error.message, now)
            return
        self._drop(given, returned=True)
        self._experience.add(given.worker, finished=1)
        for index, replica in self._ends.keep(given):
            if replica.log and not self.logs.followed(index, given.worker):
                self.logs.add(index, given.worker, replica.log, given.indices)
        done = d.UnitReturned(given.number, given.wall_s(), given.environment_failures())
        for effect in self._dispatch.handle(done, now):
            if isinstance(effect, d.Deliver):
                self._deliver(effect, given, inside, now)
            else:
                self._on_dispatch([effect])
        session = self.sessions.get(given.worker)
        if session is not None:
            self._posts.append((session, Acknowledged(given.id)))

    def _deliver(self, effect: d.Deliver, given: Given, inside: list[Digest], now: float) -> None:
        assert given.result is not None
        outputs = given.outputs
        arrived = q.Arrived(
            given.worker, effect.owner, given.result.fingerprint, effect.indices,
            [inside[p] for p in effect.positions], [outputs[p].data for p in effect.positions], effect.alone,
        )  # fmt: skip
        self._on_quorum(self._quorum.handle(arrived, now))

    def _spoiled(self, given: Given, why: str, now: float) -> None:
        """The worker broke its own commitment or returned other blocks: an invalid replica."""
        self._drop(given)
        self.world.directory.charge(given.worker, 20, why)
        self.board.voted(given.worker, Verdict.INVALID, given.indices)
        self._on_dispatch(self._dispatch.handle(d.Spoiled(given.number, why), now))

    def _drop(self, given: Given, returned: bool = False) -> None:
        self._out.drop(given)
        if returned:
            self.board.returned(given, self.world.clock.now())
        else:
            self.board.over(given.worker, list(given.indices))

    # -- what dispatch wants ------------------------------------------------------------------------------------------

    def _on_dispatch(self, effects: Sequence[d.Effect]) -> None:
        now = self.world.clock.now()
        for effect in effects:
            match effect:
                case d.Assign():
                    self._assign(effect)
                case d.Revoke(unit=unit, worker=worker, why=why):
                    self._revoke(unit, worker, why)
                case d.RerunLost(index=index, worker=worker):
                    self._on_quorum(self._quorum.handle(q.RerunLost(index, worker), now))
                case d.NoReplica(indices=indices):
                    self._on_quorum(self._quorum.handle(q.NoReplica(indices), now))
                case d.BlockFailed(index=index, why=why):
                    self._ends.without_result(index, End("failed", words=why), now)
                    self._on_quorum(self._quorum.handle(q.Abandoned([index]), now))
                case d.Avoid(worker=worker, why=why):
                    self._tender(self.tender.avoid(worker, why, now))
                case d.JobDone(why=why):
                    self._early = self._early or why
                case _:
                    pass

    def _assign(self, effect: d.Assign) -> None:
        session = self.sessions.get(effect.worker)
        if session is None:
            return  # its lease runs out, or WorkerLeft is on its way
        given, message = hand_out(self.world, self.record, effect, self.tender.owner_of(effect.worker))
        self._out.add(given)
        self.board.given(effect.worker, list(given.indices))
        self._posts.append((session, message))
        if self.record.state == "waiting":
            self.record.state = "running"
            self._ends.puts.append(self.record.put())

    def _revoke(self, number: int, worker: NodeId, why: str) -> None:
        given = self._out.by_number.get(number)
        if given is None:
            return
        if why == "the lease is over":
            self.board.expired += 1
            self.board.over(worker, list(given.indices))
            self._experience.add(worker, lost=1)
        else:
            self._drop(given)  # an expired unit may still come back; one that nobody waits for is forgotten
        if worker in self.sessions:
            self._posts.append((self.sessions[worker], Revoke(given.id)))

    # -- what quorum wants --------------------------------------------------------------------------------------------

    def _on_quorum(self, effects: Sequence[q.Effect]) -> None:
        now = self.world.clock.now()
        for effect in effects:
            match effect:
                case q.Agreed(indices=indices):
                    state = self._ends.agreed(effect, now)
                    if state == "failed" and not self.record.job.manifest.keep_errors:
                        self._early = f"block {indices[0]} failed, and the job says on_error: stop"
                    self._on_dispatch(self._dispatch.handle(d.Decided(indices, d.BlockState[state.upper()]), now))
                case q.Voted():
                    self._ends.voted(effect, self._quorum.differences)
                case q.NeedReplicas(index=index, count=count, alone=alone, avoid_owners=avoid):
                    self._on_dispatch(self._dispatch.handle(d.MoreReplicas(index, count, alone, avoid), now))
                case q.Rerun(index=index, workers=workers):
                    self._on_dispatch(self._dispatch.handle(d.RunAgain(index, workers), now))
                case q.SelfCheck(index=index):
                    self._spawn(self._errands.check, index)
                case q.FetchOutput():
                    self._spawn(self._errands.load_output, effect, self._ends.kept(effect.index, effect.worker))
                case q.Disputed(index=index, words=text, workers=workers):
                    self.board.disputed(index, text, [], "disputed")
                    self._ends.without_result(index, End("disputed", words=text, workers=workers), now)
                    self._on_dispatch(self._dispatch.handle(d.Decided([index], d.BlockState.DISPUTED), now))
                case q.JobNondeterministic(words=text):
                    self._pause(text, now)
                case q.CoalesceOff():
                    self.board.coalesce = False
                    self._amend(AmendmentKind.COALESCE_OFF, "")
                    self._on_dispatch(self._dispatch.handle(d.CoalesceOff(), now))

    def _spawn(self, errand: Callable[..., Awaitable[None]], *arguments: object) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(errand, *arguments)

    # -- the market ---------------------------------------------------------------------------------------------------

    def _tender(self, joined: list[d.WorkerJoined] | None) -> None:
        """Carry what the auction wants; None: only time passed."""
        now = self.world.clock.now()
        if joined is None:
            joined = self.tender.tick(now, self.board, self._dispatch.observed())
            if (reach := self.tender.reach(now)) is not None:
                self._on_dispatch(self._dispatch.handle(reach, now))
            if self.record.state != "paused":
                self.record.reason = self.tender.waits_for()
        out, self.tender.out = self.tender.out, []
        self._posts += [(self.sessions[node], message) for node, message in out if node in self.sessions]
        for event in joined:  # after Engaged is queued: an assignment must not overtake it
            self.tender.show(event.worker, self.board)
            self._on_dispatch(self._dispatch.handle(event, now))
        announcing, self.tender.announcing = self.tender.announcing, []
        for announcement in announcing:
            self._spawn(self.tender.announce, announcement)

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _finish(self, conclude: Callable[[JobRecord], Awaitable[None]]) -> None:
        """Close the chain, say goodbye, write what is left of the votes, keep the report."""
        record = self.record
        cancelled = self.board.ended["cancelled"] or sum(self.board.ended.values()) < len(record.blocks)
        bad = self.board.ended["failed"] or self.board.ended["disputed"]
        await self._committer.settled()  # the answer is made of what the journal holds
        await conclude(record)
        stopped = bad and not record.job.manifest.keep_errors
        record.state = "cancelled" if cancelled and not stopped else "failed" if bad else "settled"
        record.reason = self._early
        self._ends.puts += self._out.forget()
        self.tender.end(self.world.clock.now())
        entries = await self._scribe.close_job(record.id)
        record.report = dict(self.board.report(self.world, entries)) | {"status": dict(self.status()), "why": dict(self.tender.why())}
        self._amend(AmendmentKind.CLOSE, "", record.draw_secret)
        self._posts += [(session, Finished(record.id)) for session in self.sessions.values()]
        self._ends.puts += self._experience.puts(list(self.board.workers))
        await self._flush()
