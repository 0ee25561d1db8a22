"""Spaces of the journal, and the shape of each record: lists in the bytes of canon.encode, sealed things in their own.

Maps inside them may stand in any order (pack): nobody signs a record, and nothing is named by its bytes.

    space        key                         value
    self         b"name" …                   small facts about this node
    contact      node public                 [addresses, how, seen_unix]
    person       owner public                [state, name, [node …]]
    swarm        root owner public           [links …] of this owner's membership
    invite       token                       [uses left, expires_unix]
    job          job id                      [manifest, options, secrets …] of a job this node requested
    amendment    job id ‖ seq u32            sealed amendment
    block        job id ‖ first index u32    [[index, seed, params, inputs] …], up to 256
    settled      job id ‖ index u32          one block's end: see node/jobbook.py
    voice        job id ‖ index u32          whose word a provisional end stands on: see node/jobbook.py
    final        job id ‖ index u32          [agreed] of a provisional end that is so no more
    outputs      job id                      [blob …] of an ended job's blocks, listed at a start
    given        job id ‖ assignment id      [unit, worker, owner, indices, alone, terms] of an assignment under way
    dossier      job id ‖ assignment id      what a worker signed and what opens it: see node/dossier.py
    own-only     job id                      there for a job that goes to this owner's own nodes only
    no-memory    job id                      there for a job that is neither known nor remembered
    memory       key of a block              what it gave, and who agreed: see node/memory.py
    memory-age   day u64 ‖ key               [bytes, blob] of its last use: the oldest go first
    added        blob digest                 [name, bytes, added_unix] of a file that its person added
    lock         digest of what was asked    [resolved_unix, blob]: packages pinned to versions and hashes
    seen         job id ‖ 00 … 04             what a report tells of: see node/seen.py and node/timeline.py
    learned      job id ‖ 01 … 03             what its workers were found to be: see node/learned.py
    experience   node public                 [assignments finished, lost]
    round        job id                      last round announced: those who heard it ignore lower ones
    verdict      job id ‖ worker ‖ first u32 verdicts for tallies to come: see node/verdicts.py
    tallied      job id ‖ worker             verdicts that tallies hold already
    term         job id                      highest term this worker has seen
    undelivered  job id ‖ assignment id      what a worker promised and has not handed over
    entry        author ‖ incarnation u32 ‖ seq u32   sealed ledger entry
    signed       see node/signed.py           what this worker signed, for its own defence
    witnessed    entry id                    [standing, unix, author public, words, names] of a vote whose evidence was asked for
    pair         name                        two seals that are a proof too large for an entry
    evidence     see node/evidence.py         what own negative votes stand on
    quarantine   owner, as text              a case held against it: see node/trust.py
    equivocation worker public ‖ assignment id   two sealed results by one key for one assignment
    pay          job id [‖ worker]           what settled work earned and no bill says yet: see node/billing.py
    bill         worker ‖ job id ‖ number    bills that their workers have not signed
    earned       job id                      what this node did in another's job: see node/earnings.py
    signedbill   job id ‖ number u32         bills that this node signed
    credit       requester ‖ tag ‖ worker ‖ number u32   receipts of this node's own: see node/credit.py
    whose        node public                 owner, of friends' nodes and of those there are receipts with
    lie          author ‖ incarnation u32 ‖ seq u32   what is wrong with the checkpoint after that entry
    successor    old owner public            a rotation that is believed: see node/kin.py
    fork         author ‖ entry id           the other of two entries that make a proof
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgpack  # type: ignore[import-untyped]

from ctorrent.canon import Array, encode
from ctorrent.model.block import Block, InputRef
from ctorrent.model.ids import Digest, JobId, NodeId, node_public
from ctorrent.ports import Put
from ctorrent.seal import Sealed

BLOCKS_A_RECORD = 256  # one record of 256 small blocks is ~16 KB: a page-friendly size, and 10,000 blocks are 40 records


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def pack_sealed(sealed: Sealed) -> list[bytes]:
    return [sealed.body, sealed.public, sealed.signature]


def unpack_sealed(parts: Any) -> Sealed:
    body, public, signature = parts
    return Sealed(body, public, signature)


def pack_block(block: Block) -> list[Any]:
    return [block.index, block.seed, block.params, [[i.name, i.digest, i.size_bytes] for i in block.inputs]]


def unpack_block(parts: Any) -> Block:
    index, seed, params, inputs = parts
    return Block(index, seed, params, tuple(InputRef(name, Digest(raw), size) for name, raw, size in inputs))


def block_puts(job: JobId, blocks: list[Block]) -> Iterable[Put]:
    """Records that hold `blocks`, in order."""
    for start in range(0, len(blocks), BLOCKS_A_RECORD):
        chunk = blocks[start : start + BLOCKS_A_RECORD]
        yield Put("block", job + u32(chunk[0].index), encode([pack_block(block) for block in chunk]))


def entry_key(author: NodeId, incarnation: int, seq: int) -> bytes:
    return node_public(author) + u32(incarnation) + u32(seq)


def pack(value: Any) -> bytes:
    """A record without arrays: the bytes of canon.encode, but that maps stay in their order, at ten times its speed."""
    packed: bytes = msgpack.packb(value)
    return packed


def load(value: bytes) -> Any:
    """A record's value, as canon.decode gives it. Our own bytes: damage was ruled out when the journal was opened.

    So nothing is asked of them but that they are read. Raises ValueError.
    """
    return msgpack.unpackb(value, ext_hook=_array)


def _array(_: int, inside: bytes) -> Array:
    dtype, shape, raw = msgpack.unpackb(inside)
    return Array(dtype, tuple(shape), raw)
