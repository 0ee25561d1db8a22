"""What a node asks of the world. Real rooms implement these; `ctorrent.testing` has fakes; one contract suite each.

All async methods may be cancelled at any time without harm to the thing behind them. What a port raises is in its
docstring; anything else that leaves it is a bug of that room. Payloads are bytes: rooms above decode them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.tags import Tag

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Isolation, Limits, Needs, Program
from ctorrent.model.lock import Lock
from ctorrent.model.offer import EnvironmentInfo, Hardware, Load
from ctorrent.model.result import Outcome
from ctorrent.seal import Signer


class Channel(Protocol):
    """A stream between two nodes that carries whole frames, both ways, flow-controlled by credit."""

    peer: NodeId
    dialled: bool  # this side opened it

    async def send(self, frame: bytes) -> None:
        """Queue one frame of at most wire.names.FRAME_BYTES_MAX; waits while the peer gave no credit.

        Raises Unavailable when the channel is closed or lost. Safe to cancel: a frame is sent whole or not at all.
        """

    async def receive(self) -> bytes:
        """Next whole frame. Raises Unavailable at the clean end or a loss, PeerError when the peer broke the protocol."""

    async def aclose(self) -> None:
        """Close after the queued frames are sent, or after a short time."""


Handler = Callable[[Channel], Awaitable[None]]


class Streams(Protocol):
    """Channels by protocol id."""

    async def open(self, peer: NodeId, protocol: str) -> Channel:
        """Open a channel to a connected or dialable peer. Raises Unavailable, or Unsupported."""

    def serve(self, protocol: str, handler: Handler) -> None:
        """Call `handler` for every inbound channel. What it raises ends that channel and charges the peer if PeerError."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A peer the directory knows. `how`: "join", "mdns", "dht", "last time", "inbound"."""

    node: NodeId
    addresses: tuple[str, ...]
    how: str
    connected: bool
    latency_s: float | None = None  # from real exchanges
    bandwidth_bytes_s: float | None = None  # from real transfers
    agent: str = ""  # libp2p agent version string
    seen_at: str = ""  # the IP address at the other end of its last connection, as this machine sees it
    quiet_s: float = 0.0  # of a connected one that is attended to: since it was last heard, though asked each second


class Directory(Protocol):
    """Who is there, and where."""

    def self_record(self) -> bytes:
        """This node's own signed libp2p peer record (envelope bytes), to put into an announcement."""

    def addresses(self) -> tuple[str, ...]:
        """Concrete multiaddrs (with /p2p/ID) at which this node can be dialled."""

    def contacts(self) -> tuple[Contact, ...]:
        """All known peers, connected first."""

    def contact(self, peer: NodeId) -> Contact | None:
        """One of them."""

    async def connect(self, address: str, how: str = "join") -> NodeId:
        """Dial a multiaddr that ends in /p2p/ID. Raises Unavailable with what failed, in words."""

    async def connect_record(self, record: bytes, of: NodeId | None = None) -> NodeId:
        """Dial the author of a signed peer record, at addresses inside it only (private ones only if on-link).

        of: whose record it must be; BadSignature, before anything is dialled, when it is another's.

        Raises BadSignature, Malformed, or Unavailable.
        """

    def attend(self, for_s: float) -> None:
        """For so long, ask every connected peer each second for a sign of life: Contact.quiet_s says who gives none.

        A machine that lost its power says no goodbye; without this it counts as connected for half a minute.
        """

    def traffic(self) -> tuple[int, int]:
        """Bytes received from peers and sent to them, since the start."""

    def charge(self, peer: NodeId, points: int, why: str) -> None:
        """Count misbehaviour; at a stated sum the peer is disconnected and refused for a while."""

    async def knock(self, peer: NodeId, port: int) -> str:
        """Does the machine of a connected peer take TCP connections at `port`? -> a word of net/knock.py; "" if it is not tried."""

    async def changes(self) -> AsyncIterator[Contact]:
        """Every connect and disconnect from now on."""
        yield Contact(NodeId(""), (), "", False)


