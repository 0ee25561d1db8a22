"""What blocks' files are called: the template filled in, safe on every system, no two alike."""

from __future__ import annotations

import ast
import posixpath
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ctorrent.model.output_name as source
from ctorrent import canon
from ctorrent.errors import JobFileError
from ctorrent.model.output_name import output_name
from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.outputs import OutputNames
from tests.plan.memory import MemoryFolder


def named(template: str, **more: Any) -> str:
    given: dict[str, Any] = {"index": 3, "seed": 9, "params": {}, "input_name": "my clip.v2.mov", **more}
    return output_name(template, **given)


def planned(text: str, files: dict[str, bytes] | None = None) -> list[str]:
    job = parse_jobfile(text)
    names = OutputNames(job)
    drafts = draft_blocks(job, MemoryFolder(files or {}))
    return [names.add(d.index, 70 + d.index, canon.decode(d.params), d.pieces[0].name if d.pieces else "") for d in drafts]


def test_fields() -> None:
    assert named("small/{stem}.mp4") == "small/my clip.v2.mp4"
    assert named("{name}") == "my clip.v2.mov" and named("{stem}_x.{ext}") == "my clip.v2_x.mov"
    assert named("{index}-{seed}") == "3-9" and named("frame{index:04}.png") == "frame0003.png"
    assert named("{beta}/{n}-{on}", params={"beta": 0.1, "n": -2, "on": True}) == "0.1/-2-true"
    assert named("{file}.txt", params={"file": "a/b.c"}) == "a/b.c.txt"
    assert named("{name}", params={"name": "mine"}) == "mine"  # what the job file says goes first
    assert named("{stem}", input_name="Makefile") == "Makefile"


def test_characters_that_some_system_refuses_become_lines_below() -> None:
    assert named("{stem}.mp4", input_name='what? "no": <a|b>*.mov') == "what_ _no__ _a_b__.mp4"
    assert named("{word}", params={"word": "tab\there"}) == "tab_here"


@pytest.mark.parametrize(
    ("template", "params", "words"),
    [
        ("{colour}", {}, "has the field {colour}, which this block has not: it has ext, index, name, seed, stem"),
        ("{a}", {"a": [1]}, "cannot show {a}: only numbers and text"),
        ("{a}", {"a": None}, "cannot show {a}"),
        ("{a:04}", {"a": "x"}, "only a whole number has digits"),
        ("{a:04}", {"a": 1.5}, "only a whole number has digits"),
        ("{a}", {"a": "../x"}, "not below the folder of the results"),
        ("{a}", {"a": "/etc/passwd"}, "not below the folder of the results"),
        ("x/{a}", {"a": "/etc/passwd"}, "each part of a path needs a name"),
        ("{a}", {"a": ""}, "each part of a path needs a name"),
        ("{a}", {"a": ".ssh/keys"}, "each part of a path needs a name"),
        ("{a}.", {"a": "x"}, "each part of a path needs a name"),
        ("{a}", {"a": "nul.mp4"}, "not every system can have"),
        ("{a}", {"a": "x\u202ey"}, "not every system can have"),
        ("{a}", {"a": "x" * 300}, "too long"),
        ("{a}", {"a": "x/" * 600 + "x"}, "too long"),
        ("{a.b}", {}, "has a brace that is no field"),
        ("{a[0]}", {}, "has a brace that is no field"),
        ("x" * 500, {}, "is longer than 400"),
    ],
)
def test_a_name_that_cannot_be(template: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        named(template, params=params)
    assert words in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(["{a}", "{stem}", "{index:03}", "/", "..", ".", "x", "{", "}", "\\", "\0", " "]), max_size=6), st.text(max_size=12), st.text(max_size=12))
def test_whatever_comes_out_stays_below_its_folder(parts: list[str], value: str, name: str) -> None:
    try:
        made = output_name("".join(parts), 3, 9, {"a": value}, name)
    except ValueError:
        return
    path = posixpath.normpath(posixpath.join("/results", made))
    assert path == f"/results/{made}" and "\\" not in made and made.isprintable()
    assert all(part and not part.startswith(".") for part in made.split("/"))


COMMAND = 'command: [cp, "{input}", "{output}"]\n'


def test_one_name_for_each_file() -> None:
    files = {"clips/b.mov": b"1", "clips/a.mov": b"2"}
    assert planned(COMMAND + 'blocks: {files: "clips/*"}\noutputs: "small/{stem}.mp4"', files) == ["small/a.mp4", "small/b.mp4"]
    text = 'python: a.py:f\nblocks: {grid: {n: [1, 2]}, repeat: 2}\noutputs: "{n}/{repeat}.png"'
    assert planned(text) == ["1/0.png", "1/1.png", "2/0.png", "2/1.png"]
    assert planned("python: a.py:f\nblocks: 2") == ["", ""]


TWO = {"a/x.mov": b"1", "b/x.mov": b"2"}
CLASHES = [
    (COMMAND + 'blocks: {files: "*/*"}\noutputs: "{stem}.mp4"', TWO, "blocks 0 and 1 would both be called x.mp4", "use {file}"),
    (COMMAND + 'blocks: {files: "*", repeat: 3}\noutputs: "{stem}.mp4"', {"x": b"1"}, "blocks 0 and 1 would both", "Add {repeat}"),
    ('python: a.py:f\nblocks: {items: [x, y, X]}\noutputs: "{item}"', {}, "blocks 0 and 2 get names that differ only in capitals, x and X", "Add {index}"),
    ('python: a.py:f\nblocks: {items: [x, x/y]}\noutputs: "{item}"', {}, "block 0 would be called x, which is the folder of what block 1 makes", ""),
    ('python: a.py:f\nblocks: {items: [x/y, x]}\noutputs: "{item}"', {}, "block 1 would be called x, which is the folder of what block 0 makes", ""),
    ('python: a.py:f\nblocks: {items: [x, {k: 1}]}\noutputs: "{item}"', {}, "has the field {item}, which this block has not", ""),
    ('python: a.py:f\nblocks: 1\noutputs: "{stem}"', {}, "has the field {stem}, which this block has not: it has index, seed (block 0)", ""),
]


@pytest.mark.parametrize(("text", "files", "words", "hint"), CLASHES)
def test_blocks_in_each_other_s_way_are_both_named(text: str, files: dict[str, bytes], words: str, hint: str) -> None:
    with pytest.raises(JobFileError) as caught:
        planned(text, files)
    assert caught.value.message.startswith("job.yaml:3: outputs: ") and words in caught.value.message
    assert hint in caught.value.hint


def test_the_rule_that_lies_in_sandboxes_needs_nothing_of_ours() -> None:
    tree = ast.parse(Path(source.__file__).read_text(), feature_version=(3, 9))
    used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert all(str(name).split(".")[0] in sys.stdlib_module_names for name in used)
