"""Environments, and programs that import from them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Limits, Needs
from ctorrent.model.result import FailureKind
from ctorrent.ports import Cell
from ctorrent.sandbox import Environments, SandboxRules
from ctorrent.sandbox.environment import BASE, fingerprint
from tests.sandbox.cells import LEVELS, block, sandbox_of, spec_of

pytestmark = pytest.mark.real


def _wheel(folder: Path, name: str, version: str, source: str) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", source)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.parametrize("level", LEVELS)
def test_a_package_is_added_imported_preloaded_and_removed(level: str, tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "sums", "1.5", "import os\nborn = os.getpid()\ndef twice(x):\n    return 2 * x\n")

    async def main() -> None:
        environments = Environments(tmp_path / "data", SandboxRules())
        info = await environments.add("mine", [str(wheel)])
        assert info.packages == (("sums", "1.5"),) and info.name == "mine"
        sandbox = await sandbox_of(level, tmp_path / "data")
        assert [one.name for one in sandbox.environments()] == [BASE, "mine"]
        source = "import os\nimport sums\ndef block(index):\n    return [sums.twice(index), sums.born != os.getpid()]\n"
        cell = await sandbox.open(spec_of(sandbox, source, environment="mine"))
        assert canon.decode((await cell.run([block(4)]))[0].value or b"") == [8, True]  # loaded before the fork
        await cell.aclose()
        cell = await sandbox.open(spec_of(sandbox, source))
        (without,) = await cell.run([block(4)])
        assert without.failure is not None and without.failure.type == "ModuleNotFoundError"
        await cell.aclose()
        environments.remove("mine")
        assert [one.name for one in sandbox.environments()] == [BASE]
        with pytest.raises(LocalError, match="ctorrent env add mine"):
            await sandbox.open(replace(spec_of(sandbox, source), environment=info))
        assert list((tmp_path / "data" / "cells").iterdir()) == []
        await sandbox.aclose()

    trio.run(main)


def test_the_owners_own_packages_are_out_of_reach(tmp_path: Path) -> None:
    """numpy is in this test's Python; a block of the base environment must not find it, nor reach it by path."""
    import numpy

    async def main() -> None:
        sandbox = await sandbox_of("jail", tmp_path)
        source = f"def block(index):\n    import sys\n    if index: sys.path.append({str(Path(numpy.__file__).parents[1])!r})\n    import numpy\n"
        cell = await sandbox.open(spec_of(sandbox, source))
        for outcome in await cell.run([block(0), block(1)]):
            assert outcome.failure is not None and outcome.failure.kind is FailureKind.EXCEPTION
        await cell.aclose()

    trio.run(main)


def test_a_fingerprint_changes_with_all_that_a_result_may_depend_on(tmp_path: Path) -> None:
    (base,) = Environments(tmp_path, SandboxRules()).known()
    others = [
        replace(base, python="3.11.0"), replace(base, arch="riscv64"), replace(base, image="x@sha256:1"),
        replace(base, packages=(("numpy", "1.0"),)), replace(base, packages=(("numpy", "1.1"),)),
    ]  # fmt: skip
    marks = {fingerprint(info) for info in (base, *others)} | {fingerprint(base, "H200")}
    assert len(marks) == 7 and fingerprint(replace(base, name="other")) == base.fingerprint


@pytest.mark.parametrize("name", ["", "base", "../x", "A b", "-r"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        trio.run(Environments(tmp_path, SandboxRules()).add, name, ["x"])


def test_pip_says_what_it_cannot_do_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"not a zip")
    environments = Environments(tmp_path / "data", SandboxRules())
    with pytest.raises(LocalError, match="pip could not install"):
        trio.run(environments.add, "x", [str(tmp_path / "broken-1.0-py3-none-any.whl")])
    with pytest.raises(LocalError, match="is not a package"):
        trio.run(environments.add, "x", ["--index-url=http://127.0.0.1"])
    assert [info.name for info in environments.known()] == [BASE]
    assert list((tmp_path / "data" / "environments").iterdir()) == []


# -- real packages: installed once, if pip can reach them ---------------------------------------------------------------


@pytest.fixture(scope="module")
def science(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("science")
    try:
        trio.run(Environments(data, SandboxRules()).add, "science", ["scikit-learn"])
    except LocalError as error:
        pytest.skip(f"pip cannot reach scikit-learn here, NOT TESTED: {error}")
    yield data


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_scikit_learn_runs_and_its_numbers_do_not_depend_on_the_unit(level: str, science: Path) -> None:
    source = """
import numpy as np
from sklearn import datasets, model_selection, svm
def block(C, seed, index):
    X, y = datasets.load_digits(return_X_y=True)
    split = model_selection.KFold(3, shuffle=True, random_state=seed % 2**32)
    scores = model_selection.cross_val_score(svm.SVC(C=C), X[:300], y[:300], cv=split, n_jobs=2 if index == 1 else None)
    return {"accuracy": scores, "noise": np.random.rand(3), "f": np.float64(scores.mean())}
"""

    async def play(cell: Cell) -> None:
        together = await cell.run([block(i, C=1.0) for i in range(3)])
        alone = [(await cell.run([block(i, C=1.0)]))[0] for i in range(3)]
        assert [o.failure for o in together] == [None] * 3, together
        assert [o.value for o in together] == [o.value for o in alone]
        values = [canon.decode(o.value or b"", arrays="numpy") for o in together]
        assert values[0]["f"] > 0.8 and len({v["noise"].tobytes() for v in values}) == 3

    async def main() -> None:
        sandbox = await sandbox_of(level, science)
        needs, limits = Needs(memory_bytes=256 << 20), Limits(block_s=60)
        cell = await sandbox.open(spec_of(sandbox, source, environment="science", needs=needs, limits=limits))
        await play(cell)
        await cell.aclose()
        await sandbox.aclose()

    trio.run(main)
