"""The parts of a receipt file: canonical lists, each checked field by field. docs/receipts.md is the specification.

A file is a stranger's: no length is believed, nothing is looked into that is not of the shape that encode_part writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ctorrent.canon import CanonError, decode, encode
from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model.block import Block, InputRef
from ctorrent.model.ids import Digest, JobId, NodeId, node_id, node_public
from ctorrent.model.portable import (
    Answer,
    BlockLine,
    Data,
    DataKind,
    Head,
    Opening,
    Part,
    Piece,
    Seal,
    SealedKind,
    SealedPart,
    Summed,
    Tag,
    Unit,
)
from ctorrent.model.result import NONCE_BYTES, OPENING_BYTES
from ctorrent.seal import DIGEST_BYTES, KEY_BYTES, SIGNATURE_BYTES, Sealed, Signer, verify

FORMAT = 1
DOMAIN = "ctorrent/portable/1"
STATES = ("settled", "failed", "disputed", "cancelled")


@dataclass(frozen=True, slots=True)
class PortableRules:
    """Limits of a receipt file, on writing and on reading."""

    part_bytes: int = 2 << 20  # a block is assigned within a frame of 1 MiB; beside it stands an output of 256 KiB
    piece_bytes: int = 512 << 10  # of data: what a reader holds at once
    body_bytes: int = 384 << 10  # of anything signed: a result of 4096 lines is the largest
    blocks: int = 1_000_000  # as the largest job; a reader remembers 350 bytes of each
    unit_blocks: int = 4096  # as one assignment
    inputs: int = 1024  # of one block
    workers: int = 256  # of one block: replicas, audits and second looks; that are listed, and that signed a result
    keys: int = 100_000  # different workers of one file, ten times what is planned for: a reader remembers half a KiB of each
    files: int = 20_000  # data that no block names: a job's files (plan/codemap.py), its lock, calibrations, the answer
    text: int = 4096  # characters of a name or a reason
    size_bytes: int = 1 << 44  # of one piece of data: more than any disk that reads it


RULES = PortableRules()


# -- out --------------------------------------------------------------------------------------------------------------


def encode_part(part: Part) -> bytes:
    """Canonical bytes of a part. ValueError above the limits: whoever writes a file keeps them."""
    body = encode(_words(part))
    if len(body) > RULES.part_bytes:
        raise ValueError(f"a part of {len(body)} bytes: at most {RULES.part_bytes}")
    return body


def _words(part: Part) -> list[Any]:
    match part:
        case Head():
            return ["head", FORMAT, part.job, part.version, part.unix, part.state, part.reason, part.blocks, part.with_data]
        case SealedPart(kind, sealed):
            return [kind.value, _sealed_words(sealed)]
        case Tag(secret):
            return ["tag", secret]
        case Data(kind, digest, size):
            return ["data", kind.value, digest, size]
        case Piece(data):
            return ["piece", data]
        case BlockLine():
            return _block_words(part)
        case Unit():
            openings = b"".join(opening.nonce + opening.output for opening in part.openings)
            assignment = None if part.assignment is None else _sealed_words(part.assignment)
            return ["unit", part.assignment_id, ranges(part.indices), assignment, _sealed_words(part.result), openings, list(part.outputs)]
        case Answer(blob, size, error):
            return ["answer", blob, size, error]
        case Seal(sealed):
            return ["seal", _sealed_words(sealed)]


def _block_words(line: BlockLine) -> list[Any]:
    block = line.block
    inputs = [[ref.name, ref.digest, ref.size_bytes] for ref in block.inputs]
    workers = [node_public(worker) for worker in line.workers]
    return ["block", block.index, block.seed, block.params, inputs, line.state, line.output, line.size_bytes, line.data, workers, line.words]


def _sealed_words(sealed: Sealed) -> list[bytes]:
    return [sealed.body, sealed.public, sealed.signature]


def seal_file(summed: Summed, signer: Signer) -> Seal:
    """Sign the root over all parts with the requester's node key."""
    return Seal(signer.sign(DOMAIN, encode([FORMAT, summed.job, summed.parts, summed.root])))


