"""The switch between this machine and the swarm: whether it is lent, from now on and at later starts.

    LENT ─off─▶ what runs is given back, its cells are closed ─▶ KEPT ─on─▶ what was announced is asked about ─▶ LENT
"""

from __future__ import annotations

import platform

import trio

from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation
from ctorrent.node import plain, settings_edit
from ctorrent.node.people import People
from ctorrent.node.settings import Settings
from ctorrent.node.share import Share
from ctorrent.node.worker import Worker
from ctorrent.node.world import World

FREE_S = 2.0  # within it nothing of others runs here any more; a killed sandbox takes a tenth of a second
LOOK_S = 0.02


class Sharing:
    """Of one node."""

    def __init__(self, settings: Settings, world: World, people: People, share: Share, worker: Worker) -> None:
        self._settings, self._world, self._people, self._share, self._worker = settings, world, people, share, worker
        self._switched = trio.Event()
        self._one = trio.Lock()

    @property
    def on(self) -> bool:
        return self._share.on

    async def until(self, on: bool) -> None:
        """Return when the machine is lent, or is not."""
        while self._share.on is not on:
            await self._switched.wait()

    async def switch(self, on: bool) -> None:
        """Lend it or not; kept in the settings. Off: comes back when the machine is free. Raises LocalError."""
        if on:
            self._must_be_able()
        changed = self._share.on is not on
        self._share.on = on
        if changed:
            self._switched.set()
            self._switched = trio.Event()
            self._people.offer = plain.offer_fields(self._share.offer())
            if on:
                self._worker.look_again()
            else:
                self._worker.lay_down()
        async with self._one:
            await self._keep(self._share.on)
        if not on:
            with trio.move_on_after(FREE_S):
                while self._worker.engagements and not self._share.on:  # noqa: ASYNC110 - they end one by one, in a moment
                    await trio.sleep(LOOK_S)

    def _must_be_able(self) -> None:
        if platform.system() != "Linux":
            raise LocalError("This system cannot lend its cores: nothing here holds a block.", "A Linux machine can; this one may ask others.")
        if self._world.sandbox.level is Isolation.NONE:
            raise LocalError(f"This machine cannot be lent: {'; '.join(self._world.sandbox.gaps)}.", "`ctorrent doctor` says what would mend it.")

    async def _keep(self, on: bool) -> None:
        """In the file of settings, where `ctorrent config` shows it. A simulated machine has no folder."""
        folder = self._settings.data_dir
        if folder.is_dir():
            await trio.to_thread.run_sync(settings_edit.put, folder, "work", ["true" if on else "false"])
