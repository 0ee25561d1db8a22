"""The answer, and a short honest report of how it came about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ctorrent.cli import follow, show

if TYPE_CHECKING:
    from rich.console import Console

    from ctorrent.cli.watch import Ending

Plain = dict[str, Any]
ROWS_MAX = 10  # of an answer that is a table
PICTURE_COLUMNS, PICTURE_LINES = 60, 20  # of an answer that is an image: the report below it stays in sight
WAIT_SHOWN_S = 2.0  # for workers; less is how a job begins
DISPUTES_MAX = 5  # shown; the rest is counted
NOTES_MAX = 8  # likewise


def print_ending(found: Ending, stays: bool, written: bool) -> None:
    """Answer first, then who and how; what is wrong is said before anything else.

    stays: its node has the job also after this command. written: its rows are, to files.
    """
    console = show.stdout()
    _print_answer(console, found)
    print_report(console, found.status, stays, found.waited_s)
    if stays and not written:
        console.print(show.plain(f"All rows: ctorrent results {found.status['job']}", "dim"))


def _print_answer(console: Console, found: Ending) -> None:
    status = found.status
    if status["state"] == "paused":
        console.print(show.plain(f"Job {status['job']} is paused: {status['reason']}", "bold yellow"))
        console.print(show.plain(f"  go on anyway  ctorrent resume {status['job']}\n  give it up    ctorrent cancel {status['job']}"))
    elif status["state"] != "settled":
        console.print(show.plain(f"Job {status['job']}: {status['state']}. {status['reason']}".strip(), "bold red"))
    _print_failures(console, found)
    if found.why:
        console.print(show.plain("No answer: ", "bold red"), show.plain(found.why), sep="")
    elif _is_table(found.answer):
        console.print(show.plain("Answer", "bold green"), _answer_table(found.answer, found.params), sep="\n")
    else:
        console.print(show.plain("Answer  ", "bold green"), show.plain(show.value(found.answer, width=400), "bold"), sep="")
        _print_picture(console, found.answer)


def _print_picture(console: Console, answer: Any) -> None:
    """An answer that is an image, as one."""
    from ctorrent.cli.pictures import is_picture

    if is_picture(answer):
        from ctorrent.cli.preview import picture

        console.print(*picture(console, answer, "image", min(console.width, PICTURE_COLUMNS), PICTURE_LINES), sep="\n")


def _print_failures(console: Console, found: Ending) -> None:
    """What the program itself said, and where the rest is."""
    from ctorrent.client import failure_words

    for row in found.failures:
        console.print(show.plain(f"  block {row['index']} failed: {failure_words(row.get('failure', {}))}", "red"))
    if more := found.status["failed"] - len(found.failures):
        console.print(show.plain(f"  and {more} more", "red"))


def _is_table(answer: Any) -> bool:
    return isinstance(answer, list) and bool(answer) and all(isinstance(row, dict) for row in answer)


def _answer_table(answer: list[Plain], params: tuple[str, ...]) -> Any:
    """The first rows; the rest is counted."""
    from rich.console import Group

    from ctorrent.cli.columns import in_order

    columns = in_order(answer[:ROWS_MAX], params)
    rows = [[show.value(row.get(column)) for column in columns] for row in answer[:ROWS_MAX]]
    more = [show.plain(f"and {show.number(len(answer) - ROWS_MAX, 'more row', 'more rows')}", "dim")] if len(answer) > ROWS_MAX else []
    return Group(show.table(columns, rows), *more)


def print_report(console: Console, status: Plain, stays: bool = True, waited_s: float | None = None) -> None:
    """Who computed, who agreed, what was disputed, where it ran, how long it took. Short: a page and -v have the rest."""
    console.print()
    console.print(show.plain(_counted(status)))
    for note in notes(status):
        console.print(show.plain(note, "yellow"))
    if status["workers"]:
        console.print(_workers(status["workers"]))
    found = status.get("report")
    if not found:
        return
    _print_disputes(console, found, {row["node"]: follow.worker_name(row) for row in status["workers"]})
    whole = logging.getLogger().isEnabledFor(logging.INFO)  # -v
    rows = [("  without", gap) for gap in found["gaps"]] if whole else []
    ran_in = _levels(found) if whole else _isolation(found, f"ctorrent report {status['job']}" if stays else "ctorrent doctor")
    console.print(show.pairs([("ran in", ran_in), *rows, ("time", _time(found, waited_s or 0.0)), ("speed", _speed(found)), ("ledger", _ledger(found))]))


def notes(status: Plain) -> list[str]:
    """What a job's person should know of it, such as a check that failed; the rest is counted."""
    found = list(status.get("notes") or ())
    more = [f"and {len(found) - NOTES_MAX} more such notes: ctorrent status {status['job']} --json"] if len(found) > NOTES_MAX else []
    return [*found[:NOTES_MAX], *more]


