"""`credit`: who worked for whom, who owes whom, and the receipts behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import complete, show
from ctorrent.cli.options import DataDir, Json, any_node

if TYPE_CHECKING:
    from rich.text import Text

Plain = dict[str, Any]
GPU_CORES = 10.0  # core-hours that a GPU-hour counts as: docs/credit.md
NAME_CHARS = 20


def register(app: typer.Typer) -> None:
    app.command()(credit)


def credit(
    who: Annotated[str, typer.Argument(metavar="[PEER]", help="A person: by name, by owner, or by a node of theirs.", show_default=False, autocompletion=complete.peers)] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show who worked for whom, and who owes whom."""
    with any_node(data_dir) as net:
        rows = net.credit(who)
    show.emit(as_json, rows, lambda: _show_one(rows[0]) if who else _show_all(rows))


def _show_all(rows: list[Plain]) -> None:
    console = show.stdout()
    if not rows:
        console.print("No accounts yet: they come with work that others do for you, or you for them.")
        return
    ranked = sorted(rows, key=lambda row: (-abs(row["balance"]), -_hours(row["for_me"]) - _hours(row["for_them"]), row["person"]))
    lines = [
        (_name(row), _work(row["for_me"]), _work(row["for_them"]), _balance(row), _limit(row), _waits(row))
        for row in ranked
    ]  # fmt: skip
    columns = ("person", "did for me", "I did for them", "balance", "may owe", "waits")
    console.print(show.table(columns, lines, right=columns[1:5]))
    console.print(show.plain("Hours are of a reference core; a reference GPU's counts as ten. Credits in the balance: + they owe you, - you owe them.", "dim"))
    if any(row["waits_for_me"]["blocks"] or row["waits_for_them"]["blocks"] for row in rows):
        console.print(show.plain("What waits has no receipt: not final yet, or not signed. By its worker's own measure.", "dim"))
    console.print(show.plain("The receipts behind a line: ctorrent credit PEER", "dim"))


def _show_one(row: Plain) -> None:
    console = show.stdout()
    console.print(show.pairs([
        ("person", row["name"] or row["person"]), ("owner", row["person"]), ("friend", "yes" if row["friend"] else "no"),
        ("did for me", _long(row["for_me"])), ("I did for them", _long(row["for_them"])), ("balance", _words(row["balance"])),
        ("may owe", _limits(row)), ("waits", _waits(row) or "nothing"),
    ]))  # fmt: skip
    if not row["receipts"]:
        console.print("There are no receipts between you.")
        return
    from datetime import UTC, datetime

    lines = [
        (f"{datetime.fromtimestamp(one['issued_unix'], UTC):%Y-%m-%d %H:%M}", "me" if one["for_me"] else "them", f"{one['job']}/{one['number']}",
         f"{one['blocks']:,}", _figure(one["core_hours"]), _figure(one["gpu_hours"]), _figure(one["credits"]), one["entry"])
        for one in row["receipts"]
    ]  # fmt: skip
    columns = ("says at (UTC)", "for", "job/number", "blocks", "core-hours", "GPU-hours", "credits", "entry")
    console.print(show.table(columns, lines, right=columns[3:7]))
    console.print(show.plain("An entry is of the log of who had the work done; who did it signed it first.", "dim"))


def _name(row: Plain) -> str:
    """ben (friend), or the end of an id."""
    name = row["name"] or show.short(row["person"])
    name = name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"
    return f"{name} (friend)" if row["friend"] else name


def _hours(amount: Plain) -> float:
    return float(amount["core_hours"] + GPU_CORES * amount["gpu_hours"])


def _work(amount: Plain) -> str:
    return f"{_figure(_hours(amount))} h" if amount["blocks"] else "–"


def _long(amount: Plain) -> str:
    """12 blocks, 0.5 core-hours, 2 GPU-hours, for 3 credits (in 2 receipts)."""
    if not amount["blocks"]:
        return "nothing"
    gpu = f", {_figure(amount['gpu_hours'])} GPU-hours" if amount["gpu_hours"] else ""
    hours = f"{show.number(amount['blocks'], 'block')}, {_figure(amount['core_hours'])} core-hours{gpu}"
    return f"{hours}, for {_figure(amount['credits'])} credits in {show.number(amount['receipts'], 'receipt')}"


def _balance(row: Plain) -> Text:
    found = row["balance"]
    return show.plain(f"{'+' if found > 0 else ''}{_figure(found)}", "green" if found > 0 else "yellow" if found < 0 else "dim")


def _words(balance: float) -> str:
    if not balance:
        return "even"
    return f"they owe you {_figure(balance)} credits" if balance > 0 else f"you owe them {_figure(-balance)} credits"


def _limit(row: Plain) -> Text:
    return show.plain(_figure(row["limit"]), "red" if row["left"] <= 0 else "")


def _limits(row: Plain) -> str:
    backed = f", {_figure(row['backed'])} of it because friends owe them" if row["backed"] else ""
    left = f"{_figure(row['left'])} are left" if row["left"] > 0 else "none is left: their jobs are refused here until they give back"
    return f"{_figure(row['limit'])} credits{backed}; {left}"


def _waits(row: Plain) -> str:
    """0.2 h for me, 3 h for them."""
    sides = (("waits_for_me", "for me"), ("waits_for_them", "for them"))
    return ", ".join(f"{_work(row[key])} {words}" for key, words in sides if row[key]["blocks"])


def _figure(number: float) -> str:
    """1,204, 12.3, 0.0042, 0."""
    if not number:
        return "0"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
