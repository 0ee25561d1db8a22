"""What a job file may say of its verification: how many must agree, what agreeing means, who looks again."""

from __future__ import annotations

import re
from typing import Any

from ctorrent.model.job import Assurance, Equality, Verify
from ctorrent.plan.entry import FUNCTION, read_entry
from ctorrent.plan.kinds import Field, Kind, choice, entries_of, number, section, whole
from ctorrent.plan.tree import Spot

EQUAL = {
    "auto": Equality.AUTO,
    "exact": Equality.EXACT,
    "numeric": Equality.NUMERIC,
    "relative-norm": Equality.RELATIVE_NORM,
    "topk": Equality.TOPK,
    "stat": Equality.STATISTICAL,
}
ALPHA = 0.01  # where stat is asked for and no alpha: one honest pair in a hundred costs a third replica
_SHARE = r"[0-9]{1,3}(?:\.[0-9]{1,6})?\s*%"
_SCRIPT_HINT = "A function of your own: {script: same.py:same}."


def _equal(spot: Spot) -> Equality | str:
    """A word, or the function of {script: …}."""
    if isinstance(spot.value, dict):
        inner = entries_of(spot, ("script",))
        if "script" not in inner:
            raise spot.wrong("must name the function that compares", _SCRIPT_HINT)
        return read_entry(inner["script"])
    if spot.raw.strip() == "script":
        raise spot.wrong("must name the function that compares", _SCRIPT_HINT)
    equal: Equality = choice(EQUAL).read(spot)
    return equal


def _share(spot: Spot) -> float:
    """Of 1: 0.05, or "5 %"."""
    if isinstance(spot.value, str) and re.fullmatch(_SHARE, spot.raw.strip()):
        share = float(spot.raw.strip().rstrip("%")) / 100
        if share <= 1.0:
            return share
    elif isinstance(spot.value, int | float) and not isinstance(spot.value, bool) and 0 <= spot.value <= 1:
        return float(spot.value)
    raise spot.wrong(f"must be a share such as 5 % or 0.05, not {spot.shown()}")


def _truth(spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise spot.wrong(f"must be true or false, not {spot.shown()}")
    return spot.value


_EQUAL_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": list(EQUAL)},
        {
            "type": "object",
            "properties": {"script": {**FUNCTION.schema, "description": "a function of two outputs, run in a sandbox: true where they are the same"}},
            "required": ["script"], "additionalProperties": False,
        },
    ]
}  # fmt: skip
_SHARE_SCHEMA = {"type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": r"^\s*(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?|0[0-9]{2}(\.[0-9]{1,6})?)\s*%\s*$"}
VERIFY = {
    "replicas": Field("replicas", whole(1, 64), "how many owners must agree on each block; 2 unless said", (1, 2, 3)),
    "replicas_max": Field("replicas_max", whole(1, 64), "with no majority by then a block is reported disputed; 5 unless said", (5,)),
    "equal": Field(
        "equal", Kind(_equal, _EQUAL_SCHEMA),
        "what agreeing means; auto: floats within rtol and atol, fitted where hardware differs, everything else exactly",
        ("exact", "topk", {"script": "same.py:same"}),
    ),
    "check": Field("check", FUNCTION, "a function that judges one output by itself, run in the requester's own sandbox: true where it is right", ("judge.py:right",)),
    "rtol": Field("rtol", number(0, 1), "relative tolerance of floats; 1e-6 unless said", (1e-6,)),
    "atol": Field("atol", number(), "absolute tolerance of floats; 1e-9 unless said", (1e-9,)),
    "top": Field("top", whole(1, 1_000_000), "of equal: topk: how many of the largest entries must be the same", (5,)),
    "alpha": Field("alpha", number(1e-9, 0.5), f"of equal: stat: how often two honest outputs may be told apart, such as {ALPHA}", (ALPHA,)),
    "nan": Field("nan_equal", choice({"equal": True, "different": False}), "whether NaN agrees with NaN; equal unless said"),
    "homogeneous": Field("homogeneous", Kind(_truth, {"type": "boolean"}), "whether all replicas of a block run on hardware of one class; false unless said", (True,)),
    "assurance": Field(
        "assurance", choice({a.name.lower(): a for a in Assurance}),
        "strict: every block is replicated; economy: owners known for their work run alone, and are audited; strict unless said",
    ),
    "audit": Field("audit_share", Kind(_share, _SHARE_SCHEMA), "share of the agreed blocks, at least, that one more owner runs, such as 5 %", (0.05, "5 %")),
}  # fmt: skip


def read_verify(spot: Spot) -> Verify:
    """The section, with what needs more than one field of it checked."""
    read = section(VERIFY).read(spot)
    equal = read.get("equal", Equality.AUTO)
    if isinstance(equal, str):
        read |= {"equal": Equality.SCRIPT, "script": equal}
    entries = entries_of(spot, VERIFY)
    if equal is Equality.TOPK and "top" not in read:
        raise entries["equal"].wrong("needs to know how many of the largest", "Such as verify: {equal: topk, top: 5}.")
    if "top" in read and equal is not Equality.TOPK:
        raise entries["top"].wrong("is of equal: topk, which is not asked for", "Write verify: {equal: topk, top: 5}.")
    if "alpha" in read and equal is not Equality.STATISTICAL:
        raise entries["alpha"].wrong("is of equal: stat, which is not asked for", "Write verify: {equal: stat, alpha: 0.01}.")
    if equal is Equality.STATISTICAL:
        read.setdefault("alpha", ALPHA)
    if read.get("rtol", 0.0) >= 1.0:
        raise entries["rtol"].wrong("must be below 1: with 1, zero is equal to every number")
    if read.get("assurance") is Assurance.ECONOMY and read.get("replicas") == 1:
        raise entries["replicas"].wrong(
            "1 and assurance: economy do not go together: economy has newcomers' blocks run twice, and with one replica nobody would look at them again",
            "Leave replicas out, or leave assurance out: then each block runs once, and nothing is compared.",
        )
    if "replicas_max" in read and read["replicas_max"] < read.get("replicas", Verify().replicas):
        raise entries["replicas_max"].wrong("must not be below replicas")
    if "replicas_max" not in read and read.get("replicas", 1) > Verify().replicas_max:
        read["replicas_max"] = 2 * read["replicas"] + 1
    return Verify(**read)


def verify_spots(spot: Spot) -> dict[str, Spot]:
    """Where its functions are named, for errors that only their files can tell: "check" and "script"."""
    entries = entries_of(spot, VERIFY)
    found = {"check": entries["check"]} if "check" in entries else {}
    if "equal" in entries and isinstance(entries["equal"].value, dict):
        found["script"] = entries["equal"].value["script"]
    return found
