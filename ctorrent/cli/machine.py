"""`doctor`, `env add|ls|rm`, `image build|ls`: what this machine has, and what blocks find in it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ctorrent.cli import show
from ctorrent.cli.options import DataDir, Json, any_node
from ctorrent.errors import LocalError

Plain = dict[str, Any]
image_app = typer.Typer(help="Docker images that blocks run in.", no_args_is_help=True)
env_app = typer.Typer(help="Environments that blocks run in: packages, without your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.add_typer(env_app, name="env")
    app.add_typer(image_app, name="image")


def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="Run the short benchmark (a few seconds).")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what this machine has, what it lacks, and what mends it. Works with no node running."""
    from ctorrent.cli import checkup

    with any_node(data_dir) as net:
        found: Plain = {
            "running": not net.embedded, "status": net.status(), "hardware": net.hardware(measure), "environments": net.environments(),
        }  # fmt: skip
        found["checks"] = [check.as_plain() for check in checkup.look(net.folder, found["status"], found["running"])]
    show.emit(as_json, found, lambda: _show_doctor(found))


def _show_doctor(found: Plain) -> None:
    console = show.stdout()
    console.print(show.plain("This machine", "bold"))
    console.print(show.pairs(_hardware(found["hardware"])))
    console.print(show.plain("Environments for blocks", "bold"))
    console.print(show.pairs([(row["name"], _environment(row)) for row in found["environments"]] or [("none", "ctorrent env add NAME PACKAGE …")]))
    console.print(show.plain("Checks", "bold"))
    marks = {"ok": show.plain("✓", "green"), "note": show.plain("–", "yellow"), "bad": show.plain("✗", "bold red")}
    for check in found["checks"]:
        console.print("  ", marks[check["mark"]], " ", show.plain(f"{check['what']}: {check['found']}"), sep="")
        if check["hint"]:
            console.print(show.plain(f"      → {check['hint']}", "dim"))


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


def _environment(row: Plain) -> str:
    """Python 3.11.7 with numpy 2.0, scikit-learn 1.5 and 4 more."""
    packages = [f"{name} {version}" for name, version in dict(row["packages"]).items()]
    listed = ", ".join(packages[:6]) + (f" and {len(packages) - 6} more" if len(packages) > 6 else "")
    image = f", image {row['image']}" if row.get("image") else ""
    return f"Python {row['python']}{f' with {listed}' if packages else ', no packages'}{image}"


@env_app.command("add")
def env_add(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE…", help="As pip takes them: scikit-learn 'numpy<3'.", show_default=False)],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make an environment with packages, for blocks that need them."""
    if not as_json:
        show.stderr().print(show.plain(f"Installing {', '.join(packages)} …", "dim"))
    with any_node(data_dir) as net:
        made = net.environment_add(name, packages)
    show.emit(as_json, made, lambda: show.stdout().print(show.plain(f"Environment {made.get('name', name)!r} is ready: {_environment(made)}.")))


@env_app.command("ls")
def env_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the environments that blocks can run in here."""
    with any_node(data_dir) as net:
        rows = net.environments()
    lines = [(row["name"], _environment(row), show.short(_hex(row["fingerprint"]))) for row in rows]
    show.emit(as_json, rows, lambda: show.stdout().print(show.table(("name", "what", "fingerprint"), lines)))


@env_app.command("rm")
def env_remove(name: Annotated[str, typer.Argument(help="As env ls shows it.", show_default=False)], data_dir: DataDir = None, as_json: Json = False) -> None:
    """Remove an environment."""
    from ctorrent.cli.node import offline
    from ctorrent.client import data_folder

    offline().environment_remove(data_folder(data_dir), name)
    show.emit(as_json, {"removed": name}, lambda: show.stdout().print(show.plain(f"Environment {name!r} is removed.")))


@image_app.command("build")
def image_build(
    name: Annotated[str, typer.Argument(help="As image ls shows it: cpu, cuda, render, node.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help='Build on this image instead; "own" is made from this Python, without registry or network.', show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Build an image from its Dockerfile."""
    from ctorrent.cli import checkup
    from ctorrent.cli.node import offline

    engine = checkup.docker_engine()
    if engine.mark != "ok":
        raise LocalError(f"Docker: {engine.found}.", "Images are built by a Docker Engine on this machine.")
    if not as_json:
        show.stderr().print(show.plain(f"Building {name}: this takes minutes …", "dim"))
    built = offline().image_build(name, base)
    show.emit(as_json, {"name": name, "image": built}, lambda: show.stdout().print(show.plain(f"Image {name} is ready: {built}")))


@image_app.command("ls")
def image_list(as_json: Json = False) -> None:
    """List the images that can be built."""
    from ctorrent.cli.node import offline

    names = offline().image_names()
    show.emit(as_json, list(names), lambda: print("\n".join(names) or "No recipes are installed."))


def _hex(fingerprint: str | bytes) -> str:
    return fingerprint.hex() if isinstance(fingerprint, bytes) else fingerprint
