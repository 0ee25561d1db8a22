"""What travels with a job, and what is wrong with a program before anybody runs it."""

from __future__ import annotations

import pytest

from ctorrent.errors import JobFileError
from ctorrent.plan import code, codemap
from ctorrent.plan.jobfile import parse_jobfile
from tests.plan.memory import MemoryFolder


def bundled(text: str, files: dict[str, str | bytes]) -> list[str]:
    raw = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    got = code.listed(parse_jobfile(text), MemoryFolder(raw))
    assert all(len(raw[path]) == size for path, size in got.items())
    return sorted(got)


F = "def f(): pass\n"


def test_a_function_brings_what_it_imports_and_nothing_else() -> None:
    files: dict[str, str | bytes] = {
        "a.py": "import math, b\nfrom pkg.deep import thing\ndef f():\n    import late\n",
        "b.py": "from c import *\n",
        "c.py": "import b\n",
        "late.py": "",
        "other.py": "",
        "math.py.txt": "",
        "pkg/__init__.py": "from . import near\n",
        "pkg/near.py": "from .deep import x\nfrom .. import top\n",
        "pkg/deep.py": "",
        "pkg/far.py": "",
        "top.py": "",
    }
    found = bundled("python: a.py:f\nblocks: 1", files)
    assert found == ["a.py", "b.py", "c.py", "late.py", "pkg/__init__.py", "pkg/deep.py", "pkg/near.py", "top.py"]


def test_reduce_command_words_and_listed_files_travel_too() -> None:
    files: dict[str, str | bytes] = {
        "run.sh": "x",
        "count.py": "import part",
        "part.py": "",
        "merge.py": "def merge(v): pass",
        "data/a.bin": b"\xff",
        "data/sub/b.bin": b"1",
        "data/__pycache__/c.pyc": b"",
        "model.json": "{}",
        "unused.py": "",
    }
    text = (
        'command: [python3, count.py, run.sh, "{input}", ../etc, /etc/passwd]\nblocks: 1\n'
        "reduce: {python: merge.py:merge}\nfiles: [data/, ./model.json]\n"
    )
    expected = ["count.py", "data/a.bin", "data/sub/b.bin", "merge.py", "model.json", "part.py", "run.sh"]
    assert bundled(text, files) == expected
    assert bundled("command: [ls]\nblocks: 1", files) == []
    assert bundled("command: [ls]\nblocks: 1\nfiles: 'data/*.bin'", files) == ["data/a.bin"]


