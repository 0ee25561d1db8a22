"""`env add|ls|rm`, `image build|ls`: what blocks find on this machine; and `doctor`, which has a file of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ctorrent.cli import doctor, show
from ctorrent.cli.doctor import environment
from ctorrent.cli.options import DataDir, Json, any_node
from ctorrent.errors import LocalError

Plain = dict[str, Any]
image_app = typer.Typer(help="Docker images that blocks run in.", no_args_is_help=True)
env_app = typer.Typer(help="Environments that blocks run in: packages, without your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    doctor.register(app)
    app.add_typer(env_app, name="env")
    app.add_typer(image_app, name="image")


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
    show.emit(as_json, made, lambda: show.stdout().print(show.plain(f"Environment {made.get('name', name)!r} is ready: {environment(made)}.")))


@env_app.command("ls")
def env_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the environments that blocks can run in here."""
    with any_node(data_dir) as net:
        rows = net.environments()
    lines = [(row["name"], environment(row), show.short(_hex(row["fingerprint"]))) for row in rows]
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
    from ctorrent.cli import probes
    from ctorrent.cli.node import offline

    engine = probes.docker_engine()
    if engine.outcome != "answers":
        raise LocalError(f"Docker: {engine.detail}.", "Images are built by a Docker Engine on this machine: see ctorrent doctor")
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
