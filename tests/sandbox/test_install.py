"""Locks from an index, environments from locks; and wheels whose makers mean harm."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent.errors import LocalError
from ctorrent.model.lock import Lock, Pinned, Wheel
from ctorrent.sandbox import Environments, SandboxRules
from ctorrent.sandbox import pip as piping
from ctorrent.sandbox import resolve as resolving
from ctorrent.sandbox.install import PipPackages
from ctorrent.sandbox.pip import last_words, pip, words_for_others
from tests.sandbox.cells import block, sandbox_of, spec_of
from tests.sandbox.wheels import ANY, only_here, wheel

pytestmark = pytest.mark.real

DIGEST = hashlib.sha256(b"a lock").digest()
NAME = f"lock-{DIGEST.hex()[:16]}"
PLENTY = 100_000_000


class Place:
    """A data folder, and a folder of wheels that is all its pip knows."""

    def __init__(self, folder: Path) -> None:
        self.data, self.wheels = folder / "data", folder / "wheels"
        self.packages = PipPackages(self.data, SandboxRules(pip_s=60))
        self.grown: list[int] = []

    def resolve(self, *packages: str, prefer: dict[str, str] | None = None) -> Lock:
        return trio.run(self.packages.resolve, packages, prefer or {})

    def install(self, lock: Lock, limit: int = PLENTY) -> str:
        return trio.run(self.packages.install, lock, DIGEST, limit, self.grown.append)

    def site(self) -> Path:
        return self.data / "environments" / NAME / "site"

    def refused(self, lock: Lock, words: str, limit: int = PLENTY) -> None:
        """The install fails with these words, and nothing of it stays."""
        with pytest.raises(LocalError, match=words):
            self.install(lock, limit)
        assert [path.name for path in (self.data / "environments").iterdir()] == [".making"]
        assert self.packages.made() == ()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    only_here(made.wheels, monkeypatch)
    return made


def lock_of(*paths: Path) -> Lock:
    """What a requester who has these files would pin."""
    return Lock(tuple(Pinned(*path.name.split("-")[:2], (_named(path),)) for path in paths))


def _named(path: Path) -> Wheel:
    return Wheel(path.name, hashlib.sha256(path.read_bytes()).digest(), path.stat().st_size)


# -- resolving ----------------------------------------------------------------------------------------------------------


def test_what_was_asked_for_and_what_it_needs_are_pinned(place: Place) -> None:
    wheel(place.wheels, "parts", "1.1")
    parts = wheel(place.wheels, "parts", "1.2")
    sums = wheel(place.wheels, "sums", "1.5", requires=("parts>=1",))
    assert place.resolve("sums") == lock_of(parts, sums)
    older = place.resolve("sums", prefer={"parts": "1.1"})
    assert older.versions() == {"parts": "1.1", "sums": "1.5"}  # as in the environment that is here already
    assert place.resolve("sums", prefer={"parts": "7.0"}).versions()["parts"] == "1.2"  # which is not to be had


@pytest.mark.parametrize("index", [False, True])
def test_other_machines_wheels_are_pinned_at_the_same_version(index: bool, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the pages of an index; from a folder, where there are none, by asking pip for each kind."""
    own = f"cp{os.sys.version_info.major}{os.sys.version_info.minor}"  # type: ignore[attr-defined]
    tags = [f"{own}-{own}-manylinux_2_17_{os.uname().machine}", "cp312-cp312-manylinux_2_28_aarch64", "cp399-cp399-win_amd64"]
    here, there, _ = (wheel(place.wheels, "fast", "2.0", tag=tag) for tag in tags)
    wheel(place.wheels, "fast", "1.9", tag=tags[1])
    if index:
        page = place.wheels / "simple" / "fast" / "index.html"
        page.parent.mkdir(parents=True)
        files = [(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(place.wheels.glob("*.whl"))]
        page.write_text("<!DOCTYPE html><body>" + "".join(f'<a href="{url}#sha256={mark}">a file</a>' for url, mark in files))
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", page.parents[1].as_uri())
        monkeypatch.setattr(resolving, "OTHERS_S", 0.0)  # pip is not asked again
    (fast,) = place.resolve("fast").packages
    assert fast.version == "2.0" and {one.filename for one in fast.wheels} == {here.name, there.name}
    assert all(one.size_bytes > 0 for one in fast.wheels)


@pytest.mark.parametrize("asked", ["nothing-of-this-name", "sums==9", "sums"])
def test_no_wheel_no_lock(asked: str, place: Place) -> None:
    """The last is there as source only: building it would run its author's program."""
    ran = place.wheels / "ran"
    _source_only(place.wheels, "sums", f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(LocalError, match="No matching distribution found"):
        place.resolve(asked)
    assert not ran.exists()


def _source_only(folder: Path, name: str, program: str) -> Path:
    path = folder / f"{name}-1.5.tar.gz"
    text = f"{program}from setuptools import setup\nsetup(name={name!r}, version='1.5')\n".encode()
    with tarfile.open(path, "w:gz") as packed:
        about = tarfile.TarInfo(f"{name}-1.5/setup.py")
        about.size = len(text)
        packed.addfile(about, io.BytesIO(text))
    return path


# -- installing ---------------------------------------------------------------------------------------------------------


def test_an_environment_is_made_once_used_and_removed(place: Place) -> None:
    source = "def twice(x):\n    return 2 * x\n"
    lock = lock_of(wheel(place.wheels, "sums", "1.5", source))
    assert place.install(lock) == NAME
    for path in place.wheels.iterdir():
        path.unlink()
    assert place.install(lock) == NAME  # from the folder, not from the index
    (made,) = place.packages.made()
    assert (made.name, made.lock) == (NAME, DIGEST) and made.size_bytes > 0

    async def main() -> None:
        sandbox = await sandbox_of("jail", place.data)
        (info,) = (one for one in sandbox.environments() if one.lock == DIGEST)
        assert info.packages == (("sums", "1.5"),)
        cell = await sandbox.open(spec_of(sandbox, "import sums\ndef block(index):\n    return sums.twice(index)\n", environment=NAME))
        (outcome,) = await cell.run([block(4)])
        await cell.aclose()
        assert outcome.failure is None, outcome.failure

    trio.run(main)
    place.packages.remove(NAME)
    assert place.packages.made() == () and not place.site().exists()


def test_an_environment_that_no_longer_holds_what_its_lock_says_is_not_used(place: Place) -> None:
    place.install(lock_of(wheel(place.wheels, "sums", "1.5")))
    environments = Environments(place.data, SandboxRules())
    assert len(environments.known()) == 2
    (place.site() / "sums-1.5.dist-info").rename(place.site() / "sums-1.6.dist-info")
    assert len(environments.known()) == 1
    with pytest.raises(LocalError, match="cannot name"):
        trio.run(environments.add, NAME, ["sums"])


def test_another_files_hash_is_refused(place: Place) -> None:
    lock = lock_of(wheel(place.wheels, "sums", "1.5", "honest = True\n"))
    wheel(place.wheels, "sums", "1.5", "honest = False\n")
    place.refused(lock, "other files by these names")


def test_source_is_not_built(place: Place) -> None:
    ran = place.wheels / "ran"
    path = _source_only(place.wheels, "sums", f"open({str(ran)!r}, 'w')\n")
    pinned = Wheel(f"sums-1.5-{ANY}.whl", hashlib.sha256(path.read_bytes()).digest(), path.stat().st_size)
    place.refused(Lock((Pinned("sums", "1.5", (pinned,)),)), "No matching distribution|versions: none")
    assert not ran.exists()


@pytest.mark.parametrize("inside", ["../../../out.py", "/tmp/ctorrent-test-out.py", "sums-1.5.data/scripts/../../../../out.py",
                                    "sums-1.5.data/data/../../../../out.py"])  # fmt: skip
def test_a_wheel_that_climbs_out_is_refused(inside: str, place: Place) -> None:
    place.refused(lock_of(wheel(place.wheels, "sums", "1.5", extra={inside: "out = 1\n"})), "outside|installed is not|Unknown scheme key")
    assert not list(place.data.rglob("out.py")) and not Path("/tmp/ctorrent-test-out.py").exists()


def test_nothing_of_a_wheel_runs_while_it_is_installed_nor_in_a_node(place: Place) -> None:
    """.pth lines, sitecustomize, scripts: all are files like others."""
    ran = place.wheels / "ran"
    program = f"open({str(ran)!r}, 'w')"
    extra = {
        "evil.pth": f"import os; {program}\n", "sitecustomize.py": program, "usercustomize.py": program, "pip.py": program,
        "sums-1.5.data/scripts/evil": f"#!python\n{program}\n",
        "sums-1.5.dist-info/entry_points.txt": "[console_scripts]\nsums = sums:main\n[distutils.commands]\nx = sums:main\n",
    }  # fmt: skip
    place.install(lock_of(wheel(place.wheels, "sums", "1.5", program, extra=extra)))
    assert (place.site() / "evil.pth").exists()
    assert [one.name for one in Environments(place.data, SandboxRules()).known()] == ["base", NAME]

    async def main() -> None:  # nor does the sandbox treat it as more than a folder of modules
        sandbox = await sandbox_of("jail", place.data)
        cell = await sandbox.open(spec_of(sandbox, "def block(index):\n    return index\n", environment=NAME))
        (outcome,) = await cell.run([block(4)])
        await cell.aclose()
        assert outcome.failure is None, outcome.failure

    trio.run(main)
    assert not ran.exists()


def test_pip_itself_can_write_nowhere_else_and_start_nothing(place: Place, tmp_path: Path) -> None:
    """Should pip's own checks fail one day: the kernel holds it in its folder."""
    box = tmp_path / "box"
    box.mkdir()
    path = wheel(place.wheels, "sums", "1.5")
    arguments = ["--no-deps", "--target", str(tmp_path / "elsewhere"), str(path)]
    with pytest.raises(LocalError, match="Permission denied"):
        trio.run(pip, "install", arguments, 60, box, PLENTY)
    assert not (tmp_path / "elsewhere").exists()
    source = _source_only(place.wheels, "built", "")  # to build it, pip would start Python
    with pytest.raises(LocalError):
        trio.run(pip, "install", ["--no-deps", "--no-build-isolation", "--target", str(box / "site"), str(source)], 60, box, PLENTY)
    assert not (box / "site").exists()


def test_a_wheel_that_unpacks_to_more_than_allowed_is_stopped(place: Place) -> None:
    bomb = wheel(place.wheels, "sums", "1.5", extra={"sums/zeros.bin": "\0" * 60_000_000})
    assert bomb.stat().st_size < 200_000
    place.refused(lock_of(bomb), "too large|more than 20 MB", limit=20_000_000)


@pytest.mark.parametrize("extra", [{f"sums/{'d/' * (at // 100)}f{at}": "" for at in range(6000)}, {f"sums/{at}/x/y/z": "" for at in range(1500)}])
def test_empty_files_and_folders_are_counted(extra: dict[str, str], place: Place) -> None:
    """Each takes an inode, and a block where it is a folder; the wheel itself is small."""
    place.refused(lock_of(wheel(place.wheels, "sums", "1.5", extra=extra)), "more than 20 MB", limit=20_000_000)


def test_more_files_than_any_package_has_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piping, "ENTRIES_MAX", 300)
    place.refused(lock_of(wheel(place.wheels, "sums", "1.5", extra={f"sums/{at}": "" for at in range(400)})), "more than 300 files")


def test_a_wheel_that_puts_a_file_in_anothers_place_is_refused(place: Place) -> None:
    sums = wheel(place.wheels, "sums", "1.5", "honest = True\n")
    for inside in ("sums/__init__.py", "zz-1.data/purelib/sums-1.5.dist-info/RECORD"):
        evil = wheel(place.wheels, "zz", "1", extra={inside: "honest = False\n"})
        place.refused(lock_of(sums, evil), "two wheels, sums-1.5 and zz-1, hold different files")


def test_wheels_may_share_a_file_that_is_the_same_in_both(place: Place) -> None:
    """As the empty __init__.py of a namespace; but not by only saying so."""
    same = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(b"").digest()).rstrip(b"=").decode()
    hashes = {"shared/__init__.py": same}
    one, other = (wheel(place.wheels, name, "1", extra={"shared/__init__.py": ""}, hashes=hashes) for name in ("aa", "bb"))
    lying = wheel(place.wheels, "zz", "1", extra={"shared/__init__.py": "lies = 1\n"}, hashes=hashes)
    first = wheel(place.wheels, "a0", "1", extra={"shared/__init__.py": "lies = 1\n"}, hashes=hashes)
    place.refused(lock_of(one, lying, first), "hold different files called 'shared/__init__.py'")
    assert place.install(lock_of(one, other)) == NAME


