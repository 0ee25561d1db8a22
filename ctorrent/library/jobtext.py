"""A job file's text, read from wherever a person says it is: what else it may be is said in words."""

from __future__ import annotations

import pathlib

from ctorrent.errors import LocalError

JOB_FILE_BYTES_MAX = 4 << 20  # a million characters, of four bytes at most; the planner takes no more
PROGRAM_SUFFIXES = (".py", ".ipynb", ".sh", ".r", ".jl")
_BEGIN = "ctorrent init writes a folder with one that runs."


def read_job_file(path: pathlib.Path) -> str:
    """A job file's text. Raises LocalError that says what else the path is, and what to give instead."""
    if path.is_dir():
        raise _is_folder(path)
    if path.suffix.lower() in PROGRAM_SUFFIXES:
        raise LocalError(f"{path} is a program, not a job file.", f'A job file names it: {{python: "{path.name}:FUNCTION", blocks: {{count: 10}}}}. {_BEGIN}')
    if not path.is_file():
        near = [f"{each}" for each in sorted(path.parent.glob("*.y*ml"))[:3]] if path.parent.is_dir() else []
        raise LocalError(f"There is no job file {path}.", f"There is {', '.join(near)}." if near else _BEGIN)
    try:
        if path.stat().st_size > JOB_FILE_BYTES_MAX:
            raise LocalError(f"{path} has more than {JOB_FILE_BYTES_MAX >> 20} MB: a job file is a page of text.", "Data belongs into files beside it: blocks: {files: …} or {split: …}.")
        data = path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}.", "Give the path of a job file.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "is UTF-16 text" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "is not UTF-8 text"
        raise LocalError(f"{path}:{line}: {what}.", "Save it as UTF-8; a job file is YAML text.") from None


def _is_folder(path: pathlib.Path) -> LocalError:
    inside = path / "job.yaml"
    if inside.is_file():
        return LocalError(f"{path} is a folder.", f"Its job file is {inside}: ctorrent submit {inside}")
    return LocalError(f"{path} is a folder without a job.yaml.", f"Give the path of a job file. {_BEGIN}")
