"""The command tree, errors in one sentence, exit codes."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from ctorrent.cli import (
    attach,
    config,
    credit,
    desktop,
    init,
    jobs,
    ledger,
    lend,
    machine,
    node,
    people,
    receipt,
    reputation,
    service,
    stop,
    submit,
    tidy,
    top,
    verify,
    web,
)
from ctorrent.errors import CTorrentError, LocalError, Unsupported

app = typer.Typer(
    name="ctorrent",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"ctorrent {version('ctorrent')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks of errors, and a node's log.")] = False,
) -> None:
    """BitTorrent for compute: peers run, and cross-check, each other's work.

    Start with [bold]ctorrent init sweep[/bold], then [bold]ctorrent submit job.yaml[/bold]; share your machine with [bold]ctorrent node[/bold].
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


for _room in (node, stop, lend, service, config, init, submit, attach, jobs, people, receipt, verify, ledger, reputation, credit, machine, tidy, top, desktop, web):
    _room.register(app)
# As `ctorrent --help` shows them: what is not named here comes first, under "Commands".
PANELS = {
    "Jobs": "init submit attach jobs status results report logs why pause resume cancel retry job",
    "This machine": "node stop share open top desktop token doctor config service gc uninstall env image",
    "Others": "invite peers friend owner reputation credit receipt verify ledger",
}
_ORDER = [name for names in PANELS.values() for name in names.split()]


def _arrange() -> None:
    """Put commands into their panels, in that order."""
    for listed in (app.registered_commands, app.registered_groups):
        for one in listed:
            one.name = one.name or one.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
            one.rich_help_panel = next((panel for panel, names in PANELS.items() if one.name in names.split()), None)
        listed.sort(key=lambda one: _ORDER.index(one.name) if one.name in _ORDER else -1)


_arrange()


def main() -> None:
    """The console script. SIGTERM unwinds like an exit, so that nodes and folders of our own go with us."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run one command line. -> exit code. `-v` may stand anywhere before a bare `--`."""
    end = words.index("--") if "--" in words else len(words)
    verbose = any(word in ("-v", "--verbose") for word in words[:end])
    words = [word for word in words[:end] if word not in ("-v", "--verbose")] + words[end:]
    try:
        app(["--verbose", *words] if verbose else words, prog_name="ctorrent")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  the outermost edge: a person reads this, and wants a sentence
        if (ours := _inside(error)) is not None:
            _complain(ours, "--json" in words, verbose)
            return 2 if isinstance(ours, LocalError | Unsupported) else 1
        bug = CTorrentError(f"{type(error).__name__}: {error}.", "This is a bug of ctorrent; the same command with -v shows where.")
        _complain(bug.with_traceback(error.__traceback__), "--json" in words, verbose)
        return 1
    return 0


def _inside(error: BaseException) -> CTorrentError | None:
    """The error of ours that tasks which run together wrapped into a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, CTorrentError) else None


def _complain(error: CTorrentError, as_json: bool, verbose: bool) -> None:
    from ctorrent.cli import show

    if verbose:
        import traceback

        traceback.print_exception(error)
    if as_json:
        show.print_json({"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}})
        return
    console = show.stderr()
    console.print(show.plain("Error: ", "bold red"), show.plain(error.message), sep="")
    if error.hint:
        console.print(show.plain("  → ", "dim"), show.plain(error.hint), sep="")


if __name__ == "__main__":
    main()
