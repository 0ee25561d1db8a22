"""What workers say about one job: interest, bids, results, progress; each checked, and handed to the machine it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctorrent.dispatch import words as d
from ctorrent.errors import Malformed, PeerError
from ctorrent.model.ids import Digest
from ctorrent.model.result import Verdict
from ctorrent.model.session import Acknowledged, HandBack, Interest, Message, NoThanks, Offered, Progress, Returned
from ctorrent.node.items import Fetched
from ctorrent.node.returned import Given, make_room
from ctorrent.node.session import Session
from ctorrent.verify import words as q
from ctorrent.verify.compare import check_output
from ctorrent.wire import codec

if TYPE_CHECKING:
    from ctorrent.node.coordinate import Coordination


class Hearing:
    """Of one job."""

    def __init__(self, job: Coordination) -> None:
        self._job = job

    def said(self, session: Session, message: Message, now: float) -> None:
        peer = session.identity.node
        match message:
            case Interest():
                if (old := self._job.sessions.get(peer, session)) is not session:
                    self._job.lost(old, "it came back on another session", now)
                self._job.sessions[peer] = session
                self._job.feed_tender(self._job.tender.interest(session, now))
            case Offered(bid=sealed):
                self._job.feed_tender(self._job.tender.bid(session, codec.open_bid(sealed), now))
            case NoThanks(reasons=reasons):
                for held in self._job.out.of(peer):
                    self._job.board.over(peer, list(held.indices))
                self._job.feed_tender(self._job.tender.no(session, reasons, now))
                self._job.on_dispatch(self._job.dispatch.handle(d.WorkerLeft(peer, "it withdrew"), now))
            case Returned():
                self._returned(session, message, now)
            case HandBack(assignment=assignment, no=no):
                given = self._job.out.by_id.get(assignment)
                if given is None or given.worker != peer:
                    session.idle_talk()
                else:
                    self._job.drop(given)
                    self._job.on_dispatch(self._job.dispatch.handle(d.HandedBack(given.number, no.detail), now))
            case Progress(assignment=assignment, index=index, log=text):
                given = self._job.out.by_id.get(assignment)
                if given is None or given.worker != peer or not self._job.logs.add(index, peer, text, given.indices):
                    session.idle_talk(len(text))
            case _:
                pass


    # -- results ------------------------------------------------------------------------------------------------------

    def _returned(self, session: Session, message: Returned, now: float) -> None:
        peer, result = session.identity.node, codec.open_result(message.result)
        self._job.proofs.look(peer, self._job.tender.certified_owner(peer), result, message.result)
        given = self._job.out.by_id.get(result.assignment)
        if given is None:
            session.idle_talk()
            self._job.posts.append((session, Acknowledged(result.assignment)))
            return
        if given.worker != peer:
            raise Malformed("a result for somebody else's assignment")
        try:
            whole = given.collect(result, message, self._job.record.job.manifest.limits.output_bytes)
            self._job.proofs.took(result, message.result)
            blobs = [output.blob for output in given.outputs if output.blob is not None]
            if blobs or not whole:
                make_room(self._job.out.by_id.values(), given, whole)
        except PeerError as error:
            self._spoiled(given, error.message, now)
            return
        if whole and blobs and not given.fetching:
            given.fetching = True
            self._job.spawn(self._job.errands.fetch, given)
        elif whole and not blobs:
            self.fetched(Fetched(given, {}), now)

    def fetched(self, item: Fetched, now: float) -> None:
        given = item.given
        if self._job.out.by_id.get(given.id) is not given:
            return
        if item.failed:
            self._job.drop(given)
            self._job.on_dispatch(self._job.dispatch.handle(d.HandedBack(given.number, item.failed), now))
            return
        try:
            inside = given.opened(item.outputs)
            for output in given.outputs:
                if output.data is not None:
                    check_output(output.data)
        except PeerError as error:
            self._spoiled(given, error.message, now)
            return
        self._job.billing.worked(given)
        self._job.drop(given, returned=True)
        self._job.experience.add(given.worker, finished=1)
        for index, replica in self._job.ends.keep(given):
            if replica.log and not self._job.logs.followed(index, given.worker):
                self._job.logs.add(index, given.worker, replica.log, given.indices)
        done = d.UnitReturned(given.number, given.wall_s(), given.environment_failures())
        for effect in self._job.dispatch.handle(done, now):
            if isinstance(effect, d.Deliver):
                self._deliver(effect, given, inside, now)
            else:
                self._job.on_dispatch([effect])
        session = self._job.sessions.get(given.worker)
        if session is not None:
            self._job.posts.append((session, Acknowledged(given.id)))

    def _deliver(self, effect: d.Deliver, given: Given, inside: list[Digest], now: float) -> None:
        assert given.result is not None
        outputs = given.outputs
        arrived = q.Arrived(
            given.worker, effect.owner, given.result.fingerprint, effect.indices,
            [inside[p] for p in effect.positions], [outputs[p].data for p in effect.positions], effect.alone,
        )  # fmt: skip
        self._job.on_votes(self._job.votes.handle(arrived, now))

    def _spoiled(self, given: Given, why: str, now: float) -> None:
        """The worker broke its own commitment or returned other blocks: an invalid replica."""
        self._job.drop(given)
        self._job.world.directory.charge(given.worker, 20, why)
        self._job.board.voted(given.worker, Verdict.INVALID, given.indices)
        self._job.learned.put_out(given.worker, why)
        self._job.on_dispatch(self._job.dispatch.handle(d.Spoiled(given.number, why), now))
