"""`ctorrent report`: a job as one HTML page that needs nothing else: no script, no font, no address to load from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctorrent.cli import place, plots, show
from ctorrent.cli.columns import in_order
from ctorrent.cli.options import DataDir, JobName, Json, any_node, named
from ctorrent.cli.report import notes, spared

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]
ANSWER_CHARS = 4000
DISPUTES_MAX, FAILURES_MAX, ANSWER_ROWS = 25, 25, 15
REFERENCE_GFLOPS = 10.0  # of the core that prices are for: docs/protocol
CREDIT = "A credit is one hour of a core that does 10 GFLOP/s. Credits are counted here; nobody is charged."


def report(
    job: JobName,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write it. Default: NAME-JOB.html here.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on a job: who computed what and when, block times, agreement, cost."""
    from ctorrent.cli.outputs import plain_part

    with any_node(data_dir) as net:
        status = net.job(named(net, job))
        path = Path(output or ".")
        if path.is_dir() or (output or "").endswith("/"):
            path /= f"{plain_part(status['name'] or 'job')}-{status['job']}.html"
        place.refuse_existing(place.Place(path, "html", None, force), [path])
        made = page(gathered(net, status))
        with place.writing(path, force) as file:
            file.write(made.encode())
    show.emit(as_json, {"job": status["job"], "page": str(path), "bytes": len(made.encode())}, lambda: _told(path, status))
    if open_it:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


def _told(path: Path, status: Plain) -> None:
    so_far = "" if status["state"] in ("settled", "failed", "cancelled") else ", as far as the job has come"
    show.stderr().print(show.plain(f"Wrote {path}{so_far}. Open it in any browser."))


def gathered(net: Net, status: Plain) -> Plain:
    """All that a page shows."""
    from ctorrent.client import decode_row, decode_value
    from ctorrent.errors import CTorrentError

    job = status["job"]
    found: Plain = {"status": status, "timeline": net.timeline(job), "answer": None, "params": (), "why": "", "node": net.status(), "waits": ""}
    try:
        answer = net.answer(job)
        if answer.get("value") is not None:
            found["answer"] = (decode_value(answer["value"]),)
            found["params"] = tuple(name for row in net.results(job, -1, 1)[:1] for name in decode_row(row)["params"])
        found["why"] = str(answer.get("why") or answer.get("reason") or "")
        found["waits"] = str(net.why(job)["waits_for"])
    except CTorrentError as error:
        found["why"] = error.message
    return found


# -- the page ---------------------------------------------------------------------------------------------------------


def page(found: Plain) -> str:
    """HTML. Every text in it may come from a stranger: the job's name, workers' names, what programs printed."""
    status, line = found["status"], found["timeline"]
    names = {worker["number"]: _name(worker) for worker in line["workers"]}
    title = f"{status['name'] or 'job'} {status['job']}"
    sections = [
        _head(found), _about(line), _answer(found), _time(status, line, names), _times(line), _agreement(status, line, names), _cost(status, line, names),
        _failures(status, line), _isolation(found), _ledger(found),
    ]  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f'<meta name="referrer" content="no-referrer"><title>{_text(title)}</title>\n<style>{STYLE}</style></head>\n<body><main>\n'
        f"{''.join(section for section in sections if section)}\n{_foot(found)}</main></body></html>\n"
    )


def _text(words: Any) -> str:
    """Escaped, and without characters that turn or hide what stands beside them."""
    return escape(show.printable(str(words)), quote=True)


def _name(worker: Plain) -> str:
    return show.printable(worker["name"] or show.short(worker["node"])) + (plots.HERE if worker["local"] else "")


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{_text(title)}</h2>\n{''.join(part for part in parts if part)}</section>\n"


def _p(words: str, style: str = "") -> str:
    return f'<p class="{style}">{_text(words)}</p>\n' if words else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> str:
    """A cell is a number or a text, never markup."""
    def row(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag}{_right(name, right)}>{_text(one)}</{tag}>' for name, one in zip(head, cells, strict=True)) + "</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table><thead>{row(head, "th")}</thead><tbody>\n{body}\n</tbody></table></div>\n'


def _right(name: str, right: Sequence[str]) -> str:
    return ' class="right"' if name in right else ""


