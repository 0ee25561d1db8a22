"""A job's script that gave nothing but faults: is it the script, or were outputs made for it to stumble over? Pure.

    faults only ─▶ ASKED ── it fails on this machine's own two outputs too ──▶ USELESS ── the job is resumed ─▶ OVER
                     └───── it compares those, or there are none ────────────────────────────────────────────▶ OVER

While it is asked, and while the job is paused for it, no answer that the script would have to compare is voted on: blocks
would end disputed one after the other, and the words would be about the program. A liar cannot bring this about: what
decides is the requester's own run.
"""

from __future__ import annotations

from enum import Enum

from ctorrent.verify.comparer import Comparer, Probe, Probed
from ctorrent.verify.rulings import Said
from ctorrent.verify.words import JobNondeterministic


class State(Enum):
    NONE = 1
    ASKED = 2
    USELESS = 3
    OVER = 4  # said once: whoever resumes the job knows


class Doubt:
    """Of one job with a script."""

    def __init__(self, script: str) -> None:
        self._script = script
        self.state = State.NONE

    @property
    def holds(self) -> bool:
        """Is nothing to be voted on that the script would have to compare?"""
        return self.state in (State.ASKED, State.USELESS)

    def look(self, comparer: Comparer, index: int | None) -> list[Probe]:
        """An answer came. index: of a block that is open."""
        if self.state is not State.NONE or not comparer.useless or index is None:
            return []
        self.state = State.ASKED
        return [Probe(index)]

    def probed(self, event: Probed) -> list[JobNondeterministic]:
        """What the script said of this machine's own outputs."""
        if self.state is not State.ASKED:
            return []
        if event.ruling is None or event.ruling.said in (Said.YES, Said.NO):
            self.state = State.OVER
            return []
        self.state = State.USELESS
        if event.ruling.said is Said.IMPOSSIBLE:
            what = f"this machine cannot run its script {self._script} ({event.ruling.words})"
        else:
            what = f"its script {self._script} fails on this machine's own results too ({event.ruling.words})"
        hint = "mend that and submit it again, or ctorrent resume: then only equal bytes are the same"
        return [JobNondeterministic(f"{what}: {hint}")]

    def resume(self) -> None:
        self.state = State.OVER
