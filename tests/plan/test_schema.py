"""The JSON schema that editors check by, held against the parser: what one takes the other takes, but for a stated few."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from ctorrent.errors import JobFileError
from ctorrent.model.job import Limits, Needs, Verify
from ctorrent.plan.block_fields import RANGE_FIELDS, SPLIT_FIELDS
from ctorrent.plan.fields import FIELDS, LIMITS, NEEDS, VERIFY
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.kinds import Field
from ctorrent.plan.schema import job_schema
from ctorrent.plan.tree import Spot

ROOT = Path(__file__).resolve().parents[2]
JOB_FILES = sorted([*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("ctorrent/cli/templates/*/job.yaml")])
SCHEMA = Draft202012Validator(job_schema())
# What takes two fields, or more than a pattern, to see: the parser alone says it.
PARSER_ONLY = re.compile(
    r"must not be below replicas|needs to know how many of|is of equal: |rtol: must be below 1|ask for a device|names more packages|is there twice|repeat gives every block|"
    r"do not go together|is for jobs that hold a GPU|names the file that the command writes|from and to are both|log: true needs|makes \d+ blocks|as: params is for|"
    r"outputs: '.*' (gives|has a brace)|more than 64 bits|must be at most \d+ bytes|must be seconds above 0.*'[0. ]+\w*'|"
    r"(compute_capability|python): must be (one line|.*, not '[-+.e\d]+')|"  # a number, which is read as it was typed
    r"\{stem\} is a field of outputs|must be a file beside the job file|must be a pattern such as|blocks(\.split)?\.size: must be|size: must be above 0"
)


def test_it_is_a_schema_and_says_something_of_every_field() -> None:
    Draft202012Validator.check_schema(job_schema())

    def walk(shape: Any, where: str) -> None:
        if not isinstance(shape, dict):
            return
        for name, field in shape.get("properties", {}).items():
            assert field.get("description"), f"{where}.{name} has no description"
            walk(field, f"{where}.{name}")
        for part in (*shape.get("anyOf", ()), shape.get("additionalProperties")):
            walk(part, where)
        if shape.get("type") == "object" and "properties" in shape:
            assert shape["additionalProperties"] is False, where

    walk(job_schema(), "")


@pytest.mark.parametrize("table", [FIELDS, NEEDS, VERIFY, LIMITS, RANGE_FIELDS, SPLIT_FIELDS])
def test_its_examples_are_right(table: dict[str, Field]) -> None:
    for name, field in table.items():
        for example in field.like:
            Draft202012Validator(dict(field.kind.schema)).validate(example)
            if name not in ("blocks", "reduce", "size"):
                field.kind.read(spot_of(example))


def spot_of(value: Any) -> Spot:
    if isinstance(value, list):
        return Spot("", 0, "", [spot_of(item) for item in value])
    if isinstance(value, dict):
        return Spot("", 0, "", {name: spot_of(item) for name, item in value.items()})
    return Spot("", 0, "", value, json.dumps(value) if isinstance(value, bool) else str(value))


@pytest.mark.parametrize(("table", "model"), [(NEEDS, Needs()), (VERIFY, Verify()), (LIMITS, Limits())])
def test_what_it_says_of_silence_is_so(table: dict[str, Field], model: Any) -> None:
    """ "…; 64 MiB unless said": read as a value of the field, that is the model's default."""
    for field in table.values():
        said = re.search(r"; ([^;]+) unless said", field.doc)
        if said:
            word: Any = YAML(typ="safe").load(said[1])
            assert field.kind.read(spot_of(word)) == getattr(model, field.to), field.doc


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_job_file_here_passes(path: Path) -> None:
    SCHEMA.validate(YAML(typ="safe", pure=True).load(path.read_text()))


