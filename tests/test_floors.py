"""The building: who may import whom, what is pure, how long a file may be. There is no list of exceptions."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ctorrent"
FILE_LINES_MAX, FUNCTION_LINES_MAX = 500, 50
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base"}
IMPURE = {
    "trio", "asyncio", "anyio", "threading", "multiprocessing", "concurrent", "subprocess", "signal", "time", "datetime",
    "os", "pathlib", "shutil", "tempfile", "glob", "socket", "ssl", "select", "http", "urllib", "sqlite3", "docker",
    "psutil", "pynvml", "libp2p", "multiaddr", "zeroconf", "random", "secrets", "uuid", "platform", "logging",
}  # fmt: skip

WORDS = {"errors", "seal", "canon", "model"}
PURE_ROOMS = {"wire", "plan", "market", "dispatch", "verify", "ledger", "blobs", "aggregate"}
DOORS = {"ports", "door"}
WORLD = {"net", "store", "sandbox", "hardware"}
CLIENT = {"client", "channel", "embedded", "library"}  # one face: a node's methods, the control channel's end, nodes of its own, and functions
FACES = CLIENT | {"web"}
PUBLIC = CLIENT | {"__init__", "errors"}  # what a program on top may use
NODE = WORDS | PURE_ROOMS | DOORS | WORLD
# A room, and the other rooms it may import. A room that is not a key has no floor, which is a failure too.
ALLOWED: dict[str, set[str]] = (
    {"errors": set(), "canon": set(), "seal": {"errors"}, "model": {"errors", "seal"}}
    | dict.fromkeys(PURE_ROOMS | DOORS, WORDS)
    | {room: WORDS | DOORS | {"wire"} for room in WORLD}
    | {"node": NODE}
    | {room: CLIENT | {"door", "model", "errors", "canon"} for room in CLIENT}
    | {"web": {"door", "model", "errors", "canon"}}
    | {"__init__": PUBLIC - {"__init__"}, "__main__": {"cli"}, "cli": PUBLIC, "workloads": PUBLIC}
    | {"cli/node": PUBLIC | {"web", "node", "workloads"}}  # the one command that starts a node
    | {"testing": NODE | FACES | {"__init__", "node", "cli", "workloads"}}
)


@dataclass(frozen=True, slots=True)
class Import:
    path: str  # inside the package: "wire/codec.py"
    line: int
    module: str  # absolute, dotted
    name: str  # what is taken from it; "" for `import module`

    @property
    def room(self) -> str:
        return room_of(self.path)

    @property
    def library(self) -> str:
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.module} {self.name}".rstrip()


def room_of(path: str) -> str:
    """The first folder or file; `ctorrent node` has a floor of its own."""
    return "cli/node" if path == "cli/node.py" else path.split("/")[0].removesuffix(".py")


@cache
def sources() -> dict[str, str]:
    """Path inside the package -> text; what protoc wrote is not ours to judge."""
    found = {p.relative_to(PACKAGE).as_posix(): p.read_text() for p in sorted(PACKAGE.rglob("*.py"))}
    return {path: text for path, text in found.items() if not path.startswith("wire/pb/")}


def imports(path: str, text: str) -> Iterator[Import]:
    """Every import of a file, also those inside functions and under TYPE_CHECKING."""
    package = ["ctorrent", *path.split("/")[:-1]]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(path, node.lineno, module, alias.name) for alias in node.names)


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(found for path, text in sources().items() for found in imports(path, text))


def imported_room(found: Import) -> str | None:
    """The room of ours that an import reaches into, or None for a library."""
    first, *rest = [*found.module.split("."), *([found.name] if found.name else [])]
    if first != "ctorrent":
        return None
    known = {room_of(path) for path in sources()}
    return rest[0] if rest and (rest[0] in known or rest[0] in ALLOWED) else "__init__"


def may_import(room: str, other: str) -> bool:
    return other == room.split("/")[0] or other in ALLOWED.get(room, set())


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in sources()} <= set(ALLOWED)


def test_imports_go_one_way_and_never_between_siblings() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if (other := imported_room(found)) is not None and not may_import(found.room, other)
    ]
    assert not wrong


def test_pure_rooms_touch_no_world() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.room in WORDS | PURE_ROOMS | DOORS and found.library in IMPURE and not only_a_type(found)
    ]
    assert not wrong


def only_a_type(found: Import) -> bool:
    """random.Random is the type of what a pure room is handed; the module's own functions draw from a hidden state."""
    if found.module != "random":
        return False
    used = {
        node.attr
        for node in ast.walk(ast.parse(sources()[found.path]))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
    }
    return found.name == "Random" or (not found.name and used <= {"Random"})


@pytest.mark.parametrize(
    ("library", "owner"), [("libp2p", "net"), ("docker", "sandbox"), ("sqlite3", "store"), ("pynvml", "hardware")]
)
def test_one_room_for_each_part_of_the_world(library: str, owner: str) -> None:
    assert not [str(found) for found in all_imports() if found.library == library and found.room != owner]


def test_only_the_codec_imports_pb() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if f"{found.module}.{found.name}.".startswith("ctorrent.wire.pb.") and not found.path.startswith("wire/codec")
    ]
    assert not wrong


def test_what_runs_inside_a_sandbox_is_standard_library_only() -> None:
    """The canonical encoding is copied in beside the supervisor; a block's packages are the block's own."""
    wrong = [
        str(found)
        for found in all_imports()
        if found.path.startswith("sandbox/inside/")
        and found.library == "ctorrent"
        and not f"{found.module}.{found.name}".startswith(("ctorrent.sandbox.inside", "ctorrent.canon"))
    ]
    assert not wrong
    alone = [str(found) for found in all_imports() if found.room == "canon" and found.library not in sys.stdlib_module_names]
    assert all(line.endswith(": numpy") for line in alone)  # only where the value is numpy's own


def test_files_are_short() -> None:
    lengths = {path: len(text.splitlines()) for path, text in sources().items()}
    assert not {path: lines for path, lines in lengths.items() if lines > FILE_LINES_MAX}


def test_functions_are_short() -> None:
    long = [
        f"{path}:{node.lineno}: {node.name} has {lines_without_docstring(node)} lines"
        for path, text in sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_without_docstring(node) > FUNCTION_LINES_MAX
    ]
    assert not long


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def test_no_room_for_what_fits_nowhere() -> None:
    assert not [path for path in sources() if BANNED_NAMES & set(path.lower().removesuffix(".py").split("/"))]


def test_the_rules_see_what_they_should() -> None:
    """A rule that cannot fail is none: relative, nested and aliased imports are all found."""
    text = "from ..market import fit\nimport time as t\ndef f():\n    from ctorrent import node, connect\nfrom . import x\n"
    found = list(imports("plan/sample.py", text))
    assert sorted(str(imported_room(i)) for i in found) == ["None", "__init__", "market", "node", "plan"]
    allowed = {other: may_import("plan", other) for other in ("market", "node", "ports", "model", "plan")}
    assert allowed == {"market": False, "node": False, "ports": False, "model": True, "plan": True}
    assert may_import("cli/node", "node") and not may_import("cli", "node")
    body = '"""' + "\n" * 60 + '"""\n'
    function = ast.parse(f"def f():\n    {body}    return 1\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert lines_without_docstring(function) == 2
