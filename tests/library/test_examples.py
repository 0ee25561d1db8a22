"""What README and docstrings show of the library, run as it stands there, on nodes of our own."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import ctorrent
from ctorrent.client import Net

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.real
def test_the_readmes_map_and_the_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(text for text in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if "net.map(simulate" in text)
    assert Net.map.__doc__ is not None
    line = next(text.strip() for text in Net.map.__doc__.splitlines() if "net.map(" in text)
    with ctorrent.swarm(1, flags=("--isolation", "jail")) as swarm:
        monkeypatch.setenv("CTORRENT_DATA", str(swarm.net.folder))  # connect() finds this node
        names: dict[str, Any] = {"ctorrent": ctorrent, "__name__": "__main__"}
        exec(compile(textwrap.dedent(block), "README.md", "exec"), names)
        assert len(names["df"]) == 100 and names["df"]["peak"].tolist()[2] == 1.0
        names["net"] = swarm.net
        exec(compile(line, "Net.map", "exec"), names)
        assert names["df"]["peak"].tolist() == [30.0, 40.0]
        result = swarm.net.jobs[0]
        assert result.status()["replicas_wanted"] == 1, "nobody else is known here"
