"""What of this folder travels with the job: paths and sizes, without reading more than the program's own text.

For `search.py:score` these are search.py, the .py files beside it that it imports (and that those import), the reduce
function's file likewise, words of `command` that name files here, and whatever `files` lists.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from ctorrent.errors import LocalError
from ctorrent.model.job import ProgramKind
from ctorrent.plan import codemap
from ctorrent.plan.block_fields import REPEAT
from ctorrent.plan.fields import ENTRY, GIVEN
from ctorrent.plan.folder import Folder, is_inside, is_pattern, size_of
from ctorrent.plan.jobfile import JobFile
from ctorrent.plan.source import Globs, Grid, Items, Records, Split
from ctorrent.plan.tree import nearest

SKIPPED = ("__pycache__", ".git", ".venv", ".mypy_cache", ".ipynb_checkpoints")  # in folders that `files` names
_PARSE_BYTES_MAX = 4 << 20  # of one .py file: a larger one is data, and its imports are not followed
COMMAND_NAMES_MAX = 1000  # each is a link in the work folder of every block of a command
OUTPUT, DRAW = "output", "draw"  # what a check is given beside what the block got
_OUTPUT = "output"  # where {output} of a command leads, unless `outputs` names it


def listed(job: JobFile, folder: Folder) -> dict[str, int]:
    """path -> bytes of every file. Raises JobFileError: one is missing, does not parse, or it is all too much."""
    files: dict[str, int] = {}
    if job.kind is ProgramKind.PYTHON:
        _add_python(job, folder, files, "python", job.entry)
    for word in job.argv:
        if is_inside(word) and size_of(folder, word) is not None:
            _add_program_file(job, folder, files, word)
    if job.reduce.startswith("python "):
        _add_python(job, folder, files, "reduce", job.reduce.removeprefix("python "))
    for name, entry in (("check", job.verify.check), ("script", job.verify.script)):
        if entry:
            _add_python(job, folder, files, name, entry)
    for path in job.files:
        _add_listed(job, folder, files, path)
    _check(job, files)
    return files


def _add(job: JobFile, folder: Folder, files: dict[str, int], path: str, name: str, size: int | None = None) -> None:
    if path in files:
        return
    if size is None:
        if (size := size_of(folder, path)) is None:
            raise job.wrong(name, f"there is no file {path}")
        _check_inside(job, folder, path, name)
    if wrong := codemap.unfit(path):
        raise job.wrong(name, f"there is a file {path!r:.200}, {wrong}", "Rename it, or list the others by name.")
    files[path] = size
    if len(files) > codemap.FILES_MAX:
        raise job.wrong(
            name, f"{path} is one file more than the {codemap.FILES_MAX} that a job may bring", "Put them into one archive, or list fewer."
        )


def _check_inside(job: JobFile, folder: Folder, path: str, name: str) -> None:
    try:
        folder.inside(path)
    except LocalError as error:
        raise job.wrong(name, error.message, error.hint) from None


def _add_listed(job: JobFile, folder: Folder, files: dict[str, int], path: str) -> None:
    path = path.removeprefix("./").rstrip("/") or "."
    try:
        if path != "." and not is_pattern(path):
            raise job.wrong("files", f"{path} must be beside the job file or below it, written with forward slashes")
        if path != "." and size_of(folder, path) is not None:
            found = [(path, folder.inside(path))]
        elif "*" in path:
            found = [(each, folder.inside(each)) for each, _ in folder.glob(path)]
        else:
            found = list(islice(folder.below(path, SKIPPED), codemap.FILES_MAX + 1))
    except LocalError as error:
        raise job.wrong("files", error.message, error.hint) from None
    kept = sorted((each, size) for each, size in found if not set(each.split("/")) & set(SKIPPED))
    if not kept:
        raise job.wrong("files", f"there is no file or folder {path}" if path != "." else "there are no files here")
    for each, size in kept:
        _add(job, folder, files, each, "files", size)


def _check(job: JobFile, files: dict[str, int]) -> None:
    """What no single file can tell."""
    if sum(files.values()) > codemap.FILES_BYTES_MAX:
        largest = max(files, key=lambda path: files[path])
        raise job.wrong(
            "files",
            f"together more than {codemap.FILES_BYTES_MAX >> 30} GiB ({largest} alone: {files[largest] / (1 << 30):.1f}), and every worker gets all",
            "What only some blocks read is an input of those: blocks: {files: …} or {split: …}.",
        )
    if len(codemap.folders(files)) > codemap.FOLDERS_MAX:
        raise job.wrong("files", f"they are in more than {codemap.FOLDERS_MAX} folders", "Put them into one archive, or list fewer.")
    top = {path.split("/")[0] for path in files}
    if job.argv and len(top) > COMMAND_NAMES_MAX:
        raise job.wrong("files", f"{len(top)} files and folders beside the job file: at most {COMMAND_NAMES_MAX}", "Put them into a folder.")
    # the files are read-only: where a command is to write, none of them may be
    if any("{output}" in word for word in job.argv) and _OUTPUT in top:
        raise job.wrong("files", f"{_OUTPUT} is what a command's {{output}} is called", "Give that file or folder another name.")


# Python --------------------------------------------------------------------------------------------------------------


def _add_python(job: JobFile, folder: Folder, files: dict[str, int], name: str, entry: str) -> None:
    path, _, function = entry.partition(":")
    _add(job, folder, files, path, name)
    tree = _parsed(job, folder, path, files[path], name)
    if tree is None:
        return
    _check_function(job, tree, name, path, function)
    _add_imports(job, folder, files, path, name)


def _add_program_file(job: JobFile, folder: Folder, files: dict[str, int], path: str) -> None:
    _add(job, folder, files, path, "command")
    if path.endswith(".py"):
        _add_imports(job, folder, files, path, "command")


def _add_imports(job: JobFile, folder: Folder, files: dict[str, int], first: str, name: str) -> None:
    """Modules here that `first` imports, and what those import; others are packages of the environment."""
    waiting, seen = [first], {first}
    while waiting:
        path = waiting.pop()
        tree = _parsed(job, folder, path, files[path], name)
        if tree is None:
            continue
        here = path.rpartition("/")[0]
        for module in sorted(set(_modules(tree, here))):
            for found in _files_of(folder, module, here):
                _add(job, folder, files, found, name)
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)


def _parsed(job: JobFile, folder: Folder, path: str, size: int, name: str) -> ast.Module | None:
    """None when the job asks for a Python of its own, whose grammar may be newer than ours; or the file is no text."""
    if size > _PARSE_BYTES_MAX:
        return None
    try:
        return ast.parse(folder.read(path), path)
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
    if isinstance(found, ast.FunctionDef) and not found.decorator_list:
        if name in ("python", "check"):
            _check_arguments(job, path, found, name)
        elif name == "script":
            _check_two(job, path, found)


def _check_arguments(job: JobFile, path: str, function: ast.FunctionDef, name: str) -> None:
    """Of the program, or of a check, which is given the same and the output."""
    asked = function.args
    if asked.posonlyargs:
        raise job.wrong(name, f"{path}: {function.name} takes arguments by position only; they are given by name")
    if name == "check" and asked.kwarg is None and OUTPUT not in [a.arg for a in (*asked.args, *asked.kwonlyargs)]:
        raise job.wrong(
            name, f"{path}: {function.name} does not ask for {OUTPUT}, which it is to judge", f"Such as def {function.name}({OUTPUT}, …): give it what the block got, by name."
        )
    known = _param_names(job)
    if known is None:
        return
    if name == "check":
        known += [OUTPUT, DRAW]
    needed = [a.arg for a in asked.args[: len(asked.args) - len(asked.defaults)]]
    needed += [a.arg for a, default in zip(asked.kwonlyargs, asked.kw_defaults, strict=True) if default is None]
    for word in needed:
        if word not in known:
            raise job.wrong(name, f"{path}: {function.name} asks for {word}, which no block gives; {nearest(word, known)}")


def _check_two(job: JobFile, path: str, function: ast.FunctionDef) -> None:
    """A comparator takes two outputs, by position."""
    asked = function.args
    places = [*asked.posonlyargs, *asked.args]
    most = len(places) if asked.vararg is None else 2 + len(places)
    keyword = [a.arg for a, default in zip(asked.kwonlyargs, asked.kw_defaults, strict=True) if default is None]
    if keyword or not len(places) - len(asked.defaults) <= 2 <= most:
        raise job.wrong("script", f"{path}: {function.name} is given two outputs, and nothing else", f"Such as def {function.name}(one, other).")


def _param_names(job: JobFile) -> list[str] | None:
    """Names that every block gives, or None when blocks differ."""
    names: list[str] = [*GIVEN, *job.params, *([REPEAT] if job.repeat else [])]
    match job.source:
        case Grid(axes):
            names += axes
        case Items(items):
            if any(isinstance(item, dict) for item in items):
                return None
            names.append("item")
        case Records():
            return None
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
