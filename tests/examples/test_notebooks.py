"""examples/notebooks, executed cell by cell in a real kernel on real nodes; they are kept without outputs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.examples.swarmed import EXAMPLES

NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
# what must be among what their cells show
SHOWN = {
    "sweep": ("72", "beta", "█", "60 of 90 blocks were known from job"),
    "verify": ("'settled', True", "<- the liar", "outvoted", "Proven", "run again"),
}


class ThisPython(AsyncKernelManager):
    """A kernel of the interpreter that runs the test, whatever kernels this machine has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="this", language="python")


def shown(book: Any) -> str:
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return "\n".join(str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    book = json.loads(path.read_text())
    assert not [cell for cell in book["cells"] if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CTORRENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=400, kernel_manager_class=ThisPython, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    found = shown(book)
    assert not [words for words in SHOWN[path.stem] if words not in found], found[-4000:]
