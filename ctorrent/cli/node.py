"""`ctorrent node`: the one command that starts a node in this process."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import signal
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from ctorrent.cli import agree, show
from ctorrent.cli import detach as detach_
from ctorrent.cli.alone import tell_alone
from ctorrent.cli.options import DataDir, Json
from ctorrent.errors import LocalError, Unavailable

LEAVE_S = 15.0  # a node that lost its parent has this long to leave; its own farewell takes less than 10 s
ADDRESSES_SHOWN = 3  # of them; `ctorrent status` has all
_SHARE, _NET, _ID = "What it shares", "How it is reached", "Who it is"


def register(app: typer.Typer) -> None:
    app.command()(node)


def offline() -> ModuleType:
    """What the node's rooms can do with files alone. Through here, so that this stays the one file that loads them."""
    from ctorrent.node import offline

    return offline


def web_room() -> ModuleType:
    """How a node's HTTP side is reached, for `ctorrent token`, `open` and `status`. Through here likewise; it loads no web library."""
    from ctorrent.web import reach

    return reach


def settings_rooms() -> ModuleType:
    """The one file of settings, for `ctorrent config`. Through here likewise."""
    from ctorrent.node import settings_edit

    return settings_edit


def _option(*names: str, panel: str, text: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)


def node(
    context: typer.Context,
    data_dir: DataDir = None,
    name: Annotated[str | None, _option("--name", panel=_ID, text="What others see it called.")] = None,
    owner_dir: Annotated[Path | None, _option("--owner-dir", panel=_ID, text="Folder of the owner key, when not your own.")] = None,
    join: Annotated[list[str] | None, _option("--join", panel=_NET, text="An invite, or a multiaddr with /p2p/ID. Repeatable.")] = None,
    listen: Annotated[list[str] | None, _option("--listen", panel=_NET, text="Address to listen at, such as 192.168.1.5 or 127.0.0.1:4300. Default: port 4270 on every real interface. Repeatable.")] = None,
    port: Annotated[int | None, _option("--port", panel=_NET, text="Port to try first, instead of 4270; 0 takes any.", min=0, max=65535)] = None,
    lan_only: Annotated[bool | None, _option("--lan-only/--no-lan-only", panel=_NET, text="Stay in the local network.")] = None,
    mdns: Annotated[bool | None, _option("--mdns/--no-mdns", panel=_NET, text="Look for peers in the local network.")] = None,
    dht: Annotated[bool | None, _option("--dht/--no-dht", panel=_NET, text="Take part in the peer directory.")] = None,
    friends_only: Annotated[bool | None, _option("--friends-only/--no-friends-only", panel=_SHARE, text="Work for friends alone, and tell nobody else of your own jobs. With --no-: work for strangers too.")] = None,
    work_for: Annotated[str | None, _option("--work-for", panel=_SHARE, text="friends, swarm or all: whose jobs run here. Default: friends.")] = None,
    work: Annotated[bool | None, _option("--work/--no-work", panel=_SHARE, text="Run blocks here.")] = None,
    slots: Annotated[int | None, _option("--slots", panel=_SHARE, text="Blocks at once. Default: half the cores.", min=1)] = None,
    memory: Annotated[str | None, _option("--memory", panel=_SHARE, text='For all blocks together, such as "4 GB". Default: half.')] = None,
    disk: Annotated[str | None, _option("--disk", panel=_SHARE, text='For what others put here, such as "5 GB". Default: 20 GB.')] = None,
    gpus: Annotated[bool | None, _option("--gpus/--no-gpus", panel=_SHARE, text="Lend the GPUs too.")] = None,
    price: Annotated[float | None, _option("--price", panel=_SHARE, text="Credits per core-hour asked of strangers.", min=0)] = None,
    isolation: Annotated[str | None, _option("--isolation", panel=_SHARE, text="auto, docker, podman or jail.")] = None,
    runtime: Annotated[str | None, _option("--runtime", panel=_SHARE, text="Another OCI runtime, such as runsc.")] = None,
    strangers_in_jail: Annotated[bool | None, _option("--strangers-in-jail/--no-strangers-in-jail", panel=_SHARE, text="Run strangers' jobs below docker too.")] = None,
    install: Annotated[str | None, _option("--install", panel=_SHARE, text="friends, all or off: for whose jobs missing packages are installed, as sealed wheels. Default: friends.")] = None,
    allow_program: Annotated[list[str] | None, _option("--allow-program", panel=_SHARE, text="A program of this system that jobs may run, such as ffmpeg. Repeatable; text tools are always offered.")] = None,
    http: Annotated[str | None, _option("--http", panel=_NET, text="Where the page and the HTTP API listen, as HOST:PORT, or off. Default: 127.0.0.1:8420.")] = None,
    log_format: Annotated[str | None, _option("--log-format", panel=_ID, text="text or json: how the log is written, a line a record. Default: text.")] = None,
    testing_lie: Annotated[float | None, typer.Option("--testing-lie", hidden=True)] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    ready_fd: Annotated[int, typer.Option("--ready-fd", hidden=True)] = -1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to what is shared, without the question.", rich_help_panel=_SHARE)] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background, wait until it is up, and come back.")] = False,
    as_json: Json = False,
) -> None:
    """Run a node: it shares this machine, and takes your jobs to its peers. Ctrl-C ends it."""
    from ctorrent.node.settings import load

    settings = load(_chosen(dict(locals())))
    if with_parent:
        threading.Thread(target=_leave_with_parent, daemon=True).start()
    elif ready_fd < 0:  # else the command that waits for this process has asked
        _check_slots(settings, slots)
        _agree(settings, yes, as_json)
    if detach and ready_fd < 0:
        _detach(settings, as_json, context)
    else:
        _run(settings, as_json, ready_fd)


