"""What a person can do about a block that failed in a rehearsal: one sentence, or none where the traceback says it all."""

from __future__ import annotations

import re

from ctorrent.model.job import MIB, Manifest, ProgramKind
from ctorrent.model.result import Failure, FailureKind

# what a program imports -> what its package is called, where that is something else
_PACKAGES = {
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "bs4": "beautifulsoup4",
    "skimage": "scikit-image", "dateutil": "python-dateutil", "Crypto": "pycryptodome", "OpenSSL": "pyopenssl", "serial": "pyserial",
}  # fmt: skip
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_NO_FILE = re.compile(r"No such file or directory: '([^']+)'")


def advice(failure: Failure, manifest: Manifest) -> str:
    """For the person who wrote the job."""
    match failure.kind:
        case FailureKind.EXCEPTION:
            return _of_exception(failure, manifest)
        case FailureKind.OUTPUT:
            if failure.type == "too large":
                return 'Return less, or allow more in the job file: limits: {output: "200 MB"}.'
            return "A block returns numbers, text, bytes, lists, maps with text as keys, or numpy arrays."
        case FailureKind.MEMORY:
            return f'It was given {manifest.needs.memory_bytes // MIB} MiB; ask for more: needs: {{memory: "4 GB"}}.'
        case FailureKind.TIME:
            return f"It has {manifest.limits.block_s:g} s; allow more in the job file (limits: {{seconds: 600}}), or let a block do less."
        case FailureKind.EXIT if manifest.program.kind is ProgramKind.COMMAND:
            return "Try the command by hand: " + " ".join(manifest.program.argv)
        case _:
            return ""


def _of_exception(failure: Failure, manifest: Manifest) -> str:
    found = _MISSING.search(failure.text)
    if found is not None:
        name = found[1].split(".")[0]
        package = _PACKAGES.get(name, name)
        wanted = [re.split(r"[<>=!~]", word)[0] for word in manifest.environment.packages]
        if package in wanted:
            return f"{package} is asked for, and is there, but has no module {found[1]}."
        names = ", ".join([*manifest.environment.packages, package])
        return f"A package is named in the job file (needs: {{packages: [{names}]}}); a file of your own lies beside it (files: [{name}.py])."
    found = _NO_FILE.search(failure.text)
    if found is not None:
        name = found[1].rsplit("/", 1)[-1]
        return f"A block sees no file but those that its job brings: put it beside the job file and say files: [{name}]."
    return ""