def ranges(indices: Sequence[int]) -> list[int]:
    """first, count, first, count … in order: a unit is nearly always one range."""
    flat: list[int] = []
    for index in indices:
        if flat and flat[-2] + flat[-1] == index:
            flat[-1] += 1
        else:
            flat += [index, 1]
    return flat


# -- in ---------------------------------------------------------------------------------------------------------------


def decode_part(data: bytes) -> Part:
    """Raises Malformed for anything that encode_part does not write, LimitExceeded for too much of it."""
    if len(data) > RULES.part_bytes:
        raise LimitExceeded(f"a part of {len(data)} bytes: at most {RULES.part_bytes}")
    try:
        words = decode(data)
    except CanonError as error:
        raise Malformed(f"a part is not in canonical form: {error}") from None
    if not isinstance(words, list) or not words or not isinstance(words[0], str):
        raise Malformed("a part is a list that begins with its kind")
    match words:
        case ["head", *rest]:
            return _head(rest)
        case [("manifest" | "owner" | "amendment" | "entry") as kind, sealed]:
            return SealedPart(SealedKind(kind), _sealed(sealed))
        case ["tag", bytes(secret)] if len(secret) == DIGEST_BYTES:
            return Tag(secret)
        case ["data", ("blob" | "output") as kind, digest, size]:
            return Data(DataKind(kind), _digest(digest), _whole(size, "a size", RULES.size_bytes))
        case ["piece", bytes(piece)] if 0 < len(piece) <= RULES.piece_bytes:
            return Piece(piece)
        case ["block", *rest]:
            return _block(rest)
        case ["unit", *rest]:
            return _unit(rest)
        case ["answer", blob, size, error]:
            return Answer(None if blob is None else _digest(blob), _whole(size, "a size", RULES.size_bytes), _text(error, "an error"))
        case ["seal", sealed]:
            return Seal(_sealed(sealed))
    raise Malformed(f"a part of kind {words[0][:40]!r} that has not the form of one")


def open_seal(seal: Seal) -> Summed:
    """What was signed, once the signature holds. Whose key it should be is the reader's to check."""
    verify(DOMAIN, seal.sealed)
    try:
        words = decode(seal.sealed.body)
    except CanonError as error:
        raise Malformed(f"the seal is not in canonical form: {error}") from None
    match words:
        case [int(number), job, parts, root] if number == FORMAT:
            return Summed(JobId(_digest(job)), _whole(parts, "a number of parts", 1 << 40), _digest(root))
    raise Malformed("the seal is not [1, job, parts, root], or of a newer version")


def _head(rest: list[Any]) -> Head:
    match rest:
        case [int(number), *_] if number != FORMAT:
            raise Malformed(f"the file has format {number}; this program reads {FORMAT}")
        case [_, job, version, unix, state, reason, blocks, bool(with_data)]:
            return Head(
                JobId(_digest(job)), _text(version, "a version"), _whole(unix, "a time", 1 << 40), _text(state, "a state"),
                _text(reason, "a reason"), _whole(blocks, "a number of blocks", RULES.blocks), with_data,
            )  # fmt: skip
    raise Malformed("the file does not begin with a head")


def _block(rest: list[Any]) -> BlockLine:
    match rest:
        case [index, seed, bytes(params), list(inputs), str(state), output, size, data, list(workers), words]:
            pass
        case _:
            raise Malformed("a block is not [index, seed, params, inputs, state, output, size, data, workers, words]")
    if state not in STATES or not (data is None or isinstance(data, bytes)):
        raise Malformed(f"a block's state is {state[:40]!r}, or its data is no data")
    if len(inputs) > RULES.inputs or len(workers) > RULES.workers:
        raise LimitExceeded(f"a block with {len(inputs)} inputs and {len(workers)} workers: at most {RULES.inputs} and {RULES.workers}")
    block = Block(_whole(index, "an index", RULES.blocks), _whole(seed, "a seed", (1 << 64) - 1), params, tuple(_input(one) for one in inputs))
    length = _whole(size, "a size", RULES.size_bytes)
    if data is not None and (output is None or len(data) != length):
        raise Malformed(f"block {block.index} has {len(data)} bytes of output and says {length}")
    digest = None if output is None else _digest(output)
    return BlockLine(block, state, digest, length, data, tuple(_node(one) for one in workers), _text(words, "a reason"))


