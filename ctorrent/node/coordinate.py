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
from ctorrent.errors import PeerError
from ctorrent.model.entry import job_tag
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import AmendmentKind
from ctorrent.model.session import (
    Acknowledged,
    Amended,
    Billed,
    Finished,
    Message,
    Revoke,
)
from ctorrent.model.status import JobStatus
from ctorrent.node.bench import Bench
from ctorrent.node.billing import Bills
from ctorrent.node.commits import Batch, Committer
from ctorrent.node.ends import Ends
from ctorrent.node.errands import Errands
from ctorrent.node.experience import Experience
from ctorrent.node.growth import OPEN, Growth, sizes_of
from ctorrent.node.hearing import Hearing
from ctorrent.node.items import Fetched, Grow, Item, Lost, Order, Said, Stored, gather
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.node.learned import Learned
from ctorrent.node.logbook import Logbook
from ctorrent.node.memory import Memory
from ctorrent.node.ownproof import OwnProofs
from ctorrent.node.people import People
from ctorrent.node.policy import dispatch_of, is_audited, votes_of
from ctorrent.node.progress import Progress as ProgressBoard
from ctorrent.node.proofs import Proofs
from ctorrent.node.resume import restore
from ctorrent.node.returned import Given, hand_out
from ctorrent.node.scribe import Scribe
from ctorrent.node.seeder import Seeder
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.session import Session
from ctorrent.node.tender import Tender
from ctorrent.node.underway import UnderWay
from ctorrent.node.world import World
from ctorrent.ports import Put
from ctorrent.verify import words as q
from ctorrent.verify.comparer import Comparer
from ctorrent.verify.screen import Effect, Screen, Sides

log = logging.getLogger(__name__)

INBOX = 1024  # messages of all sessions: beyond it, sessions are read no further until the job caught up
CHECKS_S = 60.0  # after the last block: then votes that no self-check backs are dropped
BATCH = 256  # messages handled between two commits
PROMISES = (Acknowledged, Amended, Billed, Finished)  # said only after what they stand on is on the disk


