"""What the world may ask of a node. Faces call it; `node/` implements it; the control channel carries it.

Everything that crosses is plain data (canon values: text, numbers, bytes, lists, maps), so that each face can show it
as it likes and none needs another's types. Shapes of the maps are in model/status.py and model/live.py.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from typing import Any, Protocol

Plain = dict[str, Any]


class Door(Protocol):
    """Each method raises errors.CTorrentError with a sentence and a hint; nothing else leaves."""

    async def status(self) -> Plain:
        """This node: id, owner, name, addresses, data folder, isolation and its gaps, offer, version."""

    async def submit(self, path: str, text: str, options: Plain) -> str:
        """Submit a job file's text, read relative to the folder of `path`. -> eight-character job name.

        options: {"replicas": int, "ring": text, "work": bool …} override the file's fields. "open": more blocks may be
        appended to it, until it is sealed. "own_only": only nodes of this node's own owner are given blocks.
        """

    async def append(self, job: str, params: list[bytes], inputs: list[Any] = [], first: int = -1) -> int:  # noqa: B006
        """Add blocks to a job submitted with {"open": True}. -> the index of the first, once they outlive a restart.

        params: of each block, a canonical map, at most 64 KiB. inputs: for each block [[name, digest of a blob here, or the
        path of a file, which is copied], …], or nothing. first: the index the first must get, so that the same call made twice adds once; -1: whichever is
        next. Raises JobClosed when the job takes no more: it was not open, was sealed, has ended or is full.
        """

    async def seal(self, job: str) -> None:
        """No more blocks will be appended: the job ends with its last block. Twice is once."""

    async def outcomes(self, job: str) -> AsyncIterator[Plain]:
        """{"rows", "state", "reason"}: blocks as each ends, until the job has ended: status.BlockRow without its params.

        An item without rows says that the job paused, or that it goes on.
        """
        yield {}

    async def rehearse(self, path: str, text: str, options: Plain) -> Plain:
        """Run a job's smallest block here and say what the job will take; nobody hears of it: status.Rehearsal.

        options: as for submit; "rehearsal": False runs nothing.
        """

    async def jobs(self, after: str = "", limit: int = 0) -> list[Plain]:
        """Jobs this node requested, newest first: status.JobStatus. after: the id of a page's last; limit: 0 is all."""

    async def job(self, job: str) -> Plain:
        """One job, by any unambiguous prefix of its name, with workers and report."""

    async def watch(self, job: str) -> AsyncIterator[Plain]:
        """Status maps as they change, until the job ends."""
        yield {}

    async def results(self, job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        """Rows in index order: index, params, seed, value (canonical bytes) or failure, state, workers, agreed, seconds."""

    async def answer(self, job: str) -> Plain:
        """The reduced answer: value (canonical bytes) or why there is none yet."""

    async def timeline(self, job: str) -> Plain:
        """Who computed what when, block times and failures, of bounded size: status.Timeline."""

    async def logs(self, job: str, follow: bool = False) -> AsyncIterator[Plain]:
        """{"index", "worker", "text"} as blocks print."""
        yield {}

    async def receipt(self, job: str, with_data: bool = False) -> AsyncIterator[Plain]:
        """{"bytes"} of the receipt file of a job that has ended, in order: docs/receipts.md."""
        yield {}

    async def why(self, job: str) -> Plain:
        """Who saw it, who did not take it and for which typed reasons, and what it waits for."""

    async def cancel(self, job: str, reason: str = "") -> None:
        """End a job: what runs of it is given back, what has ended stays. Raises LocalError where it has ended."""

    async def pause(self, job: str) -> None:
        """Give none of its blocks out until resume(); those that run go on. Raises LocalError where it has ended."""

    async def resume(self, job: str) -> None:
        """Go on with a job that was paused, or paused itself. Raises LocalError where it has ended."""

    async def peers(self) -> list[Plain]:
        """Every peer that is known, connected ones first: status.PeerRow."""

    async def connect(self, address: str) -> Plain:
        """Join by multiaddr or invite text."""

    async def invite(self, uses: int, valid_s: int) -> str:
        """One line of text that lets `uses` others join this owner's swarm, as friends."""

    async def friends(self) -> list[Plain]:
        """Owners who are friends, or ask to be: status.FriendRow."""

    async def friend_add(self, who: str) -> Plain:
        """Make an owner a friend, by its id or name, or a node's: {"owner", "name", "told"}; told: how many of its nodes heard."""

    async def friend_remove(self, who: str) -> None:
        """Forget a friend; what runs goes on to its end. Raises LocalError where it is none."""

    async def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]:
        """A page of the entries held, by author and number: status.LedgerRow. after: how many to pass over."""

    async def ledger_verify(self) -> Plain:
        """Check every chain held: authors, entries, forks, gaps."""

    async def ledger_export(self, ring: str = "", author: str = "") -> AsyncIterator[Plain]:
        """{"bytes"} of a file of entries, in order; of one ring ("public", a swarm's or friends' root) or author: docs/ledger.md."""
        yield {}

    async def ledger_import(self, entries: list[bytes]) -> Plain:
        """Entries of such a file, up to 256, in its order: {"new", "known", "waiting", "forks", "elsewhere", "refused", "why"}."""

    async def reputation(self, who: str = "") -> list[Plain]:
        """What verdicts say of nodes: status.ReputationRow; of one, by its name or the beginning of its id."""

    async def credit(self, who: str = "") -> list[Plain]:
        """Who worked for whom, by persons: status.CreditRow; who: one of them, with the receipts behind it."""

    async def hardware(self, measure: bool = False) -> Plain:
        """This machine, as model.offer.Hardware. measure: run the benchmark first, which takes seconds."""

    async def environments(self) -> list[Plain]:
        """Those here: [{"name", "python", "arch", "image", "packages": {name: version}, "programs", "fingerprint"} …]."""

    async def environment_add(self, name: str, packages: list[str]) -> Plain:
        """Install packages into a new environment, which may take minutes. -> its row. Raises NoSuchPackage, LocalError."""

    async def gc(self, dry_run: bool = False) -> list[Plain]:
        """Remove, or only count, what nothing needs: [{"what", "count", "bytes", "names", "note"} …]."""

    async def drain(self) -> Plain:
        """Take no more blocks, end what runs within `left_s`, deliver what is owed, then stop: {"running", "owed", "left_s"}.

        Again: how far that is.
        """

    async def stop(self) -> None:
        """Stop now: what runs here is given back, results stay in the journal."""

    # -- what changes while somebody looks: shapes in model/live.py -----------------------------------------------------

    async def events(self) -> AsyncIterator[Plain]:
        """What changes here, as it does: live.Event. Begins with the present state of each kind.

        "job" (a JobStatus without its report; at most five a second of a job), "gone" (a job's name), "peers", "machine"
        (about once a second) and "pool". A reader that is slow misses states between, never the last one.
        """
        yield {}

    async def blocks(self, job: str, since: int = -1) -> Plain:
        """Which block is where: live.BlockMap. since: the version of the last answer, for what changed after it."""

    async def offers(self) -> list[Plain]:
        """What this machine and each peer that is known lend: live.OfferRow."""

    async def machine(self) -> Plain:
        """This machine now and in the last minutes: live.MachineNow."""

    async def share(self, on: bool) -> Plain:
        """Lend this machine or not, from now on and at later starts. -> machine().

        Off: what runs here is given back and its processes are gone within two seconds, one's own jobs' too.
        """

    async def pool(self) -> Plain:
        """This machine and the connected peers that would work for its person, added up: live.Pool."""

    async def retry(self, job: str) -> str:
        """The same program, blocks and rules once more, as a new job. -> its name."""

    async def blob_add(self, path: str, name: str = "") -> Plain:
        """Stream a file of this machine into the node's store, and keep it there until blob_remove: live.BlobRow."""

    async def blobs(self) -> list[Plain]:
        """What blob_add brought, newest first: live.BlobRow."""

    async def blob_remove(self, which: str) -> Plain:
        """Keep it no longer, by name or hash (or its unambiguous beginning). -> the row that was."""

    async def blob_find(self, which: str) -> Plain:
        """The row of an added file, by name or hash, with "path": where its bytes lie, for reading only."""

    async def metrics(self) -> Plain:
        """Numbers for a monitor: live.Metrics."""


