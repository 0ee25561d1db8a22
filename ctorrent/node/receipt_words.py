"""What a receipt file proves, what it only claims, and what is wrong with it: a row for each thing, in words.

    proven    follows from signatures and digests alone: whoever lies would need a worker's key
    claimed   the requester says so, and signed that
    open      could not be checked, with the reason
    wrong     a signature, digest or commitment does not hold, or two parts of the file contradict each other
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ctorrent.model.ids import NodeId, show_job
from ctorrent.model.job import Assurance, Equality, Verify
from ctorrent.node.policy import is_audited
from ctorrent.node.receipt_book import NOTHING, SETTLED, Book, numbers
from ctorrent.verify import draw
from ctorrent.verify.audit import rules_for


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is one or two words, `words` a sentence or two."""

    what: str
    verdict: str
    words: str


def findings(book: Book) -> list[Finding]:
    """All of them, in the order of the file."""
    return [row for part in (_file, _program, _blocks, _results, _draw, _votes, _answer) for row in part(book)]


def _wrong(book: Book, what: str) -> Iterator[Finding]:
    held = book.wrongs.get(what)
    if held is not None:
        more = f"; and {held.count - len(held.first):,} more" if held.count > len(held.first) else ""
        yield Finding(what, "wrong", "; ".join(held.first) + more + ".")


def _file(book: Book) -> Iterator[Finding]:
    manifest = book.job.manifest
    whose = f"{manifest.requester}" + (f", a node of {book.owner}" if book.owner else "")
    yield Finding("file", "proven", f"{book.parts + 1:,} parts under one root, which {whose} signed.")
    name = f" ({manifest.name})" if manifest.name else ""
    reason = f": {book.head.reason}" if book.head.reason else ""
    yield Finding("job", "proven", f"{show_job(book.job.id)}{name}: its manifest and its {book.chain.seq} amendments, to the close, are signed and in order.")
    yield Finding("end", "claimed", f"The job ended {book.head.state}{reason}.")


def _program(book: Book) -> Iterator[Finding]:
    manifest = book.job.manifest
    if manifest.program.code in book.data:
        pinned = " Its packages are pinned." if manifest.lock in book.data else "" if not manifest.environment.packages else " Its packages are not pinned."
        yield Finding("program", "proven", f"The code is inside, and is what the manifest names.{pinned}")
    else:
        yield Finding("program", "open", "The code is not in the file: nothing can be run again.")


def _blocks(book: Book) -> Iterator[Finding]:
    yield from _wrong(book, "blocks")
    states = Counter(book.blocks.states)
    others = [f"{states[number]:,} {word}" for number, word in ((1, "failed"), (2, "disputed"), (3, "cancelled")) if states[number]]
    tail = f" ({', '.join(others)})" if others else ""
    when = "before the first was handed out" if len(book.chain.ranges) == 1 else f"in {len(book.chain.ranges)} pieces, each before its first was handed out"
    yield Finding("blocks", "proven", f"{len(book.blocks):,} blocks with their parameters, seeds and inputs, as signed {when}; {states[SETTLED]:,} settled{tail}.")
    yield from _wrong(book, "outputs")
    named = sum(1 for index in range(len(book.blocks)) if book.blocks.output(index) != NOTHING)
    inside = sum(1 for index in range(len(book.blocks)) if book.blocks.inside[index] or book.blocks.output(index) in book.data)
    if inside:
        yield Finding("outputs", "proven", f"{inside:,} of {named:,} outputs are inside, and have the digests that are named.")
    elif named:
        yield Finding("outputs", "open", f"{named:,} outputs are named by their digests only.")


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Support:
    """How the settled blocks stand, in blocks."""

    twice: int = 0  # two workers or more signed the same bytes
    once: int = 0  # one did
    lone: int = 0  # of these, nobody else that is listed signed anything: not within a tolerance either
    tolerance: int = 0  # others that are listed signed other bytes: said to be equal within the job's tolerance
    none: int = 0  # nobody signed the kept output, as far as the file shows
    denied: int = 0  # of these, all that are listed signed other bytes
    against: int = 0  # somebody that is not listed signed another output


