"""settings.toml as a person edits it through `ctorrent config`: what each value is and whence, one written, one taken out.

tomlkit keeps every comment and the order of lines. The file is replaced whole, so that a stop half-way leaves the old one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ctorrent.door import POINTER, SOCKET, Plain
from ctorrent.errors import LocalError
from ctorrent.node import choices, settings
from ctorrent.node.settings import NOT_IN_FILE, Settings
from ctorrent.store.folder import private_folder, replace

_HEAD = "# Settings of `ctorrent node`. Every key: ctorrent config show\n"
_MEANS = {  # what a default means that is no figure by itself
    "slots": "half the cores", "memory_bytes": "half of the memory", "listen": "every interface", "owner_dir": "your own folder",
    "environments_dir": "in the data folder", "name": "from the node's id", "runtime": "the engine's own",
}  # fmt: skip


def path(data_dir: Path | None) -> Path:
    """The file, there or not."""
    return settings.settings_file({"data_dir": data_dir})


def known(key: str) -> str:
    """The key, if it is one. Raises LocalError with the nearest that is."""
    if key not in settings.names():
        raise choices.no_such(key, settings.offered(), "in this command")
    return key


def listing(data_dir: Path | None) -> list[Plain]:
    """Every setting: key, value, how to show it, and its source. Raises LocalError for a wrong file or variable."""
    found = settings.gather({"data_dir": data_dir})
    return [
        {"key": name, "value": _plain(one.value), "shown": _shown(name, one.value), "source": one.source,
         "from": settings.FILE_NAME if one.source.startswith("/") else one.source, "variable": settings.variable(name)}
        for name, one in found.items() if name in settings.offered()
    ]  # fmt: skip


def put(data_dir: Path | None, key: str, words: Sequence[str]) -> Plain:
    """Write one setting. Raises LocalError with what would be right; the file is as it was then."""
    if known(key) in NOT_IN_FILE:
        raise LocalError(f"{key} is not kept in the file.", "Give it with --data-dir or $CTORRENT_DATA." if key == "data_dir" else "It is for tests.")
    default = getattr(Settings(), key)
    kind = choices.kind_of(next(one for one in fields(Settings) if one.name == key), default)
    given = tuple(words) if isinstance(default, tuple) and len(words) > 1 else choices.from_text(" ".join(words), kind)
    value = settings.checked(key, given, "in this command")
    document = _read(path(data_dir))
    document[key] = words[0] if kind.size and not words[0].isdigit() and len(words) == 1 else _plain(value)
    _write(path(data_dir), document)
    return _done(data_dir, key, value)


def take_out(data_dir: Path | None, key: str) -> Plain:
    """Take one setting out of the file."""
    file = path(data_dir)
    document = _read(file)
    if key not in document:  # before it is looked up: a wrong key in the file must be removable
        return {**_done(data_dir, key, getattr(Settings(), known(key))), "changed": False}
    del document[key]
    _write(file, document)
    return {**_done(data_dir, key, getattr(Settings(), key, None)), "removed": True}


def _read(file: Path) -> Any:
    import tomlkit

    settings.read_file(file)  # says what is wrong, and on which line
    return tomlkit.parse(file.read_text()) if file.exists() else tomlkit.parse(_HEAD)


def _write(file: Path, document: Any) -> None:
    import tomlkit

    if file.is_symlink():  # of somebody who keeps it elsewhere: what it points to is replaced
        file = file.resolve()
    private_folder(file.parent)
    replace(file, tomlkit.dumps(document).encode())


def _done(data_dir: Path | None, key: str, value: Any) -> Plain:
    variable = settings.variable(key)
    return {
        "key": key, "value": _plain(value), "shown": _shown(key, value), "path": str(path(data_dir)), "changed": True,
        "hidden_by": f"${variable}" if os.environ.get(variable) else "", "running": _running(path(data_dir).parent),
    }  # fmt: skip


def _running(data_dir: Path) -> bool:
    """Is there a node that has read the file already? A socket that a killed one left counts: the words say "at its next start"."""
    return (data_dir / SOCKET).exists() or (data_dir / POINTER).exists()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _shown(name: str, value: Any) -> str:
    """As a person reads it: sizes with a unit, nothing as what it means."""
    if name in _MEANS and value in (0, 0.0, "", None, ()):
        return _MEANS[name]
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name.endswith("_bytes"):
        return choices.size_text(value)
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
