"""What the HTTP side costs a node that nobody looks at, and one that has none."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.real.herd import herd

from .conftest import Site, opened

RSS_MAX = 190 << 20  # bytes of an idle node that serves its page
HEAVY = ("torch", "pandas", "sklearn", "matplotlib")


@pytest.mark.real
def test_an_idle_node_with_its_page_is_small() -> None:
    with herd() as make:
        node = make("small", "--http", "127.0.0.1:0", "--no-dht")
        node.start()
        site: Site = opened(node)
        with site.caller() as api:
            assert api.get("/api/v1/status").status_code == 200 and api.get("/").status_code == 200
        assert node.process is not None
        process = psutil.Process(node.process.pid)
        assert process.memory_info().rss <= RSS_MAX
        mapped = {one.path for one in process.memory_maps(grouped=True)}
        assert not [path for path in mapped for name in HEAVY if f"site-packages/{name}/" in path]


def loaded(code: str) -> set[str]:
    text = f"import sys\n{code}\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    return set(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60).stdout.split())


def test_the_web_libraries_are_loaded_by_a_node_that_serves_and_by_no_other() -> None:
    serving = loaded("import ctorrent.web.serve, ctorrent.node.node")
    assert "fastapi" in serving and not serving & set(HEAVY)
    off = "from pathlib import Path\nimport ctorrent.cli.main, ctorrent.node.node\nfrom ctorrent.cli import node\nfrom ctorrent.node.settings import Settings\n"
    off += "assert node._face(Settings(data_dir=Path('/nowhere-that-is'), http='off'), None) is None"
    assert not loaded(off.replace("/nowhere-that-is", "/tmp/ct-idle-none")) & {"fastapi", "hypercorn", "starlette", "pydantic"}
    assert not loaded("import ctorrent.web.reach") & {"fastapi", "hypercorn", "starlette", "pydantic", "trio"}
