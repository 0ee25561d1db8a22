"""What one worker can say in a few bytes to whoever reads its result; and what a stranger's folder can do to who stands in it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctorrent import canon
from ctorrent.canon import Array, CanonError
from ctorrent.errors import LocalError
from ctorrent.library.inside import TYPE
from ctorrent.library.values import read_value


@pytest.mark.parametrize("kind", ["tuple", "set", "frozenset", "dict", "complex", "timedelta"])
def test_an_array_of_no_entries_is_not_counted_to_its_end(kind: str) -> None:
    raw = canon.encode({TYPE: kind, "value": Array("<f8", (1 << 20, 0), b"")})
    began = time.process_time()
    with pytest.raises(LocalError, match="cannot be read"):
        read_value(raw)
    assert time.process_time() - began < 1.0


def test_rows_of_nothing_are_not_canonical() -> None:
    with pytest.raises(CanonError):
        canon.encode(Array("<f8", (1 << 40, 0), b""))
    whole = canon.encode(Array("<f8", (2, 0), b""))
    assert canon.decode(whole).shape == (2, 0)
    forged = whole.replace(b"\x92\x02\x00", b"\x92\xcf" + (1 << 40).to_bytes(8, "big") + b"\x00")
    assert forged != whole
    with pytest.raises(CanonError):
        canon.decode(forged)


@pytest.mark.parametrize("text", ["1e20000000", "1e999999999", "9" * 5000, "0.5", "1/0", "", 5])
def test_a_fraction_is_two_whole_numbers_and_no_more(text: object) -> None:
    began = time.process_time()
    with pytest.raises(LocalError, match="cannot be read"):
        read_value(canon.encode({TYPE: "Fraction", "value": text}))
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("value", [{TYPE: "int", "value": 5}, {TYPE: "Decimal", "value": "x"}, {TYPE: "set", "value": [[1]]}, {TYPE: [], "value": 1}, {TYPE: "date"}])
def test_what_is_no_value_of_its_type_is_said_in_words(value: object) -> None:
    with pytest.raises(LocalError):
        read_value(canon.encode(value))


@pytest.mark.parametrize("module", ["ctorrent", "ctorrent.workloads.process", "pip"])
def test_a_strangers_folder_lends_no_modules_to_what_is_started_in_it(module: str, tmp_path: Path) -> None:
    """Whoever runs `ctorrent submit job.yaml` stands in the job's folder, and its json.py may be anybody's."""
    for name in ("json", "typing_extensions", "trio", "platformdirs"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the folder ran')\n")
    found = []
    for path in Path(canon.__file__).parent.rglob("*.py"):
        if f'"-m", "{module}' in (text := path.read_text()):
            found.append(path.name)
            assert f'"-P", "-m", "{module}' in text, path
    assert found
    ended = subprocess.run([sys.executable, "-P", "-m", module, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "of the folder ran" not in ended.stdout + ended.stderr
