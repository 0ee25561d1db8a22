"""`peers`, `friend add|ls|rm`, `invite`: who is there, whose they are, who may come; and `owner`, whose this machine is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ctorrent.cli import complete, show
from ctorrent.cli.options import DataDir, Json, any_node, owner_folder, running
from ctorrent.errors import LocalError

Plain = dict[str, Any]
NAME_CHARS, VERSION_CHARS = 24, 12  # of what peers call themselves, in a table; --json has all
owner_app = typer.Typer(help="The key that says which nodes are yours.", no_args_is_help=True)
friend_app = typer.Typer(help="Owners whose jobs may run here in the jail.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(peers)
    app.command()(invite)
    app.add_typer(friend_app, name="friend")
    app.add_typer(owner_app, name="owner")


def peers(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show who is known, whose, how found, which version, and what they offer."""
    with running(data_dir) as net:
        rows = net.peers()
    show.emit(as_json, rows, lambda: _show_peers(rows))


def _show_peers(rows: list[Plain]) -> None:
    console = show.stdout()
    ranked = sorted((row for row in rows if not _nobody(row)), key=lambda row: (not row["connected"], row["node"]))
    if not ranked:
        console.print("No peers yet. Invite one (ctorrent invite) or join one (ctorrent node --join …).")
        return
    console.print(show.table(("peer", "whose", "now", "offers"), [_peer(row) for row in ranked]))
    for row in ranked:
        if row["wants_friendship"]:
            who = row["name"] or show.short(row["node"])
            namesake = any(one["friend"] and one["name"] and one["name"] == row["name"] and one["owner"] != row["owner"] for one in rows)
            other = " It has the name of a friend of yours, and is somebody else." if namesake else ""
            console.print(show.plain(f"{who} asks to be a friend.{other} To accept: ctorrent friend add {row['owner']}", "yellow"), soft_wrap=True)
    asked = {row["owner"]: row["name"] or show.short(row["node"]) for row in ranked if row["friend"] and not row.get("accepted", True)}
    if asked:
        console.print(show.plain(f"Asked, and not friends yet: {', '.join(asked.values())}. Their persons accept with ctorrent friend add, or on the page."), soft_wrap=True)


def _nobody(row: Plain) -> bool:
    """Somebody who called, never said who it is, and left: a visit of `ctorrent doctor`, a scan of ports."""
    return not row["connected"] and row["how"] == "inbound" and not row["name"] and not row["owner"]


def _peer(row: Plain) -> tuple[Any, ...]:
    """Two lines in each column, so that all of it fits into 80: name over id, ring over owner, state over how it was found."""
    latency = f" {1000 * row['latency_s']:.0f} ms" if row["connected"] and row["latency_s"] is not None else ""
    now = show.plain("here" if row["connected"] else "away", "green" if row["connected"] else "dim").append(latency)
    friend = "friend" if row.get("accepted", True) else "asked"
    whose = friend if row["friend"] else "no friend" if row["owner"] else "–"
    name = row["name"] or "–"
    name = name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"
    version = row["version"].removeprefix("ctorrent/")[:VERSION_CHARS] or "–"
    return (
        show.plain(f"{name}\n{show.short(row['node'])}"),
        show.plain(f"{whose}\n{show.short(row['owner'])}"),
        now.append(f"\n{row['how']}"),
        show.plain(f"{_offer(row.get('offer') or {})}\nversion {version}"),
    )


def _offer(offer: Plain) -> str:
    """8 cores, 17 GB, 3 slots free, docker."""
    words = []
    if offer.get("cores"):
        words.append(show.number(offer["cores"], "core"))
    if offer.get("memory_bytes"):
        words.append(show.size(offer["memory_bytes"]))
    words += [str(gpu) if not isinstance(gpu, dict) else str(gpu.get("model", "GPU")) for gpu in _listed(offer.get("gpus"))]
    if "slots_free" in offer:
        words.append(f"{show.number(offer['slots_free'], 'slot')} free")
    if offer.get("isolation"):
        words.append(str(offer["isolation"]))
    return ", ".join(words) or "–"


