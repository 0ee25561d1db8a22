"""What is sent in, by way of files in the data folder: larger than memory, and gone whatever happens to the sender."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

import trio
from starlette.requests import ClientDisconnect, Request

from ctorrent.door import HTTP_JOBS, HTTP_UPLOADS
from ctorrent.errors import DiskFull
from ctorrent.web.problems import Problem

PIECE = 1 << 20  # bytes written at once: a thread each


class Waiting:
    """Two folders of what is on its way in. Emptied at the start: what a killed node left behind is nobody's."""

    def __init__(self, folder: pathlib.Path, kept_bytes: int) -> None:
        self._uploads, self._jobs, self._kept = folder / HTTP_UPLOADS, folder / HTTP_JOBS, kept_bytes
        for one in (self._uploads, self._jobs):
            shutil.rmtree(one, ignore_errors=True)

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[pathlib.Path]:
        """An empty one for a job's files, until the job is planned."""
        made = pathlib.Path(await trio.to_thread.run_sync(partial(_make, self._jobs)))
        try:
            yield made
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(shutil.rmtree, made, ignore_errors=True))

    @asynccontextmanager
    async def file(self, request: Request) -> AsyncIterator[pathlib.Path]:
        """The whole body, in a file of its own that goes with the block. Raises DiskFull, and Problem where it was cut off."""
        folder = pathlib.Path(await trio.to_thread.run_sync(partial(_make, self._uploads)))
        path = folder / "body"
        try:
            await self._receive(request, path)
            yield path
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    async def _receive(self, request: Request, path: pathlib.Path) -> None:
        said = request.headers.get("content-length", "")
        await self._room(path, int(said) if said.isdigit() else PIECE)
        piece = bytearray()
        try:
            async with await trio.open_file(path, "xb") as file, aclosing(request.stream()) as pieces:
                async for data in pieces:
                    piece += data
                    if len(piece) >= PIECE:
                        await self._room(path, len(piece))
                        await file.write(bytes(piece))
                        piece.clear()
                await file.write(bytes(piece))
        except ClientDisconnect:
            raise Problem(400, "The body ended before its end.", "Send it again.") from None
        except OSError as error:
            raise DiskFull(f"The upload cannot be written: {error.strerror}.", "Make room on the disk.") from None

    async def _room(self, path: pathlib.Path, size: int) -> None:
        """Raises DiskFull where `size` bytes more would leave too little for the node itself."""
        free = (await trio.to_thread.run_sync(shutil.disk_usage, path.parent)).free
        if free - size < self._kept:
            raise DiskFull(f"{size:,} bytes do not fit: {free:,} are free, and {self._kept:,} are kept for the node.", "Make room on the disk, or remove blobs: DELETE /api/v1/blobs/NAME.")


def _make(below: pathlib.Path) -> str:
    below.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.mkdtemp(dir=below)