# How the door is reached from outside the node's process: node/control.py serves it, client.py and web/ speak it.

SOCKET = "control.sock"  # in the data folder
CONSENT = "consent.json"  # what the owner agreed to share; without it a node that a command started works for nobody else
NOTICE = "repair.notice"  # what a repair of the journal kept and lost, a sentence a line, until a person was shown it
HTTP_TOKEN = "http.token"  # what shows to the HTTP side that a caller is this user
HTTP_CERTIFICATE = "http.pem"  # its key and certificate, where others than this machine may call
HTTP_ADDRESS = "http.addr"  # its address, while it serves: http://127.0.0.1:8420
HTTP_OPEN = "http-open.html"  # what `ctorrent open` shows to a browser, for this user alone
HTTP_ENDED = "http.ended"  # the cookies that were ended before their time
HTTP_UPLOADS, HTTP_JOBS = "uploads", "jobs-from-http"  # files on their way, gone with the call they came by
POINTER = "control.path"  # or, where that path is too long for a socket, a file that holds the socket's path
LOOPBACK = "control.tcp"  # or, on a system without such sockets: "PORT SECRET", a port of 127.0.0.1 and what both sides know
NONCE_BYTES = 32  # of randomness from each side before the first frame there, and of each side's proof
FRAME_BYTES_MAX = 16 << 20  # of one frame on the control channel; longer answers come in parts
METHODS = frozenset(name for name, member in vars(Door).items() if callable(member) and not name.startswith("_"))
STREAMS = frozenset({"watch", "logs", "receipt", "ledger_export", "events", "outcomes"})  # answered item by item


def proof(secret: bytes, side: bytes, client: bytes, node: bytes) -> bytes:
    """What shows that a side ("client" or "node") knows `secret`, on the connection with these two nonces alone.

    client -> node: nonce; node -> client: nonce, proof; client -> node: proof. Then frames.
    """
    return hmac.digest(secret, b"ctorrent/control/1 " + side + b" " + client + node, "sha256")