RIGHT = [
    'command: [ffmpeg, -i, "{input}", -vf, "scale=640:-2", "{output}"]\nblocks: {files: "clips/*.mp4"}\noutputs: "small/{stem}.mp4"\n'
    "verify: {replicas: 1}\nneeds: {programs: [ffmpeg]}\n",
    "python: sim.py:run\nfiles: [model/, contacts.csv]\nblocks: {grid: {beta: {from: 0.1, to: 0.5, steps: 200}, n: [100, 1000]}, repeat: 50}\n"
    "reduce: table\nlimits: {seconds: 60}\n",
    "python: a.py:f\nblocks: 20\nneeds: {python: 3.10, compute_capability: 8.0, gpu: 1, memory: 2 GB}\nlimits: {job_seconds: 2 h}\n",
    "python: a.py:f\nblocks: {file: t.csv, split: csv, size: 7, as: file, repeat: 2}\nreduce: {python: a.py:g}\nfiles: model\n",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_ones(text: str) -> None:
    parse_jobfile(text)
    SCHEMA.validate(YAML(typ="safe", pure=True).load(text))


START = {"python": "a.py:f", "blocks": 3}
WRONG: list[Any] = [
    None, [], {}, {"python": "a.py:f"}, {"blocks": 3}, {**START, "command": ["a"]}, {**START, "replicas": 1}, {**START, "reduse": "sum"},
    {**START, "verify": {"replicas": "two"}}, {**START, "verify": {"replcas": 2}}, {**START, "verify": {"equal": {}}}, {**START, "verify": {"equal": "script"}}, {**START, "verify": {"audit": "101 %"}},
    {**START, "verify": {"audit": 2}}, {**START, "verify": {"homogeneous": 1}}, {**START, "verify": {"check": "judge"}}, {**START, "verify": {"equal": {"script": "a.py:f", "top": 1}}}, {**START, "needs": {"memory": "2 XB"}},
    {**START, "needs": None}, {**START, "reduce": "summ"}, {**START, "reduce": {"python": "merge"}}, {**START, "coalesce": False},
    {**START, "params": {"seed": 1}}, {"python": "a.py", "blocks": 1}, {"command": "wc -w", "blocks": 1}, {"command": ["wc", {"input": None}], "blocks": 1},
    {"python": "a.py:f", "blocks": {"count": 1, "items": [1]}}, {"python": "a.py:f", "blocks": {"grid": {}}}, {"python": "a.py:f", "blocks": {"grid": {"a": []}}},
    {"python": "a.py:f", "blocks": {"grid": {"a": {"from": 1, "to": 2}}}}, {"python": "a.py:f", "blocks": {"grid": {"a": {"from": 1, "to": 2, "steps": 1}}}},
    {"python": "a.py:f", "blocks": {"grid": {"index": [1]}}}, {"python": "a.py:f", "blocks": {"count": 3, "repeat": 0}}, {"python": "a.py:f", "blocks": {"repeat": 3}},
    {"python": "a.py:f", "blocks": {"split": {"by": "lines"}}}, {"python": "a.py:f", "blocks": {"file": "a"}},
    {"command": ["a", "{output}"], "blocks": 1, "outputs": "/abs"}, {"command": ["a", "{output}"], "blocks": 1, "outputs": ["a"]},
]  # fmt: skip


@pytest.mark.parametrize("document", WRONG, ids=str)
def test_wrong_ones(document: Any) -> None:
    assert not SCHEMA.is_valid(document)
    with pytest.raises(JobFileError):
        parse_jobfile(json.dumps(document))


WORD = st.text(alphabet="ab1. -/:{}*%", max_size=8)
NUMBER = st.one_of(st.integers(-3, 70), st.sampled_from([10**6, 2**64, 10**16]), st.floats(-2, 5, allow_nan=False), st.sampled_from([1e300, 2.0]))
ANY = st.recursive(st.one_of(st.none(), st.booleans(), NUMBER, WORD), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=2), max_leaves=4)
TYPED = st.sampled_from(["2 GB", "512 MiB", "1.5 kb", "2G", "9 XB", "99999 TB", "5 min", "2 H", "0 s", "3 d", "sum", "best-by x", "best-by", "python a.py:f", "a.py:f",
                         "x/../a.py:f", "scikit-learn", "numpy >= 1.26, < 3", "a b", "3.11", ">=3.11,<4", "8.0", "jail", "Jail", "auto", "off", "keep", "exact", "lines",
                         "bytes", "csv", "params", "file", "data/*.txt", "../x", "small/{stem}.mp4", "{index:04}", "friends", "equal", "5 %", "100.0%", "100.5 %", "stat", "topk", "economy", "x" * 201])  # fmt: skip


def values(table: dict[str, Field]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps of a table's fields to what is right for one of them, or for none."""
    each = {name: st.one_of(st.sampled_from(field.like), ANY, TYPED, NUMBER) if field.like else st.one_of(ANY, TYPED, NUMBER) for name, field in table.items()}
    return st.lists(st.sampled_from(list(each)), max_size=2, unique=True).flatmap(lambda names: st.fixed_dictionaries({name: each[name] for name in names}))


RANGE = values(RANGE_FIELDS) | st.fixed_dictionaries({"from": NUMBER, "to": NUMBER, "steps": st.integers(1, 6)}, optional={"log": st.booleans()})
AXES = st.dictionaries(st.sampled_from(["a", "b", "seed"]), RANGE | ANY, max_size=2)
SPLIT = values(SPLIT_FIELDS) | st.fixed_dictionaries({"file": TYPED, "by": TYPED}, optional={"size": NUMBER | TYPED, "as": TYPED})
SOURCES = st.one_of(
    ANY,
    *(st.fixed_dictionaries({name: inner}, optional={"repeat": NUMBER}) for name, inner in
      {"count": NUMBER, "items": st.lists(ANY, max_size=3), "grid": AXES, "files": TYPED | st.lists(TYPED, max_size=2), "split": SPLIT}.items()),
    st.fixed_dictionaries({"file": TYPED, "split": TYPED}, optional={"size": NUMBER | TYPED, "as": TYPED, "repeat": NUMBER}),
)  # fmt: skip
COMMANDS = st.lists(st.one_of(WORD, st.just("{output}"), NUMBER, st.booleans(), st.none()), max_size=3)
DOCUMENTS = st.builds(
    lambda program, blocks, more: {**program, "blocks": blocks, **more},
    st.one_of(st.just({"python": "a.py:f"}), TYPED.map(lambda word: {"python": word}), COMMANDS.map(lambda words: {"command": words})),
    st.just(3) | SOURCES,
    st.one_of(
        st.just({}), values({name: field for name, field in FIELDS.items() if name != "blocks"}),
        values(NEEDS).map(lambda needs: {"needs": needs}), values(VERIFY).map(lambda verify: {"verify": verify}), values(LIMITS).map(lambda limits: {"limits": limits}),
    ),
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS)
def test_schema_and_parser_agree(document: dict[str, Any]) -> None:
    valid = SCHEMA.is_valid(document)
    try:
        parse_jobfile(json.dumps(document))
    except JobFileError as error:
        assert not valid or PARSER_ONLY.search(error.message), f"only the parser minds: {error.message}"
    else:
        assert valid, "only the schema minds: " + "; ".join(e.message for e in SCHEMA.iter_errors(document))


def test_the_page_on_job_files_names_every_field() -> None:
    page = (ROOT / "docs" / "jobfile.md").read_text()
    missing = [name for table in (FIELDS, NEEDS, VERIFY, LIMITS) for name in table if f"`{name}`" not in page and name != "blocks"]
    assert not missing and "`blocks`" in page
    for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        parse_jobfile(text)
