"""From what a job asks for to a lock: exact versions and the hashes of their wheels, from this machine's own index.

pip decides once, for this Python. The files of those versions for the other kinds of machine that a swarm has are read
from the same index pages, or asked of pip where that fails. Nothing is installed and, where the index serves metadata
alone, nothing large is fetched.
"""

from __future__ import annotations

import json
import os
import platform
import ssl
import sys
import tempfile
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import trio
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ctorrent.errors import LocalError, NoSuchPackage
from ctorrent.model.lock import Lock, Pinned, Wheel
from ctorrent.sandbox import pages
from ctorrent.sandbox.pip import pip

OWN_S = 90.0  # the first look, at this machine's own wheels: pip may have to go back and forth between versions
OTHERS_S = 40.0  # other kinds of machine; those not reached by then cannot install, and the job goes on
AT_ONCE = 3  # pips: each takes a core for a second or two
SIZE_S = 3.0  # asking how large a file is
SIZES_AT_ONCE = 16
PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # the minors a worker may have
MACHINES = ("x86_64", "aarch64")
_GLIBC = (28, 27, 24, 17, 12, 5)  # what wheels are built against; a newer system takes all of these
_PATIENCE = ["--retries", "1", "--timeout", "10"]  # an index out of reach is said in seconds
_ASK = ["--dry-run", "--ignore-installed", "--only-binary", ":all:", *_PATIENCE]


async def resolve(packages: tuple[str, ...], prefer: dict[str, str], limit_s: float = OWN_S) -> Lock:
    """Pin requirements. Raises LocalError with pip's words: nothing fits together, or no index is in reach.

    NoSuchPackage where an index is in reach, and none has one of these names.

    prefer: versions of an environment that is here already; taken where they can be had.
    """
    with tempfile.TemporaryDirectory(prefix="ctorrent-") as name:
        folder = Path(name)
        own = await _own(folder, packages, prefer, limit_s)
        native = [one for one in own if not one.filename.endswith("-none-any.whl")]
        found = [own, *await _listed(folder, native)]
        found += await _others(folder, [one for one in native if all(one.name != other.name for many in found[1:] for other in many)])
        sizes = {one.url: one.size_bytes for many in found for one in many}
        sizes |= await _sizes({url for url, size in sizes.items() if not size})
    return _lock(found, sizes)


@dataclass(frozen=True, slots=True)
class _Found:
    """One wheel of a package. size_bytes: 0 where nobody has said yet."""

    name: str
    version: str
    url: str
    filename: str
    sha256: bytes
    size_bytes: int = 0


def _reported(told: Any) -> _Found:
    """As pip reports it. Raises LocalError for what cannot be pinned."""
    name, url = str(canonicalize_name(told["metadata"]["name"])), str(told["download_info"]["url"])
    filename = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    try:
        version = str(Version(told["metadata"]["version"]))
        parse_wheel_filename(filename)
        sha256 = bytes.fromhex(told["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", ""))
    except (InvalidVersion, InvalidWheelFilename, ValueError):
        sha256 = b""
    if len(sha256) != 32:
        raise LocalError(f"the index has no wheel of {name} with a sha256 hash")
    return _Found(name, version, url, filename, sha256)


async def _own(folder: Path, packages: tuple[str, ...], prefer: dict[str, str], limit_s: float) -> list[_Found]:
    """For this Python; with the versions that are here already, if those can be had."""
    if prefer:
        constraints = folder / "constraints"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(prefer.items())))
        try:
            return await _report(folder, "preferred", ["--constraint", str(constraints), "--", *packages], limit_s)
        except LocalError:
            pass  # an old version that is gone, or one that was made here: the others decide
    try:
        return await _report(folder, "own", ["--", *packages], limit_s)
    except LocalError as error:
        log = folder / "log"
        if log.exists() and (absent := _unknown(log.read_text(errors="replace"), packages)):
            raise NoSuchPackage(f"no package index has {' or '.join(absent)}", names=absent) from error
        raise


