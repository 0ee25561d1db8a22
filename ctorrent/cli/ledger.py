"""`ledger show|verify`: what was recorded."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import ledger_file, show
from ctorrent.cli.options import DataDir, Json, any_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from ctorrent.client import Net

Plain = dict[str, Any]
ledger_app = typer.Typer(help="The signed logs that this node holds.", no_args_is_help=True)
CLEAN = ("authors", "entries", "cut")  # counts in a verification that may be above zero without harm


def register(app: typer.Typer) -> None:
    ledger_file.register(ledger_app)
    app.add_typer(ledger_app, name="ledger")


@ledger_app.command("show")
def ledger_show(
    after: Annotated[int, typer.Option("--after", help="Only positions above this one.", min=0)] = 0,
    limit: Annotated[int, typer.Option("--limit", help="How many entries.", min=1)] = 1000,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Print the entries of every author, in each one's order."""
    with any_node(data_dir) as net:
        rows = list(islice(_entries(net, after), limit))
        names = _names(net)
    show.emit(as_json, rows, lambda: _show_entries(rows, names))


def _names(net: Net) -> dict[str, str]:
    """What nodes call themselves, as far as this one knows."""
    here = net.status()
    found = {row["node"]: row["name"] for row in [*net.reputation(), *net.peers(), here]}
    return {node: name for node, name in found.items() if name}


def _entries(net: Net, after: int) -> Iterator[Plain]:
    while page := net.ledger(after):
        yield from page
        after = page[-1]["position"]


def _show_entries(rows: list[Plain], names: dict[str, str]) -> None:
    console = show.stdout()
    if not rows:
        console.print("The ledger is empty: entries come with finished work.")
        return
    from datetime import UTC, datetime

    lines = [
        (row["position"], names.get(row["author"]) or show.short(row["author"]), f"{row['incarnation']}.{row['seq']}",
         str(row["kind"]).lower(), row["ring"].split(":")[0], f"{datetime.fromtimestamp(row['issued_unix'], UTC):%Y-%m-%d %H:%M}",
         _body(row["body"], names))
        for row in rows
    ]  # fmt: skip
    console.print(show.table(("#", "author", "entry", "kind", "ring", "says at (UTC)", "what"), lines, right=("#",)))


def _body(body: Plain, names: dict[str, str]) -> Text:
    """Of a tally: node3: 8 agreed, 1 disputed. Of a receipt: ben did 5 blocks for ann: 0.0004 credits. Of others: what they hold, in short."""
    if "computed_by" in body:
        who, whom = (names.get(node) or show.short(node) for node in (body["computed_by"], body["for"]))
        return show.plain(f"{who} did {show.number(body['blocks'], 'block')} for {whom}: {body['credits']:,.3g} credits")
    if "agreed" not in body:
        return show.plain(show.value({key: show.short(inner) if isinstance(inner, str) else inner for key, inner in body.items()}, width=100))
    counts = [f"{body[word]} {word}" for word in ("agreed", "disputed", "invalid") if body.get(word)]
    wrong = bool(body.get("disputed") or body.get("invalid"))
    worker = names.get(body["worker"]) or show.short(body["worker"])
    return show.plain(f"{worker}: {', '.join(counts) or 'nothing'}", "red" if wrong else "")


@ledger_app.command("verify")
def ledger_verify(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Check every chain and signature held. Exit code 1 when something is wrong."""
    with any_node(data_dir) as net:
        found = net.ledger_verify()
    wrong = {name: value for name, value in found.items() if name not in CLEAN and value not in (0, [], {}, "", None, True)}
    show.emit(as_json, found, lambda: _show_verified(found, wrong))
    if wrong:
        raise typer.Exit(1)


def _show_verified(found: Plain, wrong: Plain) -> None:
    console = show.stdout()
    held = f"{show.number(found.get('entries', 0), 'entry', 'entries')} of {show.number(found.get('authors', 0), 'author')}"
    if not wrong and not found.get("entries"):
        console.print("The ledger is empty: there is nothing to check.")
    elif not wrong:
        console.print(show.plain(f"{held}: every signature and every link holds.", "green"))
    else:
        console.print(show.plain(f"{held}, and not all is well:", "bold red"))
        console.print(show.pairs([(name, show.value(value, 400)) for name, value in wrong.items()]))
