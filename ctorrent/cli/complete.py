"""What the shell may complete: names of jobs and of peers, as the node that runs knows them. Nothing is started for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctorrent.client import Net

Found = list[tuple[str, str]]
SHOWN_MAX = 50  # a shell asks before it prints a hundred


def jobs(incomplete: str) -> Found:
    """(a job's eight characters, its name and state), newest first; then the same by name."""

    def look(net: Net) -> Iterable[tuple[str, str]]:
        rows = net.jobs()
        yield from ((job["job"], f"{job['name']} {job['state']}") for job in rows)
        yield from ((job["name"], f"{job['job']} {job['state']}") for job in rows)

    return _asked(look, incomplete)


def peers(incomplete: str) -> Found:
    """(a peer's name, the end of its owner's id)."""
    return _asked(lambda net: ((peer["name"], f"…{str(peer['owner'])[-8:]}") for peer in net.peers() if peer["name"]), incomplete)


def friends(incomplete: str) -> Found:
    """(a friend's name or owner id, when since)."""
    return _asked(lambda net: ((friend.get("name") or friend["owner"], friend["owner"]) for friend in net.friends()), incomplete)


def _asked(look: Callable[[Net], Iterable[tuple[str, str]]], incomplete: str) -> Found:
    """Pairs that begin so, each once. No node, no answer: the shell then completes nothing, and says nothing."""
    from ctorrent.client import attach
    from ctorrent.errors import CTorrentError

    found: dict[str, str] = {}
    with suppress(CTorrentError, OSError), attach() as net:
        for name, about in look(net):
            if name.startswith(incomplete):
                found.setdefault(name, about)
    return list(found.items())[:SHOWN_MAX]