def _head(found: Plain) -> str:
    status = found["status"]
    done = status["settled"] + status["failed"] + status["disputed"]
    state = status["state"]
    words = {"settled": "finished", "running": "still running", "waiting": "still waiting"}.get(state, state)
    figures = [("blocks", f"{done:,} of {status['blocks']:,}" if done < status["blocks"] else f"{done:,}"), ("time", show.duration(_wall(status)))]
    if (report_ := status.get("report")) and report_["block_s"]:
        figures.append(("one core alone", show.duration(report_["block_s"])))
        figures.append(("speed-up", f"{report_['speedup']:.2f} ×"))
    figures += [("workers", f"{sum(1 for one in found['timeline']['workers'] if one['done']):,}"), ("replicas", f"{status['replicas_done']:,}")]
    cards = "".join(f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for name, value in figures)
    begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(status["submitted_unix"]))
    reason = _p(status["reason"] or (found["waits"] if state in ("waiting", "running") else ""), "warn" if state in ("failed", "paused") else "soft")
    noted = "".join(_p(note, "warn") for note in notes(status))
    return (
        f'<header><h1>{_text(status["name"] or "job")}</h1>\n<p class="soft">Job <code>{_text(status["job"])}</code>, submitted {begun}: '
        f'<b class="state {_text(state)}">{_text(words)}</b></p>{reason}<div class="cards">{cards}</div>{_p(_trust(status), "soft")}{noted}</header>\n'
    )


def _wall(status: Plain) -> float:
    return float(status["report"]["wall_s"] if status.get("report") else status["elapsed_s"])


def _trust(status: Plain) -> str:
    wanted = status["replicas_wanted"]
    if wanted < 2:
        return "One replica of each block was asked for: nobody checked the results."
    if not status["settled"]:
        return ""
    if status.get("alone") is not None:
        return spared(status)
    if status["cross_validated"]:
        return f"Each settled block was computed by {wanted} or more owners who agreed."
    return "Some blocks were computed by one owner only: not cross-validated."


def _about(line: Plain) -> str:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(words)}</dd>" for name, words in line.get("about", []))
    return _section("What was asked", f"<dl>{rows}</dl>\n") if rows else ""


def _answer(found: Plain) -> str:
    if found["answer"] is None:
        ended = found["status"]["state"] in ("settled", "failed", "cancelled")
        return _section("Answer", _p(f"None: {found['why']}", "soft")) if ended and found["why"] else ""
    answer = found["answer"][0]
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        columns = in_order(answer[:ANSWER_ROWS], found["params"])[:12]
        rows = [[show.value(row.get(name, "")) for name in columns] for row in answer[:ANSWER_ROWS]]
        more = _p(f"and {len(answer) - ANSWER_ROWS:,} more rows", "soft") if len(answer) > ANSWER_ROWS else ""
        return _section("Answer", _table(columns, rows), more)
    from ctorrent.cli.pictures import as_png, is_picture

    if is_picture(answer) and (png := as_png(answer)):
        return _section("Answer", f'<img alt="The answer, an image" src="data:image/png;base64,{png}">')
    if isinstance(answer, dict):
        return _section("Answer", _table(("field", "value"), [(key, show.value(value, 200)) for key, value in list(answer.items())[:50]]))
    return _section("Answer", f"<pre>{_text(show.value(answer, ANSWER_CHARS))}</pre>\n")


def _time(status: Plain, line: Plain, names: dict[int, str]) -> str:
    busy = [worker for worker in line["workers"] if worker["done"]]
    if not busy:
        return ""
    exact = line["complete"] and len(line["spans"]) <= plots.MARKS_MAX
    words = "Each mark is a unit of blocks where it ran; those that ran at once are below one another." if exact else "How many units each worker ran at once, over the job's time."
    more = _p(f"and {len(busy) - plots.WORKERS_MAX:,} more workers", "soft") if len(busy) > plots.WORKERS_MAX else ""
    wrong = _legend(("unit", "computed"), ("wrong", "disputed")) if any(span[5] for span in line["spans"]) and exact else ""
    return _section("Who computed when", _p(words, "soft"), wrong, plots.time_line(line, names, _wall(status)), more)


def _legend(*items: tuple[str, str]) -> str:
    keys = "".join(f'<span><svg viewBox="0 0 14 12"><rect width="14" height="12" class="{style}"/></svg>{_text(words)}</span>' for style, words in items)
    return f'<p class="legend">{keys}</p>\n'


def _times(line: Plain) -> str:
    if not line["times"]:
        return ""
    count = sum(count for _, _, count in line["times"])
    middle = min(max(_middle(line["times"]), line["shortest_s"]), line["longest_s"])
    words = f"{count:,.0f} replica{'' if count == 1 else 's'}, from {plots.took(line['shortest_s'])} to {plots.took(line['longest_s'])}; half took less than about {plots.took(middle)}."
    return _section("How long blocks took", _p(words, "soft"), plots.histogram(line["times"]))


