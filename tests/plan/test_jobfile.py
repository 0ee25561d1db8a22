"""A job file read, and every way to get one wrong answered by one clear sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctorrent.errors import JobFileError
from ctorrent.model.job import Assurance, Environment, Equality, Isolation, Limits, Needs, ProgramKind, Verify
from ctorrent.plan.jobfile import JobFile, override, parse_jobfile
from ctorrent.plan.schema import job_schema
from ctorrent.plan.source import Count, Globs, Grid, Items, Split

SHORT = """\
python: search.py:score            # def score(C, gamma, seed) -> {"accuracy": 0.97}
blocks: {grid: {C: [0.1, 1, 10, 100], gamma: [1e-4, 1e-3, 1e-2]}}
reduce: best-by accuracy           # the whole table stays in the results
needs: {packages: [scikit-learn]}
"""
FULL = """\
command: [sh, run.sh, "{input}", 3.10, no]
blocks:
  split: {file: big.csv, by: csv, size: 50}
reduce: {python: "merge.py:merge"}
verify: {replicas: 3, replicas_max: 7, equal: numeric, rtol: 1e-3, atol: 0, nan: different}
needs:
  cpu: 2
  memory: 2 GB
  gpu: 1
  gpu_memory: 8 GiB
  compute_capability: 8.0
  isolation: docker
  packages: [Scikit_Learn>=1.4, "numpy >= 1.26, < 3"]
  programs: awk
  python: 3.10
  arch: x86_64
