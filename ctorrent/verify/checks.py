"""Before any comparison: the job's own `check` judges each output by itself. Pure.

    replica ──▶ HELD ── yes ─────────────────────────────────────────▶ PASSED, judged
                 │ └─── the check itself fails, or cannot run here ──▶ PASSED, not judged
                 ▼ no, twice
               DOUBTED ── the requester's own result passes it ──────▶ REFUSED
                 │ └───── no machine here can make that result ──────▶ REFUSED, unproven
                 ▼ that is refused too: the check is wrong, for good
               PASSED, not judged, like all that come after

Nobody is refused by a check that refuses an honest answer as well: before the first no counts, the requester runs that
block itself. A check that fails is the job's fault; what it failed on is compared with other replicas as if there were
no check, since else a liar could stop a job with an output that the check stumbles over.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ctorrent.model.ids import Digest, NodeId
from ctorrent.verify.compare import is_failure
from ctorrent.verify.rulings import Ruling, Said
from ctorrent.verify.words import Abandoned, Arrived


@dataclass(frozen=True, slots=True)
class CheckRules:
    asked_max: int = 64  # judgements under way: two batches, so that the sandbox never waits for the next
    held_max: int = 20_000  # replicas that wait: more than workers can have under way; those beyond pass unjudged
    known_max: int = 100_000  # answers kept for the replicas that follow: 10 MiB
    faults_max: int = 20  # kept in words for the report
    vouch_tries: int = 3  # own results that could not be made, then refusals stay unproven


# Events: Arrived and Abandoned are quorum's own -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """Answer to Judge."""

    index: int
    digest: Digest
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Vouched:
    """Answer to Vouch: what the check says of the requester's own result; None where it could not make one."""

    index: int
    ruling: Ruling | None


# Effects -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judge:
    """Have the check judge an output in the requester's own sandbox. output None: a blob, kept under that worker."""

    index: int
    worker: NodeId
    digest: Digest
    output: bytes | None


@dataclass(frozen=True, slots=True)
class Vouch:
    """Run this block on the requester's own machine and have the check judge that."""

    index: int


@dataclass(frozen=True, slots=True)
class Passed:
    """These replicas go on to quorum. judged False: the check said nothing of them; they need others beside them."""

    arrived: Arrived
    judged: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """An output that the check refused, twice, and that anybody with the check can see to be wrong.

    proven: the requester's own result passed the check. Where not, the replica is made again and nobody is blamed.
    """

    index: int
    worker: NodeId
    digest: Digest
    words: str
    proven: bool


@dataclass(frozen=True, slots=True)
class CheckFaulty:
    """The job's check does not do its work. Said once for each kind of fault; shown to the requester."""

    words: str
    over: bool  # it is asked no more


Effect = Judge | Vouch | Passed | Refused | CheckFaulty
_Key = tuple[int, Digest]