def support(book: Book) -> Support:
    """Counted over settled blocks."""
    twice = once = lone = tolerance = none = denied = against = 0
    blocks, own = book.blocks, book.workers.get(book.job.manifest.requester, -1)
    for index in range(len(blocks)):
        if blocks.states[index] != SETTLED:
            continue
        same, other, listed = (set(numbers(column[index])) for column in (blocks.same, blocks.other, blocks.listed))
        twice += len(same) > 1
        once += len(same) == 1
        lone += len(same) == 1 and other.isdisjoint(listed)
        none += not same
        denied += bool(not same and listed and own not in listed and listed <= other)  # its own run is assigned to nobody
        tolerance += not other.isdisjoint(listed)
        against += not other <= listed
    return Support(twice, once, lone, tolerance, none, denied, against)


def _results(book: Book) -> Iterator[Finding]:
    yield from _wrong(book, "results")
    manifest, found = book.job.manifest, support(book)
    kinds = len(book.classes)
    where = f", in {kinds} kinds of environment and hardware" if kinds > 1 else ""
    said = [(found.twice, "two workers or more signed {}, byte for byte"), (found.once, "one worker signed {}")]
    words = ", ".join(how.format(f"{count:,}") for count, how in said if count)
    if words:
        settled = found.twice + found.once + found.none
        yield Finding("results", "proven", f"Of {settled:,} settled outputs {words}: {_many(book.units, 'signed result')} of {_many(len(book.class_of), 'worker')}{where}.")
    if book.workers.get(manifest.requester, -1) in book.class_of:
        alone = "All of these signatures are" if len(book.class_of) == 1 else "One of these workers is"
        yield Finding("results", "claimed", f"{alone} the requester's own{'' if len(book.class_of) == 1 else ' node'}: its word, not another's.")
    if found.tolerance:
        exact = manifest.verify.equal is Equality.EXACT
        words = f"Of {_many(found.tolerance, 'block')} other listed workers signed other bytes"
        if exact:
            yield Finding("results", "wrong", f"{words}, although the job wants them exact.")
        elif book.apart:
            yield Finding("results", "open", f"{words}, which the requester found equal; of {book.apart:,} they are not by the job's policy as it is applied here.")
        elif book.equal == found.tolerance:
            yield Finding("results", "proven", f"{words}, equal by the job's policy.")
        else:
            shown = f"; of {book.equal:,} they are in the file, and are" if book.equal else ""
            yield Finding("results", "claimed", f"{words}, which the requester found equal by the job's policy{shown}.")
    if found.denied:
        yield Finding("results", "wrong", f"{found.denied:,} settled outputs are none that a worker signed: those listed signed others.")
    if found.none > found.denied:
        yield Finding("results", "claimed", f"{found.none - found.denied:,} settled outputs stand on no worker's signature that is in this file.")
    if found.against:
        yield Finding("results", "proven", f"Of {_many(found.against, 'block')} a worker signed another output, which was outvoted.")
    if book.unassigned:
        yield Finding("results", "open", f"{book.unassigned:,} results came for assignments that were not kept.")
    if found.twice:
        owners = {tally.worker_owner for tally in book.votes.tallies if tally.worker_owner}
        many = f"{len(owners)} different owners" if len(owners) > 1 else "different owners"
        yield Finding("owners", "claimed", f"That they belong to {many} is the requester's word.")


# -- draws ------------------------------------------------------------------------------------------------------------


def _draw(book: Book) -> Iterator[Finding]:
    yield from _wrong(book, "draw")
    if "draw" in book.wrongs:
        return
    kept = "The revealed secret is the one that the manifest promised"
    if not is_audited(book.job.manifest):
        yield Finding("draw", "proven", f"{kept}; a job among friends draws no audits.")
        return
    found = audits(book)
    share = " at the least share that a lone answer has" if _may_stand_alone(book.job.manifest.verify) else ""
    words = f"{kept}. Drawn anew{share}, it asks for an audit of {_many(found.drawn, 'block')}"
    if found.looked == found.drawn:
        yield Finding("draw", "proven", f"{words}{', and a further worker signed each' if found.drawn else ''}.")
        return
    parts = [f"{found.looked:,} were signed by a further worker"]
    if found.unsure:
        parts.append(f"{found.unsure:,} by two or more, where the file does not tell an auditor from a second newcomer")
    if alone := found.drawn - found.looked - found.unsure:
        parts.append(f"{alone:,} by nobody else: the requester ran them itself, or no further owner was there")
    yield Finding("draw", "open", f"{words}: {', '.join(parts)}.")


