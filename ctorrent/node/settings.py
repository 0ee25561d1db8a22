"""What a person chose, gathered once. Later sources win: the defaults, then `settings.toml` in the data folder, then the
environment (CTORRENT_<NAME IN CAPITALS>), then flags."""

from __future__ import annotations

import os
import platform
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from ctorrent.errors import LocalError
from ctorrent.node import choices
from ctorrent.store.folder import replace as replace_file

PORT = 4270
FILE_NAME = "settings.toml"
OWNER_NAME = "owner.folder"  # in the data folder: where its node's owner key was at the last start, when not in the usual place
GB = 10**9
PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")  # a name on PATH, never a path


def _one_of(default: str, *others: str) -> Any:
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice a node has. Durations in seconds; a name that ends in _bytes takes "4 GB" too.

    A field added here is at once a key of settings.toml, a CTORRENT_ variable, and a line of `ctorrent config show`.
    """

    data_dir: Path = Path(platformdirs.user_data_dir("ctorrent"))
    owner_dir: Path | None = None  # None: the person's own folder, shared by all their nodes on this machine
    environments_dir: Path | None = None  # None: inside the data folder
    listen: tuple[str, ...] = ()  # empty: every real interface
    port: int = PORT
    join: tuple[str, ...] = ()  # invites or multiaddrs
    name: str = ""
    friends_only: bool = False  # neither announces to nor hears of swarms and strangers
    lan_only: bool = False
    work: bool = True
    work_for: str = _one_of("friends", "me", "swarm", "all")  # whose jobs run here; one's own always do
    slots: int = 0  # 0: half the cores, at least one
    memory_bytes: int = 0  # 0: half of what the machine has
    disk_bytes: int = 20 * GB  # for what others' jobs, and answers to one's own, put into the data folder
    gpus: bool = False  # lend them; one's own jobs may use them either way
    price: float = 1.0  # credits per reference core-hour asked of others than friends; 0: nothing, and they owe nothing
    price_gpu: float = 10.0  # credits per reference GPU-hour, likewise
    price_friends: float = 0.0  # credits per reference core-hour asked of friends; a GPU-hour counts as ten
    credit_strangers: float = 10.0  # credits that a stranger may owe before it gave anything back; all of them ten times that
    credit_friends: float = 1000.0  # credits that a friend may owe, if friends pay at all
    prefer_givers: bool = True  # work of those who took and gave nothing back waits for a core while others' is there
    isolation: str = _one_of("auto", "docker", "podman", "jail")
    runtime: str = ""  # another OCI runtime, such as runsc
    strangers_in_jail: bool = False  # the owner's word that strangers' jobs may run below docker
    install: str = _one_of("friends", "all", "off")  # for whose jobs packages that are missing here are installed
    install_bytes: int = 8 * GB  # of one environment: torch with its CUDA libraries unpacks to about 7 GB
    programs: tuple[str, ...] = ()  # names on this system's PATH offered to jobs, beside the usual text tools
    mdns: bool = True
    dht: bool = True
    keep_days: float = 30.0  # a finished job and its answer; 0: until it is removed by hand
    drain_s: float = 120.0  # `ctorrent stop` lets what runs go on for so long
    http: str = "127.0.0.1:8420"  # HOST:PORT of the page and the API, or off
    http_upload_bytes: int = 100 * GB  # of one upload to it
    metrics_open: bool = False  # /metrics without the token, to whoever reaches that address
    log_bytes: int = 10_000_000  # of one node log; five are kept
    log_format: str = _one_of("text", "json")  # json: a map a line, with the job that it is about
    testing: bool = False  # CTORRENT_TESTING=1
    testing_lie: float = 0.0  # fraction of blocks this node answers wrongly
    sessions_max: int = 64  # channels a requester serves at once: ~100 KB each, and more would only queue


def cores_lent(settings: Settings, cores: int) -> int:
    """Slots of a machine with so many cores: what was chosen, never more than there are; half by default."""
    return min(settings.slots, max(1, cores)) if settings.slots else max(1, cores // 2)


NOT_IN_FILE = ("data_dir", "testing", "testing_lie")  # the file lies in the first; the others are for tests
_PATHS = ("data_dir", "owner_dir", "environments_dir")
_OTHER_VARIABLES = {"data_dir": "CTORRENT_DATA", "environments_dir": "CTORRENT_ENVIRONMENTS"}
_RANGED = ("port", "slots", "memory_bytes", "disk_bytes", "install_bytes", "price", "price_gpu", "price_friends", "credit_strangers", "credit_friends", "sessions_max", "keep_days", "drain_s", "log_bytes", "http_upload_bytes")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One setting: its value and who set it, in words a person reads."""

    value: Any
    source: str  # "default", the settings file's path, "$CTORRENT_…", or "flag"


