"""Before a job is announced: its rehearsal on this machine, what it will cost, and whether enough owners are here.

    Rehearsed: one block took 250 ms here, after 1.1 s to start.
    4 machines, every block twice: about 1.9 × this machine alone, 6 min;
    with verify: {replicas: 1} 3.7 ×, 3 min.
"""

from __future__ import annotations

import re
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.agree import typed
from ctorrent.cli.alone import tell_others

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]
FAILED = 3  # the exit code of a program's fault, as of a job whose blocks failed
OWNERS_S = 5.0  # a node that just started meets those it knew within a few seconds, or later
LOOK_S = 0.5
ECONOMY_RUNS, STRICT_RUNS = "about 1.1 to 1.3", "about 2.1"  # of each block among strangers: docs/attack_matrix.md
LOG_LINES = 12  # of what a failed block printed


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be submitted, and how it is looked at before. options: of the submission."""

    path: Path
    text: str
    options: Plain
    local: int = 0  # nodes made for it on this machine
    run: bool = True  # rehearse it
    dry: bool = False  # look only
    as_json: bool = False


def prepare(net: Net, asked: Asked) -> Plain:
    """Rehearse, tell, ask. -> the options to submit with. Raises typer.Exit where it ends here."""
    looked = {**asked.options, **({"nodes": asked.local} if asked.local else {})}
    with show.waiting("Rehearsing one block here …" if asked.run else "Reading the job …", asked.as_json):
        found = net.rehearse(asked.path, asked.text, looked if asked.run else {**looked, "rehearsal": False})
    if found["lacks"] and net.embedded and not asked.local and found["state"] != "failed":
        found = _met(net, asked, looked, found)
    if asked.as_json and (asked.dry or found["state"] == "failed"):
        show.print_json({**found, "announced": False})
    if not asked.as_json:
        tell(found, asked)
    if found["state"] == "failed":
        raise typer.Exit(FAILED)
    if asked.dry:
        raise typer.Exit
    return _agreed(net, found, asked)


def _met(net: Net, asked: Asked, looked: Plain, found: Plain) -> Plain:
    """A node that was just started may still meet its friends: what they change is reckoned again."""
    until, met = time.monotonic() + OWNERS_S, 0
    with show.waiting("Looking for others …", asked.as_json):
        while found["lacks"] and time.monotonic() < until:
            if (now := sum(peer["connected"] for peer in net.peers())) != met:
                met = now
                measured = {name: found[name] for name in ("state", "why", "block_s", "start_s", "log", "wavers", "lax")}
                found = net.rehearse(asked.path, asked.text, {**looked, "rehearsal": measured})
            else:
                threading.Event().wait(LOOK_S)
    return found


def _agreed(net: Net, found: Plain, asked: Asked) -> Plain:
    """The options, with what was measured, and with one replica where the person who was asked says so."""
    options, cost = dict(asked.options), found["cost"]
    if found["lacks"]:
        if not asked.as_json and sys.stdin.isatty() and show.is_terminal():
            if not found["owners"]:
                _wait_for_anybody(found, asked)
                tell_others(net)
            elif _one_is_enough(found, asked):
                options["replicas"], cost = 1, found["single"]
            else:
                tell_others(net)
        elif not asked.as_json:
            show.say(f"The job {found['lacks']}.", "yellow")
    if found["state"] == "ran":
        job_s = cost["seconds"] if cost else 0.0
        options["expected"] = {"block_s": found["block_s"], "start_s": found["start_s"], "job_s": job_s}
        if found["lax"] and options.get("replicas") != 1:
            options["expected"]["lax"] = found["lax"]
    return options


def _wait_for_anybody(found: Plain, asked: Asked) -> None:
    """Nobody at all can run the job: all there is to choose is to wait, or to leave by Ctrl-C."""
    left = asked.options.get("work") is False
    show.say(f"The job {found['lacks']}.", "yellow")
    show.say("  Enter   wait for others; what to type on their machines is shown next")
    show.say(f"  Ctrl-C  nothing is submitted{'; without --no-work this machine takes part' if left else ''}")
    with suppress(EOFError):  # no answer is to wait
        typed("Wait? [Enter] ")


def _one_is_enough(found: Plain, asked: Asked) -> bool:
    """Nothing lowers the number of owners that must agree but a person's word."""
    alone = found["owners"] == 1 and asked.options.get("work") is not False
    here = "Only your own machine is here" if alone else f"Only {show.number(found['owners'], 'owner')} can take part"
    which = "newcomers' blocks are to be run by 2 owners" if found.get("economy") else f"every block is to be run by {found['replicas']} owners"
    show.say(f"{here}, and {which}: people, each with their machines.", "yellow")
    show.say("  w       wait for others (or Enter); what to type on their machines is shown next")
    show.say("  1       run each block once: there is nothing to compare a result with")
    show.say("  Ctrl-C  nothing is submitted")
    while True:
        try:
            said = typed("Wait, or one replica? [w/1] ").strip().lower()
        except EOFError:
            print()
            return False
        if said in ("", "w", "wait", "1", "one"):
            return said in ("1", "one")
        print("Please type w (wait for others), 1 (run each block once), or Ctrl-C (submit nothing).")


# -- words ------------------------------------------------------------------------------------------------------------