@dataclass(frozen=True, slots=True)
class Audits:
    """Of settled blocks, the draws redone."""

    drawn: int = 0  # that the secret asks an audit of
    looked: int = 0  # of these, that one more worker signed than their agreement needed
    unsure: int = 0  # of these, where that cannot be told


def audits(book: Book) -> Audits:
    """In economy an answer stands alone or with a second newcomer's, and is drawn at a rate of its own either way.

    Which it was is not in the file: two signers may be a worker and its auditor, or two newcomers whom nobody audited. A
    young worker's answers are drawn more often than that, by what its requester knew of it: those draws are not redone.
    """
    verify, blocks, secret = book.job.manifest.verify, book.blocks, book.chain.secret
    rules, lone = rules_for(verify), _may_stand_alone(verify)
    most = min(verify.replicas, 2) if lone else verify.replicas  # that an agreement needs
    drawn = looked = unsure = 0
    for index in range(len(blocks)):
        if blocks.states[index] != SETTLED:
            continue
        chance, runs = draw.chance(secret, "audit", index), len(blocks.signers(index))
        if chance < (rules.floor if lone else rules.strict_share):
            drawn += 1
            enough = runs > most and (most < 2 or chance < rules.strict_share)
            looked += enough
            unsure += lone and runs > 1 and not enough
    return Audits(drawn, looked, unsure)


def _may_stand_alone(verify: Verify) -> bool:
    return verify.assurance is Assurance.ECONOMY or verify.replicas < 2


# -- votes, the answer ------------------------------------------------------------------------------------------------


def _votes(book: Book) -> Iterator[Finding]:
    yield from _wrong(book, "votes")
    votes = book.votes
    if not votes.entries:
        yield Finding("votes", "open", "No entry of the ledger is in the file.")
        return
    sums = [sum(getattr(tally, word) for tally in votes.tallies) for word in ("agreed", "disputed", "invalid")]
    tallies = _many(len(votes.tallies), "tally", "tallies")
    words = f"{tallies}, opened by the job's secret: {sums[0]:,} agreed, {sums[1]:,} disputed, {sums[2]:,} invalid"
    paid = f"; {_many(votes.receipts, 'receipt')} signed by both sides, over {votes.credits:.4g} credits" if votes.receipts else ""
    over = list(_overcounted(book))
    if over:
        yield Finding("votes", "wrong", f"{words}; but {'; '.join(over)}.")
    else:
        yield Finding("votes", "proven", f"{words}{paid}. No more than the results in this file.")


def _overcounted(book: Book) -> Iterator[str]:
    """Workers that are praised or blamed for more blocks than they signed results of."""
    signed: Counter[int] = Counter()
    for index in range(len(book.blocks)):
        signed.update(book.blocks.signers(index))
    agreed: Counter[NodeId] = Counter()
    blamed: Counter[NodeId] = Counter()  # apart: a verdict that was revised is a vote of each kind
    for tally in book.votes.tallies:
        agreed[tally.worker] += tally.agreed
        blamed[tally.worker] += tally.disputed
    for worker in sorted(agreed | blamed):
        count, held = max(agreed[worker], blamed[worker]), signed[book.workers[worker]] if worker in book.workers else 0
        if count > held and not book.wrongs.get("results"):
            yield f"{worker} is voted on for {count:,} blocks and signed {held:,}"


def _answer(book: Book) -> Iterator[Finding]:
    answer = book.answer
    if answer is None or answer.blob is None:
        why = f": {answer.error}" if answer is not None and answer.error else ""
        yield Finding("answer", "open", f"The job has no answer{why}.")
    else:
        yield Finding("answer", "claimed", "The reduced answer is named; it is checked where all outputs are inside and the reducer is a built-in one.")


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
