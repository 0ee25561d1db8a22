"""What opens pickled functions in a sandbox: cloudpickle as it is installed here, the part that most need first.

All of it takes 25 ms to import, in each process that runs a unit of blocks; what a plain function needs takes 1 ms. So
`cloudpickle.cloudpickle` there has these few functions, cut out of the installed file, and imports the rest when
something asks for it (a class, an enum, a type variable).
"""

from __future__ import annotations

import ast
import pathlib
from functools import cache

from ctorrent.library import inside

_FIRST = (
    "subimport", "_builtin_type", "_empty_cell_value", "_make_function", "_make_empty_cell", "_make_cell", "_function_setstate",
)  # fmt: skip
_REST = '''

def __getattr__(name):
    from importlib import import_module  # `from . import` would ask this function for it first, for ever

    return getattr(import_module("cloudpickle.whole"), name)
'''


@cache
def carried() -> dict[str, bytes]:
    """Files that travel with every function, by path."""
    import cloudpickle

    text = (pathlib.Path(cloudpickle.__file__).parent / "cloudpickle.py").read_text("utf-8")
    return {
        "ctorrent_call.py": pathlib.Path(inside.__file__).read_bytes(),
        "cloudpickle/__init__.py": ("from . import cloudpickle\n" + _REST).encode(),
        "cloudpickle/cloudpickle.py": first_part(text).encode(),
        "cloudpickle/whole.py": text.encode(),
    }


def first_part(text: str) -> str:
    """The functions of _FIRST out of cloudpickle's own source; those that another version has not, `whole` may have."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in _FIRST:
            found[node.name] = ast.get_source_segment(text, node) or ""
    return "import sys\nimport types\n\n" + "\n\n".join(found[name] for name in _FIRST if name in found) + _REST