def names() -> tuple[str, ...]:
    """Every setting, as the file calls it."""
    return tuple(one.name for one in fields(Settings))


def offered() -> tuple[str, ...]:
    """Those that a person is told of: without the ones for tests."""
    return tuple(name for name in names() if not name.startswith("testing"))


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _OTHER_VARIABLES.get(name, f"CTORRENT_{name.upper()}")


def settings_file(flags: Mapping[str, Any]) -> Path:
    """The one file of settings, there or not."""
    folder = flags.get("data_dir") or os.environ.get("CTORRENT_DATA") or Settings().data_dir
    return Path(folder).expanduser().absolute() / FILE_NAME


def load(flags: Mapping[str, Any]) -> Settings:
    """Settings from all their sources. Raises LocalError that names the source and the field."""
    merged = {name: one.value for name, one in gather(flags).items()}
    settings = replace(Settings(), **merged)
    if platform.system() != "Linux":  # nothing holds a block there (sandbox/choose.py): such a node only asks
        settings = replace(settings, work=False)
    if settings.testing_lie and not settings.testing:
        raise LocalError("--testing-lie is for tests only", "Set CTORRENT_TESTING=1 where lying is what you test.")
    return settings


def gather(flags: Mapping[str, Any]) -> dict[str, Chosen]:
    """Every setting with its source, checked one by one. Raises LocalError as load() does."""
    path = settings_file(flags)
    found = {one.name: Chosen(getattr(Settings(), one.name), "default") for one in fields(Settings)}
    if (owner := _last_owner(path.with_name(OWNER_NAME))) is not None:
        found["owner_dir"] = Chosen(owner, str(path.with_name(OWNER_NAME)))
    for name, value in read_file(path).items():
        found[name] = Chosen(checked(name, value, f"in {path}"), str(path))
    for name in names():
        text = os.environ.get(variable(name), "")
        if text and not (name == "testing" and text != "1"):
            found[name] = Chosen(checked(name, text, f"in ${variable(name)}"), f"${variable(name)}")
    for name, value in flags.items():
        if value is not None:
            found[name] = Chosen(checked(name, value, "of a flag"), "flag")
    found["data_dir"] = Chosen(path.parent, found["data_dir"].source)
    return found


def _last_owner(path: Path) -> Path | None:
    """A node belongs to whom it was started for, though the next command does not say it. Raises LocalError."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LocalError(f"{path} cannot be read: {error}.", "Move it away, and name the folder of the owner key: --owner-dir.") from None
    return checked("owner_dir", text, f"in {path}") if text else None


def remember_owner(settings: Settings) -> None:
    """For commands to come, which read this data folder and are not told whose it is. Raises LocalError."""
    path, text = settings.data_dir / OWNER_NAME, "" if settings.owner_dir is None else f"{settings.owner_dir}\n"
    if (path.read_text() if path.exists() else "") == text:
        return
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror}.", "Make room on the disk.") from None


def read_file(path: Path) -> dict[str, Any]:
    """What the settings file says, unchecked; nothing where there is none. Raises LocalError that names the line."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # not TOML, or not text
        raise LocalError(f"{path} cannot be read: {error}.", "Mend that line, or move the file away: the defaults hold then.") from None


def checked(name: str, value: Any, where: str) -> Any:
    """A value of the type and range that its setting has, from a text too. Raises LocalError with what would be right."""
    kind = choices.kind_of(_field(name, where), getattr(Settings(), name))
    made = choices.fitting(name, value, kind, where)
    if name in _PATHS and made:
        made = Path(made).expanduser().absolute()
    if name in _RANGED and not 0 <= made < (1 << 16 if name == "port" else 1 << 50):
        raise LocalError(f"{name} = {made} is out of range ({where})", f"It is from 0 to {(1 << 16) - 1 if name == 'port' else 1 << 50}.")
    if name == "testing_lie" and not 0 <= made <= 1:
        raise LocalError(f"testing_lie is a fraction: from 0 to 1 ({where})")
    for text in made if isinstance(made, tuple) else (made,):
        if isinstance(text, str) and not text.isprintable():  # it is shown, here and on others' machines
            raise LocalError(f"{name} = {text!a:.60} holds what cannot be printed ({where})", "Use letters, digits, signs and plain spaces.")
    for program in made if name == "programs" else ():
        if not PROGRAM.fullmatch(program):
            raise LocalError(f"{program!r:.60} in programs is not a program's name ({where})", "Use a name on PATH, such as ffmpeg.")
    return made


def _field(name: str, where: str) -> Any:
    for one in fields(Settings):
        if one.name == name:
            return one
    raise choices.no_such(name, offered(), where)
