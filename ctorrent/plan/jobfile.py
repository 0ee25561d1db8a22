"""The job file: one table of fields, and the checks that need more than one of them.

    python: search.py:score            # def score(C, gamma, seed) -> {"accuracy": 0.97}
    blocks: {grid: {C: [0.1, 1, 10, 100], gamma: [1e-4, 1e-3, 1e-2]}}
    reduce: best-by accuracy
    needs: {packages: [scikit-learn]}

Every error is a JobFileError that begins with "job.yaml:7: blocks.grid: " and says what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from ctorrent.errors import JobFileError
from ctorrent.model.job import Environment, Limits, Needs, ProgramKind, Verify
from ctorrent.plan.block_fields import REPEAT, read_blocks
from ctorrent.plan.fields import ENTRY, FIELDS, HOMES, RINGS, read_reduce
from ctorrent.plan.kinds import entries_of
from ctorrent.plan.source import Grid, Items, Source
from ctorrent.plan.tree import Spot, parse
from ctorrent.plan.verify_fields import verify_spots

LEAST = '{python: "file.py:function", blocks: {count: 10}}'
_PACKAGES_CHARS_MAX = 1000  # they ride in an announcement of 2 KiB
OPTIONS = ("replicas", "ring", "name", "seed", "price", "memo", "work", "open", "expected", "rehearsal", "nodes", "own_only")
_ENVIRONMENT = ("python", "arch", "packages", "programs", "image")


@dataclass(frozen=True, slots=True)
class JobFile:
    """A checked job file. None: the file does not say, and the node decides."""

    file: str  # its name, for errors
    kind: ProgramKind
    source: Source  # where blocks come from
    entry: str = ""
    argv: tuple[str, ...] = ()
    reduce: str = "table"
    params: Mapping[str, Any] = field(default_factory=dict)  # given to every block
    environment: Environment = field(default_factory=Environment)
    needs: Needs = field(default_factory=Needs)
    verify: Verify = field(default_factory=Verify)
    limits: Limits = field(default_factory=Limits)
    ring: str | None = None  # "friends", "swarm", "public"
    seed: int | None = None
    name: str = ""
    keep_errors: bool = True
    coalesce: bool = True
    memo: bool = True
    price_max: float = 0.0
    price_gpu: float | None = None  # credits per reference GPU-hour; then price_max counts for nothing
    files: tuple[str, ...] = ()  # beside the job file, for every block to read
    repeat: int = 0  # how often each part is run, told apart by the param `repeat`; 0: once, and without it
    outputs: str = ""  # template of what a block's file is called (model/output_name.py)
    spots: Mapping[str, Spot] = field(default_factory=dict)  # top-level fields, and functions, for errors found later

    def wrong(self, name: str, what: str, hint: str = "") -> JobFileError:
        """An error at a top-level field, for what only the files beside the job file can tell."""
        spot = self.spots.get(name)
        return spot.wrong(what, hint) if spot else JobFileError(f"{self.file}:1: {name}: {what}", hint)


def parse_jobfile(text: str, file: str = "job.yaml") -> JobFile:
    """Read and check a job file's text. `file`: its name, for errors. Raises JobFileError."""
    root = parse(text, file)
    if root.value is None:
        raise root.wrong("is empty", f"The least is: {LEAST}")
    if not isinstance(root.value, dict):
        raise root.wrong(f"must be a map of python, command, blocks and others, not {root.shown()}", f"The least is: {LEAST}")
    spots = entries_of(root, FIELDS, HOMES)
    kind = _program_kind(root, spots)
    read = {FIELDS[n].to: FIELDS[n].kind.read(s) for n, s in spots.items() if n not in ("blocks", "reduce")}
    if "blocks" not in spots:
        raise root.wrong("needs the field blocks", "Such as {count: 10}, {items: [a, b]}, {grid: {x: [1, 2]}} or {files: data/*.txt}.")
    wanted = read.pop("needs", {})
    environment = Environment(**{name: wanted.pop(name) for name in _ENVIRONMENT if name in wanted})
    source, repeat = read_blocks(spots["blocks"], python=kind is ProgramKind.PYTHON)
    job = JobFile(
        file=file,
        kind=kind,
        source=source,
        repeat=repeat,
        reduce=read_reduce(spots["reduce"]) if "reduce" in spots else "table",
        environment=environment,
        needs=Needs(**wanted),
        verify=read.pop("verify", Verify()),
        limits=Limits(**read.pop("limits", {})),
        spots=spots | (verify_spots(spots["verify"]) if "verify" in spots else {}),
        **read,
    )
    return _checked(job)


