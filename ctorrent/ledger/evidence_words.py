"""Evidence, and the questions for it, as plain lists and back, for `canon.encode` and `canon.decode`. Nothing is trusted.

    asks     [1, root, place]                     a leaf of the tally with that evidence root
             [2, tag]                             the job behind a tag
             [3, assignment, block]               what did you sign for it?
             [4, name]                            two signatures too large for an entry
    answers  [0, why, words]                      no
             [1, place, siblings, block, assignment, commitment, verdict, position, block siblings, assigned, accused,
                 other or [], [winners], own, content or []]
             [2, manifest, [amendments], secret]
             [3, shown]
             [4, sealed, sealed]
    sealed   [body, public key, signature]        shown  [sealed, nonce, output digest, output]
    content  [index, seed, params, [[name, digest, size] …]]

A longer list than these is a newer version's: what follows is ignored. Anything else that does not fit is Malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ctorrent.canon import CanonError, decode, encode
from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model.block import Block, InputRef
from ctorrent.model.evidence import (
    Ask,
    AskCase,
    AskDefence,
    AskLeaf,
    AskPair,
    Case,
    Evidence,
    Pair,
    Refused,
    Shown,
    Told,
    Why,
)
from ctorrent.model.ids import Digest, checked_digest
from ctorrent.model.result import Verdict
from ctorrent.seal import DIGEST_BYTES, KEY_BYTES, SIGNATURE_BYTES, Sealed, digest


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """What one question and one answer may hold."""

    ask_bytes: int = 256  # two digests and their frame
    told_bytes: int = 960 << 10  # a frame, with room for its head: one result of 4,096 lines is 290 KB, three fit
    siblings: int = 40  # a tree of a million million leaves
    winners: int = 8  # the largest quorum that anybody asks for has five
    amendments: int = 256  # pauses and resumes; a job that is paused more often has no evidence after that
    inputs: int = 1024  # of a block, as everywhere
    name_bytes: int = 255  # of an input's file
    words_chars: int = 200  # of a refusal
    number: int = 1 << 53  # places, indices, sizes


LIMITS = EvidenceLimits()


def encode_ask(ask: Ask) -> bytes:
    match ask:
        case AskLeaf(root, place):
            return encode([1, root, place])
        case AskCase(tag):
            return encode([2, tag])
        case AskDefence(assignment, block):
            return encode([3, assignment, block])
        case AskPair(name):
            return encode([4, name])


def decode_ask(data: bytes) -> Ask | None:
    """None for a question of a newer version. Raises Malformed, LimitExceeded."""
    match _plain(data, LIMITS.ask_bytes):
        case [1, bytes(root), place, *_]:
            return AskLeaf(checked_digest(root), _number(place))
        case [2, bytes(tag), *_]:
            return AskCase(checked_digest(tag))
        case [3, bytes(assignment), bytes(block), *_]:
            return AskDefence(checked_digest(assignment), checked_digest(block))
        case [4, bytes(name), *_]:
            return AskPair(checked_digest(name))
        case [int(kind), *_] if kind > 4:
            return None
    raise Malformed("a question for evidence that asks nothing")


def encode_told(told: Told) -> bytes:
    """The caller keeps to LIMITS.told_bytes."""
    match told:
        case Evidence():
            return encode(evidence_words(told))
        case Case():
            return encode([2, sealed_words(told.manifest), [sealed_words(one) for one in told.amendments], told.secret])
        case Shown():
            return encode([3, shown_words(told)])
        case Pair(both):
            return encode([4, sealed_words(both[0]), sealed_words(both[1])])
        case Refused(why, words):
            return encode([0, why.value, words[: LIMITS.words_chars]])


def decode_told(data: bytes) -> Told:
    """Raises Malformed, LimitExceeded."""
    match _plain(data, LIMITS.told_bytes):
        case [0, why, str(words), *_] if type(why) is int:
            known = {one.value: one for one in Why}
            return Refused(known.get(why, Why.UNKNOWN), words[: LIMITS.words_chars])
        case [1, *rest]:
            return _evidence(rest)
        case [2, list(manifest), list(amendments), bytes(secret), *_]:
            links = tuple(_sealed(one) for one in _few(amendments, LIMITS.amendments, "amendments"))
            return Case(_sealed(manifest), links, checked_digest(secret))
        case [3, list(shown), *_]:
            return _shown(shown)
        case [4, list(one), list(other), *_]:
            return Pair((_sealed(one), _sealed(other)))
    raise Malformed("an answer about evidence that says nothing")


def evidence_words(one: Evidence) -> list[Any]:
    return [
        1, one.place, list(one.siblings), one.block, one.assignment, one.commitment, one.verdict.value, one.position,
        list(one.block_siblings), sealed_words(one.assigned), shown_words(one.accused),
        [] if one.other is None else sealed_words(one.other), [shown_words(shown) for shown in one.winners], one.own,
        [] if one.content is None else content_words(one.content),
    ]  # fmt: skip


def _evidence(words: list[Any]) -> Evidence:
    match words:
        case [place, list(siblings), bytes(block), bytes(assignment), bytes(committed), verdict, position, list(beside),
              list(assigned), list(accused), list(other), list(winners), bytes(own), list(content), *_]:  # fmt: skip
            if type(verdict) is not int or verdict not in (Verdict.DISPUTED.value, Verdict.INVALID.value):
                raise Malformed("evidence is about a disputed or an invalid answer")
            return Evidence(
                _number(place), _digests(siblings), checked_digest(block), checked_digest(assignment), checked_digest(committed),
                Verdict(verdict), _number(position), _digests(beside), _sealed(assigned), _shown(accused),
                _sealed(other) if other else None, tuple(map(_shown, _few(winners, LIMITS.winners, "winners"))),
                checked_digest(own) if own else b"", _content(content) if content else None,
            )  # fmt: skip
    raise Malformed("evidence lacks a part")


def sealed_words(sealed: Sealed) -> list[Any]:
    return [sealed.body, sealed.public, sealed.signature]


def _sealed(words: Any) -> Sealed:
    match words:
        case [bytes(body), bytes(public), bytes(signature)] if len(public) == KEY_BYTES and len(signature) == SIGNATURE_BYTES:
            return Sealed(body, public, signature)
    raise Malformed("a sealed thing is [body, public key, signature]")


def shown_words(shown: Shown) -> list[Any]:
    return [sealed_words(shown.result), shown.nonce, shown.output, shown.data]


def _shown(words: Any) -> Shown:
    match words:
        case [list(result), bytes(nonce), bytes(output), bytes(data), *_]:
            return Shown(_sealed(result), nonce, output, data)
    raise Malformed("a result is shown as [sealed, nonce, output digest, output]")


def content_words(block: Block) -> list[Any]:
    return [block.index, block.seed, block.params, [[one.name, one.digest, one.size_bytes] for one in block.inputs]]


def _content(words: Any) -> Block:
    match words:
        case [index, seed, bytes(params), list(inputs), *_]:
            refs = tuple(_input(one) for one in _few(inputs, LIMITS.inputs, "inputs"))
            return Block(_number(index), _number(seed, (1 << 64) - 1), params, refs)
    raise Malformed("a block is [index, seed, params, inputs]")


def _input(words: Any) -> InputRef:
    match words:
        case [str(name), bytes(blob), size] if name and "/" not in name and name not in (".", "..") and "\0" not in name:
            if len(name.encode()) > LIMITS.name_bytes:
                raise LimitExceeded(f"an input's name of more than {LIMITS.name_bytes} bytes")
            return InputRef(name, checked_digest(blob), _number(size))
    raise Malformed("an input is [name, digest, size]")


def _digests(values: list[Any]) -> tuple[bytes, ...]:
    few = _few(values, LIMITS.siblings, "siblings")
    if not all(type(one) is bytes and len(one) == DIGEST_BYTES for one in few):
        raise Malformed("siblings are digests")
    return tuple(few)


def _number(value: Any, most: int = LIMITS.number) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f"{value!r:.40} is not a number from 0 to {most}")
    return value


def _few(values: list[Any], most: int, what: str) -> list[Any]:
    if len(values) > most:
        raise LimitExceeded(f"{len(values)} {what} where at most {most} are allowed")
    return values


def _plain(data: bytes, limit: int) -> Any:
    if len(data) > limit:
        raise LimitExceeded(f"{len(data)} bytes where at most {limit} are allowed")
    try:
        return decode(data)
    except CanonError as error:
        raise Malformed(str(error)) from None


def pair_digest(one: Sealed, other: Sealed) -> Digest:
    """Names two signatures, whichever was seen first."""
    low, high = sorted((one.body, other.body))
    return Digest(digest("ctorrent/pair/1", low, high))
