"""A worker without a node behind it: it speaks the session protocol to the real requester and signs what it says.

It introduces itself with a certificate, asks, bids, is engaged, runs units one after the other, commits and returns.
Real: every frame, every commitment, and every signature that it makes. Left out: the check of the requester's (it would
be all workers' work in one process), a sandbox (answers come from a table), a journal, blobs, market reasons.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from ctorrent.model.identity import Certificate
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Committed, Result, Usage, commitment
from ctorrent.model.session import (
    Assign,
    Billed,
    Declined,
    Describe,
    Engaged,
    Interest,
    Introduction,
    Message,
    Offered,
    Output,
    Returned,
    Revoke,
)
from ctorrent.model.trade import Bid, NoReason
from ctorrent.seal import Sealed
from ctorrent.testing.fake_clock import EPOCH_UNIX_S
from ctorrent.testing.fake_keys import FakeKeys
from ctorrent.testing.fake_sandbox import environment
from ctorrent.wire import codec
from ctorrent.wire.pb import trade_pb2

from .line import Line

if TYPE_CHECKING:
    from .attackers import Conduct
    from .crowd import Crowd

CREDIT = 3  # units in flight, as node/engagement.py bids for one slot
ISOLATION = 3  # docker
FINGERPRINT = environment().fingerprint
FOR_EVER_S = 86400.0  # a requester that says so wants this worker no more


@dataclass(slots=True)
class Unit:
    """An assignment this actor holds."""

    id: Digest
    indices: tuple[int, ...]
    ends: float  # the whole lease, on the simulation's clock
    began: float = 0.0
    ran: bool = False  # its time has passed: only the answer is missing
    gone: bool = False  # returned, or revoked
    answers: dict[int, int] = field(default_factory=dict)


class Actor:
    """One machine of the crowd. `conduct` decides what it answers and when."""

    def __init__(self, crowd: Crowd, keys: FakeKeys, number: int, conduct: Conduct, certified: bool = True) -> None:
        self.crowd, self.keys, self.number, self.conduct = crowd, keys, number, conduct
        self.id: NodeId = keys.node_id
        self.hostile = conduct.hostile
        self.dice: random.Random = crowd.simulation.dice(f"actor {self.id}")
        self.certificate: Sealed | None = None
        if certified:
            words = Certificate(keys.owner_id, self.id, EPOCH_UNIX_S, 0, "")
            self.certificate = codec.seal_certificate(words, keys.owner)
        self.line: Line | None = None
        self.units: dict[Digest, Unit] = {}
        self.said: dict[int, int] = {}  # last answer to each block
        self.returned = 0  # blocks
        self.wrong = 0  # blocks answered wrongly
        self.returned_at_first_lie = -1
        self.caught_after: int | None = None  # blocks returned from its first lie until the requester held it guilty
        self.unwanted = False  # the requester sent it away for good
        self._busy_until = 0.0

    # -- sessions -----------------------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Open a session to the requester and ask about its job."""
        if self.line is not None and not self.line.over:
            return
        self.line = self.crowd.connect(self)
        self.say(Introduction(self.certificate, (), f"w{self.number}", "0.1.0"))
        self.say(Interest(self.crowd.job, 1))

    def say(self, message: Message) -> None:
        if self.line is not None:
            self.line.say(codec.encode_message(message))

    def hear(self, frame: bytes) -> None:
        match codec.decode_message(frame):
            case Describe() as describe:
                self.say(Offered(codec.seal_bid(self._bid(describe), self.keys.node)))
            case Engaged():
                self.unwanted = False
            case Assign() as assign:
                self._assigned(assign)
            case Revoke(assignment=assignment):
                self._revoked(assignment)
            case Declined(no=no, retry_s=retry_s):
                self._declined(no.reason, retry_s)
            case Billed() as billed:
                self.conduct.billed(self, billed)
            case _:
                pass

    def lost(self) -> None:
        """The session ended. What runs is dropped; a machine with nothing to hide dials again."""
        for unit in list(self.units.values()):
            self._drop(unit)
        if not self.unwanted and not self.crowd.over:
            self.crowd.later(self.dice.uniform(2.0, 5.0), self.dial)

    def _declined(self, reason: NoReason, retry_s: float) -> None:
        if reason is NoReason.DISTRUST or retry_s >= FOR_EVER_S:
            self.unwanted = True
            self.conduct.sent_away(self)
        else:
            self.crowd.later(max(1.0, retry_s), lambda: self.say(Interest(self.crowd.job, 1)))

    def _bid(self, describe: Describe) -> Bid:
        head = codec.amendment_id(describe.amendments[-1]) if describe.amendments else Digest(bytes(describe.job))
        return Bid(
            job=describe.job, worker=self.id, session_nonce=describe.nonce, slots=1, credit=CREDIT, fingerprint=FINGERPRINT,
            isolation=ISOLATION, hardware_class="x86_64", speed_gflops=5.0, price=0.0, amendment_head=head,
        )  # fmt: skip

    # -- units --------------------------------------------------------------------------------------------------------

    def _assigned(self, message: Assign) -> None:
        """One after the other, in the order they came."""
        now = trio.current_time()
        lease_s = trade_pb2.Assignment.FromString(message.assignment.body).lease_s
        unit = Unit(codec.assignment_id(message.assignment), tuple(block.index for block in message.blocks), now + lease_s)
        self.units[unit.id] = unit
        self.conduct.given(self, unit)
        if not self.conduct.works(self, unit):
            return
        unit.began = max(now, self._busy_until)
        self._busy_until = unit.began + sum(self.dice.uniform(*self.crowd.form.block_s) for _ in unit.indices)
        self.crowd.at(self._busy_until, lambda: self._ran(unit))

    def _ran(self, unit: Unit) -> None:
        if unit.gone:
            return
        self.has_run(unit)
        self.conduct.done(self, unit)

    def has_run(self, unit: Unit) -> None:
        """Count its blocks as executions."""
        unit.ran = True
        for index in unit.indices:
            self.crowd.truth.runs[index] += 1

    def commit(self, unit: Unit) -> None:
        """Sign an answer to each block and return them. Nobody can take it back."""
        if unit.gone or not unit.ran:
            return
        for index in unit.indices:
            unit.answers[index] = self.said[index] = self.conduct.answer(self, unit, index)
        self._over(unit)
        self._count(unit)
        self.say(self._result(unit))

    def _result(self, unit: Unit) -> Returned:
        truth, lines, outputs = self.crowd.truth, [], []
        usage = Usage(wall_s=self.conduct.claimed_s(self, unit) / len(unit.indices))
        nonces = self.dice.randbytes(16 * len(unit.indices))
        for position, index in enumerate(unit.indices):
            data, inside = truth.output(index, unit.answers[index])
            nonce, block = nonces[16 * position : 16 * position + 16], truth.digests[index]
            lines.append(Committed(block, commitment(unit.id, block, self.id, nonce, inside)))
            outputs.append(Output(nonce, data, None, len(data), usage, None))
        result = Result(unit.id, self.id, FINGERPRINT, tuple(lines), "x86_64")
        return Returned(codec.seal_result(result, self.keys.node), tuple(outputs))

    def _count(self, unit: Unit) -> None:
        lies = sum(1 for answer in unit.answers.values() if answer)
        if lies and self.returned_at_first_lie < 0:
            self.returned_at_first_lie = self.returned
        self.wrong += lies
        self.returned += len(unit.indices)

    def caught(self) -> None:
        """The requester holds it guilty from now on."""
        if self.caught_after is None and self.returned_at_first_lie >= 0:
            self.caught_after = self.returned - self.returned_at_first_lie

    def _revoked(self, assignment: Digest) -> None:
        unit = self.units.get(assignment)
        if unit is not None and not self.conduct.keeps(self, unit):
            self._drop(unit)

    def _drop(self, unit: Unit) -> None:
        """It will not be returned; what was run of it was run in vain, and is counted."""
        now = trio.current_time()
        if not unit.ran and unit.began and now > unit.began:
            done = min(len(unit.indices), int(now - unit.began))
            for index in unit.indices[:done]:
                self.crowd.truth.runs[index] += 1
        if not unit.ran and unit.began:
            self._busy_until = min(self._busy_until, now) if len(self.units) == 1 else self._busy_until
        self._over(unit)

    def _over(self, unit: Unit) -> None:
        unit.gone = True
        self.units.pop(unit.id, None)
        self.conduct.forgotten(self, unit)

