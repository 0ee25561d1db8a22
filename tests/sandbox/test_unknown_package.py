"""A package that no index has, told from an index that is out of reach: with pip itself, and an index on this machine."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from ctorrent.errors import LocalError, NoSuchPackage
from ctorrent.node.advice import meant
from ctorrent.sandbox.resolve import resolve

pytestmark = pytest.mark.real


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """An index that has one package, without files; pip asks no other."""
    (tmp_path / "simple" / "empty").mkdir(parents=True)
    (tmp_path / "simple" / "empty" / "index.html").write_text("<!DOCTYPE html><html><body></body></html>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=os.fspath(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for name in [name for name in os.environ if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        yield server
        server.shutdown()
        thread.join()


def refused(*packages: str) -> LocalError:
    with pytest.raises(LocalError) as caught:
        trio.run(resolve, packages, {})
    return caught.value


def test_an_index_that_answers_has_no_such_package(index: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused("Nun_Py>=1")
    assert isinstance(error, NoSuchPackage) and error.names == ("nun-py",)
    assert not isinstance(refused("empty"), NoSuchPackage), "it is there, if only without a file for this machine"
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/simple/")
    assert not isinstance(refused("nunpy"), NoSuchPackage), "the other index, out of reach, may have it"


@pytest.mark.parametrize(
    ("typed", "right"), [("nunpy", "numpy"), ("sklearn", "scikit-learn"), ("scikitlearn", "scikit-learn"), ("myown", "my-own"), ("qqq", "")]
)
def test_what_was_meant(typed: str, right: str) -> None:
    assert meant(typed, ["my-own"]) == right
