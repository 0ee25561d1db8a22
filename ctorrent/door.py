"""What the world may ask of a node. Faces call it; `node/` implements it; the control channel carries it.

Everything that crosses is plain data (canon values: text, numbers, bytes, lists, maps), so that each face can show it
as it likes and none needs another's types. Shapes of the maps are in model/status.py.
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

        options: {"replicas": int, "ring": text, "work": bool …} override the file's fields.
        """

    async def rehearse(self, path: str, text: str, options: Plain) -> Plain:
        """Run a job's smallest block here and say what the job will take; nobody hears of it: status.Rehearsal.

        options: as for submit; "rehearsal": False runs nothing.
        """

    async def jobs(self) -> list[Plain]:
        """All jobs this node requested, newest first: status.JobStatus."""

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

    async def why(self, job: str) -> Plain:
        """Who saw it, who did not take it and for which typed reasons, and what it waits for."""

    async def cancel(self, job: str, reason: str = "") -> None: ...

    async def pause(self, job: str) -> None: ...

    async def resume(self, job: str) -> None: ...

    async def peers(self) -> list[Plain]: ...

    async def connect(self, address: str) -> Plain:
        """Join by multiaddr or invite text."""

    async def invite(self, uses: int, valid_s: int) -> str:
        """One line of text that lets `uses` others join this owner's swarm, as friends."""

    async def friends(self) -> list[Plain]: ...

    async def friend_add(self, who: str) -> Plain: ...

    async def friend_remove(self, who: str) -> None: ...

    async def ledger(self, after: int = 0, limit: int = 1000) -> list[Plain]: ...

    async def ledger_verify(self) -> Plain:
        """Check every chain held: authors, entries, forks, gaps."""

    async def reputation(self, who: str = "") -> list[Plain]: ...

    async def hardware(self, measure: bool = False) -> Plain: ...

    async def environments(self) -> list[Plain]: ...

    async def environment_add(self, name: str, packages: list[str]) -> Plain: ...

    async def gc(self, dry_run: bool = False) -> list[Plain]:
        """Remove, or only count, what nothing needs: [{"what", "count", "bytes", "names", "note"} …]."""

    async def drain(self) -> Plain:
        """Take no more blocks, end what runs within `left_s`, deliver what is owed, then stop: {"running", "owed", "left_s"}.

        Again: how far that is.
        """

    async def stop(self) -> None:
        """Stop now: what runs here is given back, results stay in the journal."""


# How the door is reached from outside the node's process: node/control.py serves it, client.py and web/ speak it.

SOCKET = "control.sock"  # in the data folder
CONSENT = "consent.json"  # what the owner agreed to share; without it a node that a command started works for nobody else
POINTER = "control.path"  # or, where that path is too long for a socket, a file that holds the socket's path
LOOPBACK = "control.tcp"  # or, on a system without such sockets: "PORT SECRET", a port of 127.0.0.1 and what both sides know
NONCE_BYTES = 32  # of randomness from each side before the first frame there, and of each side's proof
FRAME_BYTES_MAX = 16 << 20  # of one frame on the control channel; longer answers come in parts
METHODS = frozenset(name for name, member in vars(Door).items() if callable(member) and not name.startswith("_"))
STREAMS = frozenset({"watch", "logs"})  # answered item by item


def proof(secret: bytes, side: bytes, client: bytes, node: bytes) -> bytes:
    """What shows that a side ("client" or "node") knows `secret`, on the connection with these two nonces alone.

    client -> node: nonce; node -> client: nonce, proof; client -> node: proof. Then frames.
    """
    return hmac.digest(secret, b"ctorrent/control/1 " + side + b" " + client + node, "sha256")
