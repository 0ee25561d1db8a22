"""Tiny wheels in a folder, and a pip that knows no other index than that folder."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

ANY = "py3-none-any"


def wheel(folder: Path, name: str, version: str, source: str = "", *, requires: tuple[str, ...] = (), tag: str = ANY,
          extra: dict[str, str] | None = None, hashes: dict[str, str] | None = None) -> Path:  # fmt: skip
    """name/__init__.py with `source`, and whatever else under whatever path. hashes: as its RECORD says them. -> its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}/__init__.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for inside, text in files.items():
            packed.writestr(inside, text)
        packed.writestr(f"{info}/RECORD", "".join(f"{inside},{(hashes or {}).get(inside, '')},\n" for inside in (*files, f"{info}/RECORD")))
    return path


def only(folder: Path) -> dict[str, str]:
    """The environment of a pip that finds wheels there and nowhere else."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.fspath(folder), "PIP_CONFIG_FILE": os.devnull}


def only_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in only(folder).items():
        monkeypatch.setenv(name, value)