def _middle(times: Sequence[Sequence[float]]) -> float:
    """The median, as exactly as the buckets know it."""
    half, seen = sum(count for _, _, count in times) / 2, 0.0
    for low, high, count in times:
        if seen + count >= half:
            return float(low + (high - low) * (half - seen) / count)
        seen += count
    return 0.0


def _agreement(status: Plain, line: Plain, names: dict[int, str]) -> str:
    workers = [worker for worker in line["workers"] if worker["done"]]
    if not workers:
        return ""
    rows = []
    for worker in workers:
        wrong, open_ = worker["disputed"] + worker["invalid"], max(0, worker["done"] - worker["agreed"] - worker["disputed"] - worker["invalid"])
        found = [(worker["agreed"], "unit", f"{worker['agreed']} agreed"), (wrong, "wrong", f"{wrong} disputed or invalid"), (open_, "open", f"{open_} without a verdict")]
        rows.append((names[worker["number"]], found, f"{worker['agreed']:,} agreed" + (f", {wrong:,} not" if wrong else "")))
    if status["replicas_wanted"] < 2:
        return _section("Who agreed", _p("One replica of each block was asked for: nothing was compared.", "soft"))
    total = status.get("report", {}).get("disputes_total", 0)
    text = "Nothing was disputed." if not total else f"{show.number(total, 'block')} disputed."
    legend = _legend(("unit", "agreed"), ("wrong", "disputed or invalid"), ("open", "without a verdict"))
    return _section("Who agreed", _p(text, "soft"), legend, plots.bars(rows, "Replicas of each worker by verdict"), _disputes(status, line))


def _disputes(status: Plain, line: Plain) -> str:
    found = status.get("report", {}).get("disputes", [])
    if not found:
        return ""
    names = {worker["node"]: _name(worker) for worker in line["workers"]}
    rows = [
        (one["index"], one["words"], " and ".join(names.get(node, show.short(node)) for node in one["outvoted"]) or "nobody", one["state"])
        for one in found[:DISPUTES_MAX]
    ]
    more = _p(f"and {len(found) - DISPUTES_MAX:,} more", "soft") if len(found) > DISPUTES_MAX else ""
    return _table(("block", "difference", "out-voted", "then"), rows, ("block",)) + more


def worth(worker: Plain) -> float:
    """What a worker's processor time is worth at the price it bid: credits."""
    factor = worker["gflops"] / REFERENCE_GFLOPS if worker["gflops"] > 0 else 1.0
    return float(worker["price"] * worker["cpu_s"] * factor / 3600)


def _cost(status: Plain, line: Plain, names: dict[int, str]) -> str:
    workers = [worker for worker in line["workers"] if worker["done"]]
    if not workers:
        return ""
    rows = [(names[one["number"]], [(one["busy_s"], "unit", f"{one['busy_s']:.2f} s")], f"{show.duration(one['busy_s'])}, {worth(one):.3g} credits") for one in workers]
    total = sum(one["busy_s"] for one in workers)
    words = f"{show.duration(total)} of workers' time in all, {show.duration(sum(one['cpu_s'] for one in workers))} of their processors as they say; {sum(map(worth, workers)):.3g} credits at the prices they asked."
    extra = ""
    if (report_ := status.get("report")) and report_["block_s"]:
        checks = max(0.0, report_["all_s"] / report_["block_s"] - 1)
        extra = f"Each block once is {show.duration(report_['block_s'])}{f': checking took {checks:.0%} more' if checks >= 0.01 else ''}."
    return _section("What it cost", _p(f"{words} {extra}", "soft"), plots.bars(rows, "Seconds of work of each worker"), _p(CREDIT, "soft"))


def _failures(status: Plain, line: Plain) -> str:
    if not line["failures"]:
        return ""
    alike: dict[str, list[int]] = {}
    for index, why in line["failures"]:
        alike.setdefault(_last(why), []).append(index)
    rows = [(", ".join(map(str, found[:8])) + (" …" if len(found) > 8 else ""), why) for why, found in list(alike.items())[:FAILURES_MAX]]
    more = status["failed"] + status["disputed"] - len(line["failures"])
    rest = f"and {more:,} more blocks. " if more > 0 else ""
    return _section("What failed", _table(("blocks", "why"), rows), _p(f"{rest}Their tracebacks: ctorrent logs {status['job']}", "soft"))


def _last(why: str) -> str:
    """The last line says it."""
    lines = str(why).strip().splitlines()
    return lines[-1].strip() if lines else "no words"


