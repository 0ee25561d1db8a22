"""The answer, and a short honest report of how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctorrent.cli import follow, show

if TYPE_CHECKING:
    from rich.console import Console

    from ctorrent.cli.watch import Ending

Plain = dict[str, Any]
ROWS_MAX = 10  # of an answer that is a table
PICTURE_COLUMNS, PICTURE_LINES = 60, 20  # of an answer that is an image: the report below it stays in sight
DISPUTES_MAX = 5  # shown; the rest is counted


def print_ending(found: Ending, stays: bool) -> None:
    """Answer first, then who and how; what is wrong is said before anything else. stays: the node outlives this command."""
    console = show.stdout()
    _print_answer(console, found)
    print_report(console, found.status)
    if stays:
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
        console.print(show.plain("Answer", "bold green"), _answer_table(found.answer), sep="\n")
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


def _answer_table(answer: list[Plain]) -> Any:
    """The first rows; the rest is counted."""
    from rich.console import Group

    columns = list(dict.fromkeys(key for row in answer[:ROWS_MAX] for key in row))
    rows = [[show.value(row.get(column)) for column in columns] for row in answer[:ROWS_MAX]]
    more = [show.plain(f"and {show.number(len(answer) - ROWS_MAX, 'more row', 'more rows')}", "dim")] if len(answer) > ROWS_MAX else []
    return Group(show.table(columns, rows), *more)


def print_report(console: Console, status: Plain) -> None:
    """Who computed, who agreed, what was disputed, where it ran, how long it took."""
    console.print()
    console.print(show.plain(_counted(status)))
    if status["workers"]:
        console.print(_workers(status["workers"]))
    found = status.get("report")
    if not found:
        return
    _print_disputes(console, found, {row["node"]: follow.worker_name(row) for row in status["workers"]})
    rows = [("ran in", _isolation(found)), *(("  without", gap) for gap in found["gaps"])]
    console.print(show.pairs([*rows, ("time", _time(found)), ("speed", _speed(found)), ("ledger", _ledger(found))]))


def _counted(status: Plain) -> str:
    words = [f"{status[word]} {word}" for word in ("settled", "provisional", "failed", "disputed") if status[word]]
    text = f"{show.number(status['blocks'], 'block')}: {', '.join(words) or 'none done'}."
    if status["cross_validated"]:
        return f"{text} Each settled one was agreed on by {status['replicas_wanted']} or more owners." if status["settled"] else text
    if status["replicas_wanted"] < 2:
        return f"{text} One replica was asked for: not cross-validated."
    return f"{text} One owner: not cross-validated."


def _workers(rows: list[Plain]) -> Any:
    ranked = sorted(rows, key=lambda row: (-row["done"], row["node"]))
    lines = [
        (follow.worker_name(row), show.short(row["owner"]), row["isolation"], row["done"], row["agreed"],
         show.plain(str(row["disputed"] + row["invalid"]), "bold red" if row["disputed"] + row["invalid"] else "dim"),
         show.duration(row["busy_s"]))
        for row in ranked[: 2 * follow.WORKERS_MAX]
    ]  # fmt: skip
    columns = ("worker", "owner", "isolation", "computed", "agreed", "disputed", "busy")
    return show.table(columns, lines, right=("computed", "agreed", "disputed", "busy"))


def _print_disputes(console: Console, found: Plain, names: dict[str, str]) -> None:
    if not found["disputes_total"]:
        console.print(show.plain("Nothing was disputed.", "dim"))
        return
    console.print(show.plain(f"{show.number(found['disputes_total'], 'block')} disputed:", "bold magenta"))
    for dispute in found["disputes"][:DISPUTES_MAX]:
        losers = " and ".join(names.get(node, show.short(node)) for node in dispute["outvoted"])
        end = f"{losers} out-voted, and it is recorded" if losers else dispute["state"]
        console.print(show.plain(f"  block {dispute['index']}: {dispute['words']} → {end}"))
    more = found["disputes_total"] - min(DISPUTES_MAX, len(found["disputes"]))
    if more:
        console.print(show.plain(f"  and {more} more", "dim"))


def _isolation(found: Plain) -> str:
    return ", ".join(f"{level} ({show.number(count, 'replica')})" for level, count in sorted(found["isolation"].items())) or "–"


def _time(found: Plain) -> str:
    extra = f"; {show.number(found['expired'], 'lease')} ran out" if found["expired"] else ""
    return f"{show.duration(found['wall_s'])} for {show.duration(found['block_s'])} of blocks, {show.duration(found['all_s'])} with every replica{extra}"


def _speed(found: Plain) -> str:
    cores = found["machine_cores"]
    return (
        f"{found['speedup']:.2f} × one core that runs each block once; "
        f"this machine has {show.number(cores, 'core')}, so {cores} × is the most that nodes on it alone could give"
    )


def _ledger(found: Plain) -> str:
    return f"{show.number(found['entries'], 'entry', 'entries')} for {show.number(found['assignments'], 'assignment')}"
