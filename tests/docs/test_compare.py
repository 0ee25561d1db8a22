"""The programs that README and the page on other systems show are the ones that were measured."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/compare.md").read_text()
README = (ROOT / "README.md").read_text()


def body(text: str) -> list[str]:
    """Lines that do something, without what differs on purpose: imports, the function's decorator, the address, what is printed."""
    text = re.sub(r"Client\([^)]*\)", "Client(…)", text)
    text = text.replace(", replicas=1", "").replace("epidemic = ray.remote(epidemic)", "")
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("import ", "from ", "@", "print(")) and not line.strip().startswith("#")]


@pytest.mark.parametrize(("tab", "file"), [("ctorrent", "ctorrent_sweep"), ("Dask", "dask_sweep"), ("Ray", "ray_sweep")])
def test_what_is_shown_was_measured(tab: str, file: str) -> None:
    shared = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    own = re.search(rf'^=== "{tab}"\n\n(    ```python\n.*?^    ```)', PAGE, re.MULTILINE | re.DOTALL)
    assert shared is not None and own is not None
    shown = textwrap.dedent(own[1]).replace("```python\n", "").replace("```", "")
    measured = (ROOT / f"tests/benchmarks/sweeps/{file}.py").read_text()
    assert body(shared[1] + shown) == body(measured)
    assert f"```python\n{shared[1]}```" in README and f"```python\n# {tab}\n{shown}```" in README