limits: {seconds: 5 min, output: 1.5 MB, log: 100, scratch: 1 GiB, job_seconds: 2 h, attempts: 3}
ring: friends
seed: 0xff
name: no
on_error: stop
coalesce: off
price: 1e-1
params: {k: 3}
files: [data, model.json]
"""


def test_the_short_one() -> None:
    job = parse_jobfile(SHORT)
    assert (job.kind, job.entry, job.reduce) == (ProgramKind.PYTHON, "search.py:score", "best-by accuracy")
    assert job.source == Grid({"C": (0.1, 1, 10, 100), "gamma": (1e-4, 1e-3, 1e-2)})
    assert job.environment == Environment(packages=("scikit-learn",))
    assert (job.needs, job.verify, job.limits) == (Needs(), Verify(), Limits())
    assert (job.ring, job.seed, job.keep_errors, job.coalesce) == (None, None, True, True)


def test_the_full_one() -> None:
    job = parse_jobfile(FULL)
    assert job.argv == ("sh", "run.sh", "{input}", "3.10", "no")
    assert job.source == Split("big.csv", "csv", 50, as_params=False)
    assert job.reduce == "python merge.py:merge"
    assert job.verify == Verify(3, 7, Equality.NUMERIC, 1e-3, 0.0, False)
    assert job.needs == Needs(2, 2 * 10**9, 1, 8 << 30, "8.0", Isolation.DOCKER)
    assert job.environment == Environment("3.10", "x86_64", ("numpy>=1.26,<3", "scikit-learn>=1.4"), ("awk",))
    assert job.limits == Limits(300.0, 1_500_000, 100, 1 << 30, 7200.0, 3)
    assert (job.ring, job.seed, job.name, job.price_max) == ("friends", 255, "no", 0.1)
    assert (job.keep_errors, job.coalesce, job.params, job.files) == (False, False, {"k": 3}, ("data", "model.json"))


@pytest.mark.parametrize(
    ("blocks", "source"),
    [
        ("20", Count(20)),
        ("{count: 1e3}", Count(1000)),
        ("{items: [a, 2, {x: 1}]}", Items(("a", 2, {"x": 1}))),
        ("{grid: {points: 5, part: [0, 1]}}", Grid({"points": (5,), "part": (0, 1)})),
        ("{files: 'data/*.txt'}", Globs(("data/*.txt",))),
        ("{files: [a.txt, b.txt]}", Globs(("a.txt", "b.txt"))),
        ("{split: {file: t.txt, by: bytes, size: 250 KB}}", Split("t.txt", "bytes", 250_000, False)),
        ("{split: {file: t.txt, by: bytes}}", Split("t.txt", "bytes", 1 << 20, False)),
        ("{file: t.txt, split: lines}", Split("t.txt", "lines", 100, True)),
        ("{file: t.csv, split: csv, size: 7, as: file}", Split("t.csv", "csv", 7, False)),
    ],
)
def test_where_blocks_come_from(blocks: str, source: object) -> None:
    assert parse_jobfile(f"python: a.py:f\nblocks: {blocks}\n").source == source


def test_yaml_is_1_2() -> None:
    job = parse_jobfile("python: a.py:f\nblocks: {items: [1e-4, no, 012, 0o17, 1_000, .inf, ~, true, 2020-01-01]}\n")
    assert job.source == Items((1e-4, "no", 12, 15, "1_000", float("inf"), None, True, "2020-01-01"))


def test_no_version_line_makes_it_1_1() -> None:
    words = "{items: [yes, off, 1:30, 0b11, -.5, +.5e1, 1., 0x1F, 010, \"10\", =, TRUE, tRue]}"
    expected = Items(("yes", "off", "1:30", "0b11", -0.5, 5.0, 1.0, 31, 10, "10", "=", True, "tRue"))
    for start in ("", "---\n", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n"):
        assert parse_jobfile(f"{start}python: a.py:f\nblocks: {words}\n").source == expected


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: "# c\n\n" + text + "...\n"])
def test_as_other_systems_write_text(change: Callable[[str], str]) -> None:
    assert parse_jobfile(change(FULL)).environment == parse_jobfile(FULL).environment


START = "python: a.py:f\nblocks: 3\n"
WRONG = [
    ("", "job.yaml:1: is empty"),
    ("- a", "job.yaml:1: must be a map of python, command"),
    ("blocks: 3", "job.yaml:1: needs the field python or command"),
    ("python: a.py:f", "job.yaml:1: needs the field blocks"),
    ("python: a.py:f\ncommand: [a]\nblocks: 1", "job.yaml:2: command: a job has either python or command"),
    ("python: a.py\nblocks: 1", 'job.yaml:1: python: must be "file.py:function", not'),
    ("python: ../a.py:f\nblocks: 1", "python: must be"),
    ("python: b/../../a.py:f\nblocks: 1", "python: must be a file beside"),
    ("command: wc -w\nblocks: 1", 'command: must be a list of words, such as [wc, -w, "{input}"]'),
    ("command: [wc, {input}]\nblocks: 1", 'command[1]: a word in braces must be quoted: "{input}"'),
    ("command: []\nblocks: 1", "command: must be a list"),
    (START + "replicas: 1", "job.yaml:3: replicas: is not a field here; write verify: {replicas: …}"),
    (START + "packages: [a]", "packages: is not a field here; write needs: {packages: …}"),
    (START + "verify: {replcas: 1}", "verify.replcas: is not a field; did you mean replicas?"),
    (START + "output: a", "output: is not a field; did you mean outputs?"),
    (START + "needs:\n\n\nname: x", "job.yaml:3: needs: must be a map of cpu"),
    (START + "needs: {isolation: Docker}", "not 'Docker'; did you mean docker?"),
    (START + "needs: {<<: {cpu: 1}}", "needs: << (merge) is not part of YAML 1.2"),
    (START + "params: {<<: {cpu: 1}}", "params: << (merge) is not part of YAML 1.2"),
    (START + ": 1", "job.yaml:3: there is a value without a name"),
    (START + "---\n" + START, "job.yaml:3: not YAML: a second document begins here"),
    (START + "seed: " + "9" * 5000, "job.yaml:3: seed: a number of 5000 digits"),
    ("python: a.py:f\nblocks:\n\tcount: 3", "job.yaml:3: not YAML: there is a tab"),
    ("command: [a, {b}.txt]\nblocks: 3", "job.yaml:1: not YAML: a bracket is never closed, or a comma is missing"),
    ("command: [a]\nblocks: {files: *.txt}", 'job.yaml:2: not YAML: *.txt stands for something called .txt, and there is nothing. Text that begins with * needs quotes: "*.txt"'),
    ("command: [a]\nblocks: 3\noutputs: {stem}.mp4", 'job.yaml:3: not YAML: there is text after the end of a bracket or quote. Put quotes around the whole: "{stem}.mp4"'),
    ("name: 'x\npython: a.py:f\nblocks: 3\n\n", "job.yaml:1: not YAML: a quote is never closed"),
    ("name: a: b\n", "job.yaml:1: not YAML: there is a second colon"),
    ("python: a.py:f\nblocks:\n    count: 1\n  name: x", "job.yaml:4: not YAML: this line is not indented like"),
    ("hello", "job.yaml:1: must be a map of python, command, blocks and others, not 'hello'"),
    (START + "reduse: sum", "job.yaml:3: reduse: is not a field; did you mean reduce?"),
    (START + "reduce: summ", "reduce: 'summ' is none of sum, mean, concat, table, best-by FIELD; did you mean sum?"),
    (START + "reduce: best-by", "reduce: best-by needs a field"),
    (START + "reduce: {python: merge}", 'reduce.python: must be "file.py:function"'),
    (START + "python: b.py:g", "job.yaml:3: python is there twice, first in line 1"),
    (START + "verify: 2", "verify: must be a map of replicas"),
    (START + "verify: {replicas: 0}", "verify.replicas: must be a whole number from 1 to 64, not 0"),
    (START + "verify: {replicas: 4, replicas_max: 3}", "job.yaml:3: verify.replicas_max: must not be below replicas"),
    (START + "verify: {equal: nearly}", "verify.equal: must be auto or exact or numeric or relative-norm or topk or stat"),
    (START + "verify: {equal: topk}", "job.yaml:3: verify.equal: needs to know how many of the largest"),
    (START + "verify: {top: 3}", "verify.top: is of equal: topk, which is not asked for"),
    (START + "verify: {equal: exact, alpha: 0.1}", "verify.alpha: is of equal: stat, which is not asked for"),
    (START + "verify: {equal: stat, alpha: 0}", "verify.alpha: must be from 1e-09 to 0.5, not 0"),
    (START + "verify: {equal: script}", "verify.equal: must name the function that compares"),
    (START + "verify: {equal: {}}", "verify.equal: must name the function that compares"),
    (START + "verify: {equal: {scrpt: a.py:b}}", "verify.equal.scrpt: is not a field; did you mean script?"),
    (START + "verify: {equal: {script: same}}", "verify.equal.script: must be "),
    (START + "verify:\n  check: ../judge.py:right", "job.yaml:4: verify.check: must be "),
    (START + "verify: {rtol: 1}", "verify.rtol: must be below 1: with 1, zero is equal to every number"),
    (START + "verify: {audit: 120 %}", "verify.audit: must be a share such as 5 % or 0.05, not '120 %'"),
    (START + "verify: {homogeneous: yes}", "verify.homogeneous: must be true or false, not 'yes'"),
    (START + "verify: {assurance: high}", "verify.assurance: must be strict or economy"),
    (START + "verify:\n  assurance: economy\n  replicas: 1", "job.yaml:5: verify.replicas: 1 and assurance: economy do not go together"),
    (START + "verify: {rtol: much}", "verify.rtol: must be a number, not 'much'"),
    (START + "verify: {rtol: .nan}", "verify.rtol: must be a number"),
    (START + "needs: {memory: 2 XB}", 'needs.memory: must be a size such as "500 MB"'),
    (START + "needs:\n  cpu: 1\n  memroy: 2 GB", "job.yaml:5: needs.memroy: is not a field; did you mean memory?"),
    (START + "needs: {cpu: 1.5}", "needs.cpu: must be a whole number"),
    (START + "needs: {gpu_memory: 8 GB}", "needs: gpu_memory and compute_capability ask for a device: add gpu: 1"),
    (START + "needs: {compute_capability: eight, gpu: 1}", "needs.compute_capability: must be 8.0, not 'eight'"),
    (START + "needs: {packages: [a b]}", "needs.packages[0]: must be a package such as scikit-learn or numpy>=1.26, not 'a b'"),
    (START + "needs: {packages: [numpy, NumPy]}", "needs.packages: numpy is there twice"),
    (START + "needs: {image: ubuntu}", "needs.image: must be"),
    (START + "needs: {python: two}", "needs.python: must be"),
    (START + "limits: {seconds: 0}", "limits.seconds: must be seconds above 0"),
    (START + "limits: {seconds: [1]}", "limits.seconds: must be seconds above 0"),
    (START + "ring: world", "ring: must be friends or swarm or public, not 'world'"),
    (START + "seed: -1", "seed: must be a whole number from 0"),
    (START + "name: ''", "name: must be one line"),
    (START + "name: {a: 1}", "name: must be text, not a map"),
    (START + "on_error: retry", "on_error: must be keep or stop"),
    (START + "coalesce: maybe", "coalesce: must be auto or off"),
    (START + "price: -1", "price: must be from 0"),
    (START + "price_gpu: 5", "price_gpu: is for jobs that hold a GPU"),
    (START + "params: {seed: 1}", "params.seed: seed is given to every block already"),
    (START + "params: {a: 100000000000000000000}", "params.a: the value is an integer of more than 64 bits"),
    (START + "params: {a: !!set {x}}", "params.a"),
    (START + "name: !mine x", "job.yaml:3: name: 'x' is of a kind (!mine)"),
    ("python: a.py:f\nblocks:", "blocks: must be a map with one of count, items, grid, files, split"),
    ("python: a.py:f\nblocks: {}", "blocks: must have exactly one of"),
    ("python: a.py:f\nblocks: {count: 1, items: [1]}", "blocks: must have exactly one of"),
    ("python: a.py:f\nblocks: {cuont: 1}", "blocks.cuont: is not a field; did you mean count?"),
    ("python: a.py:f\nblocks: {count: 0}", "blocks.count: must be a whole number from 1"),
    ("python: a.py:f\nblocks: {items: []}", "blocks.items: must be a list of at least one item"),
    ("python: a.py:f\nblocks: {grid: [1]}", "blocks.grid: must be a map of lists"),
    ("python: a.py:f\nblocks: {grid: {C: []}}", "blocks.grid.C: must have at least one value"),
    ("python: a.py:f\nblocks: {grid: {index: [1]}}", "index is given to every block already"),
    ("python: a.py:f\nblocks: {grid: {a: &x [%s], b: *x, c: *x}}" % ("1," * 200), "makes 8000000 blocks"),
    ("python: a.py:f\nblocks: {split: {file: a, by: words}}", "blocks.split.by: must be lines or csv or bytes"),
    ("python: a.py:f\nblocks: {split: {by: lines}}", "blocks.split: needs the field file"),
    ("python: a.py:f\nblocks: {split: {file: a, by: lines, size: 1 KB}}", "blocks.split.size: must be a whole number"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: 2}}}", "blocks.grid.a: needs the field steps"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: 2, step: 3}}}", "blocks.grid.a.step: is not a field; did you mean steps?"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: 1, steps: 3}}}", "from and to are both 1: a range has two ends. One value is just a: 1."),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: x, steps: 3}}}", "blocks.grid.a.to: must be a number, not 'x'"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: .inf, steps: 3}}}", "blocks.grid.a.to: must be a number, not .inf"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 1, to: 2, steps: 1}}}", "blocks.grid.a.steps: must be a whole number from 2"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 0, to: 1, steps: 3, log: true}}}", "blocks.grid.a: log: true needs from and to above 0"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 0, to: 1, steps: 3, log: 10}}}", "blocks.grid.a.log: must be true or false"),
    ("python: a.py:f\nblocks: {grid: {a: {x: 1}}}", "blocks.grid.a: is a map without from, to and steps"),
    ("python: a.py:f\nblocks: {grid: {seed: {from: 0, to: 1, steps: 3}}}", "seed is given to every block already"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 0, to: 1, steps: 9000}, b: {from: 0, to: 1, steps: 9000}}}", "makes 81000000 blocks"),
    ("python: a.py:f\nblocks: {grid: {a: {from: 99999999999999999999, to: 1, steps: 3}}}", "blocks.grid.a.from: the value is an integer of more than 64 bits: write it as text"),
    ("python: a.py:f\nblocks: {count: 5, repeat: 0}", "blocks.repeat: must be a whole number from 1"),
    ("python: a.py:f\nblocks: {repeat: 5}", "blocks: must have exactly one of count"),
    ("python: a.py:f\nblocks: {count: 1000, repeat: 1001}", "makes 1001000 blocks"),
    ("python: a.py:f\nblocks: {grid: {repeat: [1]}, repeat: 2}", "repeat gives every block a param of that name"),
    ("python: a.py:f\nblocks: {items: [{repeat: 1}], repeat: 2}", "repeat gives every block a param of that name"),
    ("python: a.py:f\nblocks: {count: 2, repeat: 2}\nparams: {repeat: 1}", "repeat gives every block a param of that name"),
    ("python: a.py:f\nblocks: {files: []}", "blocks.files: has 0 items: at least 1"),
    ("command: [a, '{output}']\nblocks: 3\noutputs: ../{index}", "outputs: '../{index}' gives '../x'"),
    ("command: [a, '{output}']\nblocks: 3\noutputs: /tmp/{index}", "outputs: '/tmp/{index}' gives '/tmp/x'"),
    ("command: [a, '{output}']\nblocks: 3\noutputs: 'a{'", "outputs: 'a{' has a brace that is no field"),
    ("command: [a, '{output}']\nblocks: 3\noutputs: '{index!r}'", "has a brace that is no field"),
    ("command: [a, '{output}']\nblocks: 3\noutputs: 'a:{index}'", "which not every system can have as a file name"),
    ("command: [a, '{input}', 'small/{stem}.mp4']\nblocks: {files: '*'}", 'command: {stem} is a field of outputs. Write "{output}" here'),
    ("command: [a]\nblocks: 3\noutputs: 'a{index}'", 'outputs: names the file that the command writes to "{output}", which it does not'),
    ("command: [a]\nblocks: {split: {file: a, by: lines, as: params}}", "as: params is for python programs"),
    ("python: a.py:f\nblocks: {files: ../x/*}", "blocks.files: ../x/* must be a pattern such as data/*.txt"),
    ("python: a.py:f\nblocks: {files: 'x**y'}", "must be a pattern such as data/*.txt"),
    ("python: a.py:f\nblocks: {files: /etc/*}", "must be a pattern such as data/*.txt"),
    ("python: a.py:f\nblocks: [1", "job.yaml:2: not YAML"),
    ("\tx: 1", "job.yaml:1: not YAML"),
    ("a: 1\nb: \0", "job.yaml:2: not text: there is a character U+0000"),
    ("[" * 5000, "nested too deeply"),
    ("? [a]\n: 1", "a key must be text"),
    ("python: a.py:f\nblocks: {items: " + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_an_error_names_line_and_field_and_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(JobFileError) as caught:
        parse_jobfile(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("job.yaml:")


def test_aliases_of_aliases_end() -> None:
    bomb = "python: a.py:f\nblocks: 1\nparams:\n  a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
    for n in range(1, 12):
        bomb += f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    with pytest.raises(JobFileError, match="too many values"):
        parse_jobfile(bomb)


def test_a_job_file_has_a_limit() -> None:
    with pytest.raises(JobFileError, match="longer than 1 MiB"):
        parse_jobfile("#" * (1 << 20) + START)


def test_an_announcement_must_hold_the_packages() -> None:
    names = ", ".join(f"package-number-{n}" for n in range(100))
    with pytest.raises(JobFileError, match="Use an image"):
        parse_jobfile(START + f"needs: {{packages: [{names}]}}")


def test_the_command_line_overrides() -> None:
    job = parse_jobfile(SHORT)
    assert override(job, {}) == job
    changed = override(job, {"replicas": 1, "ring": "public", "seed": 7, "name": "mine", "price": 2, "work": False})
    assert (changed.verify.replicas, changed.ring, changed.seed, changed.name) == (1, "public", 7, "mine")
    assert changed.price_max == 2.0
    with pytest.raises(JobFileError, match="there is no option 'replicsa'"):
        override(job, {"replicsa": 1})
    many = override(job, {"replicas": 9}).verify
    assert (many.replicas, many.replicas_max) == (9, 19)
    for option, value in (("replicas", 0), ("ring", "all"), ("seed", "x"), ("replicas", "two")):
        with pytest.raises(JobFileError, match=f"^--{option}: must be"):
            override(job, {option: value})


def test_more_replicas_than_the_default_maximum() -> None:
    job = parse_jobfile(START + "verify: {replicas: 6}")
    assert (job.verify.replicas, job.verify.replicas_max) == (6, 13)


def test_the_schema_names_every_field_with_a_sentence() -> None:
    schema = job_schema()
    assert schema["additionalProperties"] is False
    for properties in (schema["properties"], schema["properties"]["needs"]["properties"]):
        assert all(field.get("description") for field in properties.values())
    assert {"python", "command", "blocks", "needs", "verify", "limits"} <= set(schema["properties"])


def parses_or_says_why(text: str) -> JobFile | None:
    try:
        return parse_jobfile(text)
    except JobFileError as error:
        assert str(error).startswith("job.yaml:")
        return None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    parses_or_says_why(text)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([SHORT, FULL]), st.integers(0, 2000), st.integers(0, 30), st.text(max_size=12))
def test_a_job_file_with_a_hole_or_a_patch(text: str, at: int, cut: int, patch: str) -> None:
    at %= len(text)
    parses_or_says_why(text[:at] + patch + text[at + cut :])


WORDS = ["python", "blocks", "needs", "grid", "count", "split", "a.py:f", "1", "1e400", "-0", "~", "{}", "[]", "!!binary x", "&a", "*a", "0x", "2 GB", "1_", "<<"]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), max_size=5))
def test_words_in_any_order(pairs: list[tuple[str, str]]) -> None:
    parses_or_says_why("\n".join(f"{key}: {value}" for key, value in pairs))
    parses_or_says_why(START + "params: {" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}")


def test_what_may_be_said_of_verification() -> None:
    """Each word fills one field of the manifest, in every way it may be written."""
    said = {
        "{equal: relative-norm, rtol: 1e-4}": Verify(equal=Equality.RELATIVE_NORM, rtol=1e-4),
        "{equal: topk, top: 5}": Verify(equal=Equality.TOPK, top=5),
        "{equal: stat, alpha: 0.05}": Verify(equal=Equality.STATISTICAL, alpha=0.05),
        "{equal: stat}": Verify(equal=Equality.STATISTICAL, alpha=0.01),
        "{equal: {script: a/same.py:same}}": Verify(equal=Equality.SCRIPT, script="a/same.py:same"),
        "{check: judge.py:right, homogeneous: true}": Verify(check="judge.py:right", homogeneous=True),
        "{assurance: economy, audit: 5 %}": Verify(assurance=Assurance.ECONOMY, audit_share=0.05),
        "{audit: 0.2}": Verify(audit_share=0.2),
        '{audit: "12.5%"}': Verify(audit_share=0.125),
    }
    for text, verify in said.items():
        assert parse_jobfile(START + f"verify: {text}").verify == verify, text
