"""The code bundle: what of this folder travels with the job. A canonical map {relative path: bytes}.

For `search.py:score` these are search.py, the .py files beside it that it imports (and that those import), the reduce
function's file likewise, words of `command` that name files here, and whatever `files` lists.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ctorrent import canon
from ctorrent.model.job import ProgramKind
from ctorrent.plan.fields import ENTRY, GIVEN
from ctorrent.plan.folder import Folder, is_inside, is_pattern, size_of
from ctorrent.plan.jobfile import JobFile
from ctorrent.plan.source import Globs, Grid, Items, Split
from ctorrent.plan.tree import nearest

BUNDLE_BYTES_MAX = 64 << 20  # one blob, held in memory by every worker; data belongs into inputs
BUNDLE_FILES_MAX = 4096
_SKIPPED = ("__pycache__", ".git", ".venv", ".mypy_cache", ".ipynb_checkpoints")  # in folders that `files` names


def bundle(job: JobFile, folder: Folder) -> bytes:
    """Canonical bytes of the bundle. Raises JobFileError: a file is missing, does not parse, or it is all too large."""
    files: dict[str, bytes] = {}
    if job.kind is ProgramKind.PYTHON:
        _add_python(job, folder, files, "python", job.entry)
    for word in job.argv:
        if is_inside(word) and size_of(folder, word) is not None:
            _add_program_file(job, folder, files, word)
    if job.reduce.startswith("python "):
        _add_python(job, folder, files, "reduce", job.reduce.removeprefix("python "))
    for path in job.files:
        _add_listed(job, folder, files, path)
    if not files and job.argv:
        return canon.encode({})
    return canon.encode(files)


def _add(job: JobFile, folder: Folder, files: dict[str, bytes], path: str, name: str) -> None:
    if path in files:
        return
    size = size_of(folder, path)
    if size is None:
        raise job.wrong(name, f"there is no file {path}")
    if size + sum(map(len, files.values())) > BUNDLE_BYTES_MAX or len(files) >= BUNDLE_FILES_MAX:
        raise job.wrong(
            name,
            f"the code bundle is larger than {BUNDLE_BYTES_MAX >> 20} MiB or {BUNDLE_FILES_MAX} files, with {path}",
            "Give data to blocks as inputs (blocks: {files: …} or {split: …}).",
        )
    files[path] = folder.read(path)


def _add_listed(job: JobFile, folder: Folder, files: dict[str, bytes], path: str) -> None:
    path = path.removeprefix("./").rstrip("/")
    if not is_pattern(path):
        raise job.wrong("files", f"{path} must be beside the job file or below it, written with forward slashes")
    if size_of(folder, path) is not None:
        _add(job, folder, files, path, "files")
        return
    found = [p for p, _ in folder.glob(path if "*" in path else f"{path}/**/*") if not set(p.split("/")) & set(_SKIPPED)]
    if not found:
        raise job.wrong("files", f"there is no file or folder {path}")
    for each in sorted(found):
        _add(job, folder, files, each, "files")


# Python --------------------------------------------------------------------------------------------------------------


def _add_python(job: JobFile, folder: Folder, files: dict[str, bytes], name: str, entry: str) -> None:
    path, _, function = entry.partition(":")
    _add(job, folder, files, path, name)
    tree = _parsed(job, path, files[path], name)
    if tree is None:
        return
    _check_function(job, tree, name, path, function)
    _add_imports(job, folder, files, path, name)


def _add_program_file(job: JobFile, folder: Folder, files: dict[str, bytes], path: str) -> None:
    _add(job, folder, files, path, "command")
    if path.endswith(".py"):
        _add_imports(job, folder, files, path, "command")


def _add_imports(job: JobFile, folder: Folder, files: dict[str, bytes], first: str, name: str) -> None:
    """Modules here that `first` imports, and what those import; others are packages of the environment."""
    waiting, seen = [first], {first}
    while waiting:
        path = waiting.pop()
        tree = _parsed(job, path, files[path], name)
        if tree is None:
            continue
        here = path.rpartition("/")[0]
        for module in sorted(set(_modules(tree, here))):
            for found in _files_of(folder, module, here):
                _add(job, folder, files, found, name)
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)


def _parsed(job: JobFile, path: str, source: bytes, name: str) -> ast.Module | None:
    """None when the job asks for a Python of its own, whose grammar may be newer than ours."""
    try:
        return ast.parse(source, path)
    except (SyntaxError, ValueError) as error:
        if job.environment.python:
            return None
        line = getattr(error, "lineno", None) or 1
        raise job.wrong(name, f"{path}:{line}: {getattr(error, 'msg', error)}") from None
    except RecursionError:
        return None


def _modules(tree: ast.Module, here: str) -> Iterator[str]:
    """Dotted names of everything imported; relative ones made absolute from the job's folder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = here.split("/") if here else []
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            yield from ([module] if module else [])
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)


def _files_of(folder: Folder, module: str, here: str) -> list[str]:
    """Files here that importing a module runs: each package's __init__.py on the way, then the module."""
    for root in dict.fromkeys((here, "")):
        found = []
        path = root
        for part in module.split("."):
            path = f"{path}/{part}" if path else part
            found += [name for name in (f"{path}/__init__.py", f"{path}.py") if size_of(folder, name) is not None]
        if found:
            return found
    return []


def _check_function(job: JobFile, tree: ast.Module, name: str, path: str, function: str) -> None:
    """The function is there, and asks for nothing that blocks do not have."""
    bound: dict[str, ast.stmt] = {}
    for node in tree.body:
        for word in _bound(node):
            bound[word] = node
    if "*" in bound:
        return
    if function not in bound:
        defined = [word for word, node in bound.items() if isinstance(node, ast.FunctionDef)]
        hint = nearest(function, defined) if defined else "it defines no function"
        raise job.wrong(name, f"{path} has no {function}; {hint}")
    found = bound[function]
    if isinstance(found, ast.AsyncFunctionDef):
        raise job.wrong(name, f"{path}: {function} is async; a block is a plain function ({ENTRY})")
    if name == "python" and isinstance(found, ast.FunctionDef) and not found.decorator_list:
        _check_arguments(job, path, found)


def _check_arguments(job: JobFile, path: str, function: ast.FunctionDef) -> None:
    known = _param_names(job)
    if known is None:
        return
    asked = function.args
    if asked.posonlyargs:
        raise job.wrong("python", f"{path}: {function.name} takes arguments by position only; they are given by name")
    needed = [a.arg for a in asked.args[: len(asked.args) - len(asked.defaults)]]
    needed += [a.arg for a, default in zip(asked.kwonlyargs, asked.kw_defaults, strict=True) if default is None]
    for word in needed:
        if word not in known:
            raise job.wrong(
                "python", f"{path}: {function.name} asks for {word}, which no block gives; {nearest(word, known)}"
            )


def _param_names(job: JobFile) -> list[str] | None:
    """Names that every block gives, or None when blocks differ."""
    names: list[str] = [*GIVEN, *job.params]
    match job.source:
        case Grid(axes):
            names += axes
        case Items(items):
            if any(isinstance(item, dict) for item in items):
                return None
            names.append("item")
        case Globs():
            names.append("file")
        case Split(as_params=True, by=by):
            names.append("rows" if by == "csv" else "lines")
    return names


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a file binds; "*" when nobody can tell."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    elif not isinstance(node, ast.Expr | ast.Pass):
        yield "*"  # under if, try, with …: bound perhaps
