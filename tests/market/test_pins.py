"""What a lock means for one machine, and which environment a pinned job takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.tags import Tag

from ctorrent.market.fit import best_environment, in_words, package_name
from ctorrent.market.pins import Choice, choose, title, unmet
from ctorrent.model.ids import Digest
from ctorrent.model.job import Environment
from ctorrent.model.lock import Lock, Pinned, Wheel
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.trade import No, NoReason

HASH = b"h" * 32
FAST = tuple(Wheel(f"fast-2.0-cp311-cp311-manylinux_2_17_{machine}.whl", HASH, size) for machine, size in (("aarch64", 5), ("x86_64", 7)))
SUMS = Wheel("sums-1.5-py3-none-any.whl", HASH, 100)
LOCK = Lock((Pinned("fast", "2.0", FAST), Pinned("sums", "1.5", (SUMS,))))
ANYWHERE = Tag("py3", "none", "any")
HERE = frozenset({ANYWHERE, Tag("cp311", "cp311", "manylinux_2_17_x86_64")})


def test_one_wheel_of_each_package_and_what_it_takes() -> None:
    assert choose(LOCK, HERE) == Choice((FAST[1], SUMS))
    assert Choice((FAST[1], SUMS)).download_bytes == 107
    assert Choice((SUMS,)).disk_bytes == 250


def test_a_machine_that_nobody_built_a_wheel_for() -> None:
    assert choose(LOCK, {ANYWHERE}) == "the lock has no wheel of fast 2.0 for this Python and machine"


def test_what_the_lock_does_not_hold() -> None:
    assert unmet(("Sums>=1", "fast==2.*"), LOCK) == []
    assert unmet(("sums>=2", "torch", "sums @ https://e.x/x.whl"), LOCK) == ["sums>=2", "torch", "sums @ https://e.x/x.whl"]


def test_how_it_is_said() -> None:
    assert title(("Sums",), LOCK) == "sums 1.5 and 1 more"
    assert title(("sums", "fast>=1"), LOCK) == "sums 1.5, fast 2.0"
    said = ["scikit-learn==1.7", "scikit-learn==1.7.*", "scikit-learn>=1.7", "scikit-learn", "a==1,!=2", "not one!"]
    assert list(map(in_words, said)) == ["scikit-learn 1.7", "scikit-learn 1.7", "scikit-learn>=1.7", "scikit-learn", "a==1,!=2", "not one!"]
    assert [package_name("Scikit_Learn[x]>1"), package_name("no!")] == ["scikit-learn", ""]


def test_the_environment_of_the_jobs_own_lock_goes_first() -> None:
    plain = EnvironmentInfo("mine", Digest(b"1" * 32), "3.11.7", "x86_64", (("sums", "1.6"),))
    locked = replace(plain, name="lock-1", packages=(("more", "1"), ("sums", "1.5")), lock=HASH)
    wanted = Environment(packages=("sums",))
    assert best_environment(wanted, (plain, locked), HASH) == (locked, [])
    assert best_environment(wanted, (plain, locked), b"x" * 32) == (plain, [])  # another lock: what fits is used, nothing installed


@pytest.mark.parametrize("lock", [b"", b"x" * 32])
def test_what_was_made_from_anothers_lock_runs_nobody_elses_job(lock: bytes) -> None:
    """Its maker chose the code: a job that pins something else, or nothing, must not import that."""
    base = EnvironmentInfo("base", Digest(b"1" * 32), "3.11.7", "x86_64", ())
    locked = replace(base, name="lock-1", packages=(("sums", "1.5"),), python="3.14.0", lock=HASH)
    chosen, lacks = best_environment(Environment(packages=("sums",)), (base, locked), lock)
    assert chosen is None and [no.reason for no in lacks] == [NoReason.PACKAGES]
    assert best_environment(Environment(), (base, locked), lock) == (base, [])
    assert best_environment(Environment(packages=("sums",)), (base, locked), HASH) == (locked, [])


def test_a_program_that_is_there_and_not_offered() -> None:
    info = EnvironmentInfo("base", Digest(b"1" * 32), "3.11.7", "x86_64", (), ("sh",), withheld=frozenset({"ffmpeg", "blender"}))
    _, lacks = best_environment(Environment(programs=("ffmpeg", "sh", "xyz")), (info,))
    told = "ffmpeg, but its owner does not offer it: ctorrent node --allow-program ffmpeg"
    assert lacks == [No(NoReason.PROGRAMS, "xyz"), No(NoReason.WITHHELD, told)]