class Coordination:
    """One open job of this node."""

    def __init__(
        self, world: World, people: People, scribe: Scribe, seeder: Seeder, record: JobRecord, selfrun: SelfRun,
        experience: Experience, rng: random.Random, bills: Bills,
    ) -> None:  # fmt: skip
        self.world, self.record = world, record
        self.changed = trio.Event()
        self.done = trio.Event()
        self.sessions: dict[NodeId, Session] = {}
        self.logs = Logbook(record.job.manifest.limits.log_bytes)
        self.board = ProgressBoard(record, world.clock.now(), world.clock.unix())
        self._scribe, self.experience = scribe, experience
        self._wavers = False  # its program gives now this and now that, and what was said of workers is to be withdrawn
        self._committer = Committer(world.journal, world.blobs, self._changed)
        self.errands = Errands(world, seeder, record, selfrun, self.tell)
        self.out = UnderWay(world.journal, record)
        self.dispatch = dispatch_of(record, self.out.first_number)
        verify, sides = record.job.manifest.verify, Sides(Comparer(record.job.manifest.verify))
        self.learned, self.audited = Learned(world.journal, record.id), is_audited(record.job.manifest)
        self._bench = Bench(self, selfrun)
        self.votes = Screen(verify, len(record.blocks), sides, votes_of(record, world.node, sides.compare), self._bench.place, world.clock.now())
        self._hearing, self.growth = Hearing(self), Growth(self)
        self.memory: Memory | None = None  # of what earlier jobs settled
        self.tender = Tender(world, people, scribe, experience, record, rng)
        self.billing = bills.of_job(record, self.tender)
        self._inbox_send, self._inbox = trio.open_memory_channel[Item](INBOX)
        self.own_proofs = OwnProofs(scribe, record, world.node)
        self.ends = Ends(world, scribe, record, self.board, self.tender)
        self.proofs = Proofs(world, self.ends.verdicts, record.id)
        self.posts: list[tuple[Session, Message]] = []
        self._early = ""  # why the job ends before all its blocks did
        self._nursery: trio.Nursery | None = None
        self._checks_end: float | None = None

    async def tell(self, item: Item) -> None:
        """Queue something for this job; waits while the inbox is full."""
        if not self.done.is_set():
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._inbox_send.send(item)

    def status(self) -> JobStatus:
        running = self.out.blocks(self.dispatch.running()) if self.record.open else 0
        state = self.record.state if self.record.open or self.done.is_set() else "running"  # its last records are under way
        found = self.board.status(self.world.clock.now(), state, running)
        if self.record.growing:
            found["notes"] = [*found["notes"], OPEN]
        return found

    @property
    def unheard(self) -> int:
        """Messages that wait."""
        return self._inbox.statistics().current_buffer_used

    def gave(self, assignment: Digest) -> bool:
        return assignment in self.out.by_id

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
            await self._bench.start()
            self._begin()
            while not self.dispatch.done or self._still_checking():
                await self._flush()
                self._changed()
                items = await self._wait()
                for item in items:
                    self._take(item)
                self.on_dispatch(self.dispatch.handle(d.Tick(), self.world.clock.now()))
                self.on_votes(self.votes.tick(self.world.clock.now()))
                self.feed_tender(None)
                self._post_bills()
                self.growth.look(self.world.clock.now())
                self._out_of_time()
            await self._flush()
            nursery.cancel_scope.cancel()

    def _begin(self) -> None:
        """Tell the machines what there is, and what a run before a restart already decided."""
        blocks = self.record.blocks
        now = self.world.clock.now()
        ended = self.ends.before()
        self.on_dispatch(self.dispatch.handle(d.Pause("starting"), now))
        self.on_dispatch(self.dispatch.handle(d.AddBlocks(0, len(blocks), sizes_of(blocks)), now))
        for state in sorted(ended):
            self.on_dispatch(self.dispatch.handle(d.Decided(ended[state], d.BlockState[state.upper()]), now))
        self.on_votes(self.votes.handle(q.Abandoned(sorted(index for indices in ended.values() for index in indices)), now))
        restore(self, now)
        self.growth.total(now)
        for given in self.out.adopted:
            adopt = d.Adopt(given.number, given.worker, given.owner, given.indices, given.alone)
            self.on_dispatch(self.dispatch.handle(adopt, now))
        if self.record.state != "paused":
            self.on_dispatch(self.dispatch.handle(d.Resume(), now))
        if (why := self.record.cancelled_why()) is not None:  # said before the restart
            self._cancel(why, now)
        if not self.record.growing:
            self.on_dispatch(self.dispatch.handle(d.Close(), now))
        if not self.dispatch.done:  # else all was known before: nobody need hear of it
            self.feed_tender(self.tender.begin(now))

    def _still_checking(self) -> bool:
        """Votes wait for the coordinator's own runs a while longer than the blocks do."""
        if self._checks_end is None:
            self._checks_end = self.world.clock.now() + CHECKS_S
        return self.votes.checking and self.world.clock.now() < self._checks_end

    def _out_of_time(self) -> None:
        """A job has a time of its own, counted from its submission, over restarts."""
        limit = self.record.job.manifest.limits.job_s
        if self.world.clock.unix() - self.record.submitted_unix > limit:
            self._order(Order("cancel", f"the job's own limit of {limit:g} s is over"), self.world.clock.now())

    async def _wait(self) -> list[Item]:
        """What arrived, at most BATCH, or nothing when a machine wants to be woken."""
        wakes = [t for t in (self.dispatch.next_wakeup, self.tender.next_wakeup) if t is not None]
        pause = max(0.0, min(wakes) - self.world.clock.now()) if wakes else 1.0
        return await gather(self._inbox, pause, BATCH)

    async def _flush(self) -> None:
        """Say what promises nothing at once; hand the rest to the committer, which says it after its commit."""
        await self.own_proofs.publish()
        if self._wavers:
            self._wavers = False
            await self._scribe.withdraw(self.record.id)
        soft = self.out.take_soft()
        work = self.ends.work() if soft else []
        changed = self.votes.take_learned() if self.audited else ()
        for one in changed:
            if isinstance(one, q.Stands):
                self.ends.stands(one)
        puts, blobs = self.ends.take()
        puts += self.learned.puts(changed)
        puts, self.proofs.puts = puts + self.proofs.puts + self.billing.take(), []
        posts, self.posts = self.posts, []
        if soft:
            await self.world.journal.commit(soft + work, durable=False)
        for session, message in posts:
            if not isinstance(message, PROMISES):
                session.post(message)
        await self._committer.hand(Batch(puts, [post for post in posts if isinstance(post[1], PROMISES)], blobs, self.growth.handed()))

    def _changed(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _take(self, item: Item) -> None:
        now = self.world.clock.now()
        match item:
            case Said(session=session, message=message):
                try:
                    self._hearing.said(session, message, now)
                except PeerError as error:
                    log.warning("worker %s: %s", session.identity.node, error.message)
                    self.world.directory.charge(session.identity.node, 20, error.message)
                    session.lost.set()
                    self.lost(session, error.message, now)
            case Lost(session=session):
                self.lost(session, "its session ended", now)
            case Fetched():
                self._hearing.fetched(item, now)
            case Order():
                self._order(item, now)
            case Grow():
                self.growth.take(item)
            case Stored():
                self.growth.stored(item, now)
            case _:
                if isinstance(item, q.SelfChecked):
                    self.ends.own_print = item.fingerprint
                    self.own_proofs.ran(item)
                self.on_votes(self.votes.handle(item, now))

    def lost(self, session: Session, why: str, now: float) -> None:
        peer = session.identity.node
        if self.sessions.get(peer) is not session:
            return
        del self.sessions[peer]
        self.board.gone(peer)
        for given in self.out.of(peer):
            self.board.over(peer, list(given.indices))
        self.on_dispatch(self.dispatch.handle(d.WorkerLeft(peer, why), now))
        self.feed_tender(self.tender.lost(peer, now))

    def _order(self, order: Order, now: float) -> None:
        if order.what == "cancel":
            self._amend(AmendmentKind.CANCEL, order.why[:200])
            self._cancel(order.why, now)
        elif order.what == "seal":
            self.growth.seal(now)
        elif order.what == "pause" and self.record.state != "paused":
            self._pause(order.why or "paused by its requester", now)
        elif order.what == "resume" and self.record.state == "paused":
            self.record.state, self.record.reason = "running", ""
            self._amend(AmendmentKind.RESUME, "")
            self.on_votes(self.votes.handle(q.Resume(), now))
            self.on_dispatch(self.dispatch.handle(d.Resume(), now))

    def _cancel(self, why: str, now: float) -> None:
        self._early = why
        self.on_dispatch(self.dispatch.handle(d.Cancel(why or "cancelled"), now))

    def _pause(self, why: str, now: float) -> None:
        self.record.state, self.record.reason = "paused", why
        self._amend(AmendmentKind.PAUSE, why[:200])
        self.on_dispatch(self.dispatch.handle(d.Pause(why), now))

    def _amend(self, kind: AmendmentKind, reason: str, draw_secret: bytes = b"") -> None:
        """Sign the next link, keep it, and tell every worker."""
        self.amended(self.record.link(kind, reason, draw_secret, self.world.keys.node))

    def amended(self, put: Put) -> None:
        """Keep a link that was just signed, and tell every worker."""
        self.ends.puts += [put, self.record.put()]
        self.posts += [(session, Amended(self.record.amendments[-1])) for session in self.sessions.values()]

    def drop(self, given: Given, returned: bool = False) -> None:
        self.out.drop(given)
        if returned:
            self.board.returned(given, self.world.clock.now())
        else:
            self.board.over(given.worker, list(given.indices))

    # -- what dispatch wants ------------------------------------------------------------------------------------------

    def on_dispatch(self, effects: Sequence[d.Effect]) -> None:
        now = self.world.clock.now()
        for effect in effects:
            match effect:
                case d.Assign():
                    self._assign(effect)
                case d.Revoke(unit=unit, worker=worker, why=why):
                    self._revoke(unit, worker, why)
                case d.RerunLost(index=index, worker=worker):
                    self.on_votes(self.votes.handle(q.RerunLost(index, worker), now))
                case d.NoReplica(indices=indices):
                    self.on_votes(self.votes.handle(q.NoReplica(indices), now))
                case d.BlockFailed(index=index, why=why):
                    self.ends.without_result(index, End("failed", words=why), now)
                    self.on_votes(self.votes.handle(q.Abandoned([index]), now))
                case d.Avoid(worker=worker, why=why):
                    self.feed_tender(self.tender.avoid(worker, why, now))
                case d.JobDone(why=why):
                    self._early = self._early or why
                case _:
                    pass

    def _assign(self, effect: d.Assign) -> None:
        session = self.sessions.get(effect.worker)
        if session is None:
            return  # its lease runs out, or WorkerLeft is on its way
        given, message = hand_out(self.world, self.record, effect, self.tender.owner_of(effect.worker))
        self.out.add(given)
        self.board.given(effect.worker, list(given.indices))
        self.posts.append((session, message))
        if self.record.state == "waiting":
            self.record.state = "running"
            self.ends.puts.append(self.record.put())

    def _revoke(self, number: int, worker: NodeId, why: str) -> None:
        given = self.out.by_number.get(number)
        if given is None:
            return
        if why == "the lease is over":
            self.board.expired += 1
            self.board.over(worker, list(given.indices))
            self.experience.add(worker, lost=1)
        else:
            self.drop(given)  # an expired unit may still come back; one that nobody waits for is forgotten
        if worker in self.sessions:
            self.posts.append((self.sessions[worker], Revoke(given.id)))

    def _expelled(self, worker: NodeId, why: str, now: float) -> None:
        log.info("job %s: %s is expelled: %s", self.record.name, worker, why)
        self.own_proofs.expelled(worker)
        self.board.expelled(worker, why)
        self.on_dispatch(self.dispatch.handle(d.Exclude(worker, why), now))
        if worker not in self.dispatch.workers:  # of a life before a restart: it is not engaged again
            self.feed_tender(self.tender.avoid(worker, why, now))

    def _pardoned(self, worker: NodeId, now: float) -> None:
        """It may come again: the program gives now this and now that, and the person is told."""
        self.own_proofs.pardoned(worker)
        self.board.pardoned(worker)
        if worker not in self.learned.out:  # for what the check refused, it stays out
            self.on_dispatch(self.dispatch.handle(d.Readmit(worker), now))
            self.feed_tender(self.tender.pardon(worker, now))

    # -- what quorum wants --------------------------------------------------------------------------------------------

    def on_votes(self, effects: Sequence[Effect]) -> None:
        now = self.world.clock.now()
        for effect in effects:
            match effect:
                case q.Agreed(indices=indices):
                    state = self.ends.agreed(effect, now)
                    if not effect.provisional:
                        self.billing.settled(indices, effect.workers)
                    if state == "failed" and not self.record.job.manifest.keep_errors:
                        self._early = f"block {indices[0]} failed, and the job says on_error: stop"
                    self.on_dispatch(self.dispatch.handle(d.Decided(indices, d.BlockState[state.upper()]), now))
                case q.Voted():
                    self.ends.voted(effect, self.votes.differences)
                    self.own_proofs.voted(effect, self.ends.kept)
                case q.Settled(indices=indices):
                    self.ends.settled(effect, now)
                    self.billing.settled(indices, effect.workers)
                    self.on_dispatch(self.dispatch.handle(d.Decided(indices, d.BlockState.SETTLED), now))
                case q.NeedReplicas(index=index, count=count, alone=alone, avoid_owners=avoid, drawn=drawn):
                    self.on_dispatch(self.dispatch.handle(d.MoreReplicas(index, count, alone, avoid, drawn), now))
                case q.NextOwner(indices=indices):
                    self.on_dispatch(self.dispatch.handle(d.NextOwner(indices), now))
                case q.Standing(worker=worker, established=established):
                    self.on_dispatch(self.dispatch.handle(d.Standing(worker, established), now))
                case q.Expelled(worker=worker, why=why):
                    self._expelled(worker, why, now)
                case q.Pardoned(worker=worker):
                    self._pardoned(worker, now)
                case q.Rerun(index=index, workers=workers):
                    self.on_dispatch(self.dispatch.handle(d.RunAgain(index, workers), now))
                case q.SelfCheck(index=index):
                    self.spawn(self.errands.check, index)
                case q.RunTogether(index=index, worker=worker):
                    self.spawn(self.errands.together, index, worker, self.ends.unit_of(index, worker))
                case q.FetchOutput():
                    self.spawn(self.errands.load_output, effect, self.ends.kept(effect.index, effect.worker))
                case q.Disputed(index=index, words=text, workers=workers):
                    self.board.disputed(index, text, [], "disputed")
                    self.ends.without_result(index, End("disputed", words=text, workers=workers), now)
                    self.on_dispatch(self.dispatch.handle(d.Decided([index], d.BlockState.DISPUTED), now))
                case q.JobNondeterministic(words=text):
                    self._pause(text, now)
                    self._wavers = True
                case q.CoalesceOff():
                    self.board.coalesce = False
                    self._amend(AmendmentKind.COALESCE_OFF, "")
                    self.on_dispatch(self.dispatch.handle(d.CoalesceOff(), now))
                case _:
                    self._bench.on(effect, now)

    def _post_bills(self, last: bool = False) -> None:
        """Ask for signatures under what was settled; who is away is asked when it comes again."""
        bills = self.billing.bills(last)
        self.posts += [(self.sessions[worker], bill) for worker, bill in bills if worker in self.sessions]

    def spawn(self, errand: Callable[..., Awaitable[None]], *arguments: object) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(errand, *arguments)

    # -- the market ---------------------------------------------------------------------------------------------------

    def feed_tender(self, joined: list[d.WorkerJoined] | None) -> None:
        """Carry what the auction wants; None: only time passed."""
        now = self.world.clock.now()
        if joined is None:
            joined = self.tender.tick(now, self.board, self.dispatch.observed)
            fallen, self.tender.fallen = self.tender.fallen, []
            for node, why in fallen:
                self.on_dispatch(self.dispatch.handle(d.Exclude(node, why), now))
            if (reach := self.tender.reach(now)) is not None:
                self.on_dispatch(self.dispatch.handle(reach, now))
            if self.record.state != "paused":
                self.record.reason = self.tender.waits_for()
        out, self.tender.out = self.tender.out, []
        self.posts += [(self.sessions[node], message) for node, message in out if node in self.sessions]
        for event in joined:  # after Engaged is queued: an assignment must not overtake it
            self.tender.show(event.worker, self.board)
            self.on_dispatch(self.dispatch.handle(event, now))
            known = q.Known(event.worker, event.owner, self.tender.valid_of(event.worker))
            self.on_votes(self.votes.handle(known, now))  # after it joined: its standing is dispatch's to know
        announcing, self.tender.announcing = self.tender.announcing, []
        for announcement in announcing:
            self.spawn(self.tender.announce, announcement)

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
        self.ends.puts += [*self.out.forget(), *self.learned.forget()]
        self.tender.end(self.world.clock.now())
        entries = await self._scribe.close_job(record.id)
        record.report = dict(self.board.report(self.world, entries)) | {"status": dict(self.status()), "why": dict(self.tender.why())}
        self._amend(AmendmentKind.CLOSE, "", record.draw_secret)
        self._post_bills(last=True)
        self.posts += [(session, Finished(record.id)) for session in self.sessions.values()]
        self.ends.puts += self.experience.puts(list(self.board.workers))
        await self._flush()
