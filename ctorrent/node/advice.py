"""What a person can do about a block that failed in a rehearsal: one sentence, or none where the traceback says it all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from ctorrent.model.job import MIB, Manifest, ProgramKind
from ctorrent.model.result import Failure, FailureKind

# what a program imports -> what its package is called, where that is something else
_PACKAGES = {
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "bs4": "beautifulsoup4",
    "skimage": "scikit-image", "dateutil": "python-dateutil", "Crypto": "pycryptodome", "OpenSSL": "pyopenssl", "serial": "pyserial",
}  # fmt: skip
_WELL_KNOWN = (  # what job files ask for most, by their names in the index
    "numpy", "scipy", "pandas", "polars", "scikit-learn", "scikit-image", "matplotlib", "pillow", "opencv-python-headless", "torch",
    "torchvision", "tensorflow", "keras", "jax", "xgboost", "lightgbm", "numba", "cython", "sympy", "networkx", "statsmodels", "requests",
    "pyyaml", "pyarrow", "h5py", "tqdm", "transformers", "rdkit", "astropy", "biopython", "beautifulsoup4", "pydantic",
)  # fmt: skip
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_SEED = "Seed must be between 0 and 2**32 - 1"  # numpy.random.seed
SEED_HINT = "Seeds have 64 bits: use np.random.default_rng(seed), or np.random.seed(seed % 2**32)."
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
    if _SEED in failure.text:
        return SEED_HINT
    found = _NO_FILE.search(failure.text)
    if found is not None:
        name = found[1].rsplit("/", 1)[-1]
        return f"A block sees no file but those that its job brings: put it beside the job file and say files: [{name}]."
    return ""


def explained(text: str) -> str:
    """A block's traceback with the one fault that only some seeds show: a rehearsal may well pass."""
    return text.replace(_SEED, f"{_SEED} ({SEED_HINT[0].lower()}{SEED_HINT[1:].rstrip('.')})")


def meant(package: str, here: Iterable[str]) -> str:
    """The package that a name, which no index has, was probably to be; "" where nothing is near. here: those of this machine."""
    known = {*here, *_WELL_KNOWN}
    called = {name.lower(): right for name, right in _PACKAGES.items()}
    return called.get(package) or next(iter(get_close_matches(package, sorted(known), 1, 0.75)), "")