def test_a_lock_that_pins_more_than_it_names_is_refused(place: Place) -> None:
    """A file called sums 1.5 that says of itself that it is parts 9."""
    path = wheel(place.wheels, "parts", "9")
    lying = path.rename(place.wheels / f"sums-1.5-{ANY}.whl")
    place.refused(lock_of(lying), "sums|parts")


def test_two_nodes_that_share_a_folder_make_it_once(place: Place) -> None:
    lock = lock_of(wheel(place.wheels, "sums", "1.5"))
    other = PipPackages(place.data, SandboxRules(pip_s=60))
    (place.data / "environments").mkdir(parents=True)
    left = place.data / "environments" / f".{NAME}.999999999"  # by one that was killed
    left.mkdir()
    names: list[str] = []

    async def one(packages: PipPackages, note: Callable[[int], None]) -> None:
        names.append(await packages.install(lock, DIGEST, PLENTY, note))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, place.packages, place.grown.append)
            nursery.start_soon(one, other, place.grown.append)

    trio.run(main)
    assert names == [NAME, NAME] and not left.exists()


def test_what_was_not_used_for_longest_comes_first(place: Place) -> None:
    lock = lock_of(wheel(place.wheels, "sums", "1.5"))
    place.install(lock)
    second = hashlib.sha256(b"another").digest()
    trio.run(place.packages.install, lock, second, PLENTY, place.grown.append)
    os.utime(place.data / "environments" / f"lock-{second.hex()[:16]}" / "environment.json", (1, 1))
    assert [one.lock for one in place.packages.made()] == [second, DIGEST]
    Environments(place.data, SandboxRules()).site(f"lock-{second.hex()[:16]}")
    assert [one.lock for one in place.packages.made()] == [DIGEST, second]


