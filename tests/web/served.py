"""The same server over a small Door, in this process on a real port: for limits that a real node takes minutes to reach."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from ctorrent.door import Plain
from ctorrent.errors import DiskFull, LocalError
from ctorrent.web import tokens
from ctorrent.web.app import Choices
from ctorrent.web.place import claim
from ctorrent.web.rules import WebRules
from ctorrent.web.serve import serve


class EventDoor:
    """Knows no job, has many events, keeps the sizes of what it was given."""

    def __init__(self) -> None:
        self.added: list[int] = []
        self.submitted: list[dict[str, str]] = []
        self.listeners = 0
        self.full = False
        self.kept: dict[str, Plain] = {}

    async def status(self) -> Plain:
        return {"node": "small"}

    async def job(self, job: str) -> Plain:
        raise LocalError(f"there is no job {job!r} here", "`ctorrent jobs` lists them.")

    async def events(self) -> AsyncIterator[Plain]:
        self.listeners += 1
        try:
            for number in range(1 << 30):
                yield {"kind": "machine", "machine": {"number": number, "filler": "x" * 1000}}
                await trio.sleep(0.001)
        finally:
            self.listeners -= 1

    async def submit(self, path: str, text: str, options: Plain) -> str:
        folder = Path(path).parent
        found = {one.relative_to(folder).as_posix(): one.read_text() for one in sorted(folder.rglob("*")) if one.is_file()}
        self.submitted.append(found | {"(folder)": folder.name})
        return "abcdefgh"

    async def blob_add(self, path: str, name: str = "") -> Plain:
        if self.full:
            raise DiskFull("the quota is used up", "Remove something.")
        self.added.append(await trio.to_thread.run_sync(os.path.getsize, path))
        return {"hash": "00", "bytes": self.added[-1], "name": name, "added_unix": 0}


@dataclass(frozen=True)
class Small:
    url: str
    token: str
    port: int
    folder: Path
    door: Any


@contextmanager
def small(folder: Path, rules: WebRules, host: str = "127.0.0.1:0", door: Any = None) -> Iterator[Small]:
    """Served until the block ends; the end must come at once, whatever clients do. door: another than an EventDoor."""
    door, started, box = door or EventDoor(), threading.Event(), {}
    place = claim(host, folder)
    assert place is not None

    async def run() -> None:
        box["token"] = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            box["scope"] = nursery.cancel_scope
            await nursery.start(partial(serve, place, Choices(folder, rules), door))
            started.set()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert started.wait(30)
    try:
        yield Small(place.url, tokens.read(folder), place.port, folder, door)
    finally:
        trio.from_thread.run_sync(box["scope"].cancel, trio_token=box["token"])
        thread.join(10)
        assert not thread.is_alive(), "the server did not end"


