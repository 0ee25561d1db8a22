"""A job that was submitted open: blocks are appended to it, until it is sealed.

    append ─▶ checked ─▶ blocks and a link of the job's chain (their Merkle root), signed ─▶ on the disk
           ─▶ dispatch may hand them out, votes count with them, who asked hears the first index

Nothing of an append is handed out, or acknowledged, before a restart would find it. Workers hear of the link as they
hear of every amendment. A job that nobody appends to for IDLE_S, with all of its blocks ended, seals itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from ctorrent import canon
from ctorrent.dispatch import words as d
from ctorrent.errors import JobClosed, LocalError
from ctorrent.model.block import Block, InputRef, block_seed
from ctorrent.model.ids import Digest
from ctorrent.model.job import Amendment, AmendmentKind
from ctorrent.node.items import Grow, Part, Stored
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.records import block_puts
from ctorrent.plan.block_fields import BLOCKS_MAX
from ctorrent.plan.blocks import PARAMS_BYTES_MAX
from ctorrent.ports import BlobStore
from ctorrent.seal import merkle_root
from ctorrent.verify import words as q

if TYPE_CHECKING:
    from ctorrent.node.coordinate import Coordination

LINKS_MAX = 200  # a job's evidence holds 256 links (ledger/evidence_words.py): the rest is for pauses and the close
APPEND_BLOCKS_MAX = 4096  # of one call: as many as a unit's; naming them takes the event loop 30 ms
APPEND_BYTES_MAX = 8 << 20  # of one call: half a frame of the control channel
INPUTS_MAX = 64  # blobs that one block names; a call has a handful of large arguments
IDLE_S = 600.0  # long enough for a person who thinks between two cells; who comes later begins another job
_ANOTHER = "Seal it, and submit another."
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")  # of an input, as the program sees it
KNOWN = "Some of the blocks that were appended were known from earlier jobs, and not run again; memo: false runs them."
OPEN = "It is open: more blocks may be appended until it is sealed."


class Growth:
    """Of one job."""

    def __init__(self, job: Coordination) -> None:
        self._job = job
        self._signed: list[Grow] = []  # theirs are among the next records
        self._known = len(job.record.blocks)  # to the machines
        manifest = job.record.job.manifest
        self._links, self._seed = len(job.record.links_of(AmendmentKind.BLOCKS)), manifest.seed
        self._last = job.world.clock.now()

    # -- who asks -----------------------------------------------------------------------------------------------------

    async def append(self, parts: Sequence[Part], expected: int) -> int:
        """-> the index of the first, once they outlive a restart. Raises LocalError: nothing was added."""
        asked = Grow(parts, expected)
        await self._job.tell(asked)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_over, nursery.cancel_scope)
            await asked.heard.wait()
            nursery.cancel_scope.cancel()
        if asked.refused is not None:
            raise asked.refused
        if asked.first < 0:
            raise closed(self._job.record)
        return asked.first

    async def _until_over(self, scope: trio.CancelScope) -> None:
        await self._job.done.wait()
        scope.cancel()

    # -- in the job's turn --------------------------------------------------------------------------------------------

    def take(self, asked: Grow) -> None:
        """Sign and keep what may be added; say no to the rest."""
        record = self._job.record
        if (again := self._again(asked)) is not None:
            asked.first = again
            asked.heard.set()
            return
        asked.refused = self._no(asked)
        if asked.refused is not None:
            asked.heard.set()
            return
        first, seed = len(record.blocks), self._seed
        blocks = [Block(at, block_seed(seed, at), *part) for at, part in enumerate(asked.parts, first)]
        digests = record.digests_of(blocks)
        record.blocks += blocks
        record.digests += digests
        link = Amendment(
            record.id, len(record.amendments) + 1, record.head(), AmendmentKind.BLOCKS, first, len(blocks), merkle_root(list(digests))
        )
        self._job.ends.puts += block_puts(record.id, blocks)
        self._job.amended(record.amend(link, self._job.world.keys.node))
        self._links += 1
        self._last = self._job.world.clock.now()
        asked.first = first
        self._signed.append(asked)

    def _again(self, asked: Grow) -> int | None:
        """The index that the same blocks have already, where who asked says which: its answer was lost on the way."""
        at, blocks = asked.expected, self._job.record.blocks
        if at < 0 or at + len(asked.parts) > self._known:
            return None
        there = [(block.params, block.inputs) for block in blocks[at : at + len(asked.parts)]]
        return at if there == list(asked.parts) else None

    def _no(self, asked: Grow) -> LocalError | None:
        record = self._job.record
        if self._job.dispatch.done or not record.growing:
            return closed(record)
        if asked.expected not in (-1, len(record.blocks)):
            words = f"The next block of job {record.name} is {len(record.blocks)}, not {asked.expected}: somebody else appends to it."
            return LocalError(words, "Submit a job of your own.")
        if len(record.blocks) + len(asked.parts) > BLOCKS_MAX:
            return JobClosed(f"Job {record.name} would have more than {BLOCKS_MAX} blocks.", _ANOTHER)
        if self._links >= LINKS_MAX:
            return JobClosed(f"Job {record.name} was appended to {self._links} times, which is the most.", f"{_ANOTHER} Append many blocks at a time.")
        return None

    def handed(self) -> trio.Event | None:
        """For the records that leave now: set when the disk has them. None: no append is among them."""
        signed, self._signed = self._signed, []
        if not signed:
            return None
        done = trio.Event()
        self._job.spawn(self._kept, signed, done)
        return done

    async def _kept(self, signed: Sequence[Grow], done: trio.Event) -> None:
        await done.wait()
        await self._job.tell(Stored(signed[0].first, sum(len(one.parts) for one in signed)))
        for one in signed:
            one.heard.set()

    def stored(self, item: Stored, now: float) -> None:
        """Blocks are on the disk: from now on they are the machines' too."""
        blocks = self._job.record.blocks[item.first : item.first + item.count]
        self._known = item.first + item.count
        self.total(now)
        dispatch, paused = self._job.dispatch, bool(self._job.dispatch.paused)
        self._job.on_dispatch(dispatch.handle(d.Pause(dispatch.paused or "looking for what is known"), now))
        self._job.on_dispatch(dispatch.handle(d.AddBlocks(item.first, item.count, sizes_of(blocks)), now))
        self._recall(blocks, now)
        if not paused:
            self._job.on_dispatch(dispatch.handle(d.Resume(), now))
        if not self._job.record.growing:
            self._closing(now)

    def _recall(self, blocks: Sequence[Block], now: float) -> None:
        """Those that an earlier job settled need nobody."""
        known = [] if self._job.memory is None else list(self._job.memory.known(self._job.record, blocks))
        if not known:
            return
        for block, _, entry in known:
            self._job.ends.known(block.index, entry.end())
        indices = [block.index for block, _, _ in known]
        self._job.on_dispatch(self._job.dispatch.handle(d.Decided(indices, d.BlockState.SETTLED), now))
        self._job.on_votes(self._job.votes.handle(q.Abandoned(indices), now))
        if KNOWN not in self._job.board.said:
            self._job.board.said.append(KNOWN)

    def look(self, now: float) -> None:
        """End a job that was forgotten open."""
        if self._job.record.growing and now - self._last > IDLE_S and not self._job.dispatch.blocks.open and not self._signed:
            self.seal(now)

    def total(self, now: float) -> None:
        """Votes count with so many blocks. Among strangers a pause in which all have answers is as good as the end."""
        last = not self._job.record.growing or self._job.audited
        self._job.on_votes(self._job.votes.handle(q.Total(self._known, last), now))

    def seal(self, now: float) -> None:
        """No more will come: the job ends with its last block."""
        record = self._job.record
        if not record.growing:
            return
        record.growth = "sealed"
        self._job.ends.puts.append(record.put())
        self._closing(now)

    def _closing(self, now: float) -> None:
        """Once the machines know of all blocks."""
        if self._known == len(self._job.record.blocks):
            self.total(now)
            self._job.on_dispatch(self._job.dispatch.handle(d.Close(), now))