def test_sizes_are_the_files(place: Place) -> None:
    path = wheel(place.wheels, "sums", "1.5")
    (pinned,) = place.resolve("sums").packages
    assert pinned.wheels == (replace(pinned.wheels[0], size_bytes=path.stat().st_size),)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("WARNING: x\nERROR: one\nERROR: two https://me:pass@index.example/simple\n", "one two …"),
        ("ERROR: /home/ann/wheels/a.whl is broken: file:///home/ann/x", "… is broken: …"),
        ("ERROR: Exception:\nTraceback\n  File x\nPermissionError: [Errno 13] Permission denied: '/home/ann'", "PermissionError: [Errno 13] Permission denied: '…"),
        ("", ""),
    ],
)
def test_the_last_words_name_no_place_of_this_machine(said: str, words: str) -> None:
    assert last_words(said) == words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ERROR: Could not find a version that satisfies the requirement x==1 (from versions: 0.1, 7.0.dev3+inhouse)\nERROR: No matching distribution found for x==1\n",
         "Could not find a version that satisfies the requirement x==1 No matching distribution found for x==1"),
        ("ERROR: HTTPSConnectionPool(host='wheels.inhouse', port=443): Max retries exceeded\n", "the package index here cannot be reached"),
        ("ERROR: Cannot connect to proxy. Failed to resolve 'gate.inhouse'", "the package index here cannot be reached"),
        ("WARNING: The repository located at wheels.inhouse is not a trusted or secure host", "the package index here cannot be reached"),
        ("ERROR: No matching distribution found for proxy-tools==1", "No matching distribution found for proxy-tools==1"),
    ],
)  # fmt: skip
def test_whoever_wanted_packages_hears_nothing_of_the_index_here(said: str, words: str) -> None:
    assert words_for_others(said) == words