def _isolation(found: Plain) -> str:
    levels: dict[str, int] = {}
    for worker in found["timeline"]["workers"]:
        if worker["done"]:
            levels[worker["isolation"]] = levels.get(worker["isolation"], 0) + worker["done"]
    if not levels:
        return ""
    words = ", ".join(f"{level} ({show.number(count, 'replica')})" for level, count in sorted(levels.items()))
    gaps = found["status"].get("report", {}).get("gaps") or found["node"].get("gaps") or []
    items = "".join(f"<li>{_text(gap)}</li>" for gap in gaps)
    return _section("Where it ran", _p(f"Blocks ran in: {words}."), f"<p>What that does not stop:</p><ul>{items}</ul>\n" if items else "")


def _ledger(found: Plain) -> str:
    report_ = found["status"].get("report")
    if not report_:
        return ""
    words = f"{show.number(report_['entries'], 'entry', 'entries')} in the ledger for {show.number(report_['assignments'], 'assignment')}; {show.number(report_['expired'], 'lease')} ran out."
    rows = [(_name(one), one["owner"] or "–", one["node"]) for one in found["timeline"]["workers"] if one["done"]][: plots.WORKERS_MAX]
    return _section("For the record", _p(words), _table(("worker", "owner", "node"), rows))


def _foot(found: Plain) -> str:
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f'<footer>Made by ctorrent {_text(found["node"].get("version", ""))} on {made}. Times are of the requester’s clock; what a worker says of itself is a claim.</footer>\n'


STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6570; --paper: #fff; --line: #d9dee3; --card: #f4f6f8;
  --unit: #0072b2; --wrong: #d55e00; --open: #b8c0c8; --good: #00674a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a2acb6; --paper: #14181c; --line: #343b43; --card: #1e242a;
  --unit: #56b4e9; --wrong: #ff8a3d; --open: #566069; --good: #4fc79f; } }
@media print { :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --card: #fff; --unit: #0072b2; --wrong: #d55e00;
  --open: #bbb; --good: #00674a; color-scheme: light; } section, header { break-inside: avoid; } main { max-width: none; padding: 0; } footer { margin-top: 12px; }
  .unit, .wrong, .open { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 36px 0 6px; padding-top: 14px; border-top: 1px solid var(--line); }
p { margin: 6px 0; overflow-wrap: anywhere; } .soft, footer { color: var(--soft); font-size: .92rem; } .warn { color: var(--wrong); font-weight: 600; }
.state { color: var(--ink); } .state.settled { color: var(--good); } .state.failed, .state.paused, .state.cancelled { color: var(--wrong); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(122px, 1fr)); gap: 8px; margin: 16px 0 10px; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.cards b { display: block; font-size: 1.1rem; white-space: nowrap; } .cards span { color: var(--soft); font-size: .85rem; }
.wide { overflow-x: auto; margin: 8px 0; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: pre-wrap;
  overflow-wrap: anywhere; min-width: 4.5em; } .right { text-align: right; font-variant-numeric: tabular-nums; } th { color: var(--soft); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 8px 0; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
.plot { overflow-x: auto; margin: 8px 0; } .plot svg { width: 100%; min-width: 540px; height: auto; display: block; } img { max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 11.5px system-ui, sans-serif; } svg .small { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); stroke-width: 1; } .tick { stroke: var(--soft); stroke-width: 1; }
.unit { fill: var(--unit); } .open { fill: var(--open); } .wrong { fill: var(--wrong); stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 1.5; }
.legend span { margin-right: 18px; color: var(--soft); font-size: .88rem; white-space: nowrap; } .legend svg { width: 14px; height: 12px; margin-right: 6px; }
footer { margin-top: 40px; border-top: 1px solid var(--line); padding-top: 12px; }
.bars { display: grid; grid-template-columns: minmax(70px, max-content) 1fr max-content; gap: 5px 12px; align-items: center; margin: 8px 0; font-size: .88rem; }
.bars .name { max-width: 16em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: right; } .bars .words { color: var(--soft); }
.bar { display: flex; height: 15px; } .bar i { display: block; min-width: 1px; } .bar .unit { background: var(--unit); } .bar .open { background: var(--open); }
.bar .wrong { background: repeating-linear-gradient(135deg, var(--wrong) 0 5px, var(--card) 5px 7px); }
@media (max-width: 560px) { main { padding: 16px 12px 32px; } .bars { grid-template-columns: 1fr max-content; } .bars .name { text-align: left; }
  .bars .bar { grid-column: 1 / 3; grid-row: auto; order: 0; } }
"""