def closed(record: JobRecord) -> JobClosed:
    """Why it takes no blocks."""
    if not record.open:
        why = f"has ended: it is {record.state}"
    elif record.growth:
        why = "was sealed"
    else:
        why = "was not submitted open"
    return JobClosed(f"Job {record.name} {why}, so no block can be appended.", _ANOTHER)


def sizes_of(blocks: Sequence[Block]) -> list[int]:
    """Bytes of each in an Assign."""
    return [len(block.params) + 64 * len(block.inputs) + 48 for block in blocks]


async def stored(inputs: Any, blobs: BlobStore) -> Any:
    """The same with a digest for each path of a file: its bytes are in the store now. What is wrong is left for parts_of."""
    if not isinstance(inputs, list):
        return inputs
    found = []
    for block in inputs:
        files = block if isinstance(block, list) and len(block) <= INPUTS_MAX else []
        paths = [one[1] for one in files if isinstance(one, list) and len(one) == 2 and isinstance(one[1], str)]
        digests = {path: (await blobs.put_file(path))[0] for path in dict.fromkeys(paths)}
        found.append([[one[0], digests[one[1]]] if isinstance(one, list) and one[1:] and one[1] in digests else one for one in files] if files else block)
    return found


def parts_of(params: Any, inputs: Any, size_of: Callable[[Digest], int | None]) -> list[Part]:
    """What a person's program asks to append, checked. size_of: of a blob here. Raises LocalError.

    params: canonical maps, as bytes. inputs: for each block [[name, digest], …]; empty: none has any.
    """
    if not isinstance(params, list) or not params or not all(isinstance(one, bytes) for one in params):
        raise LocalError("What is appended is a list of one or more blocks' parameters, each in its canonical bytes.")
    if not isinstance(inputs, list) or len(inputs) not in (0, len(params)):
        raise LocalError(f"There are inputs for {len(inputs) if isinstance(inputs, list) else 0} blocks and parameters for {len(params)}.")
    if len(params) > APPEND_BLOCKS_MAX:
        raise LocalError(f"{len(params)} blocks are appended at once: at most {APPEND_BLOCKS_MAX}.", "Append them in several calls.")
    if (size := sum(map(len, params))) > APPEND_BYTES_MAX:
        raise LocalError(f"{size} bytes of parameters are appended at once: at most {APPEND_BYTES_MAX}.", "Append them in several calls.")
    return [(_checked(one, at), _refs(inputs[at], size_of) if inputs else ()) for at, one in enumerate(params)]