def tell(found: Plain, asked: Asked) -> None:
    """All that was found, for a person."""
    if found["state"] == "failed":
        _tell_failure(found)
        return
    if asked.dry:
        owners = "1 owner" if found["replicas"] == 1 else f"{found['replicas']} owners that must agree"
        each = "newcomers' run by 2 owners that must agree, those of owners known for their work by one" if found.get("economy") else f"each run by {owners}"
        show.say(f"{found['name']}: {show.number(found['blocks'], 'block')}, {each}.", "bold")
    if asked.run:
        show.say(unbroken(rehearsed(found), show.stderr().width) if show.is_terminal() else rehearsed(found), "" if found["state"] == "ran" else "yellow")
    if found["wavers"] and found["replicas"] > 1:
        show.say(f"Two runs of that block differ: {found['wavers']}. Draw from the seed that a block is given, or its replicas will not agree.", "yellow")
    if found["lax"]:
        show.say(found["lax"], "yellow")
    for text in costs(found, asked.local):
        show.say(unbroken(text, show.stderr().width) if show.is_terminal() else text)
    if asked.dry:
        if found["lacks"]:
            show.say(f"It {found['lacks']}.", "yellow")
        show.say("Nothing was announced.", "dim")


def rehearsed(found: Plain) -> str:
    match found["state"]:
        case "ran":
            start = f", after {took(found['start_s'])} to start" if found["start_s"] > max(0.05, 0.2 * found["block_s"]) else ""
            return f"Rehearsed: one block took {took(found['block_s'])} here{start}."
        case "long":
            return f"The first block takes more than {found['block_s']:g} s: it was stopped there, and may well be right."
        case _:
            return f"Not rehearsed here: {found['why'].rstrip('.')}."


def costs(found: Plain, local: int = 0) -> list[str]:
    """What it will take, a line each for the policy and for one replica."""
    at_least = found["state"] == "long"
    cost, single = found["cost"], found["single"]
    if cost is None:
        return [f"With --replicas 1, {_who(single, local)}: {_pace(single, at_least)}."] if single else []
    economy = found.get("economy") and cost["replicas"] > 1
    if economy:
        which, less = "newcomers' blocks", f", less once owners are known and run alone ({ECONOMY_RUNS} runs a block)"
    else:
        which, less = "every block", f", and some once more ({STRICT_RUNS} runs a block)" if found.get("audited") and cost["replicas"] == 2 else ""
    first = f"{_who(cost, local)}, {which} {times(cost['replicas'])}: {_pace(cost, at_least)}{less}"
    price = f" Price: about {cost['credits']:.2g} credits." if cost["credits"] >= 0.005 else ""
    if single is None:
        return [f"{first}.{price}"]
    how = "--replicas 1" if economy else "verify: {replicas: 1}"  # a file that asks for economy and one replica is refused
    return [f"{first};", f"with {how} {_pace(single, at_least, short=True)}.{price}"]


def _who(cost: Plain, local: int) -> str:
    return f"{show.number(local, 'node')} here" if local else show.number(cost["machines"], "machine")


def _pace(cost: Plain, at_least: bool, short: bool = False) -> str:
    about = "at least" if at_least else "about"
    if cost["speedup"] >= 1:
        named = "" if short else " this machine alone"
        return f"{'' if short else 'about '}{cost['speedup']:.2g} ×{named}, {'at least ' if at_least else ''}{roughly(cost['seconds'])}"
    checked = ", without checking" if cost["replicas"] > 1 else ""
    return f"{about} {roughly(cost['seconds'])}" + ("" if short else f" (this machine alone{checked}: {tenths(cost['seconds'] * cost['speedup'])})")


def unbroken(text: str, columns: int) -> str:
    """Wrapped to that width, but never between a number and its unit."""
    glued = re.sub(r"(?<=\d) (?=(?:×|ms|s|min|h|d)(?!\w))", "\N{NO-BREAK SPACE}", text)
    return textwrap.fill(glued, max(20, columns), break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")


def tenths(seconds: float) -> str:
    """As roughly, but of less than a second its tenths: 0.6 s."""
    return roughly(seconds) if seconds >= 0.95 else f"{seconds:.1f} s" if seconds >= 0.05 else "less than 0.1 s"


def times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def took(seconds: float) -> str:
    """Measured: less than 1 ms, 25 ms, 1.2 s, 4 min 10 s."""
    if seconds < 0.001:
        return "less than 1 ms"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else show.duration(seconds)


def roughly(seconds: float) -> str:
    """Reckoned: 3 s, 40 s, 6 min, 2.5 h, 3 d: no more digits than it deserves."""
    if seconds < 60:
        return f"{max(1, round(seconds)):d} s" if seconds < 20 else f"{5 * round(seconds / 5):d} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{round(seconds / size):,} {unit}"
    return f"{seconds:.0f} s"


def _tell_failure(found: Plain) -> None:
    from ctorrent.client import decode_value

    console, failure = show.stderr(), found["failure"]
    params = show.value(decode_value(found["params"]), 200) if found["params"] else ""
    show.say(f"Rehearsal: block {found['index']}{f' ({params})' if params else ''} failed on this machine.", "bold red")
    printed = found["log"].strip().splitlines()[-LOG_LINES:]
    for line in printed:
        console.print(show.plain(f"  printed: {line}", "dim"))
    console.print(show.plain((failure["text"] or failure["type"]).rstrip("\n")))
    if found["hint"]:
        show.say(f"  → {found['hint']}")
    show.say("Nothing was announced. Mend it and submit again; --no-rehearsal submits it as it is.", "dim")
