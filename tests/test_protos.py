"""The generated code is what the protos say, and every field says its unit and who sets it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PB = ROOT / "ctorrent" / "wire" / "pb"
PROTOS = sorted((ROOT / "protos" / "ctorrent" / "v1").glob("*.proto"))
_FIELD = re.compile(r"^  (?:repeated |optional )?[\w.]+ \w+ = \d+;")
# protoc stamps its own version into what it writes; a newer patch of it writes the same otherwise
_STAMP = re.compile(r"^# Protobuf Python Version:.*$|ValidateProtobufRuntimeVersion\([^)]*\)", re.M)


def test_pb_is_what_the_protos_give(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "protos" / "generate.py"), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    fresh = {p.name: _STAMP.sub("", p.read_text()) for p in tmp_path.iterdir()}
    committed = {p.name: _STAMP.sub("", p.read_text()) for p in PB.iterdir() if p.suffix in (".py", ".pyi")}
    assert sorted(fresh) == sorted(committed)
    stale = [name for name in sorted(fresh) if fresh[name] != committed[name]]
    assert not stale, "run `python protos/generate.py`"


def test_every_field_says_who_sets_it() -> None:
    assert PROTOS
    silent = [
        f"{path.name}:{number}: {line.strip()}"
        for path in PROTOS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _FIELD.match(line) and not re.search(r"// .*set by ", line)
    ]
    assert not silent


def test_no_maps_no_floats_no_groups() -> None:
    """Maps have no canonical order; a float32 would round what was signed."""
    for path in PROTOS:
        assert not re.search(r"^\s*(map<|(repeated |optional )?float |group )", path.read_text(), re.M), path.name
