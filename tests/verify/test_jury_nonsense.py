"""Whatever is said, in whatever order: the jury does not raise, and what it said for ever stays."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.model.result import Verdict, output_digest
from ctorrent.verify.audit import AuditRules
from ctorrent.verify.jury import Jury
from ctorrent.verify.words import (
    Abandoned,
    Agreed,
    Arrived,
    Disputed,
    Effect,
    Event,
    Expelled,
    JobRemembered,
    Known,
    NoReplica,
    OutputFetched,
    Remembered,
    RerunLost,
    Restored,
    Resume,
    SelfChecked,
    SelfCheckFailed,
    Settled,
    Total,
    Voice,
    Voted,
)
from tests.verify.test_quorum import failed, out

ME = NodeId("me")
OUTPUTS = [out(1), out(2), out(0.1), out(0.1 + 1e-13), failed(), b"", b"\xff nonsense"]
index = st.one_of(st.integers(0, 4), st.sampled_from([-1, -(1 << 70), 1 << 20, 1 << 40]))
worker = st.sampled_from([NodeId(f"w{n}") for n in range(6)] + [ME])
owner = st.sampled_from([f"own_w{n}" for n in range(6)] + ["own_me"])
print_ = st.sampled_from([Digest(b"f" * 32), Digest(b"g" * 32)])
output = st.sampled_from(OUTPUTS)


@st.composite
def arrivals(draw: st.DrawFn) -> Arrived:
    name = draw(worker)
    whose = f"own_{name}" if draw(st.integers(0, 4)) else draw(owner)
    blocks = draw(st.lists(index, max_size=4))
    outputs = [draw(output) for _ in blocks]
    known = [found if draw(st.integers(0, 3)) else None for found in outputs]
    return Arrived(name, whose, draw(print_), blocks, [output_digest(o) for o in outputs], known, draw(st.booleans()))


voices = st.lists(
    st.builds(Voice, worker, owner, print_, output.map(output_digest), st.none(), st.integers(0, 5), st.booleans(), st.booleans()), max_size=3
)
counted = st.lists(st.tuples(worker, st.booleans()), max_size=3)
memo = st.tuples(st.booleans(), st.just(False), st.booleans(), *[st.integers(0, 9)] * 3, *[st.just(())] * 3).map(list)
events = st.one_of(
    arrivals(), arrivals(), arrivals(), arrivals(),
    st.builds(OutputFetched, index, worker, st.one_of(st.none(), output)),
    st.builds(SelfChecked, index, st.just(ME), st.just("own_me"), print_, st.tuples(output, output)),
    st.builds(lambda i, p, o: SelfChecked(i, ME, "own_me", p, (o, o)), index, print_, output),
    st.builds(SelfCheckFailed, index, st.just("no sandbox")),
    st.builds(RerunLost, index, worker),
    st.builds(NoReplica, st.lists(index, max_size=3)),
    st.builds(Abandoned, st.lists(index, max_size=2)),
    st.builds(Total, st.sampled_from([0, 5, 1 << 50]), st.booleans()),
    st.builds(Known, worker, owner, st.sampled_from([0, 12, 30, -7])),
    st.builds(Restored, index, output.map(output_digest), voices, voices, counted),
    st.builds(Remembered, worker, owner, *[st.integers(0, 70)] * 3, st.booleans()),
    st.builds(JobRemembered, st.integers(0, 5), st.integers(0, 12), memo),
    st.just(Resume()),
)  # fmt: skip


class Judge:
    """Looks at every effect."""

    def __init__(self) -> None:
        self.final: dict[int, Digest | None] = {}
        self.said: dict[int, Digest] = {}
        self.expelled: set[NodeId] = set()

    def look(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Agreed(indices, digests):
                    for at, block in enumerate(indices):
                        assert block not in self.final, "agreed on again when it was final"
                        self.said[block] = digests[at]
                        if not effect.provisional:
                            self.final[block] = digests[at]
                case Settled(indices, workers):
                    for block, names in zip(indices, workers, strict=True):
                        assert block not in self.final, "final twice"
                        assert names, "final on nobody's word"
                        self.final[block] = self.said.get(block)
                case Disputed(block):
                    assert block not in self.final
                    self.final[block] = None
                case Expelled(name):
                    assert name != ME
                    self.expelled.add(name)
                case Voted(name, verdict, indices):
                    assert verdict is Verdict.AGREED or name in self.expelled
                    assert all(block in self.final for block in indices)
                case _:
                    pass


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, max_size=60), st.booleans(), st.integers(1, 3), st.integers(0, 3))
def test_nothing_that_is_said_breaks_it(said: list[Event], alone: bool, replicas: int, anchors: int) -> None:
    rules = replace(AuditRules(), alone=alone, anchors=anchors, established_after=3, window=2, doubt=0.01, own_first=3)
    assurance = Assurance.ECONOMY if alone else Assurance.STRICT
    jury, judge = Jury(Verify(replicas=replicas, assurance=assurance), rules, b"s" * 32, ME), Judge()
    for event in said:
        judge.look(jury.handle(event))
    for block in range(6):
        assert isinstance(jury.story(block), list)
