"""A machine on which nothing can be run safely: it may ask others, never execute."""

from __future__ import annotations

from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.ports import Cell, CellSpec


class NoSandbox:
    """Implements ports.Sandbox by refusing, with the reason."""

    level = Isolation.NONE

    def __init__(self, why: str) -> None:
        self.gaps: tuple[str, ...] = (f"nothing runs here: {why}",)

    def commands(self) -> bool:
        return False

    def environments(self) -> tuple[EnvironmentInfo, ...]:
        return ()

    async def open(self, spec: CellSpec) -> Cell:
        raise LocalError(self.gaps[0], "`ctorrent doctor` says what would mend it.")

    async def aclose(self) -> None:
        """Nothing is open."""