def _listed(gpus: Any) -> list[Any]:
    if isinstance(gpus, int):
        return [show.number(gpus, "GPU")] if gpus else []
    return list(gpus or [])


def invite(
    uses: Annotated[int, typer.Option("--uses", help="How many may join with it.", min=1, max=1000)] = 1,
    valid: Annotated[str, typer.Option("--valid", help="For how long: 30min, 12h, 7d.")] = "7d",
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Draw it for a camera too, where a terminal is wide enough.")] = True,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Print one line that lets others join your swarm, as friends; and a QR code of it on stderr."""
    valid_s = parse_duration(valid)
    with running(data_dir) as net:
        line = net.invite(uses, valid_s)
    show.emit(as_json, {"invite": line, "uses": uses, "valid_s": valid_s}, lambda: _show_invite(line, uses, valid_s, qr))


def _show_invite(line: str, uses: int, valid_s: int, qr: bool) -> None:
    """The line alone on stdout, so that it can be piped; what to do with it on stderr."""
    from ctorrent.cli.alone import draw

    if qr:
        draw(line)
    print(line, flush=True)
    told = f"For {show.number(uses, 'machine')}, {show.duration(valid_s)}. On the other machine: ctorrent node --join INVITE, with that line as INVITE."
    show.stderr().print(show.plain(told, "dim"))


def parse_duration(text: str) -> int:
    """Seconds of "30min", "12h", "7d", "90". Raises LocalError."""
    from ctorrent.errors import LocalError

    units = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text.strip()[len(digits) :].strip()
    if unit not in units or not digits.isdecimal() or not 0 < int(digits) * units[unit] <= 365 * 86400:
        raise LocalError(f"{text!r} is not a time.", "Write it as 30min, 12h or 7d.")
    return int(digits) * units[unit]


@friend_app.command("add")
def friend_add(
    who: Annotated[str, typer.Argument(metavar="PEER", help="An owner (own_…), a node, or the name of a known peer.", show_default=False, autocompletion=complete.peers)],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let an owner's jobs run here in the jail, and ask them for the same."""
    with any_node(data_dir) as net:
        found = net.friend_add(who)
    name = found.get("name") or who
    show.emit(as_json, found, lambda: show.stdout().print(show.plain(f"{name} is a friend: their jobs may run here in the jail.")))


@friend_app.command("ls")
def friend_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List friends, and those who ask to be."""
    with any_node(data_dir) as net:
        rows = net.friends()
    show.emit(as_json, rows, lambda: _show_friends(rows))


def _show_friends(rows: list[Plain]) -> None:
    console = show.stdout()
    if not rows:
        console.print("No friends yet. Add one: ctorrent friend add OWNER")
        return
    lines = [
        (row["name"] or "–", row["owner"], "friend" if row["state"] == "friend" else f"{row['state']} – ctorrent friend add {row['owner']}",
         ", ".join(show.short(node) for node in row["nodes"]) or "–")
        for row in rows
    ]  # fmt: skip
    console.print(show.table(("name", "owner", "state", "nodes"), lines))


@friend_app.command("rm")
def friend_remove(
    who: Annotated[str, typer.Argument(metavar="PEER", help="An owner (own_…), or a friend's name.", show_default=False, autocompletion=complete.friends)],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """End a friendship: their jobs run here no more in the jail."""
    with any_node(data_dir) as net:
        net.friend_remove(who)
    show.emit(as_json, {"removed": who}, lambda: show.stdout().print(show.plain(f"{who} is a friend no more.")))


AGAIN_S = 7 * 86400  # after a change of key: a machine that is started once a week has told it by then
OwnerDir = Annotated[
    Path | None, typer.Option("--owner-dir", envvar="CTORRENT_OWNER_DIR", help="Folder of the key, when not your own.", show_default=False)
]


@owner_app.command("show")
def owner_show(owner_dir: OwnerDir = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Print your owner id: others add it with `ctorrent friend add`. Of the node that runs, where one does."""
    from ctorrent.cli.node import offline

    owner_dir = owner_dir or owner_folder(data_dir)
    owner = offline().owner_show(owner_dir)
    show.emit(as_json, {"owner": owner, "folder": str(offline().owner_folder(owner_dir))}, lambda: print(owner))


@owner_app.command("rotate")
def owner_rotate(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    owner_dir: OwnerDir = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Replace your owner key by a new one that the old one signs for, such as when others may have read it.

    Your nodes tell it in their ledger: friendships and what others think of you pass to the new key, and the old one is
    refused. Give the new key to your other machines (owner export, owner import), and start every node again. Swarms that
    the old key founded, and memberships in others', need new invites.
    """
    from ctorrent.cli.node import offline

    folder = owner_dir or owner_folder(data_dir)
    before = [one for one in offline().owner_rotations(folder) if time.time() - one["unix"] < AGAIN_S]
    if before:
        _warn_again(before[-1], yes, as_json)
    elif not yes and not as_json:
        typer.confirm(f"Replace the owner key in {offline().owner_folder(folder)}?", abort=True)
    old, new = offline().owner_rotate(folder)
    told = f"You are {new} now; {old} signed for it, and is kept beside it. Start your node again to tell others (ctorrent stop, ctorrent node)."
    show.emit(as_json, {"old": old, "new": new}, lambda: show.stdout().print(show.plain(told)))


def _warn_again(last: dict[str, Any], yes: bool, as_json: bool) -> None:
    """A key that was replaced a while ago may not be known to anybody yet. Raises LocalError where a person cannot be asked."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["unix"]))
    show.say(
        f"Your owner key was replaced already, on {when}: {last['new']} followed {last['old']}. Another change signs for that one, and "
        "your nodes tell both; but a machine of yours that you gave that key, and every node that was not started since, needs the new one.",
        "yellow",
    )  # fmt: skip
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise LocalError("The owner key was replaced already within the last days, and nothing was changed.", "Say --yes if it is to be replaced again.")
    typer.confirm("Replace it again?", abort=True)


@owner_app.command("export")
def owner_export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist.", show_default=False)],
    unprotected: Annotated[bool, typer.Option("--no-passphrase", help="Whoever gets the file is you.")] = False,
    owner_dir: OwnerDir = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Copy your owner key to a file, for another machine of yours."""
    from ctorrent.cli.node import offline

    passphrase = "" if unprotected else typer.prompt("Passphrase for the file", hide_input=True, confirmation_prompt=True, err=True)
    owner = offline().owner_export(target, passphrase, owner_dir or owner_folder(data_dir))
    told = f"{owner} is in {target}. Take it to the other machine: ctorrent owner import {target.name}"
    show.emit(as_json, {"owner": owner, "file": str(target)}, lambda: show.stdout().print(show.plain(told)))


@owner_app.command("import")
def owner_import(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `owner export` wrote.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Even if another owner's key is here; it is kept beside it.")] = False,
    unprotected: Annotated[bool, typer.Option("--no-passphrase", help="The file has none.")] = False,
    owner_dir: OwnerDir = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make this machine yours with a key that you exported elsewhere. A running node has to be started again."""
    from ctorrent.cli.node import offline

    passphrase = "" if unprotected else typer.prompt("Passphrase of the file", hide_input=True, default="", show_default=False, err=True)
    owner = offline().owner_import(source, passphrase, replace, owner_dir or owner_folder(data_dir))
    told = f"This machine belongs to {owner} now. A node that runs learns it when it is started again."
    show.emit(as_json, {"owner": owner}, lambda: show.stdout().print(show.plain(told)))
