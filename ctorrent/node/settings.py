"""What a person chose, gathered once: defaults, then `settings.toml` in the data folder, then environment, then flags."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from ctorrent.errors import LocalError

PORT = 4270
INSTALL = ("friends", "all", "off")
PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")  # a name on PATH, never a path


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice a node has. Sizes in bytes, durations in seconds."""

    data_dir: Path = Path(platformdirs.user_data_dir("ctorrent"))
    owner_dir: Path | None = None  # None: the person's own folder, shared by all their nodes on this machine
    environments_dir: Path | None = None  # None: inside the data folder
    listen: tuple[str, ...] = ()  # empty: every real interface
    port: int = PORT
    join: tuple[str, ...] = ()  # invites or multiaddrs
    name: str = ""
    friends_only: bool = False  # neither announces to nor works for swarms and strangers
    lan_only: bool = False
    work: bool = True
    slots: int = 0  # 0: half the cores, at least one
    memory_bytes: int = 0  # 0: half of what the machine has
    gpus: bool = True
    price: float = 0.0  # credits per reference core-hour asked of others than friends
    isolation: str = "auto"  # auto | docker | podman | jail
    runtime: str = ""  # another OCI runtime, such as runsc
    strangers_in_jail: bool = False  # the owner's word that strangers' jobs may run below docker
    install: str = "friends"  # friends | all | off: for whose jobs packages that are missing here are installed
    install_bytes: int = 8 * 10**9  # of one environment: torch with its CUDA libraries unpacks to about 7 GB
    programs: tuple[str, ...] = ()  # names on this system's PATH offered to jobs, beside the usual text tools
    mdns: bool = True
    dht: bool = True
    testing: bool = False  # CTORRENT_TESTING=1
    testing_lie: float = 0.0  # fraction of blocks this node answers wrongly
    sessions_max: int = 64  # channels a requester serves at once: ~100 KB each, and more would only queue


def load(flags: dict[str, Any]) -> Settings:
    """Settings from all their sources. Raises LocalError that names the source and the field."""
    chosen = {name: value for name, value in flags.items() if value is not None}
    data_dir = Path(chosen.get("data_dir") or os.environ.get("CTORRENT_DATA") or Settings().data_dir)
    merged = _file(data_dir / "settings.toml") | _environment() | chosen | {"data_dir": data_dir}
    settings = _checked(merged)
    if settings.testing_lie and not settings.testing:
        raise LocalError("--testing-lie is for tests only", "Set CTORRENT_TESTING=1 where lying is what you test.")
    return settings


def _file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:  # not TOML, or not text
        raise LocalError(f"{path} cannot be read: {error}", "Mend it or move it away.") from None


def _environment() -> dict[str, Any]:
    names = {
        "CTORRENT_NAME": "name", "CTORRENT_OWNER_DIR": "owner_dir", "CTORRENT_ENVIRONMENTS": "environments_dir",
        "CTORRENT_INSTALL": "install",
    }  # fmt: skip
    found: dict[str, Any] = {field: os.environ[name] for name, field in names.items() if os.environ.get(name)}
    if os.environ.get("CTORRENT_PROGRAMS"):
        found["programs"] = tuple(name.strip() for name in os.environ["CTORRENT_PROGRAMS"].split(",") if name.strip())
    if os.environ.get("CTORRENT_TESTING") == "1":
        found["testing"] = True
    return found


def _checked(merged: dict[str, Any]) -> Settings:
    known = {field.name for field in fields(Settings)}
    for name, value in merged.items():
        if name not in known:
            raise LocalError(f"there is no setting {name!r}", f"Settings are: {', '.join(sorted(known))}.")
        _check_type(name, value)
    for name in ("data_dir", "owner_dir", "environments_dir"):
        if merged.get(name):
            merged[name] = Path(merged[name]).expanduser().absolute()
    for name in ("listen", "join", "programs"):
        merged[name] = tuple(merged.get(name) or ())
    settings = replace(Settings(), **merged)
    if not 0 <= settings.testing_lie <= 1:
        raise LocalError("testing_lie is a fraction: from 0 to 1")
    if settings.install not in INSTALL:
        raise LocalError(f"install = {settings.install!r:.60} is not one of {', '.join(INSTALL)}")
    for program in settings.programs:
        if not PROGRAM.fullmatch(program):
            raise LocalError(f"{program!r:.60} in programs is not a program's name", "Use a name on PATH, such as ffmpeg.")
    for name in ("port", "slots", "memory_bytes", "price", "sessions_max", "install_bytes"):
        if not 0 <= getattr(settings, name) < (1 << 16 if name == "port" else 1 << 50):
            raise LocalError(f"{name} = {getattr(settings, name)} is out of range")
    return settings


def _check_type(name: str, value: Any) -> None:
    """A settings file may hold anything. Raises LocalError that says what the field takes."""
    default = getattr(Settings(), name)
    kinds: tuple[type, ...]
    match default:
        case bool():
            kinds, words = (bool,), "true or false"
        case int():
            kinds, words = (int,), "a whole number"
        case float():
            kinds, words = (int, float), "a number"
        case tuple():
            kinds, words = (list, tuple), "a list of texts"
        case _:
            kinds, words = (str, Path, type(None)), "a text"
    fits = isinstance(value, kinds) and (kinds == (bool,) or not isinstance(value, bool))
    if not fits or (isinstance(value, (list, tuple)) and not all(isinstance(item, str) for item in value)):
        raise LocalError(f"{name} = {value!r:.60} is not {words}", "Mend settings.toml in the data folder, or the flag.")