class Gossip(Protocol):
    """Flooded small messages by topic (at most wire.names.GOSSIP_BYTES_MAX)."""

    async def publish(self, topic: str, message: bytes) -> None:
        """Best effort; raises ValueError when too large (our bug)."""

    async def subscribe(self, topic: str, check: Callable[[NodeId, bytes], bool]) -> AsyncIterator[tuple[NodeId, bytes]]:
        """(author, message) of others. `check` runs before relaying: False is neither delivered nor passed on."""
        yield NodeId(""), b""

    def unsubscribe(self, topic: str) -> None: ...

    def score(self, of: Callable[[NodeId], float]) -> None:
        """From now on ask `of` what is thought of a neighbour, at each heartbeat; 0: nothing bad.

        Below 0 it has no place in any mesh: it hears of messages a heartbeat late, if it asks. Below
        wire.names.GOSSIP_MUTE_BELOW it is sent no messages and told of none. What it passes on is still heard.
        """

    def mesh(self, topic: str) -> frozenset[NodeId]:
        """The neighbours to whom messages of a topic are passed on at once."""
        return frozenset()


class BlobStore(Protocol):
    """Immutable bytes by digest("ctorrent/blob/1", bytes), within a quota; least recently used and unpinned go first."""

    async def put(self, data: bytes) -> Digest: ...

    async def put_file(self, path: str) -> tuple[Digest, int]:
        """Hash and copy (or link) a file in, without reading it into memory. -> (digest, size)."""

    async def get(self, blob: Digest, limit: int) -> bytes:
        """Raises KeyError when absent, LimitExceeded when larger than `limit`."""

    async def read(self, blob: Digest, offset: int, size: int) -> bytes:
        """A part of a blob. Raises KeyError when absent."""

    def size(self, blob: Digest) -> int | None:
        """Bytes, or None when absent."""

    def path(self, blob: Digest) -> str:
        """The file itself, to be read only. Raises KeyError when absent."""

    async def check(self, blob: Digest) -> bool:
        """Is it here and whole? Afterwards `path` answers at once."""
        return False

    async def lay_out(self, tree: Digest, small: Mapping[str, bytes], large: Mapping[str, Digest]) -> str:
        """Make a folder of small files and of blobs, to be shown read-only. -> its path; the same one until it is cleared.

        Raises KeyError when a blob is absent, LocalError for what the disk says. Not for the same tree twice at once.
        """
        return ""

    async def clear(self, tree: Digest) -> None:
        """Remove a folder that was laid out. Its blobs stay. Raises LocalError when something of it is left."""

    def room_bytes(self) -> int:
        """What could still be received: within the quota, when all that is not pinned was tidied away, and on the disk."""
        return 0

    def quota(self) -> int:
        """Bytes that others' jobs may put here in all."""
        return 0

    def set_quota(self, quota_bytes: int) -> None:
        """For what others' jobs put here, from now on."""

    def sweep(self, dry_run: bool) -> tuple[int, int]:
        """Remove all that nobody keeps, or only look. -> how many, bytes."""

    def discard(self, blob: Digest) -> None:
        """Remove it now if nobody keeps it."""

    async def flush(self, blobs: Sequence[Digest]) -> None:
        """Return when these survive a loss of power. Absent ones are skipped."""

    def pin(self, blob: Digest, reason: str) -> None: ...

    def unpin(self, blob: Digest, reason: str) -> None: ...

    async def receive(self, blob: Digest, size: int, chunks: AsyncIterator[bytes], offset: int = 0) -> None:
        """Store what `chunks` yields from byte `offset` (at most `partial(blob)`) on; returns at once when it is here.

        Raises Malformed if the bytes do not hash to `blob` or are more than `size`; Unavailable if `chunks` ends early.
        Then, and when cancelled, what came is kept for resuming.
        """

    def partial(self, blob: Digest) -> int:
        """Bytes of an unfinished `receive` that one with an `offset` may resume from."""
        return 0


@dataclass(frozen=True, slots=True)
class Put:
    space: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    space: str
    key: bytes


Write = Put | Delete


