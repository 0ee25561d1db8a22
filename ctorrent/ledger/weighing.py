"""All that was said of one worker into one record: the rules of `reputation`, as one function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ctorrent.ledger.beta import lower_bound
from ctorrent.ledger.quarantine import Phase
from ctorrent.ledger.tally import Counts
from ctorrent.ledger.testimony import Pair
from ctorrent.ledger.trust_rules import ReputationRules
from ctorrent.model.ids import Digest, NodeId


@dataclass(frozen=True, slots=True)
class Record:
    """What is thought of one worker. Counts are weighed blocks, so not whole numbers."""

    agreed: float
    disputed: float  # disputed and invalid
    newcomer: bool  # has not paid its dues: always replicated, small share. So is whoever is on trial
    blocks: float
    forks: int = 0  # how often its own log was proven forked
    phase: Phase = Phase.FREE
    own: float = 0.0  # of `blocks`, those that this owner's own nodes saw
    confidence: float = 0.95

    @property
    def lower_bound(self) -> float:
        """0..1: its share of right blocks is above this with `confidence`."""
        return lower_bound(round(self.agreed, 2), round(self.disputed, 2), self.confidence)


@dataclass(frozen=True, slots=True)
class Testimony:
    """One tally as it was weighed: a line of `why`."""

    author: NodeId
    owner: str
    incarnation: int
    seq: int
    id: Digest | None  # None: this node's own verdicts that no tally holds yet
    counts: Counts
    weight: float  # of what it found right: trust × fading × limits; 0: says nothing here
    weight_wrong: float  # of what it found wrong
    trust: float  # in its signer
    note: str = ""  # why it weighs less than its signer's trust, in words


@dataclass(frozen=True, slots=True)
class Said:
    """What one author said of a worker, and how far it is trusted."""

    author: NodeId
    owner: str
    trust: float
    pair: Pair


@dataclass(slots=True)
class _Voice:
    """All authors of one owner. right, wrong: weighed blocks; factors: what each of its blocks weighs."""

    trust: float
    right: float = 0.0
    wrong: float = 0.0
    factor_right: float = 0.0
    factor_wrong: float = 0.0
    unseen: bool = False  # it complains, and the evidence of none of it was seen
    note: str = ""


def weigh(
    me: NodeId, mine: str, said: Iterable[Said], pending: Counts | None, witnesses: Collection[str],
    friends: Collection[str], rules: ReputationRules, dues: float, phase: Phase, forks: int, shown: Callable[[Digest], bool],
) -> tuple[Record, list[Testimony]]:  # fmt: skip
    """One worker's record and the lines behind it. mine: this owner; witnesses: owners whose complaints back others'.

    shown: was an entry's evidence seen? Of others than friends nothing bad counts before.
    """
    said = list(said)
    voices: dict[str, _Voice] = {}
    for one in said:
        voice = voices.setdefault(one.owner, _Voice(one.trust))
        voice.right += one.pair.right
        voice.wrong += one.pair.wrong if one.owner == mine or one.owner in friends else one.pair.shown
        voice.unseen = voice.unseen or (voice.wrong == 0.0 < one.pair.wrong)
    own = voices.setdefault(mine, _Voice(1.0))
    if pending is not None:
        own.right += pending.agreed
        own.wrong += pending.disputed + pending.invalid
    own.factor_right = own.factor_wrong = 1.0
    others = {owner: voice for owner, voice in sorted(voices.items()) if owner != mine}
    _limit(others, own, witnesses, friends, rules)
    known = [own, *(voice for owner, voice in others.items() if owner in friends)]
    familiar = sum(v.right * v.factor_right + v.wrong * v.factor_wrong for v in known)
    agreed = sum(v.right * v.factor_right for v in voices.values())
    disputed = sum(v.wrong * v.factor_wrong for v in voices.values())
    newcomer = familiar < dues or phase is not Phase.FREE
    record = Record(agreed, disputed, newcomer, agreed + disputed, forks, phase, own.right + own.wrong, rules.confidence)
    believed = {mine, *friends}
    return record, _lines(me, mine, said, voices, pending, rules, lambda owner, entry: owner in believed or shown(entry))


def _limit(
    others: dict[str, _Voice], own: _Voice, witnesses: Collection[str], friends: Collection[str], rules: ReputationRules
) -> None:
    """Set the factors of everybody else's words."""
    for voice in others.values():
        blocks = voice.right + voice.wrong
        voice.factor_right = voice.factor_wrong = voice.trust * (min(1.0, rules.said_max / blocks) if blocks else 1.0)
        if not voice.trust:
            voice.note = "outside your trust: weighs nothing"
        elif voice.unseen and not voice.wrong:
            voice.note = "the evidence of its complaint was not seen: that weighs nothing"
    _limit_complaints(others, own, witnesses, friends, rules)
    total = sum(v.right * v.factor_right + v.wrong * v.factor_wrong for v in others.values())
    experience = own.right + own.wrong
    most = rules.others_max * rules.others_max / (rules.others_max + experience)
    if total > most:
        for voice in others.values():
            voice.factor_right *= most / total
            voice.factor_wrong *= most / total
            voice.note = voice.note or "others' words together give way to what you saw yourself" * bool(experience)


def _limit_complaints(
    others: dict[str, _Voice], own: _Voice, witnesses: Collection[str], friends: Collection[str], rules: ReputationRules
) -> None:
    """A witness as far as another bears it out; those whom witnesses brought in, all together, as far as two witnesses do."""
    heard = {owner: voice.wrong * voice.factor_wrong for owner, voice in others.items() if owner in witnesses}
    pool = sum(voice.wrong * voice.factor_wrong for owner, voice in others.items() if owner not in witnesses)
    second = sorted([0.0, own.wrong, *heard.values()])[-2]
    for owner, voice in others.items():
        complaint = voice.wrong * voice.factor_wrong if owner in witnesses else pool
        backed = second
        if owner in witnesses:
            backed = max([own.wrong, *(size for other, size in heard.items() if other != owner)])
        if owner in friends:
            backed = max(backed, rules.alone_max)
        if voice.wrong and complaint > backed:
            voice.factor_wrong *= backed / complaint
            voice.note = "its complaint counts as far as other witnesses bear it out"


def _lines(
    me: NodeId, mine: str, said: list[Said], voices: dict[str, _Voice], pending: Counts | None, rules: ReputationRules,
    may_complain: Callable[[str, Digest], bool],
) -> list[Testimony]:  # fmt: skip
    lines = [] if pending is None else [Testimony(me, mine, 0, 0, None, pending, 1.0, 1.0, 1.0)]
    for one in sorted(said, key=lambda s: (s.owner != mine, -s.trust, s.author)):
        voice = voices[one.owner]
        for age, heard in enumerate(reversed(one.pair.heard)):
            fade = rules.decay**age
            lines.append(Testimony(
                one.author, one.owner, heard.incarnation, heard.seq, heard.id, heard.counts,
                voice.factor_right * fade, voice.factor_wrong * fade * may_complain(one.owner, heard.id), voice.trust, voice.note,
            ))  # fmt: skip
    return lines
