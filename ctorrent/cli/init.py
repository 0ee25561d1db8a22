"""`ctorrent init`: a folder with a job that runs, to be changed into one's own."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from ctorrent.cli import show
from ctorrent.cli.options import Json
from ctorrent.errors import LocalError

SCHEMA = "job.schema.json"  # named by the first line of each job.yaml, for editors
SCHEMA_LINE = "# yaml-language-server: $schema="  # what editors look for
JOB = "job.yaml"


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    what: str  # one line for who has to choose


TEMPLATES = (
    Template("digits", "a search: a Python function for each point of a grid, the best one is the answer"),
    Template("command", "files in, files out: a program of the system for each of many files"),
    Template("sweep", "a simulation: ranges, repeats with seeds of their own, a table of all results"),
)


def register(app: typer.Typer) -> None:
    app.command()(init)


def init(
    kind: Annotated[str | None, typer.Argument(metavar="digits|command|sweep", help="Which job. Without it, they are shown.", autocompletion=lambda: [(t.name, t.what) for t in TEMPLATES], show_default=False)] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Where to. Default: this folder if nothing is in it, else a new one of the same name.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a folder with a job that runs: a job file, a program, a schema for your editor."""
    if kind is None:
        _show_all(as_json)
        return
    target = folder if folder is not None else _place(_template(kind).name)
    written = write(_template(kind).name, target, force)
    if as_json:
        show.print_json({"folder": str(target), "files": written})
        return
    here = target.resolve() == Path.cwd()
    where = "" if here else f"cd {shlex.quote(str(target))}; "
    show.stdout().print(show.plain(f"{'This folder' if here else f'{target}/'} has {', '.join(written)}."))
    show.stdout().print(show.plain("Run it on two nodes of its own:  "), show.plain(f"{where}ctorrent submit --local 2 {JOB}", "bold"), sep="")


def _place(name: str) -> Path:
    """An empty folder was made for this; anywhere else, a home above all, a new one keeps things apart."""
    here = Path.cwd()
    return Path() if here != Path.home() and not any(here.iterdir()) else Path(name)


def write(kind: str, target: Path, force: bool = False) -> list[str]:
    """Copy a template. -> paths written, relative. Raises LocalError before anything is written over."""
    contents = {name: found.read_bytes() for name, found in _walk(files("ctorrent.cli") / "templates" / kind)}
    contents[SCHEMA] = schema_text().encode()
    _check(target, contents, force)
    try:
        for name, content in contents.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                path.unlink()  # the link is what is replaced, never what it leads to
            path.write_bytes(content)
    except OSError as error:
        raise LocalError(f"{error.filename} cannot be written: {error.strerror}.", "Name another folder: ctorrent init KIND DIR") from None
    return sorted(contents, key=lambda name: (name != JOB, name))


def schema_text() -> str:
    """The JSON schema of job files, as a file holds it."""
    from ctorrent.cli.node import offline

    return json.dumps(offline().job_schema(), indent=2, ensure_ascii=False) + "\n"


def _template(kind: str) -> Template:
    for template in TEMPLATES:
        if template.name == kind:
            return template
    names = ", ".join(template.name for template in TEMPLATES)
    raise LocalError(f"There is no job called {kind!r} to begin with.", f"There is {names}: ctorrent init digits. A folder goes behind it: ctorrent init digits {kind}")


def _show_all(as_json: bool) -> None:
    if as_json:
        show.print_json([{"name": template.name, "what": template.what} for template in TEMPLATES])
        return
    console = show.stdout()
    console.print("A job to begin with:")
    console.print(show.pairs([(template.name, template.what) for template in TEMPLATES]))
    console.print(show.plain("Take one: "), show.plain("ctorrent init digits", "bold"), sep="")


def _check(target: Path, contents: dict[str, bytes], force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise LocalError(f"{target} is a file, not a folder.", "Name another folder: ctorrent init KIND DIR")
    for name in contents:
        if link := next((above for above in (target / name).parents if above != target and target in above.parents and above.is_symlink()), None):
            raise LocalError(f"{link} is a link to {link.resolve()}.", "Remove it, or name another folder: ctorrent init KIND DIR")
    there = [name for name, content in contents.items() if _differs(target / name, content)]
    if there and not force:
        raise LocalError(f"{target} has {', '.join(sorted(there))} already.", "Name another folder behind the kind, or replace them with --force.")


def _differs(path: Path, content: bytes) -> bool:
    """Is something else there? The same bytes written again take nothing from anybody."""
    return path.is_symlink() or (path.exists() and not (path.is_file() and path.read_bytes() == content))


def _walk(folder: Traversable, above: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            found += _walk(each, f"{above}{each.name}/") if each.name != "__pycache__" else []
        else:
            found.append((above + each.name, each))
    return found
