"""`doctor`: what this machine has, what it lacks, whether another can be reached, and the command that would mend each."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json

Plain = dict[str, Any]
_MARKS = {"ok": ("✓", "green"), "warn": ("–", "yellow"), "bad": ("✗", "bold red")}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    target: Annotated[str | None, typer.Argument(metavar="[ADDRESS|INVITE]", help="Another node: is it there, and what is in the way?", show_default=False)] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Run the short benchmark (a few seconds).")] = False,
    owner_dir: Annotated[
        Path | None, typer.Option("--owner-dir", envvar="CTORRENT_OWNER_DIR", help="Folder of the owner key, when not your own.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what this machine has, what it lacks, and what mends it; with an ADDRESS or INVITE, why that node is or is not reached.

    Looks only: it runs none of the commands it names. Works with no node running. Exit code 1 when something is bad.
    """
    from ctorrent.cli import checkup, reach
    from ctorrent.cli.node import offline

    if target:
        offline().read_target(target)  # a line that cannot be read is told before anything is looked at
    found, facts = _examined(data_dir, owner_dir, measure, target)
    checks = checkup.look(facts) if not target else []
    if target:
        checks = [*_serious(checkup.look(facts)), *reach.look(facts, found["visit"])]
    found["checks"] = [asdict(check) for check in checks]
    show.emit(as_json, found, lambda: _show(found, target))
    if any(check.verdict == "bad" for check in checks):
        raise typer.Exit(1)


def _serious(checks: list[Any]) -> list[Any]:
    """Of this machine, when the question is another: only what is bad."""
    return [check for check in checks if check.verdict == "bad"]


def _examined(data_dir: Path | None, owner_dir: Path | None, measure: bool, target: str | None) -> tuple[Plain, Any]:
    """What `--json` prints, and the facts that checks are made from. With a target, what this machine can run is no matter."""
    from ctorrent.cli.node import offline
    from ctorrent.client import attach, data_folder
    from ctorrent.errors import Unavailable

    folder = data_folder(data_dir)
    settings = offline().settings(folder)
    try:
        with attach(data_dir) as net:
            status = net.status()
            found: Plain = {"running": True, "status": status}
            found |= {} if target else {"hardware": net.hardware(measure), "environments": net.environments()}
            owner_dir = owner_dir or _path(status.get("owner_dir"))
    except Unavailable:
        owner_dir = owner_dir or _path(settings["settings"].get("owner_dir"))
        machine = {} if target else offline().machine(folder, settings["settings"]["isolation"], measure)
        status = {"isolation": machine.pop("isolation", ""), "gaps": machine.pop("gaps", []), "addresses": [], "testing": "", "data_dir": str(folder)}
        found = {"running": False, "status": status, **machine}
    identity = offline().identity(folder, owner_dir)
    found["identity"] = {key: value for key, value in identity.items() if key != "keys"}
    return _probed(found, folder, settings, identity, target)


def _probed(found: Plain, folder: Path, settings: Plain, identity: Plain, target: str | None) -> tuple[Plain, Any]:
    from ctorrent.cli import probes
    from ctorrent.cli.around import look_around
    from ctorrent.cli.facts import Facts
    from ctorrent.cli.node import offline

    system, addresses, now = probes.system(), probes.addresses(), probes.clock()
    facts = Facts(system, str(folder), found["running"], found["status"], identity, settings["settings"], addresses=tuple(addresses))
    holder = "" if found["running"] else probes.holder(facts.port)
    free, used = probes.disk(folder)
    with ThreadPoolExecutor(1) as aside:
        heard = aside.submit(look_around, [one.ip for one in addresses])
        if target:
            with nullcontext(True) if found["running"] else probes.listening(facts.port) as open_here:
                found["visit"] = offline().visit(target, facts.port if open_here else 0)
        around = heard.result() if addresses else None
    unheard = [one["ip"] for one in found.get("visit", {}).get("knocks", ()) if one["outcome"] in ("silent", "unreachable") and facts.beside(one["ip"])]
    facts = Facts(
        system, str(folder), found["running"], found["status"], identity, settings["settings"],
        settings_error=(settings["error"], settings["hint"]), python=sys.version.split()[0], pipx="pipx" in sys.prefix,
        engine=probes.docker_engine(), free_bytes=free, used_bytes=used, now=now[0], synced=now[1], holder=holder,
        firewall=probes.firewall_says(system, facts.port), multicast_firewall=probes.firewall_says(system, 5353, "udp"),
        addresses=tuple(addresses), around=around, neighbours={ip: probes.neighbour(ip) for ip in unheard},
    )  # fmt: skip
    return found, facts


def _path(text: Any) -> Path | None:
    return Path(str(text)) if text else None


def _show(found: Plain, target: str | None) -> None:
    console = show.stdout()
    if target is None:
        console.print(show.plain("This machine", "bold"))
        console.print(show.pairs(_hardware(found["hardware"])))
        console.print(show.plain("Environments for blocks", "bold"))
        console.print(show.pairs([(row["name"], environment(row)) for row in found["environments"]] or [("none", "ctorrent env add NAME PACKAGE …")]))
    console.print(show.plain("The way to the other node" if target else "Checks", "bold"))
    for check in found["checks"]:
        mark, style = _MARKS[check["verdict"]]
        console.print("  ", show.plain(mark, style), " ", show.plain(f"{check['name']}: ", "bold"), show.plain(check["sentence"]), sep="", soft_wrap=True)
        if check["command"]:
            console.print(show.plain(f"      → {check['command']}", "cyan"), soft_wrap=True)
    bad = sum(check["verdict"] == "bad" for check in found["checks"])
    if target and not bad:
        console.print(show.plain("Nothing stands in the way.", "green"))


def _hardware(found: Plain) -> list[tuple[str, Any]]:
    measured = f"{found['gflops']:.0f} GFLOP/s, {found['memory_gbs']:.0f} GB/s" if found["gflops"] else "not measured yet: ctorrent doctor --measure"
    rows: list[tuple[str, Any]] = [
        ("processor", f"{found['cpu_model'] or 'unknown'}, {show.number(found['cores'], 'core')}, {found['arch']}, {found['system']}"),
        ("memory", f"{show.size(found['memory_bytes'])}, {show.size(found['memory_free_bytes'])} free"),
        ("disk", f"{show.size(found['disk_free_bytes'])} free"),
        ("speed", measured),
    ]
    for gpu in found["gpus"]:
        speed = f", {gpu['tflops']:.1f} TFLOP/s" if gpu.get("tflops") else ""
        rows.append((f"GPU {gpu['index']}", f"{gpu['model']}, {show.size(gpu['memory_bytes'])}, {show.size(gpu['memory_free_bytes'])} free, driver "
                     f"{gpu['driver']}, compute {gpu['compute_capability']}, {gpu['temperature_c']:.0f} °C, {100 * gpu['load']:.0f} % busy{speed}"))  # fmt: skip
    return rows if found["gpus"] else [*rows, ("GPU", found["gpu_note"])]


def environment(row: Plain) -> str:
    """Python 3.11.7 with numpy 2.0, scikit-learn 1.5 and 4 more."""
    packages = [f"{name} {version}" for name, version in dict(row["packages"]).items()]
    listed = ", ".join(packages[:6]) + (f" and {len(packages) - 6} more" if len(packages) > 6 else "")
    image = f", image {row['image']}" if row.get("image") else ""
    return f"Python {row['python']}{f' with {listed}' if packages else ', no packages'}{image}"
