"""Where results are written: nothing is overwritten unasked, and no half file is left behind."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ctorrent.errors import LocalError

FORMATS = ("csv", "json", "npz", "parquet")
PARQUET_NEEDS = "  (and it needs pyarrow: pip install pyarrow)"
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or a folder that gets results.FORMAT and the blocks' own files."""

    table: Path
    form: str  # one of FORMATS
    folder: Path | None  # None: the table alone
    force: bool

    @property
    def shown(self) -> str:
        return f"{self.folder}{os.sep}" if self.folder is not None else str(self.table)


def choose(output: Path, form: str | None, force: bool, ending: str | None = None) -> Place:
    """What -o means: a known suffix names a file, anything else a folder. Raises LocalError before anything is asked for.

    ending: the path as it was typed; a slash at its end says folder.
    """
    typed = str(output) if ending is None else ending
    if typed in ("", "-"):
        raise LocalError("-o wants a folder or a file.", "Leave it out for the screen; --format csv or json prints all rows there.")
    try:
        output.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise LocalError(f"{output.name[:40]}… is too long a name for this file system.", "Name a shorter one after -o.") from None
    suffix = output.suffix[1:].lower()
    is_folder = output.is_dir() or typed.endswith(("/", os.sep))
    if not is_folder and suffix and suffix not in FORMATS:
        raise LocalError(f"{output} is neither a folder nor .csv, .json, .npz or .parquet.", f"Name the file by what is to be in it, or add a slash for a folder: {output}/")
    if is_folder or not suffix:
        if output.exists() and not output.is_dir():
            raise LocalError(f"{output} is a file.", "Name a folder, or a file that ends in .csv, .json, .npz or .parquet.")
        place = Place(output / f"results.{form or 'csv'}", form or "csv", output, force)
    else:
        if form and form != suffix:
            raise LocalError(f"{output} is named as {suffix}, and --format says {form}.", "Leave one of the two out.")
        place = Place(output, suffix, None, force)
    _check(place)
    return place


def _check(place: Place) -> None:
    if place.folder is None and not place.table.parent.exists():
        raise LocalError(f"There is no folder {place.table.parent}.", "Make it first.")
    above = place.table.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise LocalError(f"{above} is a file, not a folder.", "Name another place after -o.")
    _probe(above)
    if place.form == "parquet":
        need_parquet()
    refuse_existing(place, [place.table])


def _probe(folder: Path) -> None:
    """Can a file be made there? Only making one tells: permissions say yes of /proc, and of a disk that is read-only or full."""
    try:
        with tempfile.TemporaryFile(prefix=".ctorrent-", dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        if error.errno in _FULL:
            raise LocalError(f"The disk of {folder} is full.", "Free some space, or name another place after -o.") from None
        why = (error.strerror or str(error)).lower() if error.errno != errno.ENOENT else "the system makes no new files there"
        raise LocalError(f"Nothing may be written into {folder}: {why}.", "Name a place of your own after -o.") from None


def has_parquet() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def need_parquet() -> None:
    if not has_parquet():
        raise LocalError("Parquet files need the package pyarrow, which is not installed.", "pip install pyarrow  (or write .csv, .json or .npz)")


def refuse_existing(place: Place, files: list[Path]) -> None:
    """Raises LocalError naming what is in the way."""
    odd = next((path for path in files if path.exists() and not path.is_file()), None)
    if odd is not None:
        raise LocalError(f"{odd} is no file that could be replaced: a folder or a device.", "Name another place after -o.")
    there = [path for path in files if os.path.lexists(path)] if not place.force else []
    if there:
        more = f" and {len(there) - 1} more files are" if len(there) > 1 else " is"
        raise LocalError(f"{there[0]}{more} there already, and nothing was written.", "Name another place after -o, or let --force replace what is there.")


@contextmanager
def writing(path: Path, force: bool) -> Iterator[IO[bytes]]:
    """A new file that appears under its name when all of it is on the disk, or not at all. Raises LocalError."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".ctorrent-", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "w+b") as file:
            Path(temporary).chmod(0o666 & ~_umask())
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(temporary, path, force)
    except FileExistsError:
        raise LocalError(f"{path} is there already: it was not replaced.", "Name another place after -o, or add --force.") from None
    except OSError as error:
        if error.errno in _FULL:
            raise LocalError(f"The disk is full: {path} was not written.", "Free some space, or name another place after -o.") from None
        raise LocalError(f"{path} cannot be written: {error.strerror or error}.", "Name another place after -o.") from None
    finally:
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()


def _name(temporary: str, path: Path, force: bool) -> None:
    if force:
        Path(temporary).replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename it refuses to replace what came there meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        Path(temporary).rename(path)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
