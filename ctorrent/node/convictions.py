"""From what was proven to what is thought of whom: the notary and the witness tell, the trust of this node follows.

    proof that holds           the accused is quarantined; a rerun only when this node made it itself
    proof that does not hold   its author signed it, and is believed no longer
    vote with its evidence     it weighs as its author is trusted; before, only a friend's does
    vote without its evidence  it is forgotten; one that its author cannot have believed mutes the author, too
"""

from __future__ import annotations

from ctorrent.model.ids import Digest, NodeId
from ctorrent.node.proofs import Convicted, Notary, place_of
from ctorrent.node.trust import Trust
from ctorrent.node.witness import Standing, Witness, Witnessed

_UNFOUNDED = (Standing.REFUTED, Standing.WITHHELD, Standing.FALSE)
_SHOWN = (Standing.PROVEN, Standing.TESTIMONY, Standing.RIGHT)  # in each the accused's signed result was seen
_LIES = (Standing.REFUTED, Standing.FALSE)


def connect(trust: Trust, notary: Notary, witness: Witness) -> None:
    """Before the book loads."""

    def convicted(found: Convicted) -> None:
        kind, accused, place = place_of(found.proof)
        trust.proven(kind, accused, place, found.author)

    def lied(author: NodeId, entry: Digest) -> None:
        trust.reputation.mute(author)

    def witnessed(found: Witnessed) -> None:
        if found.standing in _UNFOUNDED:
            trust.reputation.unfounded(found.entry)
        if found.standing in _SHOWN:
            trust.reputation.shown(found.entry)
        if found.standing in _LIES:
            trust.reputation.mute(found.author)

    notary.on(convicted, lied)
    witness.on(witnessed)
