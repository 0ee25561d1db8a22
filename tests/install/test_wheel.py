"""What a newcomer installs: the wheel alone, in a bare environment, on every Python that the project claims."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.processor import children_s

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CLAIMED = sorted(
    re.findall(r"Python :: (3\.\d+)", " ".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"])),
    key=lambda version: int(version[2:]),
)
BASE_MB_MAX = 300  # without the setuptools that older Pythons put beside it; libp2p and numpy with all they need are ~230, FastAPI and pydantic ~20
COMPLETE_MAX = 4.0  # times the processor time that importing what draws the help takes: twice, and seven times with the network


def interpreter(version: str) -> str | None:
    """A Python of this version that can make environments: on the PATH, or one that pyenv keeps."""
    kept = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    for candidate in [sys.executable, shutil.which(f"python{version}"), *map(str, reversed(kept))]:
        probe = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
        if candidate and subprocess.run([candidate, "-c", probe], capture_output=True).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


class Bare:
    """An environment with nothing but the wheel, and a person who has nothing."""

    def __init__(self, folder: Path, python: str, wheel: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
        pip = [str(folder / "venv/bin/python"), "-m", "pip", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "install", str(wheel)], check=True, timeout=400)
        subprocess.run([*pip, "check"], check=True)
        self.environ = {"HOME": str(self.home), "PATH": f"{folder / 'venv/bin'}:/usr/bin:/bin", "COLUMNS": "120", "LANG": "C.UTF-8",
                        "DOCKER_HOST": "unix:///nowhere/docker.sock"}  # fmt: skip  # whose images are not this test's

    def ctorrent(self, *words: str, cwd: Path | None = None) -> str:
        """What it prints. Fails when it does."""
        done = subprocess.run(
            [str(self.folder / "venv/bin/ctorrent"), *words],
            cwd=cwd or self.home, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    def megabytes(self) -> float:
        """Blocks on the disk of all that came with the wheel, its compiled files too."""
        (site,) = (self.folder / "venv/lib").glob("python*/site-packages")
        skipped = ("setuptools", "pkg_resources", "_distutils_hack")
        files = [path for top in site.iterdir() if not top.name.startswith(skipped) for path in [top, *top.rglob("*")]]
        return sum(path.lstat().st_blocks * 512 for path in files) / (1 << 20)


@pytest.mark.parametrize("version", CLAIMED)
def test_the_wheel_works_alone(version: str, wheel: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    bare = Bare(tmp_path, python, wheel)
    assert bare.megabytes() < BASE_MB_MAX, f"{bare.megabytes():.0f} MB"
    assert re.fullmatch(r"ctorrent \d+\.\d+\.\d+\n", bare.ctorrent("--version"))
    assert "submit" in bare.ctorrent("--help")
    kind, blocks = ("digits", 12) if version == CLAIMED[-1] else ("command", 4)  # the long one once
    (empty := bare.home / "empty").mkdir()
    bare.ctorrent("init", kind, cwd=empty)
    assert f"{blocks} settled" in bare.ctorrent("submit", "--local", "2", "job.yaml", cwd=empty)
    assert not (bare.home / ".local").exists()  # what ran for one command leaves nothing
    assert bare.ctorrent("image", "ls").split() == ["cpu", "cuda", "node", "render"]
    bare.ctorrent("node", "-dy", "--no-work", "--listen", "127.0.0.1", "--port", "0", "--no-mdns", "--no-dht")
    bare.ctorrent("stop")
    assert "Removed." in bare.ctorrent("uninstall", "--yes", "--identity")
    assert not (bare.home / ".local/share/ctorrent").exists()


def test_what_the_wheel_carries(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ctorrent"}
    kinds = {name.split("/")[3] for name in names if name.startswith("ctorrent/cli/templates/")}
    assert kinds >= {"digits", "command", "sweep"}
    assert {"ctorrent/images/cpu/Dockerfile", "ctorrent/images/cpu/check.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_is_required_is_used(wheel: Path) -> None:
    """By its import name somewhere in the package: what nothing imports is no dependency of ours."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    by_starlette = {"python-multipart"}  # without it no form is read: Request.form() of ctorrent/web/submitting.py
    imported = {"noiseprotocol": "noise", "protobuf": "google.protobuf", "nvidia-ml-py": "pynvml", "pynacl": "nacl",
                "ruamel.yaml": "ruamel.yaml", "pillow": "PIL"}  # fmt: skip
    text = "\n".join(path.read_text() for path in (ROOT / "ctorrent").rglob("*.py"))
    for line in required:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        assert name is not None
        if name.group() == "pip" or name.group() in by_starlette:
            continue  # pip is a program that is started, never imported
        module = imported.get(name.group().lower(), name.group().replace("-", "_"))
        assert re.search(rf"^\s*(import|from) {re.escape(module)}\b", text, re.MULTILINE), f"{line} is imported nowhere"


def test_completion_is_installed_and_quick(tmp_path: Path) -> None:
    """In a home that has nothing; a shell that asks while no node runs gets commands, and nothing for jobs."""
    ctorrent = Path(sys.executable).with_name("ctorrent")
    environ = {"HOME": str(tmp_path), "PATH": f"{ctorrent.parent}:/usr/bin:/bin", "SHELL": "/bin/bash", "CTORRENT_DATA": str(tmp_path)}
    subprocess.run(["bash", "--norc", "-c", f"{ctorrent} --install-completion"], env=environ, check=True, capture_output=True)
    (script,) = (tmp_path / ".bash_completions").iterdir()

    def complete(*words: str) -> list[str]:
        asked = f'source {script}; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _ctorrent_completion ctorrent; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "--norc", "-c", asked], env=environ, check=True, capture_output=True, text=True).stdout.split()

    took: list[tuple[float, float]] = []
    for _ in range(4):  # the least of each: a busy machine takes twice as long for the same work
        began = children_s()
        assert complete("ctorrent", "su") == ["submit"]
        completed = children_s()
        subprocess.run([sys.executable, "-c", "import typer.rich_utils"], check=True)
        took.append((completed - began, children_s() - completed))
    assert min(one for one, _ in took) < COMPLETE_MAX * min(other for _, other in took), took
    assert complete("ctorrent", "results", "a") == []
    for shell in ("zsh", "fish"):
        shown = subprocess.run([ctorrent], env={**environ, "_CTORRENT_COMPLETE": f"source_{shell}"}, capture_output=True, text=True)
        assert "_CTORRENT_COMPLETE" in shown.stdout
