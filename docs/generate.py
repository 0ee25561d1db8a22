"""Fills in what the pages of docs/ take from the code: python docs/generate.py. A test compares, so that neither drifts.

    <!-- state ctorrent/market/auction.py -->        the diagram at the top of a machine's file
    <!-- message session Interest Describe -->       fields of messages, from protos/ctorrent/v1/session.proto
    <!-- numbers ctorrent/net/rules.py ChannelRules -->   a rules record's limits with their reasons
    <!-- numbers ctorrent/wire/names.py -->          or a file's named numbers
    <!-- words ctorrent/door.py Door -->             methods of a class, with the first line of each docstring
    …
    <!-- end -->
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_REGION = re.compile(r"<!-- (state|message|numbers|words) (.+?) -->\n.*?<!-- end -->", re.DOTALL)
_FIELD = re.compile(r"\s+((?:repeated |optional )?[\w.]+) (\w+) = (\d+);\s*(?://\s*(.*))?")


def filled(text: str) -> str:
    """A page with every region made anew."""
    return _REGION.sub(lambda m: f"<!-- {m[1]} {m[2]} -->\n{_MAKE[m[1]](*m[2].split())}\n<!-- end -->", text)


def pages() -> Iterator[Path]:
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if _REGION.search(path.read_text(encoding="utf-8")):
            yield path


def _state(path: str) -> str:
    """The first indented block of a file's docstring."""
    words = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")), clean=False) or ""
    block: list[str] = []
    for line in words.splitlines():
        if line.startswith("    "):
            block.append(line[4:])
        elif block and line.strip():
            break
        elif block:
            block.append("")
    return f"From [{path}](../../{path}):\n\n```text\n" + "\n".join(block).strip("\n") + "\n```"


def _message(file: str, *names: str) -> str:
    lines = (ROOT / f"protos/ctorrent/v1/{file}.proto").read_text(encoding="utf-8").splitlines()
    return "\n\n".join(_one_message(lines, name) for name in names)


def _one_message(lines: list[str], name: str) -> str:
    start = lines.index(f"message {name} {{")
    about: list[str] = []
    for line in reversed(lines[:start]):
        if not line.startswith("//"):
            break
        about.insert(0, line.lstrip("/ "))
    rows, before = [], ""
    for line in lines[start + 1 :]:
        if line == "}":
            break
        if found := _FIELD.match(line):
            kind, field, number, words = found.groups()
            rows.append(f"| {number} | `{field}` | {kind} | {_cell(before + ' ' + (words or ''))} |")
            before = ""
        elif line.strip().startswith("//"):
            before = f"{before} {line.strip().lstrip('/ ')}".strip()
    head = f"**{name}.** {' '.join(about)}".rstrip()
    return "\n".join([head, "", "| # | field | type | what, and who sets it |", "|---|---|---|---|", *rows])


def _numbers(path: str, record: str = "") -> str:
    """Assignments of plain numbers, with their comments: of a class, or of the file itself."""
    source = (ROOT / path).read_text(encoding="utf-8")
    lines, tree = source.splitlines(), ast.parse(source)
    body = tree.body
    if record:
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == record)
    rows = []
    for node in body:
        target, value = _named(node)
        if value is None or target.startswith("_") or not _is_plain(value):
            continue
        comment = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
        rows.append(f"| `{target}` | {_cell(ast.unparse(value))} | {_cell(comment)} |")
    title = f"`{record or Path(path).name}` in [{path}](../../{path}):"
    return "\n".join([title, "", "| limit | value | why |", "|---|---|---|", *rows])


def _named(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    return "", None


def _is_plain(value: ast.expr) -> bool:
    """A number, a text, or arithmetic of numbers: what a reader of the page can read too."""
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return all(isinstance(node, allowed) for node in ast.walk(value))


def _words(path: str, record: str) -> str:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == record)
    rows = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            arguments = ", ".join(argument.arg for argument in node.args.args[1:])
            said = (ast.get_docstring(node) or "").partition("\n")[0]
            rows.append(f"| `{node.name}({arguments})` | {_cell(said)} |")
    return "\n".join(["| method | what |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_MAKE = {"state": _state, "message": _message, "numbers": _numbers, "words": _words}


if __name__ == "__main__":
    for page in pages():
        made = filled(page.read_text(encoding="utf-8"))
        if made != page.read_text(encoding="utf-8"):
            page.write_text(made, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