_NOT_SETTINGS = ("context", "with_parent", "ready_fd", "yes", "detach", "as_json", "load")
_RENAMED = {"memory": "memory_bytes", "disk": "disk_bytes", "allow_program": "programs"}


def _chosen(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags by the names of their settings; None: not given."""
    from ctorrent.node.choices import parse_size

    if flags["testing_lie"] and os.environ.get("CTORRENT_TESTING") != "1":
        raise LocalError("--testing-lie makes a node answer wrongly, for tests only.", "Set CTORRENT_TESTING=1 where lying is what you test.")
    given = {_RENAMED.get(name, name): value for name, value in flags.items() if name not in _NOT_SETTINGS and value != []}
    for name in ("memory_bytes", "disk_bytes"):
        given[name] = None if given[name] is None else parse_size(given[name])
    if given["friends_only"] is False and given["work_for"] is None:
        given["work_for"] = "all"
    return given


def _check_slots(settings: Any, flag: int | None) -> None:
    """No more slots than cores: a flag is refused, a file or variable (of a larger machine, say) told and capped."""
    from ctorrent.node.consent import look
    from ctorrent.node.settings import cores_lent

    cores = look(settings)[1].cores
    if not settings.work or settings.slots <= cores:
        return
    has = f"this machine has {show.number(cores, 'core')}"
    if flag is not None:
        raise LocalError(f"--slots {flag}: {has}.", f"At most --slots {cores}. Without it half of them are lent.")
    show.stderr().print(show.plain(f"The settings say {settings.slots} slots; {has}, so it lends {cores_lent(settings, cores)}.", "yellow"))


def _agree(settings: Any, yes: bool, as_json: bool) -> None:
    """Show what others may use, unless the owner agreed to that much before; in a terminal, wait for a yes."""
    from ctorrent.node import consent

    if not settings.work or settings.work_for == "me":
        return
    now, hardware = consent.look(settings)
    agreed = consent.agreed_to(settings.data_dir)
    more = consent.grown(now, agreed) if agreed is not None else []
    if agreed is not None and not more:
        return
    person = agree.a_person_is_there() and not as_json
    agree.tell(consent.lines(now, hardware), more, to_stderr=not person)
    if person and not yes:
        agree.ask()
    if person or yes:
        consent.remember(settings.data_dir, now)


def agreed_settings(data_dir: Path | None, yes: bool, as_json: bool) -> Any:
    """The settings of a node that somebody else starts, once its owner has agreed to what they share."""
    from ctorrent.node.settings import load

    settings = load({"data_dir": data_dir})
    _agree(settings, yes, as_json)
    return settings


def _run(settings: Any, as_json: bool, ready_fd: int) -> None:
    from ctorrent.client import forget_notice
    from ctorrent.node.node import run_node
    from ctorrent.node.nodelog import open_log
    from ctorrent.workloads import Desk

    open_log(settings, terminal=ready_fd < 0)
    herald = detach_.Herald(ready_fd)

    def ready(status: Any) -> None:
        logging.getLogger("ctorrent").info("node %s is up: process %d, version %s", status["node"], os.getpid(), status["version"])
        if ready_fd >= 0:
            herald.tell(dict(status))
        else:
            announce(status, as_json)
        if ready_fd >= 0 or sys.stdout.isatty():  # a person reads it now; otherwise the next command says it
            forget_notice(settings.data_dir)
        desk.resume()

    desk = Desk(settings.data_dir)
    with suppress(KeyboardInterrupt), herald.errors(), closing(desk):
        alone = None if as_json or ready_fd >= 0 else tell_alone
        run_node(settings, ready, alone, invited=sys.stdout.isatty(), face=_face(settings, desk))
    logging.getLogger("ctorrent").info("the node has stopped")
    if not as_json:
        show.stderr().print("Stopped.")


def _face(settings: Any, desk: Any) -> Any:
    """What serves the node's door over HTTP, listening from now on; None: nothing is to. Raises LocalError."""
    from ctorrent.web import place

    if not offline().folder_holder(settings.data_dir):  # else it is about to be said that a node runs there, whose address it is
        place.forget(settings.data_dir)
    claimed = place.claim(settings.http, settings.data_dir)
    if claimed is None:
        return None  # such a node never loads a web library
    from ctorrent.web.app import Choices
    from ctorrent.web.rules import WebRules
    from ctorrent.web.serve import serve

    rules = WebRules(upload_bytes_max=settings.http_upload_bytes)
    return functools.partial(serve, claimed, Choices(settings.data_dir, rules, settings.metrics_open, desk))


def _detach(settings: Any, as_json: bool, context: typer.Context) -> None:
    """Start the same node in the background; print what it would have printed."""
    from ctorrent.client import attach
    from ctorrent.node.nodelog import folder

    at = _at(settings.data_dir)
    with suppress(Unavailable):
        attach(settings.data_dir).close()
        raise LocalError(f"A node runs with the data folder {settings.data_dir} already: process {offline().folder_holder(settings.data_dir)}.", f"See it: ctorrent status{at}. Stop it: ctorrent stop{at}")
    logs = folder(settings.data_dir)
    pid, status = detach_.start(["node", *detach_.again(context)], logs)
    if as_json:
        show.print_json({**status, "pid": pid, "log": str(logs / "node.log")})
        return
    announce(status, as_json, f"It runs in the background, as process {pid}. To stop it: ctorrent stop{at}\nIts log: {logs / 'node.log'}")


def _leave_with_parent() -> None:
    """End with the process that holds the other end of our stdin, however it ends."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # Windows' os.kill would end us here and now
        signal.raise_signal(signal.SIGTERM)
    threading.Event().wait(LEAVE_S)
    os._exit(1)


def _at(data_dir: str | Path) -> str:
    """What follows a command that is for this node, where a bare one would be for another."""
    from ctorrent.client import data_folder

    return "" if Path(data_dir).absolute() == data_folder() else f" --data-dir {shlex.quote(str(data_dir))}"


def announce(status: Any, as_json: bool, ending: str = "Ctrl-C stops it. Its jobs and keys stay in the data folder.") -> None:
    """The start print: who this is, how to join it, what stands between blocks and the machine. Reads well at 80 columns."""
    status = dict(status)
    if as_json:
        show.print_json(status)
        return
    console, at = show.stdout(), _at(status["data_dir"])
    console.print(show.plain(f"Node {status['name']!r} is up.", "bold green"))
    rows: list[tuple[str, Any]] = [("peer id", status["node"]), ("owner", status["owner"]), ("data folder", status["data_dir"])]
    rows.append(("isolation", show.plain(status["isolation"], "bold")))
    rows += [("" if n else "  without", gap) for n, gap in enumerate(status["gaps"])]
    rows.append(("shares", f"{show.number(status['slots'], 'slot')}" if status["shares"] else "nothing: it only submits"))
    if status["testing"]:
        rows.append(("testing", show.plain(status["testing"], "bold red")))
    console.print(show.pairs(rows))
    if status["addresses"]:
        console.print(show.plain("  Its addresses:", "dim"))
    for address in status["addresses"][:ADDRESSES_SHOWN]:  # longer than a line: the terminal wraps them, so that they can be copied
        console.print(show.plain(str(address)), soft_wrap=True)
    if status.get("http"):
        console.print(show.plain(f"Its page: ctorrent open{at}   (the API is at {status['http']}/api/v1)"))
    for note in [*(status.get("notes") or ()), *filter(None, [status.get("http_note")])]:
        console.print(show.plain(f"  {note}", "yellow"))
    for failed in status.get("join_failed") or ():
        console.print(show.plain(f"  Not joined: {failed.rstrip('.')}. It is tried again.", "yellow"))
    if status["addresses"]:  # an address alone connects machines, and makes no friends: nothing would run
        console.print(show.plain(f"To let another machine in: ctorrent invite{at}"), soft_wrap=True)
    console.print(show.plain(ending, "dim"), soft_wrap=True)
