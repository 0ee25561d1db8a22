"""`ctorrent share on|off`: lend this machine or not, at once; and `ctorrent retry`: a job once more."""

from __future__ import annotations

from typing import Annotated

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, JobName, Json, any_node, named, running
from ctorrent.errors import LocalError

GB = 10**9


def register(app: typer.Typer) -> None:
    for command in (share, retry):
        app.command()(command)


def share(
    switch: Annotated[str, typer.Argument(metavar="[on|off]", help="Nothing: say how it is.", show_default=False)] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Lend this machine, or not, from now on. Off: what runs here is given back, and the machine is free within two seconds."""
    word = switch.lower()
    if word not in ("", "on", "off"):
        raise LocalError(f"{switch!r} is neither on nor off.", "ctorrent share on, or ctorrent share off.")
    with running(data_dir) as net:
        now = net.share(word == "on") if word else net.machine()
    lends, works = now["lends"], now["works_for"]
    if now["sharing"]:
        gpus = f", {lends['gpus']} GPU{'s' * (lends['gpus'] > 1)}" if lends["gpus"] else ""
        words = f"This machine is lent: {lends['cores']} core{'s' * (lends['cores'] > 1)}, {lends['memory_bytes'] / GB:.0f} GB of memory{gpus}; it works for {len(works)} job{'s' * (len(works) != 1)} now."
    else:
        words = "This machine is not lent: nothing runs here, and nothing is taken. Again: ctorrent share on"
    shown = {name: now[name] for name in ("sharing", "slots", "slots_free", "lends", "works_for")}
    show.emit(as_json, shown, lambda: show.stdout().print(show.plain(words)))


def retry(job: JobName, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Submit a job once more: the same program, blocks and seed, as a new job."""
    with any_node(data_dir) as net:
        name = named(net, job)
        again = net.retry(name)
    show.emit(as_json, {"job": again, "of": name}, lambda: show.stdout().print(f"Job {again} is {name} once more. Follow it: ctorrent attach {again}"))
