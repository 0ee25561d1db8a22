"""What the pages say is so: their tables are the code's, their commands and tests exist, their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
import typer

from ctorrent.cli.main import app
from ctorrent.dispatch.words import BlockState
from ctorrent.market.auction import State

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted((ROOT / "docs/protocols").glob("*.md")), ids=lambda path: path.stem)
def test_tables_and_diagrams_are_the_codes(path: Path) -> None:
    text = path.read_text()
    assert generator().filled(text) == text, "the page is older than the code: run python docs/generate.py"


def test_the_generator_sees_a_difference() -> None:
    stale = "<!-- numbers ctorrent/wire/names.py -->\nold\n<!-- end -->"
    made = generator().filled(stale)
    assert made != stale and "FRAME_BYTES_MAX" in made


@pytest.mark.parametrize(("page", "states"), [("announce-bid-award", State), ("session", BlockState)])
def test_a_diagram_shows_every_state_of_its_machine(page: str, states: type[Enum]) -> None:
    diagram = (ROOT / f"docs/protocols/{page}.md").read_text().partition("```text")[2].partition("```")[0]
    assert not [state.name for state in states if state.name not in diagram]


def test_every_message_that_travels_is_on_a_page() -> None:
    pages = "\n".join(path.read_text() for path in (ROOT / "docs/protocols").glob("*.md"))
    declared = re.findall(r"^message (\w+)", (ROOT / "protos/ctorrent/v1/session.proto").read_text(), re.MULTILINE)
    assert not [name for name in declared if f"**{name}.**" not in pages]


def test_the_tests_that_the_page_on_attacks_names_exist() -> None:
    """As `tests/…/test_x.py::test_y`."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/attacks.md").read_text())
    assert len(named) > 25
    missing = [f"{path}::{test}" for path, test in named if not re.search(rf"^(async )?def {test}\b", (ROOT / path).read_text(), re.MULTILINE)]
    assert not missing


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist(name: str) -> None:
    """Each `ctorrent …` of a page names a command, and options that it has."""
    root = typer.main.get_command(app)
    wrong = [line for line in commands((ROOT / name).read_text()) if (why := complaint(root, line.split()[1:])) and why]
    assert not wrong


def commands(text: str) -> list[str]:
    """Lines of code that begin with `ctorrent`, and such words between backticks."""
    text = re.sub(r"```(yaml|python|text).*?```", "", text, flags=re.DOTALL)
    blocks = re.findall(r"^(?:    |)(ctorrent [a-z-].*?)(?:\s{2,}#.*)?$", text, re.MULTILINE)
    return [line.strip() for line in [*blocks, *re.findall(r"`(ctorrent [a-z-][^`]*)`", text)]]


def complaint(command: object, words: list[str]) -> str:
    """Why no such command line is; "" when it is one. Arguments are anything."""
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        if "|" in words[0]:
            return "".join(complaint(command, [word, *words[1:]]) for word in words[0].split("|"))
        inner = command.commands.get(words[0])  # type: ignore[attr-defined]
        if inner is None:
            return f"no command {words[0]}"
        command, words = inner, words[1:]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]} | {"--help"}  # type: ignore[attr-defined]
    return "".join(f"no option {word}" for word in words if word.startswith("-") and word not in ("-", "--") and word.split("=")[0] not in known)


def test_the_check_of_commands_can_fail() -> None:
    root = typer.main.get_command(app)
    assert complaint(root, ["sumbit", "job.yaml"]) and complaint(root, ["node", "--jion", "x"]) and complaint(root, ["friend", "ad"])
    assert not complaint(root, ["friend", "add", "x"]) and not complaint(root, ["submit", "--local", "2", "job.yaml"])
    assert commands("a\n    ctorrent node   # up\n") == ["ctorrent node"]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    targets = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)[^)]*\)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]
