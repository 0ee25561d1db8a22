"""`ctorrent service`: a systemd user unit that starts the node with the session, and with the machine where lingering is on."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json
from ctorrent.errors import LocalError, Unavailable

UNIT = "ctorrent.service"
STOP_SLACK_S = 40  # beyond the drain: closing cells, then systemd's own patience
ASK_S = 10.0  # systemctl answers in milliseconds, or there is nobody
app = typer.Typer(help="Start the node with this session: a systemd user unit.", no_args_is_help=True)
_HEAD = "# Written by `ctorrent service install`; `ctorrent service remove` takes it away."
_INSTEAD = "Start it in the background instead: ctorrent node --detach"


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="service")


def unit_path() -> Path:
    """Where systemd looks for a user's own units."""
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "systemd/user" / UNIT


def unit_text(data_dir: Path, stop_s: float) -> str:
    """The unit of a data folder's node. stop_s: what a stop may take. Raises LocalError for a path no unit can hold."""
    program = [sys.executable, "-P", "-m", "ctorrent"]
    folder = ["--data-dir", os.fspath(data_dir)]
    for path in (sys.executable, folder[1]):
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in path):  # a newline would begin a directive of its own
            raise LocalError(f"{path!a} holds a control character: no systemd unit can name it.", "Rename that folder, or choose another.")
    if set("\"'\\") & set(sys.executable):
        raise LocalError(f"{sys.executable} holds a quote or a backslash: systemd starts no such program.", "Install ctorrent in another folder.")
    return "\n".join([
        _HEAD, "[Unit]", "Description=ComputeTorrent node", "",
        "[Service]", "Type=exec", f"ExecStart={_command([*program, 'node', *folder])}",
        f"ExecStop={_command([*program, 'stop', *folder])}", f"TimeoutStopSec={stop_s + STOP_SLACK_S:.0f}",
        "Restart=on-failure", "RestartSec=10", "Nice=10", "", "[Install]", "WantedBy=default.target", "",
    ])  # fmt: skip


def _command(words: Sequence[str]) -> str:
    """In the program's own path systemd reads no $, so that it stands there as it is, and as argv[0] once more ("@")."""
    if "$" not in words[0]:
        return _line(words)
    return f"@{_line(words[:1]).replace('$$', '$')} {_line(words)}"


def _line(words: Sequence[str]) -> str:
    """Words as systemd reads them: in quotes, its own signs doubled."""
    return " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"' for word in words)


@app.command()
def install(
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to what is shared, without the question.")] = False,
    as_json: Json = False,
) -> None:
    """Write the unit, enable it and start it. Shows what it writes and the commands it runs."""
    from ctorrent.cli.node import agreed_settings
    from ctorrent.client import attach

    _refuse_without_systemd()
    settings = agreed_settings(data_dir, yes, as_json)
    try:
        attach(settings.data_dir).close()
    except Unavailable:
        pass
    else:
        raise LocalError("A node runs with this data folder already.", "Stop it first: ctorrent stop")
    path, text = unit_path(), unit_text(settings.data_dir, settings.drain_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if not as_json:
        print(f"Wrote {path}:\n\n{_indented(text)}")
    for words in (["daemon-reload"], ["enable", "--now", UNIT]):
        _systemctl(words, as_json)
    show.emit(as_json, {"unit": str(path)}, _after_install)


def _after_install() -> None:
    print("The node runs, and starts with your session. See it: ctorrent service status. Take it away: ctorrent service remove")
    if not Path(f"/var/lib/systemd/linger/{getpass.getuser()}").exists():
        print(f"To let it run while you are not logged in: loginctl enable-linger {getpass.getuser()}")


@app.command()
def remove(as_json: Json = False) -> None:
    """Stop the unit's node (it drains), and take the unit away. Data and keys stay."""
    path = unit_path()
    if not path.exists():
        show.emit(as_json, {"removed": False, "unit": str(path)}, lambda: print(f"There is no {path}: nothing to remove."))
        return
    take_away(as_json)
    show.emit(as_json, {"removed": True, "unit": str(path)}, lambda: print(f"Removed {path}. Data and keys stay."))


def take_away(quiet: bool) -> None:
    """Disable the unit, which stops its node, and remove the file. Raises LocalError when systemd refuses."""
    there = _systemd() == ""
    if there:
        _systemctl(["disable", "--now", UNIT], quiet)
    unit_path().unlink()
    if there:
        _systemctl(["daemon-reload"], quiet)


def unit_of(data_dir: Path) -> Path | None:
    """The unit, if it is there and starts the node of this folder."""
    try:
        text = unit_path().read_text()
    except OSError:
        return None
    return unit_path() if text.startswith(_HEAD) and _line(["--data-dir", os.fspath(data_dir)]) in text else None


@app.command()
def status(as_json: Json = False) -> None:
    """Say whether the unit is there, enabled, and running."""
    path, why = unit_path(), _systemd()
    found = {"unit": str(path), "installed": path.exists(), "systemd": not why, "enabled": "", "active": ""}
    if not why:
        found["enabled"], found["active"] = _asked("is-enabled"), _asked("is-active")
    show.emit(as_json, found, lambda: _tell(found, why))


def _tell(found: dict[str, object], why: str) -> None:
    console = show.stdout()
    console.print(show.pairs([
        ("unit", found["unit"] if found["installed"] else f"not installed ({found['unit']})"),
        ("systemd", why or "is here"), ("enabled", found["enabled"] or "–"), ("active", found["active"] or "–"),
    ]))  # fmt: skip
    hint = _INSTEAD if why else "" if found["installed"] else "Install it: ctorrent service install"
    if hint:
        console.print(show.plain(hint, "dim"))


def _systemd() -> str:
    """Why there is no systemd of this user's; empty: there is one."""
    if shutil.which("systemctl") is None:
        return "this system has no systemd"
    if _asked("is-system-running") in ("", "offline", "unknown"):
        return "systemd does not run for this user (a container, or no login session)"
    return ""


def _refuse_without_systemd() -> None:
    if why := _systemd():
        raise LocalError(f"{why[0].upper()}{why[1:]}: nothing was written.", _INSTEAD)


def _asked(question: str) -> str:
    """What `systemctl --user` answers to a question, in a word."""
    words = ["systemctl", "--user", question, *([UNIT] if question != "is-system-running" else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def _systemctl(words: Sequence[str], quiet: bool) -> None:
    """Run and show a command. Raises LocalError with its words."""
    command = ["systemctl", "--user", *words]
    if not quiet:
        print(f"$ {' '.join(command)}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-400:]}", f"The unit is {unit_path()}. {_INSTEAD}")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
