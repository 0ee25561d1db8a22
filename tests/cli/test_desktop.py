"""ctorrent desktop: the page in a window of its own, on a screen that nobody sees (Xvfb), where there is pywebview."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from ctorrent.cli import main
from tests.real.herd import herd

HAS_WEBVIEW = importlib.util.find_spec("webview") is not None


@pytest.mark.skipif(HAS_WEBVIEW, reason="pywebview is installed")
def test_without_pywebview_it_says_what_to_install(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["desktop"]) == 2
    told = capfd.readouterr().err
    assert "needs pywebview, which is not installed" in told
    assert "pip install 'pywebview[qt]'" in " ".join(told.split())
    assert "ctorrent open" in told


@pytest.mark.real
@pytest.mark.skipif(not HAS_WEBVIEW, reason="pywebview is not installed (extra `desktop`)")
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="Xvfb is not installed")
def test_the_window_shows_the_page() -> None:
    with herd() as make:
        node = make("ann", "--http", "127.0.0.1:0", "--no-dht")
        node.start()
        url = (node.data / "http.addr").read_text().strip()
        environ = {**os.environ, "CTORRENT_DATA": str(node.data), "QTWEBENGINE_DISABLE_SANDBOX": "1"}  # tests may be root's
        command = ["xvfb-run", "-a", sys.executable, "-m", "ctorrent", "desktop", "--test-window"]
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"The window shows {url}/" in ran.stdout, ran.stderr
    assert ran.returncode == 0


@pytest.mark.skipif(not HAS_WEBVIEW, reason="pywebview is not installed (extra `desktop`)")
def test_without_a_display_it_says_so(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main.run(["desktop"]) == 1
    assert "There is no display" in capfd.readouterr().err