class Checks:
    """Of one job with a `check`. One answer serves all replicas of a block with the same output."""

    def __init__(self, rules: CheckRules | None = None) -> None:
        self.rules = rules or CheckRules()
        self.faults: list[str] = []
        self.over = False  # the check was found wrong: nothing is judged any more
        self._known: OrderedDict[_Key, Ruling] = OrderedDict()
        self._held: dict[_Key, list[tuple[Arrived, int]]] = {}
        self._count = 0
        self._queue: deque[_Key] = deque()
        self._asked: dict[_Key, None] = {}
        self._trusted = False  # an honest answer passed it
        self._vouching: int | None = None
        self._tries = 0
        self._doubted: dict[_Key, None] = {}  # refused, and wait for that

    @property
    def waiting(self) -> int:
        """Replicas held."""
        return self._count

    def handle(self, event: Arrived | Judged | Vouched | Abandoned) -> list[Effect]:
        """Never raises on what peers send."""
        out: list[Effect] = []
        match event:
            case Arrived():
                self._arrived(event, out)
            case Judged(index, found, ruling):
                if self._asked.pop((index, found), 0) is None:
                    self._heard((index, found), ruling, out)
            case Vouched(index, vouched):
                if index == self._vouching:
                    self._vouching = None
                    self._vouched(vouched, out)
            case Abandoned(indices):
                self._forget(set(indices))
        self._ask(out)
        return out

    # -- replicas -----------------------------------------------------------------------------------------------------

    def _arrived(self, event: Arrived, out: list[Effect]) -> None:
        judged: list[int] = []
        plain: list[int] = []
        places = min(len(event.indices), len(event.digests), len(event.outputs))
        for at in range(places):
            key, output = (event.indices[at], event.digests[at]), event.outputs[at]
            ruling = self._known.get(key)
            if self.over or is_failure(output) or self._count >= self.rules.held_max:
                plain.append(at)
            elif ruling is None or (ruling.said is Said.NO and not self._settled):
                self._hold(key, event, at)
            elif ruling.said is Said.YES:
                judged.append(at)
            elif ruling.said is Said.NO:
                out.append(Refused(key[0], event.worker, key[1], ruling.words, self._trusted))
            else:
                plain.append(at)
        out += [Passed(_part(event, some), each) for some, each in ((judged, True), (plain, False)) if some]

    @property
    def _settled(self) -> bool:
        """Is it known whether the check may be believed?"""
        return self._trusted or self._tries >= self.rules.vouch_tries

    def _hold(self, key: _Key, event: Arrived, at: int) -> None:
        self._count += 1
        if key not in self._held:
            self._held[key] = []
            if key not in self._asked and key not in self._known:
                self._queue.append(key)
        self._held[key].append((event, at))

    def _ask(self, out: list[Effect]) -> None:
        while self._queue and len(self._asked) < self.rules.asked_max:
            key = self._queue.popleft()
            if key in self._held:
                event, at = self._held[key][0]
                self._asked[key] = None
                out.append(Judge(key[0], event.worker, key[1], event.outputs[at]))

    def _release(self, key: _Key) -> list[tuple[Arrived, int]]:
        held = self._held.pop(key, [])
        self._count -= len(held)
        return held

    def _forget(self, indices: set[int]) -> None:
        """These blocks are decided: nobody waits for their answers."""
        for key in [key for key in self._held if key[0] in indices]:
            self._release(key)
            self._doubted.pop(key, None)
        for key in [key for key in self._known if key[0] in indices]:
            del self._known[key]

    # -- answers ------------------------------------------------------------------------------------------------------

    def _heard(self, key: _Key, ruling: Ruling, out: list[Effect]) -> None:
        if ruling.said in (Said.BROKEN, Said.IMPOSSIBLE):
            self._fault(ruling, out)
        if self.over:
            return
        self._known[key] = ruling
        while len(self._known) > self.rules.known_max:
            self._known.popitem(last=False)
        if ruling.said is Said.NO and not self._settled:
            self._doubted[key] = None
            if self._vouching is None:
                self._vouching = key[0]
                out.append(Vouch(key[0]))
            return
        self._pass_on(key, ruling, out)

    def _pass_on(self, key: _Key, ruling: Ruling, out: list[Effect]) -> None:
        for event, at in self._release(key):
            if ruling.said is Said.NO:
                out.append(Refused(key[0], event.worker, key[1], ruling.words, self._trusted))
            else:
                out.append(Passed(_part(event, [at]), ruling.said is Said.YES))

    def _vouched(self, ruling: Ruling | None, out: list[Effect]) -> None:
        if ruling is not None and ruling.said is Said.YES:
            self._trusted = True
        elif ruling is not None and ruling.said is Said.NO:
            words = f"it refuses this machine's own result too: {ruling.words}"
            self._end(words, out)
            return
        else:
            self._tries += 1
        if not self._settled:
            index = next((key[0] for key in self._doubted), None)
            if index is not None:
                self._vouching = index
                out.append(Vouch(index))
            return
        doubted, self._doubted = self._doubted, {}
        for key in doubted:
            known = self._known.get(key)
            if known is not None:
                self._pass_on(key, known, out)

    def _fault(self, ruling: Ruling, out: list[Effect]) -> None:
        if ruling.said is Said.IMPOSSIBLE:
            self._end(ruling.words, out)
        elif ruling.words not in self.faults and len(self.faults) < self.rules.faults_max:
            self.faults.append(ruling.words)
            out.append(CheckFaulty(ruling.words, False))

    def _end(self, words: str, out: list[Effect]) -> None:
        """Nothing is judged any more; whoever waited goes on to be compared."""
        if self.over:
            return
        self.over = True
        self.faults.append(words)
        out.append(CheckFaulty(words, True))
        for key in list(self._held):
            out += [Passed(_part(event, [at]), False) for event, at in self._release(key)]
        for kept in (self._known, self._queue, self._asked, self._doubted):
            kept.clear()


def _part(event: Arrived, places: Sequence[int]) -> Arrived:
    """The replicas at these places of an event."""
    if len(places) == len(event.indices):
        return event
    return replace(
        event,
        indices=[event.indices[at] for at in places],
        digests=[event.digests[at] for at in places],
        outputs=[event.outputs[at] for at in places],
    )