def _program_kind(root: Spot, spots: Mapping[str, Spot]) -> ProgramKind:
    there = [name for name in ("python", "command") if name in spots]
    if len(there) == 2:
        raise spots["command"].wrong("a job has either python or command, not both")
    if not there:
        raise root.wrong("needs the field python or command", f"Such as python: {ENTRY}.")
    return ProgramKind.PYTHON if there == ["python"] else ProgramKind.COMMAND


def _checked(job: JobFile) -> JobFile:
    """Rules that need more than one field."""
    if sum(map(len, (*job.environment.packages, *job.environment.programs))) > _PACKAGES_CHARS_MAX:
        raise job.wrong("needs", "names more packages and programs than an announcement can carry", "Use an image.")
    if job.needs.gpu == 0 and (job.needs.gpu_memory_bytes or job.needs.compute_capability):
        raise job.wrong("needs", "gpu_memory and compute_capability ask for a device: add gpu: 1")
    if job.price_gpu is not None and job.needs.gpu == 0:
        raise job.wrong("price_gpu", "is for jobs that hold a GPU", "Write price, or add needs: {gpu: 1}.")
    if job.repeat and REPEAT in _names_given(job):
        raise job.wrong("blocks", "repeat gives every block a param of that name, and there is one already", "Take another name for that one.")
    if job.outputs and job.argv and not any("{output}" in word for word in job.argv):
        raise job.wrong("outputs", 'names the file that the command writes to "{output}", which it does not', 'Such as command: [convert, "{input}", "{output}"].')
    if any("{stem}" in word for word in job.argv) and "stem" not in _names_given(job):
        raise job.wrong("command", "{stem} is a field of outputs", 'Write "{output}" here, and beside it outputs: "{stem}.mp4".')
    return job


def _names_given(job: JobFile) -> set[str]:
    """Names of params that some block has."""
    axes = set(job.source.axes) if isinstance(job.source, Grid) else set()
    items = job.source.items if isinstance(job.source, Items) else ()
    return {*job.params, *axes, *(name for item in items if isinstance(item, dict) for name in item)}


def override(job: JobFile, options: Mapping[str, Any]) -> JobFile:
    """A job with what its submission says instead: replicas, ring, name, seed, price, memo.

    Raises JobFileError that names the option; for a name that is none too, which else would change nothing in silence.
    """
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, 1)
            raise JobFileError(f"there is no option {name!r:.60}", f"Did you mean {near[0]}?" if near else f"There are {', '.join(OPTIONS)}; fields go into the job file.")
    changed = job
    for name in ("ring", "name", "seed", "price", "memo"):
        if options.get(name) is not None:
            spot = Spot("", 0, f"--{name}", options[name], str(options[name]))
            changed = replace(changed, **{FIELDS[name].to: FIELDS[name].kind.read(spot)})
    if options.get("price") is not None:
        changed = replace(changed, price_gpu=None)
    replicas = options.get("replicas")
    if replicas is not None:
        spot = Spot("", 0, "--replicas", replicas, str(replicas))
        count = FIELDS["verify"].kind.read(Spot("", 0, "", {"replicas": spot})).replicas
        most = max(changed.verify.replicas_max, 2 * count + 1 if count > 2 else count)
        changed = replace(changed, verify=replace(changed.verify, replicas=count, replicas_max=most))
    return changed


__all__ = ["RINGS", "JobFile", "override", "parse_jobfile"]
