"""From a function and its items to a job file in a folder of its own, and to the node.

All that can be known to be wrong is said here, before the node hears of it: what cannot be pickled, a Python that no
machine has, items that do not fit the function.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ctorrent.errors import JobFileError, LocalError, Unavailable
from ctorrent.library import imports
from ctorrent.library.function import Packed
from ctorrent.library.items import calls
from ctorrent.model.call_record import call_record

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]
ITEMS_MAX = 1_000_000  # blocks of a job
# What a process takes until its first call, nobody having tried: units are made long enough that it costs a fifth at most.
START_S = 0.1  # to open a function and import what of the standard library it uses: 30 to 100 ms, on a machine in use
PACKAGES_START_S = 1.0  # to import numpy 0.1, pandas 0.6, scikit-learn 1.4
HEAVY_START_S = 2.5  # with one of these, on a machine in use; 1.4 for scikit-learn on an idle one. Units get the longest that they may be
_HEAVY = frozenset({"scikit-learn", "torch", "tensorflow", "jax", "xgboost", "lightgbm", "statsmodels"})
RECORDS, FOLDER = "calls.records", "ctorrent-map-"
_VERIFY = frozenset({"replicas", "replicas_max", "equal", "rtol", "atol", "nan", "top", "alpha", "homogeneous", "assurance", "audit"})
_TOP = frozenset({"ring", "price", "price_gpu", "seed", "name", "needs", "limits", "verify", "coalesce", "memo", "reduce"})
OPTIONS = _VERIFY | _TOP | {"work"}
_NAMED = frozenset({"shared", "star", "on_error", "as_completed", "progress", "packages", "pickled"})  # net.map's own, for who misspells one
_INSIDE = {**dict.fromkeys(("cpu", "memory", "gpu", "gpu_memory", "programs", "image", "python"), "needs"), **dict.fromkeys(("seconds", "output", "scratch"), "limits")}
_IN_THE_FILE = re.compile(r"^job\.yaml:\d+: (verify\.)?")  # what an error says of a field before its name


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that the node has."""

    job: str
    count: int
    notes: tuple[str, ...] = ()  # what its person should know, such as that nobody else is there to agree


def send(
    net: Net, packed: Packed, items: Iterable[Any], options: Mapping[str, Any], star: bool | None = None, stop: bool = True, find: bool = True
) -> Sent:
    """Submit one call of a function for each item. -> the job, or a Sent without one where there are no items.

    options: fields of a job file, and those of `verify` beside them. stop: the first call that fails ends the job.
    find: packages that the items' own types are of are asked for as well.
    Raises LocalError, Unavailable (no machine has this Python), or what the node finds wrong.
    """
    _known(options)
    modules: set[str] = set()

    def job() -> tuple[str, Plain, tuple[str, ...]]:
        return _job(net, packed, options, stop, imports.packages_of(modules) if find else ())

    return _sent(net, packed, _records(packed, items, star, modules), job)


def begin(net: Net, packed: Packed, records: Iterable[bytes], options: Mapping[str, Any]) -> Sent:
    """Submit a job that stays open for more calls, with its first ones (call_record). Raises as send() does."""
    _known(options)
    text, node_options, notes = _job(net, packed, options, False)
    return _sent(net, packed, records, lambda: (text, {**node_options, "open": True}, notes))