@pytest.mark.parametrize(
    ("text", "files", "words"),
    [
        ("python: a.py:f", {}, "job.yaml:1: python: there is no file a.py"),
        ("python: a.py:f", {"a.py": "def f(:\n"}, "job.yaml:1: python: a.py:1: "),
        ("python: a.py:f", {"a.py": b"\0"}, "python: a.py:1: "),
        ("python: a.py:scor", {"a.py": "def score(): pass"}, "a.py has no scor; did you mean score?"),
        ("python: a.py:f", {"a.py": "x = 1"}, "it defines no function"),
        ("python: a.py:f", {"a.py": "async def f(): pass"}, "f is async"),
        ("python: a.py:f", {"a.py": "def f(C, gama): pass"}, "f asks for C, which no block gives"),
        ("python: a.py:f\nparams: {gamma: 1}", {"a.py": "def f(gama): pass"}, "did you mean gamma?"),
        ("python: a.py:f", {"a.py": "def f(x, /): pass"}, "by position only"),
        ("python: a.py:f\nreduce: {python: r.py:g}", {"a.py": F}, "job.yaml:2: reduce: there is no file r.py"),
        ("python: a.py:f\nreduce: {python: a.py:g}", {"a.py": F}, "job.yaml:2: reduce: a.py has no g; there is f"),
        ("python: a.py:f\nfiles: [nothing]", {"a.py": F}, "job.yaml:2: files: there is no file or folder nothing"),
        ("python: a.py:f\nfiles: [../secret]", {"a.py": F, "../secret": ""}, "files: ../secret must be beside"),
        ("python: a.py:f\nfiles: [/etc/passwd]", {"a.py": F, "/etc/passwd": ""}, "must be beside"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_announced(
    text: str, files: dict[str, str | bytes], words: str
) -> None:
    with pytest.raises(JobFileError) as caught:
        bundled(text + "\nblocks: 1", files)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "def f(index, seed, params, inputs, k): pass",
        "def f(k, other=1, *, more=2, **rest): pass",
        "from functools import partial as f",
        "f = lambda: 1",
        "try:\n    from fast import f\nexcept ImportError:\n    def f(): pass",
        "import functools\n@functools.cache\ndef f(anything): pass",
    ],
)
def test_programs_that_are_right(source: str) -> None:
    assert bundled("python: a.py:f\nblocks: 1\nparams: {k: 1}", {"a.py": source}) == ["a.py"]


@pytest.mark.parametrize(
    ("blocks", "asks"),
    [
        ("{items: [1]}", "item"),
        ("{items: [{x: 1}]}", "x"),
        ("{files: '*.py'}", "file"),
        ("{split: {file: t, by: lines}}", "lines"),
        ("{split: {file: t, by: csv}}", "rows"),
        ("{grid: {C: [1]}}", "C"),
    ],
)
def test_each_source_gives_its_own_names(blocks: str, asks: str) -> None:
    assert bundled(f"python: a.py:f\nblocks: {blocks}", {"a.py": f"def f({asks}): pass"}) == ["a.py"]


def test_a_newer_grammar_is_the_workers_business() -> None:
    text = "python: a.py:f\nblocks: 1\nneeds: {python: '>=3.13'}"
    assert bundled(text, {"a.py": "def f[T: int = bool](): pass\n"}) == ["a.py"]


def test_a_script_in_a_word_is_not_taken_for_a_file() -> None:
    """A file system answers a name of 300 bytes with an error, not with no."""

    class Strict(MemoryFolder):
        def size(self, path: str) -> int | None:
            assert all(len(part) < 256 for part in path.split("/"))
            assert "\0" not in path
            return MemoryFolder.size(self, path)

    text = f"command: [sh, -c, '{'echo x; ' * 60}', \"a\\nb\"]\nblocks: 1\n"
    assert code.listed(parse_jobfile(text), Strict()) == {}
    source = f"import {'x' * 300}\ndef f(): pass\n".encode()
    assert list(code.listed(parse_jobfile("python: a.py:f\nblocks: 1"), Strict({"a.py": source}))) == ["a.py"]


def test_everything_beside_the_job_file() -> None:
    files: dict[str, str | bytes] = {"a.py": F, "x/y/z.bin": b"1", ".git/config": "", "x/__pycache__/q.pyc": b""}
    for path in (".", "./"):
        assert bundled(f"python: a.py:f\nblocks: 1\nfiles: '{path}'", files) == ["a.py", "x/y/z.bin"]


def test_files_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sparse(MemoryFolder):
        def inside(self, path: str) -> int:
            return 20 << 30

    job = parse_jobfile("python: a.py:f\nblocks: 1\nfiles: [d]")
    with pytest.raises(JobFileError, match=r"more than 16 GiB \(big alone: 20.0\), and every worker gets all"):
        code.listed(parse_jobfile("python: a.py:f\nblocks: 1\nfiles: big"), Sparse({"a.py": F.encode(), "big": b"x"}))
    monkeypatch.setattr(codemap, "FILES_MAX", 100)
    many: dict[str, bytes] = {f"d/{n}": b"" for n in range(1000)}
    with pytest.raises(JobFileError, match="one file more than the 100 that a job may bring"):
        code.listed(job, MemoryFolder({"a.py": F.encode(), **many}))


def test_names_that_no_worker_takes_are_said_at_submit() -> None:
    with pytest.raises(JobFileError, match="whose name cannot be printed"):
        bundled("python: a.py:f\nblocks: 1\nfiles: d", {"a.py": F, "d/x\ny": "1"})
    with pytest.raises(JobFileError, match="output is what a command's"):
        bundled("command: [sh, -c, 'x > {output}']\nblocks: 1\nfiles: output", {"output/a": "1"})


JUDGED = "python: a.py:f\nblocks: {grid: {n: [1, 2]}}\nverify:\n  check: judge.py:right\n  equal: {script: same.py:same}\n"


def judged(right: str = "def right(output, n, draw, inputs): pass", same: str = "def same(one, other): pass") -> list[str]:
    return bundled(JUDGED, {"a.py": "def f(n): pass", "judge.py": f"import near\n{right}", "near.py": "", "same.py": same})


def test_functions_that_judge_and_compare_travel_with_what_they_import() -> None:
    assert judged() == ["a.py", "judge.py", "near.py", "same.py"]
    assert judged("def right(output, **params): pass", "def same(one, other, loose=1): pass")
    assert judged(same="def same(*both): pass")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ({"right": "def rigth(output): pass"}, "job.yaml:4: verify.check: judge.py has no right; did you mean rigth?"),
        ({"right": "def right(n): pass"}, "job.yaml:4: verify.check: judge.py: right does not ask for output, which it is to judge"),
        ({"right": "def right(output, m): pass"}, "verify.check: judge.py: right asks for m, which no block gives; there is index"),
        ({"same": "def same(one): pass"}, "job.yaml:5: verify.equal.script: same.py: same is given two outputs, and nothing else"),
        ({"same": "def same(one, other, *, n): pass"}, "verify.equal.script: same.py: same is given two outputs"),
        ({"same": "def same(one, other, more): pass"}, "verify.equal.script: same.py: same is given two outputs"),
        ({"same": "same = 1; def"}, "job.yaml:5: verify.equal.script: same.py:1: "),
    ],
)
def test_what_is_wrong_with_them_is_said_at_their_own_line(function: dict[str, str], words: str) -> None:
    with pytest.raises(JobFileError) as caught:
        judged(**function)
    assert words in str(caught.value)
