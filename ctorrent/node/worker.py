"""The worker: hears announcements, dials requesters, says what fits and what does not, and runs what it is given.

A worker dials; requesters never do. It dials after a random delay and only with a probability that matches the bids
wanted, so that one announcement among thousands of nodes is no stampede.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from functools import partial
from weakref import WeakValueDictionary

import trio

from ctorrent.errors import CTorrentError, DiskFull, PeerError, Unavailable, Unsupported, leaves
from ctorrent.market.answer import dial_after
from ctorrent.model.ids import Digest, JobId, NodeId, Ring, show_job
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.session import (
    Describe,
    Message,
    NoThanks,
    Offered,
)
from ctorrent.model.trade import Announcement, Bid, No, NoReason
from ctorrent.node import loopback
from ctorrent.node.about import about
from ctorrent.node.cells import Cells
from ctorrent.node.engagement import CREDIT_PER_SLOT, Engagement
from ctorrent.node.installs import Installs
from ctorrent.node.lie import Liar
from ctorrent.node.line import OFFERED_MAX, Line
from ctorrent.node.owed import Owed
from ctorrent.node.patience import Patience
from ctorrent.node.people import People
from ctorrent.node.seeder import Seeder
from ctorrent.node.session import Session, introduce
from ctorrent.node.share import Share
from ctorrent.node.stock import Stock
from ctorrent.node.world import World
from ctorrent.ports import Channel, Handler
from ctorrent.wire import codec, names

log = logging.getLogger(__name__)

JOBS_HEARD = 4096  # highest round per job; the oldest is forgotten first
REDIAL_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)  # then the engagement is given up; results are kept
HAND_OVER_S = (0.1, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)  # between tries to reach a requester that is owed results
BIDS_BELIEVED = 64  # of an announcement's wish: what our own auction asks for at most; more would be a stampede
ANNOUNCED_BURST, ANNOUNCED_PER_S = 256, 4.0  # by one author: a hundred open jobs, each announced ever more rarely
ANSWERS_MAX, ANSWERS_A_REQUESTER = 512, 32  # announcements being answered at once
RECORD_BURST, RECORD_PER_S = 16, 0.5  # dials at addresses that an announcement names: nobody is to aim this node
STRANGERS_MAX, STRANGER_MAX = 12, 6  # jobs of strangers, and of one: of share.JOBS_MAX, the rest waits for friends
IDLE_S = 600.0  # then a stranger's job without work gives up its place
LEAVING = "its owner is stopping it"
NOT_LENT = "its owner needs the machine now"
ASKED_AGAIN_MAX = 64  # announcements, when the machine is lent again: others are announced anew
RETRY_MAX_S = 120.0  # a requester may ask for patience, not for ever


class Worker:
    """One per node that shares anything."""

    def __init__(
        self, world: World, people: People, seeder: Seeder, cells: Cells, share: Share, installs: Installs,
        own: Handler, lie: float, rng: random.Random,
    ) -> None:  # fmt: skip
        self.world, self._people, self._seeder, self._cells, self.share = world, people, seeder, cells, share
        self._own, self._rng, self._installs = own, rng, installs
        installs.ask_again, installs.say = self._ask_again, self._say
        installs.in_use = lambda: [engagement.environment.name for engagement in self.engagements.values()]
        self._liar = Liar(lie) if lie else None
        self._stock = Stock(world, cells, self._say, self._ask_again)
        self._heard: dict[JobId, Announcement] = {}
        self._cannot: dict[JobId, No] = {}  # jobs whose cell could not be made here
        self._lines: dict[NodeId, Line] = {}
        self._dials: WeakValueDictionary[NodeId, trio.Lock] = WeakValueDictionary()  # one session a requester
        self._announced = Patience(ANNOUNCED_BURST, ANNOUNCED_PER_S)
        self._records = Patience(RECORD_BURST, RECORD_PER_S, kept=1)
        self._answering: Counter[NodeId] = Counter()
        self._retrying: set[JobId] = set()
        self._nursery: trio.Nursery | None = None
        self._owed = Owed(world.journal, world.clock)
        self._handing: dict[NodeId, None] = {}  # requesters that something is being handed over to
        self._handed: dict[Digest, JobId] = {}  # what was handed over outside of engagements and not acknowledged yet
        self.engagements: dict[JobId, Engagement] = {}
        self._leaving = False  # this node is being stopped: nothing new is taken

    async def run(self) -> None:
        """Answer announcements for as long as the node runs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._owed.tidy()
            for requester in self._owed.requesters():
                nursery.start_soon(self._hand_over, requester)
            while True:
                await trio.sleep(IDLE_S / 10)
                self._end_idle()

    def _end_idle(self) -> None:
        """A stranger may not keep a warm cell for work that never comes."""
        for engagement in list(self.engagements.values()):
            if owes := self.share.credit.refuses(self._people.known.get(engagement.job.manifest.requester), engagement.rate.price):
                engagement.withdraw(owes)
            if self._is_stranger(engagement.job.manifest.requester) and engagement.idle_s() > IDLE_S:
                if engagement.session is not None:
                    engagement.session.post(NoThanks(engagement.id, (No(NoReason.BUSY, "there was no work"),)))
                engagement.over.set()

    # -- leaving ------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take nothing new; what has not begun goes back to its requester."""
        self._leaving = True
        for engagement in self.engagements.values():
            engagement.leave(LEAVING)

    def lay_down(self) -> None:
        """The owner wants the machine back: all that runs goes back to its requesters now."""
        for engagement in list(self.engagements.values()):
            for assignment in engagement.lay_down(No(NoReason.ABSTAINS, NOT_LENT)):
                self._handed[assignment] = engagement.id  # who has it will say so, and there is no engagement to hear it
        self._stock.stop()
        self._installs.stop()

    def look_again(self) -> None:
        """The machine is lent again: ask about what was announced meanwhile and before, the newest first."""
        for announcement in list(self._heard.values())[: -ASKED_AGAIN_MAX - 1 : -1]:
            if self._nursery is not None and announcement.job not in self.engagements:
                self._nursery.start_soon(self._answer, announcement)

    def owes(self) -> dict[NodeId, int]:
        """Results that their requesters do not have, by requester."""
        return {node: sum(map(len, jobs.values())) for node, jobs in self._owed.requesters().items()}

    def sessions(self) -> dict[NodeId, Session]:
        """With connected requesters."""
        return {node: line.session for node, line in self._lines.items() if not line.session.lost.is_set()}

    # -- announcements ------------------------------------------------------------------------------------------------

    def check(self, ring: Ring, author: NodeId, message: bytes) -> bool:
        """Is this an announcement worth relaying? Anything else ends here and is counted against its author."""
        try:
            announcement = codec.open_announcement(codec.decode_sealed(message, names.ANNOUNCEMENT_BYTES_MAX))
        except PeerError as error:
            self.world.directory.charge(author, 10, error.message)
            return False
        if announcement.ring != ring or announcement.requester != author:
            return False
        return self._announced.take(author, self.world.clock.now())

    def hear(self, message: bytes) -> None:
        """An announcement that passed check()."""
        announcement = codec.open_announcement(codec.decode_sealed(message, names.ANNOUNCEMENT_BYTES_MAX))
        heard = self._heard.get(announcement.job)
        if self._leaving or (heard is not None and heard.round >= announcement.round):
            return  # a replay, or an echo
        self._heard.pop(announcement.job, None)
        self._heard[announcement.job] = announcement
        while len(self._heard) > JOBS_HEARD:
            del self._heard[next(iter(self._heard))]
        engagement = self.engagements.get(announcement.job)
        busy = self._answering.total() >= ANSWERS_MAX or self._answering[announcement.requester] >= ANSWERS_A_REQUESTER
        wanted = self.share.on and (engagement is None or not engagement.engaged)
        if wanted and self._nursery is not None and not busy:
            self._nursery.start_soon(self._answer, announcement)

    async def _answer(self, announcement: Announcement) -> None:
        requester, pause = announcement.requester, 0.0
        if requester != self.world.node:
            audience = len(self.world.directory.contacts())  # the unconnected hear it too, from others
            wait = dial_after(min(BIDS_BELIEVED, announcement.bids_wanted), audience, self._rng)
            if wait is None:
                return
            pause = wait
        self._answering[requester] += 1
        try:
            await trio.sleep(pause)
            (await self._line(requester, announcement.peer_record)).ask(announcement.job, announcement.round)
        except CTorrentError as error:
            if isinstance(error, PeerError) and not isinstance(error, Unsupported):
                self.world.directory.charge(requester, 20, error.message)
            log.info("job %s: %s", name := show_job(announcement.job), error.message, extra={"job": name})
        finally:
            self._answering[requester] -= 1
            if not self._answering[requester]:
                del self._answering[requester]

    async def _ask_again(self, requester: NodeId, job: JobId) -> None:
        """What kept this node from a job is mended."""
        heard = self._heard.get(job)
        try:
            (await self._line(requester, heard.peer_record if heard else b"")).ask(job, heard.round if heard else 0)
        except CTorrentError as error:
            log.info("job %s: %s", name := show_job(job), error.message, extra={"job": name})

    def _say(self, requester: NodeId, job: JobId, no: No) -> None:
        """Tell a requester how a refusal stands now, if it is there to hear it."""
        if requester in self._lines:
            self._lines[requester].session.post(NoThanks(job, (no,)))

    async def _line(self, requester: NodeId, record: bytes) -> Line:
        """The session with a requester, made when there is none."""
        async with self._dials.setdefault(requester, trio.Lock()):
            line = self._lines.get(requester)
            if line is None or line.session.lost.is_set():
                line = await self._dial(requester, record)
            return line

    async def _dial(self, requester: NodeId, record: bytes) -> Line:
        assert self._nursery is not None
        if requester == self.world.node:
            mine, served = loopback.pair(requester)
            self._nursery.start_soon(self._own, served)
            channel: Channel = mine
        else:
            channel = await self._open(requester, record)
        session = await introduce(channel, self._people)
        line = Line(self, session, record)
        self._lines[requester] = line
        self._hand_all(line, requester)  # before anything is bid for: what is done already must not be given out again
        self._nursery.start_soon(line.run)
        return line

    async def _open(self, requester: NodeId, record: bytes) -> Channel:
        try:
            return await self.world.streams.open(requester, names.SESSION)
        except Unavailable:
            if not record or not self._records.take("", self.world.clock.now()):
                raise
            await self.world.directory.connect_record(record, requester)
            return await self.world.streams.open(requester, names.SESSION)

    # -- one job ------------------------------------------------------------------------------------------------------

    def described(self, line: Line, message: Describe) -> Message:
        """Look at a job closely: a bid, or the typed reasons for none. Raises PeerError when it is not what it says."""
        job = codec.open_manifest(message.manifest)
        if job.id != message.job or job.manifest.requester != line.session.identity.node:
            raise PeerError("a description of another job")
        engagement = self.engagements.get(job.id)
        if job.id in self._cannot:
            return NoThanks(job.id, (self._cannot[job.id],))
        if engagement is None and self._leaving:
            return NoThanks(job.id, (No(NoReason.BUSY, LEAVING),))
        if self._owed.is_closed(job.id):
            return NoThanks(job.id, (No(NoReason.OTHER, "the job was closed before"),))
        if engagement is None and self._is_stranger(job.manifest.requester) and self._strangers_fill(job.manifest.requester):
            return NoThanks(job.id, (No(NoReason.BUSY, "places are kept for friends"),))
        if engagement is None:
            found = self.share.judge(job.manifest, line.session.identity)
            if not isinstance(found, EnvironmentInfo):
                return NoThanks(job.id, self._installs.consider(job, line.session.identity, found))
            assert self._nursery is not None
            waits = self._stock.no(job, self._is_stranger(job.manifest.requester), self._nursery)
            if waits is not None:
                return NoThanks(job.id, (waits,))
            engagement = Engagement(self.world, self._seeder, self._cells, job, found, self.share, self._liar)
        engagement.rate = self.share.rate(job, line.session.identity, message.job_secret)
        engagement.waits = partial(self.share.credit.waits, line.session.identity)
        for amendment in message.amendments:
            engagement.amended(amendment)
        line.offered[job.id] = engagement
        while len(line.offered) > OFFERED_MAX:
            del line.offered[next(iter(line.offered))]
        return Offered(codec.seal_bid(self._bid(engagement, message.nonce), self.world.keys.node))

    def _bid(self, engagement: Engagement, nonce: bytes) -> Bid:
        slots = self.share.slots_for(engagement.job.manifest.needs)
        engagement.slots = slots
        return Bid(
            job=engagement.id, worker=self.world.node, session_nonce=nonce, slots=slots,
            credit=slots * CREDIT_PER_SLOT, fingerprint=engagement.environment.fingerprint,
            isolation=self.world.sandbox.level.value, hardware_class=self.world.hardware_class,
            speed_gflops=engagement.rate.gflops, price=engagement.rate.price,
            amendment_head=engagement.head,
        )  # fmt: skip

    def _is_stranger(self, requester: NodeId) -> bool:
        known = self._people.known.get(requester)
        return requester != self.world.node and not self._people.is_friend(known.owner if known else None)

    def _strangers_fill(self, requester: NodeId) -> bool:
        """Do strangers, or this one, have all the places that strangers may have?"""
        theirs = [one.job.manifest.requester for one in self.engagements.values()]
        return theirs.count(requester) >= STRANGER_MAX or sum(map(self._is_stranger, theirs)) >= STRANGERS_MAX

    def engage(self, line: Line, job: JobId) -> None:
        """The coordinator took the bid."""
        engagement = line.offered.pop(job, None)
        if engagement is None:
            return
        requester = engagement.job.manifest.requester
        if job not in self.engagements:
            if self._leaving or not self.share.on:
                no = No(NoReason.BUSY, LEAVING) if self._leaving else No(NoReason.ABSTAINS, NOT_LENT)
                line.session.post(NoThanks(job, (no,)))
                return
            full = self._is_stranger(requester) and self._strangers_fill(requester)
            taken = None if full else self.share.take(job, engagement.job.manifest.needs, engagement.slots)
            if taken is None:
                line.session.post(NoThanks(job, (No(NoReason.BUSY),)))
                return
            engagement.gpus = taken
            self.engagements[job] = engagement
            assert self._nursery is not None
            self._nursery.start_soon(self._work, engagement)
        self.engagements[job].reengaged(line.session)

    async def _work(self, engagement: Engagement) -> None:
        with about(show_job(engagement.id)):
            log.info("job %s: works for %s", show_job(engagement.id), engagement.job.manifest.requester)
            try:
                await engagement.run()
            except* CTorrentError as group:
                self._withdraw(engagement, leaves(group))
            except* Exception:  # the outermost edge of one job: what it met must not end the others
                log.exception("job %s ended by an error of ours", show_job(engagement.id))
                self._cannot[engagement.id] = No(NoReason.OTHER, "an error inside ctorrent")
            finally:
                self.share.release(engagement.id)
                self.engagements.pop(engagement.id, None)

    def _withdraw(self, engagement: Engagement, errors: list[CTorrentError]) -> None:
        """There is no cell. What may be otherwise in a moment is not held against the job."""
        reason = "; ".join(str(error) for error in errors)[:200]
        log.warning("job %s: %s", show_job(engagement.id), reason)
        no = No(NoReason.ISOLATION, reason)
        if any(isinstance(error, PeerError) for error in errors):
            no = No(NoReason.OTHER, reason)
            self.world.directory.charge(engagement.job.manifest.requester, 20, reason)
        elif all(isinstance(error, Unavailable) for error in errors):
            no = No(NoReason.BUSY, reason)
        elif any(isinstance(error, DiskFull) for error in errors):
            no = No(NoReason.DISK, reason)
        if no.reason not in (NoReason.BUSY, NoReason.DISK):
            self._cannot[engagement.id] = no
        while len(self._cannot) > JOBS_HEARD:
            del self._cannot[next(iter(self._cannot))]
        if engagement.session is not None:
            engagement.session.post(NoThanks(engagement.id, (no,)))

    async def lost(self, line: Line) -> None:
        """A session ended. Dial again while it has jobs here; give them up after the last try."""
        if self._lines.get(line.session.identity.node) is line:
            del self._lines[line.session.identity.node]
        jobs = [job for job, engagement in self.engagements.items() if engagement.session is line.session]
        for job in jobs:
            self.engagements[job].engaged = False
        for pause in REDIAL_S:
            if not any(job in self.engagements for job in jobs):
                break
            await trio.sleep(pause)
            try:
                fresh = await self._line(line.session.identity.node, line.record)
            except CTorrentError:
                continue
            for job in jobs:
                if job in self.engagements:
                    fresh.ask(job, 0)
            return
        for job in jobs:
            if job in self.engagements:
                self.engagements[job].over.set()
        await self._hand_over(line.session.identity.node)

    async def _hand_over(self, requester: NodeId) -> None:
        """Bring a requester what it is owed, as soon as it can be reached; whether it still wants it is its business."""
        if requester in self._handing:
            return
        self._handing[requester] = None
        pauses = iter(HAND_OVER_S)
        while requester in self._owed.requesters():
            await trio.sleep(next(pauses, HAND_OVER_S[-1]))
            try:
                line = await self._line(requester, b"")
            except CTorrentError:
                continue
            await line.session.lost.wait()
        del self._handing[requester]

    def _hand_all(self, line: Line, requester: NodeId) -> None:
        """What comes of it: an acknowledgement of each, or word that the job is over."""
        for job, results in self._owed.requesters().get(requester, {}).items():
            line.ask(job, 0)
            for assignment, frames in results.items():
                self._handed[assignment] = job
                for frame in frames:
                    line.session.post(frame)

    async def acknowledged(self, requester: NodeId, assignment: Digest) -> None:
        """A requester has a result, whether or not there is an engagement for its job now."""
        for engagement in list(self.engagements.values()):
            if engagement.job.manifest.requester == requester:
                await engagement.acknowledged(assignment)
        job = self._handed.pop(assignment, None)
        if job is not None and self._owed.requester_of(job) == requester:
            await self._owed.delivered(job, assignment, requester)

    async def over(self, requester: NodeId, job: JobId) -> None:
        """The requester says that its job has ended: nothing of it is of interest to anybody."""
        engagement = self.engagements.get(job)
        self._stock.forget(job, requester)
        if engagement is not None and engagement.job.manifest.requester == requester:
            engagement.over.set()
        await self.share.credit.earnings.closed(job, requester)
        if self._owed.requester_of(job) == requester:
            await self._owed.closed(job)

    def again(self, requester: NodeId, job: JobId, after_s: float) -> None:
        """A coordinator was full: ask once more later, if the job is still announced."""
        heard = self._heard.get(job)
        if heard is not None and heard.requester == requester and job not in self._retrying and self._nursery is not None:
            self._retrying.add(job)
            self._nursery.start_soon(self._once_more, job, after_s)

    async def _once_more(self, job: JobId, after_s: float) -> None:
        await trio.sleep(min(RETRY_MAX_S, max(1.0, after_s)) * (0.5 + self._rng.random()))
        self._retrying.discard(job)
        heard = self._heard.get(job)
        if heard is not None and job not in self.engagements:
            await self._answer(heard)
