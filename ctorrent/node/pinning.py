"""The requester's part in packages: at submit, what a job needs becomes exact versions with hashes, or a job without.

A resolution is good for a day and kept in the journal: the second submit of a job costs nothing, and one without a
network takes yesterday's.
"""

from __future__ import annotations

import logging
from typing import Any

from ctorrent.canon import encode
from ctorrent.errors import LocalError, NoSuchPackage, PeerError
from ctorrent.market.fit import best_environment, in_words, package_name
from ctorrent.market.pins import unmet
from ctorrent.model.ids import Digest
from ctorrent.model.job import Environment, Manifest
from ctorrent.model.lock import Lock
from ctorrent.node import records
from ctorrent.node.advice import meant
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put
from ctorrent.seal import digest
from ctorrent.wire.lock import decode_lock, encode_lock

log = logging.getLogger(__name__)

FRESH_S = 86_400  # then the index is asked again: bug fixes of packages are a day late at most
SPARED_S = 60.0  # after a failure: somebody who corrects a job file again and again waits once
KEPT_MAX = 64  # resolutions


class Pinning:
    """Locks for this node's own jobs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failed: dict[bytes, float] = {}

    async def lock_for(self, wanted: Environment) -> Digest:
        """The stored blob of the lock for an environment; empty when it asks for no packages, or nobody can pin them.

        Raises NoSuchPackage for a name that no index has, nor this machine.
        """
        if not wanted.packages or wanted.image or not all(map(package_name, wanted.packages)):
            return Digest(b"")
        prefer = self._here(wanted)
        key = self._key(wanted.packages, prefer)
        kept = self._kept(key)
        if kept is not None and self._world.clock.unix() - kept[0] < FRESH_S:
            return await self._world.blobs.put(kept[1])
        blob = await self._resolved(wanted.packages, prefer, key) or (kept[1] if kept else b"")
        return await self._world.blobs.put(blob) if blob else Digest(b"")

    def _here(self, wanted: Environment) -> dict[str, str]:
        """Versions of the environment, made by its owner, that this node would use: others that take the same agree."""
        own = tuple(info for info in self._world.sandbox.environments() if not info.lock)
        chosen, _ = best_environment(wanted, own)
        return dict(chosen.packages) if chosen is not None else {}

    def _key(self, packages: tuple[str, ...], prefer: dict[str, str]) -> bytes:
        python = [info.python for info in self._world.sandbox.environments()[:1]]
        return digest("ctorrent/resolution/1", encode([python, list(packages), sorted(map(list, prefer.items()))]))

    def _kept(self, key: bytes) -> tuple[int, bytes] | None:
        record = self._world.journal.get("lock", key)
        if record is None:
            return None
        unix, blob = records.load(record)
        return int(unix), bytes(blob)

    async def _resolved(self, packages: tuple[str, ...], prefer: dict[str, str], key: bytes) -> bytes:
        """A fresh lock, kept for the next time; empty when there is none to be had."""
        now = self._world.clock.now()
        if now - self._failed.get(key, -SPARED_S) < SPARED_S:
            return b""
        shown = ", ".join(map(in_words, packages))
        try:
            lock = await self._world.packages.resolve(packages, prefer)
            blob = self._checked(lock, packages)
        except (LocalError, PeerError) as error:
            if isinstance(error, NoSuchPackage) and self._kept(key) is None:
                self._refuse_absent(error.names)
            log.warning("%s not pinned, workers that lack it cannot install it: %s", shown, error.message)
            self._failed = {key: now}
            return b""
        log.info("%s pinned: %d packages", shown, len(lock.packages))
        old: list[Any] = [Delete("lock", one) for one, _ in self._world.journal.scan("lock")[KEPT_MAX:]]
        await self._world.journal.commit([*old, Put("lock", key, encode([self._world.clock.unix(), blob]))], durable=False)
        return blob

    def _refuse_absent(self, names: tuple[str, ...]) -> None:
        """A name that is in no index and in no environment here is a slip of the pen, not a job that waits for ever."""
        here = {package_name(name) for info in self._world.sandbox.environments() for name, _ in info.packages}
        absent = tuple(name for name in names if name not in here)
        if absent:
            guess = meant(absent[0], here)
            own = "Is it spelled right? A package of your own is added to an environment here: ctorrent env add --help"
            hint = f"Did you mean {guess}?" if guess else own
            raise NoSuchPackage(f"needs: packages: no package index has {' or '.join(absent)}", hint, absent)

    @staticmethod
    def _checked(lock: Lock, packages: tuple[str, ...]) -> bytes:
        """What is signed is what workers will accept."""
        missing = unmet(packages, lock)
        if missing:
            raise LocalError(f"no version of {', '.join(map(in_words, missing))} was found")
        blob = encode_lock(lock)
        decode_lock(blob)
        return blob


def notes(manifest: Manifest) -> list[str]:
    """What a person should know of a job whose packages nobody could pin; empty normally."""
    wanted = manifest.environment
    if manifest.lock or not wanted.packages or wanted.image:
        return []
    named = ", ".join(map(in_words, wanted.packages))
    return [f"No package index could pin {named}: only workers that have it already can run this job."]
