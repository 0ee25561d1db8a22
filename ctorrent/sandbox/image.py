"""Images for blocks: made from this node's own interpreter, or from the Dockerfiles in images/.

The own one holds the standard library, the interpreter, the shared libraries they need (ldd) and a few small
programs: about 70 MB in a second or two, without a registry, a network or a build. Its tag is the digest of what is
in it, so it is made once. glibc Linux only; elsewhere name an image by digest.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import docker

from ctorrent.errors import LocalError
from ctorrent.sandbox import description
from ctorrent.sandbox.programs import Programs, find

REPOSITORY = "ctorrent-python"
LABEL = "ctorrent.python"  # of an own image: this_python() of the node that made it
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages", "__phello__"}
_PROGRAMS = (
    "sh", "bash", "awk", "basename", "cat", "cmp", "comm", "cp", "cut", "date", "dirname", "echo", "env", "expr", "false", "find",
    "grep", "gzip", "head", "join", "ls", "mkdir", "mv", "nl", "od", "paste", "printf", "rm", "sed", "seq", "sort", "split", "tail",
    "tar", "tee", "test", "tr", "true", "uniq", "wc", "xargs",
)  # fmt: skip
_MOUNT_POINTS = ("proc", "sys", "dev", "ct", "ctlib", "site", "scratch")
_FORMAT = "4"  # part of the tag: raise it when the layout below changes


class Packed(Programs):
    """Programs of an own image: a few text tools, and of what the owner allows, what runs with its libraries alone."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(allowed)
        self._allowed = frozenset(allowed)
        self._names = tuple(sorted({"python", "python3", *_PROGRAMS, *(name for name in allowed if _is_binary(name))}))

    def withheld(self) -> frozenset[str]:
        """As outside; a script that is allowed does not run here all the same, and so is lacking."""
        return super().withheld() - self._allowed


def ensure(client: docker.APIClient, site: Path | None = None, allowed: tuple[str, ...] = ()) -> str:
    """Tag of the own image, made when it is not there. site: packages whose libraries it must have; allowed: programs too.

    Blocking. Raises LocalError when this system's interpreter cannot be packed.
    """
    files = _contents(site, tuple(name for name in allowed if _is_binary(name)))
    tag = _tag(files)
    if not client.images(f"{REPOSITORY}:{tag}"):
        _import(client, files, tag)
    return f"{REPOSITORY}:{tag}"


def own() -> str:
    """The name of this interpreter's image without packages, made or not. Raises LocalError as ensure()."""
    return f"{REPOSITORY}:{_tag(_contents(None))}"


def this_python() -> str:
    """What the images of this interpreter are labelled with: where it is, and which."""
    return f"{description.interpreter()} {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"


def _tag(files: dict[str, Path]) -> str:
    mark = hashlib.sha256(_FORMAT.encode())
    for name, source in sorted(files.items()):
        about = source.stat()
        mark.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return mark.hexdigest()[:16]


@functools.lru_cache(maxsize=16)  # environments of one node; this interpreter does not change while it runs
def _contents(site: Path | None, allowed: tuple[str, ...] = ()) -> dict[str, Path]:
    """Path inside -> file here."""
    exe = Path(description.interpreter())
    library = Path(description.standard_library())
    files = {str(path): path for path in _walk(library)}
    files[str(exe)] = exe
    for name in (*_PROGRAMS, *allowed):
        found = _program(name)
        if found is not None:
            files[f"/usr/bin/{name}"] = found
    binaries = [path for name, path in files.items() if ".so" in path.name or name.startswith("/usr/bin/")] + [exe]
    packages = [path for path in site.rglob("*.so*") if path.is_file()] if site else []
    for needed in sorted(_libraries(binaries) | {path for path in _libraries(packages) if site and not path.startswith(str(site))}):
        files.setdefault(needed, Path(needed))
    return files


def _program(name: str) -> Path | None:
    found = find(name)
    return Path(found).resolve() if found else None


def _is_binary(name: str) -> bool:
    """A script would need its interpreter, and whatever that reads; such a job needs the jail, or an image of its own."""
    found = _program(name)
    try:
        with (found or Path()).open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _walk(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("config-"))
        for name in sorted(names):
            path = Path(folder) / name
            if ".opt-" not in name and not name.startswith("_tkinter") and path.is_file():
                yield path


def _libraries(binaries: list[Path]) -> set[str]:
    """All shared libraries these need, and the loader."""
    found: set[str] = set()
    for at in range(0, len(binaries), 200):
        said = subprocess.run(["ldd", *map(str, binaries[at : at + 200])], capture_output=True, text=True, check=False).stdout
        found.update(re.findall(r"(?:=> )?(/\S+) \(0x", said))
    if binaries and not found:
        raise LocalError("ldd names no libraries of this Python: it cannot be packed into an image", "Name an image by digest.")
    return found