def _unknown(log: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Of the packages asked for, those that no index has."""
    names = []
    for text in packages:
        with suppress(InvalidRequirement):
            names.append(canonicalize_name(Requirement(text).name))
    return tuple(name for name in names if pages.unknown(log, name))


async def _listed(folder: Path, asked: list[_Found]) -> list[list[_Found]]:
    """Files of the same versions, from the pages that pip read of them; nothing for what they do not tell."""
    log = (folder / "log").read_text(errors="replace") if asked else ""
    found: list[list[_Found]] = []

    async def look(one: _Found, page: str) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            files = await trio.to_thread.run_sync(pages.wheels, page, one.version, PYTHONS, MACHINES)
            found.append([_Found(one.name, one.version, f.url, f.filename, f.sha256, f.size_bytes) for f in files])

    async with trio.open_nursery() as nursery:
        for one in asked:
            for page in pages.pages(log, one.name):
                nursery.start_soon(look, one, page)
    return found


async def _others(folder: Path, asked: list[_Found]) -> list[list[_Found]]:
    """The same versions for other Pythons and machines, as far as there are wheels. asked: what differs between those."""
    pins = [f"{one.name}=={one.version}" for one in asked]
    own = (f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine())
    found: list[list[_Found]] = []
    slots = trio.CapacityLimiter(AT_ONCE)

    async def look(python: str, machine: str) -> None:
        async with slots:
            with suppress(LocalError):  # no wheels for it: a worker of this kind will say so
                kind = _of_kind(python, machine, folder)
                found.append(await _report(folder, f"{python}-{machine}", [*kind, "--", *pins], OTHERS_S))

    with trio.move_on_after(OTHERS_S):
        async with trio.open_nursery() as nursery:
            for kind in [(python, machine) for python in PYTHONS for machine in MACHINES]:
                if asked and kind != own:
                    nursery.start_soon(look, *kind)
    return found


def _of_kind(python: str, machine: str, folder: Path) -> list[str]:
    """What tells pip to choose wheels for another Python on Linux."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux{old}_{machine}" for old in ("2014", "2010", "1")]
    kinds = [word for one in platforms for word in ("--platform", one)]
    return ["--no-deps", "--python-version", python, *kinds, "--target", str(folder / "nowhere")]


async def _report(folder: Path, name: str, arguments: list[str], limit_s: float) -> list[_Found]:
    path = folder / f"{name}.json"
    await pip("install", [*_ASK, "--report", str(path), "--log", str(folder / "log"), *arguments], limit_s)
    try:
        return [_reported(told) for told in json.loads(path.read_text())["install"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"pip's report cannot be read: {error}", "Is this node's pip 22.2 or later?") from None


def _lock(found: list[list[_Found]], sizes: dict[str, int]) -> Lock:
    """Own wheels decide which packages; every other kind adds its files."""
    wheels: dict[tuple[str, str], dict[str, Wheel]] = {(one.name, one.version): {} for one in found[0]}
    for many in found:
        for one in many:
            if (one.name, one.version) in wheels:
                wheels[one.name, one.version][one.filename] = Wheel(one.filename, one.sha256, sizes.get(one.url, 0))
    return Lock(tuple(
        Pinned(name, version, tuple(files[filename] for filename in sorted(files)))
        for (name, version), files in sorted(wheels.items())
    ))  # fmt: skip


async def _sizes(urls: set[str]) -> dict[str, int]:
    """Bytes of each file, as far as its server says so within a few seconds."""
    sizes: dict[str, int] = {}
    slots = trio.CapacityLimiter(SIZES_AT_ONCE)

    async def ask(url: str) -> None:
        sizes[url] = await trio.to_thread.run_sync(_size, url, limiter=slots)

    with trio.move_on_after(3 * SIZE_S):
        async with trio.open_nursery() as nursery:
            for url in sorted(urls):
                nursery.start_soon(ask, url)
    return dict(sizes)


def _size(url: str) -> int:
    """0 where nobody says. Blocking."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            return Path(url2pathname(parts.path)).stat().st_size
        trusted = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=SIZE_S, context=trusted) as answer:
            return max(0, int(answer.headers.get("Content-Length") or 0))
    except (OSError, ValueError):
        return 0