class Journal(Protocol):
    """A durable ordered map per space. Writers commit batches; reads see what was committed.

    Spaces in use are named in node/records.py. Keys order bytewise.
    """

    async def commit(self, writes: Sequence[Write], durable: bool = True) -> None:
        """All or nothing; returns after fsync when durable. Commits made meanwhile share one transaction.

        Raises JournalError when the disk is full or damaged.
        """

    def get(self, space: str, key: bytes) -> bytes | None: ...

    def scan(self, space: str, prefix: bytes = b"", limit: int = 1 << 30, after: bytes = b"") -> list[tuple[bytes, bytes]]:
        """Records whose key starts with `prefix`, in key order; only those above `after`, where it is given."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BlockInput:
    """One block as the sandbox gets it. `files`: (name, path on this host) of inputs, read-only.

    values: canonical values beside them, for functions that reduce, check or compare; a program never gets any.
    """

    index: int
    seed: int
    params: bytes  # canonical map
    files: tuple[tuple[str, str], ...] = ()
    values: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A warm sandbox for one job."""

    job: str  # show_job(id), for labels and logs
    program: Program
    folder: str  # on this host, with the job's files; blocks see it read-only, as the folder they start in
    environment: EnvironmentInfo
    needs: Needs
    limits: Limits
    hash_seed: int  # PYTHONHASHSEED of the job, u32
    gpus: tuple[str, ...] = ()  # uuids allotted
    slots: int = 1  # units at once
    own: bool = False  # a job of this node's own: what its lock pins, its owner chose


class Cell(Protocol):
    """A warm, hardened place in which units of one job run, each in a fresh locked-down process."""

    level: Isolation

    async def run(self, unit: Sequence[BlockInput], log: Callable[[int, bytes], None] | None = None) -> list[Outcome]:
        """Run a unit: one process, blocks in order, an Outcome each, same length and order as `unit`.

        A block that kills the process fails; those after it run in a new process. Never raises for what the program
        does; raises LocalError when the sandbox itself cannot be made (the worker's fault).
        log: called with (index, bytes) as output appears, capped by limits.log_bytes per block.
        """

    async def reduce(self, entry: str, values: Sequence[bytes]) -> Outcome:
        """Call `file.py:function` of the job's files once with the list of decoded values."""

    async def check(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        """Call a function of the job's files for each case, in one process, with what a block gets by name and `output`.

        A case's values: the output to judge, and the integer that is `draw` and seeds its generators.
        """

    async def compare(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        """The same with two outputs by position. A case's values: both, and the integer that seeds its generators."""

    async def aclose(self) -> None:
        """Kill what runs and remove every trace."""


class Sandbox(Protocol):
    """Makes cells at one isolation level."""

    level: Isolation
    gaps: tuple[str, ...]  # what this level does not guarantee, a sentence each

    def commands(self) -> bool:
        """Can it run `command` programs?"""

    def environments(self) -> tuple[EnvironmentInfo, ...]:
        """Those ready to run in, best match decided by market.fit."""

    async def open(self, spec: CellSpec) -> Cell:
        """Raises LocalError with what is missing and the command that mends it."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Made:
    """An environment that was made from a lock."""

    name: str
    lock: bytes  # digest of the lock's blob
    size_bytes: int


class Packages(Protocol):
    """Wheels from this machine's own index, and the environments that are made of them."""

    def tags(self) -> Collection[Tag]:
        """What this machine's Python can load, best first or unordered."""

    async def resolve(self, packages: tuple[str, ...], prefer: dict[str, str]) -> Lock:
        """Exact versions and hashes for requirements; `prefer` where they can be had. Raises LocalError in pip's words."""

    async def install(self, lock: Lock, digest: bytes, limit_bytes: int, grown: Callable[[int], None]) -> str:
        """Make the environment of a lock, running nothing of it. -> its name. Raises LocalError; then nothing is left.

        grown: told now and then how many bytes of disk it takes.
        """

    def made(self) -> tuple[Made, ...]:
        """Environments made so, the one not used for longest first."""

    def remove(self, name: str) -> None:
        """Remove one of those; harmless when it is gone."""

    def free_bytes(self) -> int:
        """Of the disk that they are on."""


class HardwarePort(Protocol):
    """What this machine has and how loaded it is."""

    async def probe(self) -> Hardware:
        """Fresh figures; benchmark figures come from the cache where there is one."""

    async def benchmark(self) -> Hardware:
        """Measure (a few seconds), cache, and return."""

    async def sample(self) -> Load:
        """How loaded the machine is now; rates count from the sample before. A few ms, with GPUs tens of them."""


class Keys(Protocol):
    """The node's and the owner's keys."""

    @property
    def node(self) -> Signer: ...

    @property
    def owner(self) -> Signer: ...


class Clock(Protocol):
    """Time for the node. In the real world: CLOCK_BOOTTIME and the wall clock."""

    def now(self) -> float:
        """Seconds that count suspend; only differences mean anything."""

    def unix(self) -> int:
        """Seconds since 1970, this machine's claim."""

    def random_bytes(self, size: int) -> bytes:
        """Secret randomness (os.urandom; seeded in simulation)."""
