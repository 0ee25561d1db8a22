"""A job's folder, unpacked from what was sent: never outside of it, never more than the limits say."""

from __future__ import annotations

import io
import pathlib
import shutil
import stat
import zipfile
from collections.abc import Iterable
from typing import IO

import trio

from ctorrent.errors import DiskFull, JobFileError
from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules

JOB_FILES = ("job.yaml", "job.yml")
PART_MAX, DEPTH_MAX = 255, 32  # characters of a name, as file systems have it; folders in folders, as the planner takes
PIECE = 1 << 20
LIST_MAX = 4 << 20  # bytes of a zip's list, which take fifteen times as many in memory: job_files_max entries of 400
_WAYS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def inside(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Where a file of this name lies. Raises Problem for a name that leads elsewhere, or means something to some system."""
    parts = name.split("/")
    odd = "\\" in name or ":" in name or not name.isprintable() or len(parts) > DEPTH_MAX
    if odd or any(part in ("", ".", "..") or len(part.encode()) > PART_MAX for part in parts):
        raise Problem(400, f"{name!r:.200} is no name of a file inside a job's folder.", "Name files relative to job.yaml, with forward slashes.")
    return folder.joinpath(*parts)


def unpack(archive: pathlib.Path, folder: pathlib.Path, rules: WebRules) -> None:
    """A zip's files, in a thread. Raises Problem: what it says of sizes is not believed."""
    try:
        with _Archive(archive) as file, zipfile.ZipFile(file) as opened:
            listed = [one for one in opened.infolist() if not one.is_dir()]
            if len(listed) > rules.job_files_max:
                raise Problem(413, f"The archive holds {len(listed):,} files: at most {rules.job_files_max:,} are taken.")
            _check(listed)
            top, left = _top(listed), rules.job_bytes_max
            for one in listed:
                with opened.open(one) as source:
                    left = write(source, inside(folder, one.filename.removeprefix(top)), left, rules)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, NotImplementedError, OSError) as error:
        raise Problem(400, f"The archive cannot be read: {error}.", "Send a zip file with job.yaml and what it names.") from None


class _Archive(io.FileIO):
    """Its list of files is read at once, before anything counts them; every other read is of a piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LIST_MAX:
            raise Problem(413, f"The archive's list of files has {size:,} bytes: at most {LIST_MAX:,} are read.", "Send fewer files; large data is uploaded: POST /api/v1/blobs.")
        return super().read(size)


def _check(listed: Iterable[zipfile.ZipInfo]) -> None:
    for one in listed:
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or one.flag_bits & 1 or one.compress_type not in _WAYS:
            raise Problem(400, f"{one.filename!r:.200} in the archive is a link, encrypted, or packed in an uncommon way.", "Pack plain files: zip -r job.zip .")


def _top(listed: list[zipfile.ZipInfo]) -> str:
    """The one folder in which everything lies, job.yaml at its top; "" mostly."""
    tops = {one.filename.partition("/")[0] for one in listed}
    if len(tops) != 1 or any("/" not in one.filename for one in listed):
        return ""
    return f"{tops.pop()}/"


def write(source: IO[bytes], path: pathlib.Path, left: int, rules: WebRules) -> int:
    """Copy one file of at most `left` bytes. -> what is left. Raises Problem, DiskFull."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            while data := source.read(min(PIECE, left + 1)):
                left -= len(data)
                if left < 0:
                    raise Problem(413, f"The files are longer than {rules.job_bytes_max:,} bytes together.", "Large data is uploaded: POST /api/v1/blobs.")
                _check_room(path.parent, len(data), rules)
                file.write(data)
                trio.from_thread.check_cancelled()
    except (FileExistsError, NotADirectoryError):
        raise Problem(400, f"{path.name!r:.200} comes twice, or as a file and a folder.", "Names that differ only in case are one on some systems.") from None
    except OSError as error:
        raise DiskFull(f"The job's files cannot be written: {error.strerror}.", "Make room on the disk.") from None
    return left


def _check_room(folder: pathlib.Path, size: int, rules: WebRules) -> None:
    """Raises DiskFull where the node itself would be left too little, whoever else sends at once."""
    free = shutil.disk_usage(folder).free
    if free - size < rules.disk_kept_bytes:
        raise DiskFull(f"The job's files do not fit: {free:,} bytes are free, and {rules.disk_kept_bytes:,} are kept for the node.", "Make room on the disk.")


def job_file(folder: pathlib.Path) -> pathlib.Path:
    """Raises JobFileError where none lies at the top."""
    for name in JOB_FILES:
        if (folder / name).is_file():
            return folder / name
    raise JobFileError("job.yaml: there is none among the files that were sent.", "It lies at the top, beside what it names.")


def text_of(path: pathlib.Path, bytes_max: int) -> str:
    """A job file's text. Raises JobFileError."""
    if path.stat().st_size > bytes_max:
        raise JobFileError(f"job.yaml: longer than {bytes_max:,} bytes.", "Put long lists of parameters into a CSV beside it.")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise JobFileError("job.yaml: is not UTF-8 text.", "Save it as UTF-8.") from None