def _counted(status: Plain) -> str:
    words = [f"{status[word]} {word}" for word in ("settled", "provisional", "failed", "disputed") if status[word]]
    text = f"{show.number(status['blocks'], 'block')}: {', '.join(words) or 'none done'}."
    if status.get("alone") is not None and status["replicas_wanted"] > 1:
        return f"{text} {spared(status)}".rstrip()
    if status["cross_validated"]:
        return f"{text} Each settled one was agreed on by {status['replicas_wanted']} or more owners." if status["settled"] else text
    if status["replicas_wanted"] < 2:
        return f"{text} One replica was asked for: not cross-validated."
    return f"{text} One owner: not cross-validated."


def spared(status: Plain) -> str:
    """Of assurance economy: who stands for the settled blocks. "" before there is one."""
    alone, more = status["alone"], status["settled"] - status["alone"]
    one = f"{show.number(alone, 'settled block')} {'was' if alone == 1 else 'were'} run by one owner{' each' if alone > 1 else ''}, known for its work and audited" if alone else ""
    two = f"{more:,} by two or more that agreed" if alone else "Each settled one was agreed on by two or more owners"
    return "; ".join(part for part in (one, two if more else "") if part) + ("." if alone or more else "")


def _workers(rows: list[Plain]) -> Any:
    ranked = sorted(rows, key=lambda row: (-row["done"], row["node"]))
    mixed = len({row["isolation"] for row in ranked}) > 1  # else the line below the table says it, and names have more room
    lines = [
        (follow.worker_name(row), show.short(row["owner"]), *([row["isolation"]] if mixed else []), row["done"], row["agreed"],
         show.plain(str(row["disputed"] + row["invalid"]), "bold red" if row["disputed"] + row["invalid"] else "dim"),
         show.duration(row["busy_s"]))
        for row in ranked[: 2 * follow.WORKERS_MAX]
    ]  # fmt: skip
    columns = ("worker", "owner", *(["isolation"] if mixed else []), "computed", "agreed", "disputed", "busy")
    return show.table(columns, lines, right=("computed", "agreed", "disputed", "busy"))


def _print_disputes(console: Console, found: Plain, names: dict[str, str]) -> None:
    if not found["disputes_total"]:  # the workers' table says so
        return
    console.print(show.plain(f"{show.number(found['disputes_total'], 'block')} disputed:", "bold magenta"))
    for dispute in found["disputes"][:DISPUTES_MAX]:
        losers = " and ".join(names.get(node, show.short(node)) for node in dispute["outvoted"])
        end = f"{losers} out-voted, and it is recorded" if losers else dispute["state"]
        console.print(show.plain(f"  block {dispute['index']}: {dispute['words']} → {end}"))
    more = found["disputes_total"] - min(DISPUTES_MAX, len(found["disputes"]))
    if more:
        console.print(show.plain(f"  and {more} more", "dim"))


def _levels(found: Plain) -> str:
    return ", ".join(f"{level} ({show.number(count, 'replica')})" for level, count in sorted(found["isolation"].items())) or "–"


def _isolation(found: Plain, more: str) -> str:
    """The level, and the first thing that it does not guarantee, without its explanation: one line of a terminal."""
    levels = _levels(found) if len(found["isolation"]) > 1 else "".join(found["isolation"]) or "–"
    if not found["gaps"]:
        return f"{levels}; what it leaves open: {more}"
    gap = found["gaps"][0].split(":")[0].rstrip(".")
    return f"{levels}: {gap.removeprefix('A block ').removeprefix('A container ')}; more: {more}"


def _time(found: Plain, waited_s: float) -> str:
    extra = f"; {show.number(found['expired'], 'lease')} ran out" if found["expired"] else ""
    checked = f", {show.duration(found['all_s'])} with replicas" if found["all_s"] > found["block_s"] else ""
    wall = found["wall_s"]
    took = f"waited {show.duration(waited_s)}, then {show.duration(wall - waited_s)}" if WAIT_SHOWN_S <= waited_s <= wall else show.duration(wall)
    return f"{took} for {show.duration(found['block_s'])} of blocks{checked}{extra}"


def _speed(found: Plain) -> str:
    times, cores = found["speedup"], show.number(found["machine_cores"], "core")
    words = f"{times:.2f}" if times >= 0.01 else "less than 0.01"
    return f"{words} × one core that runs each block once; this machine has {cores}"


def _ledger(found: Plain) -> str:
    return f"{show.number(found['entries'], 'entry', 'entries')} for {show.number(found['assignments'], 'assignment')}"