def _input(one: Any) -> InputRef:
    match one:
        case [str(name), digest, size]:
            return InputRef(_text(name, "a name"), _digest(digest), _whole(size, "a size", RULES.size_bytes))
    raise Malformed("an input is not [name, digest, size]")


def _unit(rest: list[Any]) -> Unit:
    match rest:
        case [identifier, list(flat), assignment, result, bytes(openings), list(outputs)] if len(openings) % OPENING_BYTES == 0:
            pass
        case _:
            raise Malformed("a unit is not [assignment, ranges, assignment's seal, result's seal, openings, outputs]")
    indices = spread(flat)
    if len(openings) // OPENING_BYTES != len(indices):
        raise Malformed(f"a unit of {len(indices)} blocks with {len(openings) // OPENING_BYTES} openings")
    if len(outputs) not in (0, len(indices)) or not all(isinstance(one, bytes) for one in outputs) or (outputs and not any(outputs)):
        raise Malformed("a unit's outputs are none, or one for each block")
    pieces = [openings[at : at + OPENING_BYTES] for at in range(0, len(openings), OPENING_BYTES)]
    return Unit(
        _digest(identifier), indices, None if assignment is None else _sealed(assignment), _sealed(result),
        tuple(Opening(piece[:NONCE_BYTES], Digest(piece[NONCE_BYTES:])) for piece in pieces), tuple(outputs),
    )  # fmt: skip


def spread(flat: Sequence[Any]) -> tuple[int, ...]:
    """The inverse of ranges(). Raises Malformed, and LimitExceeded before it makes a long list of a short one."""
    if len(flat) % 2 or len(flat) > 2 * RULES.unit_blocks:
        raise Malformed("ranges are pairs of a first and a count")
    numbers = [_whole(one, "an index", RULES.blocks) for one in flat]
    if not numbers or sum(numbers[1::2]) > RULES.unit_blocks or 0 in numbers[1::2]:
        raise LimitExceeded(f"a unit has 1 to {RULES.unit_blocks} blocks")
    found = tuple(index for at in range(0, len(numbers), 2) for index in range(numbers[at], numbers[at] + numbers[at + 1]))
    if len(set(found)) != len(found) or ranges(found) != numbers:
        raise Malformed("ranges name a block twice, or are not the shortest ones")
    return found


def _sealed(words: Any) -> Sealed:
    match words:
        case [bytes(body), bytes(public), bytes(signature)] if len(public) == KEY_BYTES and len(signature) == SIGNATURE_BYTES:
            if len(body) > RULES.body_bytes:
                raise LimitExceeded(f"a signed body of {len(body)} bytes: at most {RULES.body_bytes}")
            return Sealed(body, public, signature)
    raise Malformed("a seal is not [body, key, signature]")


def _digest(raw: Any) -> Digest:
    if not isinstance(raw, bytes) or len(raw) != DIGEST_BYTES:
        raise Malformed(f"a digest is {DIGEST_BYTES} bytes")
    return Digest(raw)


def _node(raw: Any) -> NodeId:
    if not isinstance(raw, bytes) or len(raw) != KEY_BYTES:
        raise Malformed(f"a node's key is {KEY_BYTES} bytes")
    return _named(raw)


_named = lru_cache(maxsize=4096)(node_id)  # a base58 number takes 8 µs to write, and few workers run many blocks


def _whole(number: Any, what: str, high: int) -> int:
    if type(number) is not int or not 0 <= number <= high:
        raise Malformed(f"{what} is {str(number)[:40]}: a whole number from 0 to {high}")
    return number


def _text(text: Any, what: str) -> str:
    if not isinstance(text, str) or len(text) > RULES.text:
        raise Malformed(f"{what} is a text of at most {RULES.text} characters")
    return text
