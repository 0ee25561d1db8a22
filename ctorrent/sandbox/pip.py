"""pip as a process: bounded in time, and when it installs for others in disk, memory and what it may touch.

Which index it asks is this machine's own configuration of pip, never a word of whoever wants the packages.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import trio

from ctorrent.errors import LocalError

log = logging.getLogger(__name__)
LOOK_S = 0.5  # how often the disk is looked at: a fast one takes a gigabyte meanwhile
FREE_BYTES = 512 << 20  # of the disk are left alone, whatever a wheel unpacks to
ENTRY_BYTES = 4096  # a file or folder takes at least this, also where its file system says less
ENTRIES_MAX = 200_000  # files and folders; torch with all of CUDA has 20,000
SAID_BYTES_MAX = 64 << 10  # of its last words
_RUN = Path(__file__).with_name("piprun.py")
_NETWORK = re.compile(r"ConnectionPool|\bhost=|located at|Failed to resolve|ConnectionError|ReadTimeout|ProxyError|\bproxy\b(?!-)", re.IGNORECASE)
_QUIET = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-color")
_KEPT = re.compile(r"PIP_\w+|\w+_PROXY|XDG_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|PATH|HOME|LANG|LC_ALL", re.IGNORECASE)
_CHOSEN = re.compile(r"PIP_(TARGET|PREFIX|ROOT|USER|REPORT|LOG|CACHE_DIR|PYTHON|REQUIRE\w*|CONSTRAINT|NO_BINARY)", re.IGNORECASE)  # here


async def pip(
    command: str, arguments: list[str], limit_s: float, folder: Path | None = None, limit_bytes: int = 0,
    grown: Callable[[int], None] = lambda size: None,
) -> None:  # fmt: skip
    """Run pip to its end. Raises LocalError with its own last words, or with the limit that it met.
    folder: confine it there, to limit_bytes of disk; `grown` is told how many they are.
    """
    confined = [str(folder), str(limit_bytes)] if folder else ["-", "0"]
    argv = [sys.executable, "-I", str(_RUN), *confined, command, *_QUIET, *arguments]
    environment = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name) and not _CHOSEN.fullmatch(name)}
    if folder:
        environment["TMPDIR"] = str(folder)
    with trio.move_on_after(limit_s) as scope:
        code, said, stopped = await _run(argv, environment, folder, limit_bytes, grown)
    if scope.cancelled_caught:
        raise LocalError(f"pip took longer than {limit_s:g} s", "Is the package index slow, or out of reach?")
    if stopped:
        raise LocalError(stopped)
    if code and folder:
        log.info("pip: %r", last_words(said))
        raise LocalError(words_for_others(said) or f"pip ended with code {code}")
    if code:
        raise LocalError(last_words(said) or f"pip ended with code {code}")


async def _run(
    argv: list[str], environment: dict[str, str], folder: Path | None, limit_bytes: int, grown: Callable[[int], None]
) -> tuple[int, str, str]:
    """-> exit code, what it said last, why it was stopped."""
    said, stopped = bytearray(), ""
    process = await trio.lowlevel.open_process(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
        cwd=folder or "/", start_new_session=True,
    )  # fmt: skip

    async def watch(folder: Path) -> None:
        nonlocal stopped
        while not stopped:
            await trio.sleep(LOOK_S)
            stopped = await trio.to_thread.run_sync(too_much, folder, limit_bytes, grown)
        process.kill()

    try:
        async with trio.open_nursery() as nursery:
            if folder:
                nursery.start_soon(watch, folder)
            assert process.stderr is not None
            async for part in process.stderr:
                said = (said + part)[-SAID_BYTES_MAX:]
            code = await process.wait()
            nursery.cancel_scope.cancel()
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for end in (process.stdin, process.stderr):
                if end is not None:
                    await end.aclose()
    return code, said.decode("utf-8", "replace"), stopped


def too_much(folder: Path, limit_bytes: int, grown: Callable[[int], None]) -> str:
    """Which limit a folder is over, in words; empty for none. `grown` is told its bytes."""
    size, entries = measure(folder)
    grown(size)
    if entries > ENTRIES_MAX:
        return f"it unpacks to more than {ENTRIES_MAX:,} files and folders"
    if size > limit_bytes:
        return f"it takes more than {limit_bytes / 1e6:.0f} MB of disk when unpacked"
    if shutil.disk_usage(folder).free < FREE_BYTES:
        return "the disk is full"
    return ""


def measure(folder: Path) -> tuple[int, int]:
    """Bytes on disk below a folder, and files and folders up to one too many, whatever happens in it meanwhile."""
    size = count = 0
    folders = [os.fspath(folder)]
    while folders and count <= ENTRIES_MAX:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    size += max(ENTRY_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue
    return size, count


def last_words(said: str) -> str:
    """pip's own reason in one line, without anybody's addresses and paths."""
    if "DO NOT MATCH THE HASHES" in said:
        return "the index here has other files by these names than the job's requester pinned"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")]
    words = " ".join(errors[-2:] if errors and errors != ["Exception:"] else lines[-1:])  # the end of a traceback of pip's
    return re.sub(r"(\w+:/|(?<![\w.]))/\S+", "…", words)[:400]


def words_for_others(said: str) -> str:
    """The same for whoever wanted the packages: nothing of the index here, nor of the way to it."""
    words = last_words(said)
    return "the package index here cannot be reached" if _NETWORK.search(words) else re.sub(r"\s*\(from versions:[^)]*\)?", "", words)