def _checked(params: bytes, at: int) -> bytes:
    if len(params) > PARAMS_BYTES_MAX:
        raise LocalError(f"The parameters of appended block {at} take {len(params)} bytes: at most {PARAMS_BYTES_MAX}.", "Pass what is large as an input.")
    try:
        found = canon.decode(params)
    except canon.CanonError as error:
        raise LocalError(f"The parameters of appended block {at} are not canonical: {error}.") from None
    if not isinstance(found, dict):
        raise LocalError(f"The parameters of appended block {at} are no map of names.")
    return params


def _refs(given: Any, size_of: Callable[[Digest], int | None]) -> tuple[InputRef, ...]:
    if not isinstance(given, list) or len(given) > INPUTS_MAX:
        raise LocalError(f"The inputs of a block are a list of at most {INPUTS_MAX} pairs of a name and a digest.")
    found: dict[str, InputRef] = {}
    for one in given:
        match one:
            case [str(name), bytes(digest)] if NAME.fullmatch(name) and name not in found:
                if (size := size_of(Digest(digest))) is None:
                    raise LocalError(f"The input {name} is not in this node's store.", "Add it first: net.blob(path).")
                found[name] = InputRef(name, Digest(digest), size)
            case _:
                raise LocalError(f"{one!r:.80} is no input: a pair of a plain file name that no other has, and a digest.")
    return tuple(found.values())
