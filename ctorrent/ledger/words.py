"""Sync messages as plain lists and back, for `canon.encode` and `canon.decode` at the node's edge. Nothing is trusted.

    [1, ring, [[depth, digits, count, fingerprint] …]]                           Compare
    [2, ring, [[depth, digits, [child slices], [lines], whole] …]]               Answer
        a line: [author key, incarnation, seq, id, fork, low]; without the last one nothing was cut off
    [3, author key, incarnation, from_seq, to_seq, proof]                        Want
    [4, [[body, public key, signature] …], answers]                              Give
    [5]                                                                          Done

A longer list than these is a newer version's: what follows is ignored. A first number that is none of these is a kind
this version does not know: `from_words` returns None, and the sender is not charged.
"""

from __future__ import annotations

from typing import Any

from ctorrent.errors import Malformed
from ctorrent.ledger.chain import INCARNATION_MAX
from ctorrent.ledger.rules import SyncRules
from ctorrent.ledger.summary import DEPTH, WIDTH, Line, Prefix, Slice
from ctorrent.ledger.sync import Answer, Compare, Done, Found, Give, SyncMessage, Want
from ctorrent.model.ids import NodeId, Ring, checked_digest, node_id, node_public
from ctorrent.seal import Sealed

_RULES = SyncRules()
_NUMBER_MAX = (1 << 63) - 1  # on the wire; a chain refuses places beyond SEQ_MAX


def to_words(message: SyncMessage) -> list[Any]:
    """A message as lists, numbers, text and bytes."""
    match message:
        case Compare(ring, slices):
            return [1, str(ring), [_slice_words(s) for s in slices]]
        case Answer(ring, found):
            return [2, str(ring), [_found_words(f) for f in found]]
        case Want(author, incarnation, from_seq, to_seq, proof):
            return [3, node_public(author), incarnation, from_seq, to_seq, proof]
        case Give(entries, answers):
            return [4, [[s.body, s.public, s.signature] for s in entries], answers]
        case Done():
            return [5]


def from_words(words: Any) -> SyncMessage | None:
    """The message that `words` say; None for a kind of a newer version. Raises Malformed for anything else."""
    match words:
        case [1, str(ring), list(slices), *_]:
            return Compare(Ring.parse(ring), tuple(_slice(s) for s in _few(slices, _RULES.slices_max)))
        case [2, str(ring), list(found), *_]:
            return Answer(Ring.parse(ring), tuple(_found(f) for f in _few(found, _RULES.slices_max)))
        case [3, bytes(author), incarnation, from_seq, to_seq, bool(proof), *_]:
            first, last = _number(from_seq, _NUMBER_MAX), _number(to_seq, _NUMBER_MAX)
            return Want(_author(author), _number(incarnation, INCARNATION_MAX), first, last, proof)
        case [4, list(entries), answers, *_]:
            sealed = tuple(_sealed(e) for e in _few(entries, _RULES.give_entries_max))
            return Give(sealed, _number(answers, _RULES.wants_open))
        case [5, *_]:
            return Done()
        case [int(kind), *_] if kind > 5 and kind is not True:
            return None
        case _:
            raise Malformed("a ledger message that says nothing")


def _slice_words(s: Slice) -> list[Any]:
    return [s.prefix.depth, s.prefix.digits, s.count, s.fingerprint]


def _found_words(found: Found) -> list[Any]:
    lines = [[node_public(n.author), n.incarnation, n.seq, n.id, n.fork, n.low] for n in found.lines]
    children = [_slice_words(child) for child in found.children]
    return [found.prefix.depth, found.prefix.digits, children, lines, found.whole]


def _slice(words: Any) -> Slice:
    match words:
        case [depth, digits, count, bytes(fingerprint), *_]:
            return Slice(_prefix(depth, digits), _number(count, _NUMBER_MAX), checked_digest(fingerprint))
    raise Malformed("a ledger slice is [depth, digits, count, fingerprint]")


def _found(words: Any) -> Found:
    match words:
        case [depth, digits, list(children), list(lines), bool(whole), *_]:
            slices = tuple(_slice(child) for child in _few(children, WIDTH))
            return Found(_prefix(depth, digits), slices, tuple(_line(n) for n in _few(lines, _RULES.lines_max)), whole)
    raise Malformed("a ledger answer is [depth, digits, children, lines, whole]")


def _line(words: Any) -> Line:
    match words:
        case [bytes(author), incarnation, seq, bytes(head), fork, *rest]:
            numbers = (_number(incarnation, INCARNATION_MAX), _number(seq, _NUMBER_MAX))
            low = _number(rest[0], _NUMBER_MAX) if rest else 0
            return Line(_author(author), *numbers, checked_digest(head), _number(fork, _NUMBER_MAX), low)
    raise Malformed("a ledger line is [author, incarnation, seq, id, fork, low]")


def _sealed(words: Any) -> Sealed:
    match words:
        case [bytes(body), bytes(public), bytes(signature)]:
            return Sealed(body, public, signature)
    raise Malformed("a sealed entry is [body, public, signature]")


def _author(public: bytes) -> NodeId:
    return node_id(public)


def _prefix(depth: Any, digits: Any) -> Prefix:
    depth = _number(depth, DEPTH)
    return Prefix(depth, _number(digits, WIDTH**depth - 1))


def _number(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f"{value!r:.40} is not a number from 0 to {most}")
    return value


def _few(values: list[Any], most: int) -> list[Any]:
    if len(values) > most:
        raise Malformed(f"{len(values)} parts where at most {most} are allowed")
    return values
