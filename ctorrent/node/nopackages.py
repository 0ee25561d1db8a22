"""A node that cannot install anything: its jobs are not pinned, and it runs with the environments it has."""

from __future__ import annotations

from collections.abc import Callable, Collection

from packaging.tags import Tag

from ctorrent.errors import LocalError
from ctorrent.model.lock import Lock
from ctorrent.ports import Made


class NoPackages:
    """Implements ports.Packages by refusing."""

    def tags(self) -> Collection[Tag]:
        return frozenset()

    async def resolve(self, packages: tuple[str, ...], prefer: dict[str, str]) -> Lock:
        raise LocalError("this node asks no package index")

    async def install(self, lock: Lock, digest: bytes, limit_bytes: int, grown: Callable[[int], None]) -> str:
        raise LocalError("this node installs nothing")

    def made(self) -> tuple[Made, ...]:
        return ()

    def remove(self, name: str) -> None:
        """Nothing was made."""

    def free_bytes(self) -> int:
        return 0
