"""The worker's end of one session with a requester: messages in, actions out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from ctorrent.errors import PeerError, Unavailable
from ctorrent.model.ids import JobId
from ctorrent.model.session import (
    Acknowledged,
    Amended,
    Assign,
    Billed,
    Declined,
    Describe,
    Engaged,
    Finished,
    Interest,
    Message,
    Revoke,
)
from ctorrent.model.trade import NoReason
from ctorrent.node.engagement import Engagement
from ctorrent.node.session import Session
from ctorrent.wire import codec

if TYPE_CHECKING:
    from ctorrent.node.worker import Worker

log = logging.getLogger(__name__)

OFFERED_MAX = 256  # jobs of one requester that were asked about or bid for


class Line:
    """Of one requester."""

    def __init__(self, worker: Worker, session: Session, record: bytes) -> None:
        self.session, self.record = session, record
        self.offered: dict[JobId, Engagement] = {}
        self._asked: dict[JobId, None] = {}
        self._worker = worker

    def ask(self, job: JobId, number: int) -> None:
        """Say that a job is of interest; only such jobs may be described."""
        self._asked[job] = None
        while len(self._asked) > OFFERED_MAX:
            del self._asked[next(iter(self._asked))]
        self.session.post(Interest(job, number))

    async def run(self) -> None:
        peer = self.session.identity.node
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.session.pump)
            try:
                while not self.session.lost.is_set():
                    await self._on(await self.session.receive(), nursery)
            except Unavailable:
                pass
            except PeerError as error:
                log.warning("requester %s: %s", peer, error.message)
                self._worker.world.directory.charge(peer, 20, error.message)
            except Exception:  # the outermost edge of one session: the others go on
                log.exception("the session with requester %s failed", peer)
            self.session.lost.set()
            nursery.cancel_scope.cancel()
        await self._worker.lost(self)

    async def _on(self, message: Message, nursery: trio.Nursery) -> None:
        worker, peer = self._worker, self.session.identity.node
        if not isinstance(message, (Assign, Acknowledged, Revoke)):
            self.session.idle_talk()
        match message:
            case Describe(job=job) if job in self._asked:
                del self._asked[job]
                self.session.post(worker.described(self, message))
            case Engaged(job=job):
                worker.engage(self, job)
            case Declined(job=job, no=no, retry_s=retry_s):
                self.offered.pop(job, None)
                if retry_s > 0:
                    worker.again(peer, job, retry_s)
                elif no.reason is NoReason.FULL:  # it has no such open job
                    await worker.over(peer, job)
            case Assign():
                await self._assigned(message)
            case Acknowledged(assignment=assignment):
                await worker.acknowledged(peer, assignment)
            case Revoke(assignment=assignment):
                for engagement in list(worker.engagements.values()):
                    if engagement.session is self.session:
                        engagement.revoke(assignment)
            case Amended(amendment=sealed):
                job = codec.open_amendment(sealed, peer).job
                if job in worker.engagements:
                    worker.engagements[job].amended(sealed)
            case Finished(job=job):
                await worker.over(peer, job)
            case Billed() if (signed := await worker.share.credit.earnings.billed(peer, message)) is not None:
                self.session.post(signed)
            case _:
                pass

    async def _assigned(self, message: Assign) -> None:
        assignment, _ = codec.open_assignment(message.assignment)
        engagement = self._worker.engagements.get(assignment.job)
        if engagement is None:
            self.session.idle_talk()
        elif engagement.job.manifest.requester != self.session.identity.node:
            raise PeerError("an assignment in another requester's job")
        else:
            await engagement.assign(message)