def _import(client: docker.APIClient, files: dict[str, Path], tag: str) -> None:
    with tempfile.TemporaryFile() as layer:
        _write_layer(layer, files)
        layer.seek(0)
        chunks = iter(lambda: layer.read(1 << 20), b"")  # a generator: with a file the SDK makes a header that is too long
        changes = ["USER 65534:65534", "WORKDIR /", "ENV PATH=/ct-bin:/usr/local/bin:/usr/bin:/bin", f'LABEL {LABEL}="{this_python()}"']
        said = client.import_image(src=chunks, repository=REPOSITORY, tag=tag, stream_src=True, changes=changes)
    if '"error"' in str(said):
        raise LocalError(f"Docker refused the image of this Python: {str(said)[-300:]}")


def _write_layer(layer: IO[bytes], files: dict[str, Path]) -> None:
    with tarfile.open(fileobj=layer, mode="w") as tar:
        made: set[str] = set()
        for name in _MOUNT_POINTS:
            _add_folders(tar, name + "/x", made)
        _add(tar, "tmp", made, mode=0o1777, kind=tarfile.DIRTYPE)  # the mode that a tmpfs there gets from the runtime
        _add(tar, "etc/passwd", made, data=b"root:x:0:0::/:\nnobody:x:65534:65534::/:\n")
        _add(tar, "etc/group", made, data=b"root:x:0:\nnogroup:x:65534:\n")
        _add(tar, "ct-bin/python3", made, kind=tarfile.SYMTYPE, link=description.interpreter())
        _add(tar, "ct-bin/python", made, kind=tarfile.SYMTYPE, link="python3")
        _add(tar, "bin", made, kind=tarfile.SYMTYPE, link="usr/bin")
        for name, source in sorted(files.items()):
            _add(tar, name.lstrip("/"), made, source=source)


def _add_folders(tar: tarfile.TarFile, name: str, made: set[str]) -> None:
    for end in (match.start() for match in re.finditer("/", name)):
        if name[:end] not in made:
            made.add(name[:end])
            folder = tarfile.TarInfo(name[:end])
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)


def _add(
    tar: tarfile.TarFile, name: str, made: set[str], data: bytes = b"", source: Path | None = None,
    mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "",
) -> None:  # fmt: skip
    if name in made:
        return
    _add_folders(tar, name, made)
    made.add(name)
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    if source is None:
        tar.addfile(info, io.BytesIO(data))
        return
    about = source.stat()
    info.size, info.mtime = about.st_size, int(about.st_mtime)  # or compiled files count as stale
    info.mode = 0o755 if about.st_mode & 0o111 or ".so" in name else 0o644
    with source.open("rb") as file:
        tar.addfile(info, file)


# -- images/ ----------------------------------------------------------------------------------------------------------


def recipes() -> Path | None:
    """The folder of Dockerfiles: inside the package when installed, beside it in a checkout. None: left out."""
    here = Path(__file__).resolve()
    return next((folder for folder in (here.parents[1] / "images", here.parents[2] / "images") if folder.is_dir()), None)


def names() -> tuple[str, ...]:
    """What can be built; nothing where the Dockerfiles were left out."""
    folder = recipes()
    return tuple(sorted(path.parent.name for path in folder.glob("*/Dockerfile"))) if folder else ()


def build(name: str, base: str = "", client: docker.APIClient | None = None) -> str:
    """Build images/NAME. base: instead of the Dockerfile's own. -> the image's id, "sha256:…", to be named in settings.

    base "own" is the image of this interpreter: built without network, so without packages but the standard library.

    Blocking: minutes. Raises LocalError with the builder's last words.
    """
    folder = recipes()
    if folder is None or name not in names():
        raise LocalError(f"There is no image {name!r}.", f"There are: {', '.join(names()) or 'none, since this copy came without its Dockerfiles'}.")
    api = client or docker.APIClient(timeout=3600)
    arguments: dict[str, str] = {"PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}"}
    if base:
        arguments["BASE"] = ensure(api) if base == "own" else base
    network = "default"
    if base == "own":
        arguments["PACKAGES"], network = "", "none"
    tag = f"ctorrent-{name}:latest"
    words: list[str] = []
    try:
        for line in api.build(path=str(folder / name), tag=tag, rm=True, forcerm=True, decode=True, buildargs=arguments, network_mode=network):
            _listen(line, words)
        found: dict[str, Any] = api.inspect_image(tag)  # type: ignore[no-untyped-call]
    except docker.errors.DockerException as error:
        raise LocalError(f"the image {name} could not be built: {error}") from None
    return str(found["Id"])


def _listen(line: dict[str, Any], words: list[str]) -> None:
    words.append(str(line.get("stream", "")).strip())
    if "error" in line:
        raise LocalError(f"the image could not be built: {line['error']}", " ".join(words[-3:]))
