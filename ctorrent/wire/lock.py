"""Locks as blobs: a canonical list, checked entry by entry. What is written here goes into a requirements file.

    [1, [[name, version, [[filename, sha256, size], …]], …]]     names, and file names of one package, ascending
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import prod
from typing import Any

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ctorrent.canon import CanonError, decode, encode
from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model.lock import Lock, Pinned, Wheel

FORMAT = 1
LOCK_BYTES_MAX = 1 << 20  # torch with all its parts for six kinds of machine has 30 KB
PACKAGES_MAX = 500  # the largest environments people make by hand have about 400
WHEELS_MAX = 64  # of one package: six kinds of machine today
TEXT_MAX = 200  # characters of a name, a version, a file name
KINDS_MAX = 64  # of machine that one file name may stand for: each combination of its dotted parts is one
SIZE_MAX = 1 << 44
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FILENAME = re.compile(r"[A-Za-z0-9_.+!-]+\.whl")


def encode_lock(lock: Lock) -> bytes:
    """The blob of a lock."""
    listed = [
        [p.name, p.version, [[w.filename, w.sha256, w.size_bytes] for w in p.wheels]] for p in lock.packages
    ]
    return encode([FORMAT, listed])


def decode_lock(blob: bytes) -> Lock:
    """Raises Malformed for anything that encode_lock did not write, LimitExceeded for too much of it."""
    if len(blob) > LOCK_BYTES_MAX:
        raise LimitExceeded(f"a lock of {len(blob)} bytes: at most {LOCK_BYTES_MAX}")
    try:
        match decode(blob):
            case [1, list(listed)]:
                pass
            case _:
                raise Malformed("this is not a lock, or one of a newer version")
    except CanonError as error:
        raise Malformed(f"the lock cannot be read: {error}") from None
    if not 0 < len(listed) <= PACKAGES_MAX:
        raise LimitExceeded(f"a lock of {len(listed)} packages: 1 to {PACKAGES_MAX}")
    packages = tuple(_pinned(entry) for entry in listed)
    _ascending([package.name for package in packages], "packages")
    return Lock(packages)


def _pinned(entry: Any) -> Pinned:
    match entry:
        case [str(name), str(version), list(wheels)] if 0 < len(wheels) <= WHEELS_MAX:
            pass
        case _:
            raise Malformed("an entry of the lock is not [name, version, [wheel, …]]")
    if len(name) > TEXT_MAX or not _NAME.fullmatch(name) or not _is_version(version):
        raise Malformed(f"{name[:40]!r} {version[:40]!r} in the lock is no package of a version")
    pinned = Pinned(name, version, tuple(_wheel(wheel, name, version) for wheel in wheels))
    _ascending([wheel.filename for wheel in pinned.wheels], f"files of {name}")
    return pinned


def _wheel(entry: Any, name: str, version: str) -> Wheel:
    match entry:
        case [str(filename), bytes(sha256), int(size)] if len(sha256) == 32 and 0 <= size <= SIZE_MAX:
            pass
        case _:
            raise Malformed(f"a wheel of {name} in the lock is not [filename, sha256, size]")
    try:
        kinds = prod(part.count(".") + 1 for part in filename.removesuffix(".whl").split("-")[-3:])
        if len(filename) > TEXT_MAX or kinds > KINDS_MAX or not _FILENAME.fullmatch(filename):
            raise InvalidWheelFilename(filename)
        named, of_version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        raise Malformed(f"{filename[:60]!r} in the lock is not the name of a wheel") from None
    if canonicalize_name(named) != name or str(of_version) != version:
        raise Malformed(f"{filename[:60]!r} in the lock is not of {name} {version[:40]}")
    return Wheel(filename, sha256, size)


def _is_version(text: str) -> bool:
    try:
        return len(text) <= TEXT_MAX and str(Version(text)) == text
    except InvalidVersion:
        return False


def _ascending(names: list[str], what: str) -> None:
    if any(one >= two for one, two in pairwise(names)):
        raise Malformed(f"the {what} in the lock are not in order, each once")
