"""Whose is each file of an environment? Wheels say it in their RECORDs; two may name one path only if they agree on it.

Else one wheel could put its own file in another's place: what came of it would depend on who was unpacked last.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import posixpath
from collections.abc import Iterator
from pathlib import Path

from ctorrent.errors import LocalError

RECORD_BYTES_MAX = 64 << 20  # of all wheels together; torch's has 2 MB
_SHOWN = 80  # characters of a path, which a stranger chose


def check(site: Path) -> None:
    """Raises LocalError for a path that two wheels name and that does not hold what both say. Blocking."""
    said: dict[str, tuple[str, str]] = {}  # path -> wheel, its hash
    left = RECORD_BYTES_MAX
    for folder in sorted(site.glob("*.dist-info")):
        record = folder / "RECORD"
        left -= record.stat().st_size if record.is_file() else 0
        if left < 0:
            raise LocalError("the RECORD of a wheel is too large to be read")
        for path, claimed in _rows(record):
            other, theirs = said.setdefault(path, (folder.name, claimed))
            if other != folder.name and (claimed != theirs or claimed != _hash(site / path)):
                raise LocalError(f"two wheels, {_wheel(other)} and {_wheel(folder.name)}, hold different files called {path[:_SHOWN]!r}")


def _rows(record: Path) -> Iterator[tuple[str, str]]:
    """(path in the environment, hash as the wheel says it); that of the RECORD itself always."""
    yield f"{record.parent.name}/RECORD", ""
    if not record.is_file():
        return
    try:
        with record.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            for row in csv.reader(lines):
                if row:
                    parts = posixpath.normpath(row[0]).split("/")
                    yield "/".join(part for part in parts if part != ".."), row[1] if len(row) > 1 else ""
    except csv.Error:
        raise LocalError(f"the RECORD of {_wheel(record.parent.name)} cannot be read") from None


def _hash(path: Path) -> str:
    """As RECORDs say it; "none" for what is not there."""
    if not path.is_file():
        return "none"
    with path.open("rb") as file:
        return "sha256=" + base64.urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest()).rstrip(b"=").decode()


def _wheel(folder: str) -> str:
    return folder.removesuffix(".dist-info")[:_SHOWN]