def _sent(net: Net, packed: Packed, records: Iterable[bytes], job: Callable[[], tuple[str, Plain, tuple[str, ...]]]) -> Sent:
    """job: what _job answers, asked for once the records are written."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=FOLDER))  # a TemporaryDirectory goes when the program ends, calls or not
    try:
        count = _write_records(folder / RECORDS, records)
        if not count:
            return Sent("", 0)
        check_python(net, packed.python)
        text, node_options, notes = job()
        for path, content in packed.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return Sent(net.submit(folder / "job.yaml", text, node_options), count, notes)
    except JobFileError as error:  # of a file that nobody wrote: what was given are options
        raise LocalError(_IN_THE_FILE.sub("", error.message), error.hint) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_records(path: pathlib.Path, records: Iterable[bytes]) -> int:
    count = 0
    with path.open("wb") as file:
        for count, record in enumerate(records, 1):
            if count > ITEMS_MAX:
                raise LocalError(f"There are more than {ITEMS_MAX:,} items.", "Let each call do more: give it a list of them.")
            file.write(record)
    return count


def _records(packed: Packed, items: Iterable[Any], star: bool | None, modules: set[str]) -> Iterator[bytes]:
    done = 0
    try:
        for args, kwargs in calls(packed, items, star):
            yield call_record(*packed.arguments(args, kwargs, modules))
            done += 1
    except LocalError as error:
        where = f"Item {done}: " if isinstance(items, Iterable) else ""
        raise LocalError(f"{where}{error.message}", error.hint) from None


# The job file --------------------------------------------------------------------------------------------------------


def _job(net: Net, packed: Packed, options: Mapping[str, Any], stop: bool, more: Sequence[str] = ()) -> tuple[str, Plain, tuple[str, ...]]:
    """-> its text (JSON is YAML), what the node is told beside it, and notes."""
    given = {name: value for name, value in options.items() if value is not None}
    verify = {**_as_dict(given, "verify"), **{name: given[name] for name in given if name in _VERIFY}}
    notes: tuple[str, ...] = ()
    if packed.pickles:
        given["memo"] = False  # what is remembered may have been run by somebody else
        verify["replicas"] = _own_alone(given, verify)
    if "replicas" not in verify and "assurance" not in verify and given.get("ring", "friends") == "friends" and alone(net):
        verify["replicas"] = 1
        notes = ("Nobody else is known here: each call runs once, on this machine, and nobody checks it.",)
    needs = {"python": packed.python, **_as_dict(given, "needs")}
    if packages := sorted({*packed.packages, *more, *_listed(needs.pop("packages", ()))}):
        needs["packages"] = packages
    job = {
        "python": packed.entry,
        "files": sorted(packed.files),
        "blocks": {"records": RECORDS},
        "name": packed.name,
        "on_error": "stop" if stop else "keep",
        **{name: value for name, value in given.items() if name in _TOP},
        "needs": needs,
        **({"verify": verify} if verify else {}),
    }
    start_s = HEAVY_START_S if _HEAVY.intersection(packages) else PACKAGES_START_S if packages else START_S
    node_options = {"expected": {"start_s": start_s}, **({"work": given["work"]} if "work" in given else {}), **({"own_only": True} if packed.pickles else {})}
    return json.dumps(job), node_options, notes


def _own_alone(given: Mapping[str, Any], verify: Mapping[str, Any]) -> int:
    """Replicas of a job for one's own machines alone. Raises LocalError where others are asked for as well."""
    if given.get("ring", "friends") != "friends":
        raise LocalError(f"pickled='own' is for your own machines alone, and ring is {given['ring']!r:.40}.", "Leave one of the two out.")
    if verify.get("replicas", 1) != 1 or "assurance" in verify:
        raise LocalError("pickled='own' is for your own machines alone: there is no second owner to agree with.", "Leave replicas and assurance out.")
    return 1


def _as_dict(given: Mapping[str, Any], name: str) -> Plain:
    value = given.get(name, {})
    if not isinstance(value, Mapping):
        raise LocalError(f"{name} is {value!r:.80}, and must be a dict.", f"Such as {name}={{'memory': '2 GB'}}." if name == "needs" else "docs/jobfile.md lists its fields.")
    return dict(value)


def _listed(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else list(value)


def _known(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in OPTIONS:
            close = get_close_matches(name, sorted(OPTIONS | _NAMED), 1)
            near = f"{_INSIDE[name]}={{{name!r}: …}}" if name in _INSIDE else close[0] if close else ""
            raise LocalError(f"There is no option {name}.", f"Did you mean {near}?" if near else f"There are {', '.join(sorted(OPTIONS))}.")


def alone(net: Net) -> bool:
    """Does this node know no friend, and no connected peer of another owner?"""
    own = net.status()["owner"]
    return not any(friend["state"] == "friend" for friend in net.friends()) and not any(
        peer["connected"] and peer["owner"] and peer["owner"] != own for peer in net.peers()
    )


def check_python(net: Net, wanted: str) -> None:
    """Raises Unavailable where no machine that is known has this minor version of Python, and all of them say which they have."""
    here = {_minor(each["python"]) for each in net.environments()}
    if wanted in here:
        return
    there: set[str] = set()
    for peer in net.peers():
        pythons = (peer.get("offer") or {}).get("pythons")
        if peer["connected"] and not pythons:
            return  # an older version, which does not say
        if peer["connected"] and pythons:
            there |= {_minor(each) for each in pythons}
    if wanted not in there:
        have = ", ".join(sorted(here | there)) or "none at all"
        raise Unavailable(
            f"No machine here runs functions of Python {wanted}: code is of one minor version, and there is {have}.",
            f"Run this program with Python {next(iter(sorted(here | there, reverse=True)), wanted)}, or have a friend start a node under {wanted}.",
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
