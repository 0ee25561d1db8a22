"""POST /jobs: a job file as text, as JSON, as a form with files, or as a zip, laid into a folder that the planner reads."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import trio
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ctorrent.errors import DiskFull, JobFileError
from ctorrent.web import job_folder
from ctorrent.web.forms import Submission
from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules
from ctorrent.web.uploads import Waiting

YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")
ZIP = ("application/zip", "application/x-zip-compressed")
FIELDS_MAX = 10  # of a form, that are no files: job and options, each in memory
_UNSENT = re.compile(r"there is no file(?: or folder)? (.{1,200})$|(\S{1,200}) matches no file$")  # of the planner's
_FORMS = "Send the text of a job.yaml as application/yaml, or a form or a zip with it and its files."
_JOB = "name: squares\npython: work.py:run\nblocks: {grid: {x: [1, 2, 3]}}\n"
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": _JOB},
            "application/json": {"schema": Submission.model_json_schema(), "example": {"job": _JOB, "files": {"work.py": "def run(x):\n    return x * x\n"}, "options": {"replicas": 2}}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {"schema": {"type": "object", "required": ["job"], "properties": {"job": {"type": "string", "format": "binary", "description": "job.yaml"}, "files": {"type": "array", "items": {"type": "string", "format": "binary"}}, "options": {"type": "string"}}}, "example": {"job": _JOB, "options": '{"replicas": 2}'}},
        },
    }
}


@contextmanager
def unsent_said() -> Iterator[None]:
    """An error about a file that did not come along says how it does."""
    try:
        yield
    except JobFileError as error:
        found = _UNSENT.search(error.message)
        if found is None:
            raise
        name = (found[1] or found[2]).replace("*", "1")  # of a pattern, a file that it means
        form = f"files=@{name}" if "/" not in name else f'"files=@{name};filename={name}"'
        hint = f'What is sent along is in the same body. In JSON: "files": {{"{name}": "its text"}}. In a form: curl -F job=@job.yaml -F {form}. Or send the whole folder as a zip.'
        raise JobFileError(error.message, hint) from None


async def lay(request: Request, folder: pathlib.Path, waiting: Waiting, rules: WebRules) -> tuple[pathlib.Path, str, dict[str, Any]]:
    """Into `folder`: what was sent. -> the job file's path, its text, options. Raises Problem, CTorrentError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    options = _options(request.query_params.get("options", ""))
    folder = folder / _called(request.query_params.get("name", ""))
    await trio.to_thread.run_sync(folder.mkdir)
    if kind in YAML:
        await trio.to_thread.run_sync(_put, folder, {job_folder.JOB_FILES[0]: await _text(request, rules)})
    elif kind == "application/json":
        wanted = _submission(await _text(request, rules))
        folder = folder.with_name(_called(wanted.name or request.query_params.get("name", "")))
        await trio.to_thread.run_sync(_put, folder, wanted.files | {job_folder.JOB_FILES[0]: wanted.job})
        options |= wanted.options
    elif kind in ZIP:
        async with waiting.file(request) as archive:
            await trio.to_thread.run_sync(job_folder.unpack, archive, folder, rules)
    elif kind == "multipart/form-data":
        options |= await _form(request, folder, rules)
    else:
        raise Problem(415, f"A job is not taken as {kind!r:.80}.", _FORMS)
    path = job_folder.job_file(folder)
    return path, await trio.to_thread.run_sync(job_folder.text_of, path, rules.body_bytes_max), options


async def _form(request: Request, folder: pathlib.Path, rules: WebRules) -> dict[str, Any]:
    """The files of a form: "job" is job.yaml, the others lie where their names say. -> options."""
    left, options = rules.job_bytes_max, {}
    try:
        async with request.form(max_files=rules.job_files_max, max_fields=FIELDS_MAX, max_part_size=rules.body_bytes_max) as form:
            for field, value in form.multi_items():
                if isinstance(value, UploadFile):
                    name = job_folder.JOB_FILES[0] if field == "job" else value.filename or ""
                    left = await trio.to_thread.run_sync(job_folder.write, value.file, job_folder.inside(folder, name), left, rules)
                elif field == "job":
                    await trio.to_thread.run_sync(_put, folder, {job_folder.JOB_FILES[0]: value})
                elif field == "options":
                    options = _options(value)
                else:
                    raise Problem(400, f"The form's field {field!r:.80} is none of job, files, options.", _FORMS)
    except ClientDisconnect:
        raise Problem(400, "The form ended before its end.", "Send it again.") from None
    except OSError as error:  # large files of a form wait in the system's own folder for what is temporary
        raise DiskFull(f"The form's files cannot be written: {error.strerror}.", "Make room on the disk.") from None
    except HTTPException as error:
        raise error if isinstance(error, Problem) else Problem(error.status_code, f"The form cannot be read: {error.detail}", _FORMS) from None
    return options


def _put(folder: pathlib.Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = job_folder.inside(folder, name)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except (OSError, UnicodeEncodeError) as error:
            raise Problem(400, f"{name!r:.200} cannot be written: {error}.") from None


async def _text(request: Request, rules: WebRules) -> str:
    """What is held in memory: not as long as what goes to the disk."""
    data = bytearray()
    try:
        async with aclosing(request.stream()) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > rules.body_bytes_max:
                    raise Problem(413, f"A job as text or JSON has at most {rules.body_bytes_max:,} bytes.", "Send its files as a form or a zip.")
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(400, "The body is not UTF-8 text.") from None
    except ClientDisconnect:
        raise Problem(400, "The body ended before its end.", "Send it again.") from None


def _submission(text: str) -> Submission:
    try:
        return Submission.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise Problem(422, f"{'.'.join(map(str, fault['loc'])) or 'The body'}: {fault['msg']}.", "Its form is in /api/v1/openapi.json.") from None


def _options(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(422, "options is not a JSON object.", 'Such as {"replicas": 2}.')
    return found


def _called(name: str) -> str:
    """A folder's name: jobs that have none of their own are called so."""
    kept = "".join(sign if sign.isalnum() or sign in "-_ ." else "-" for sign in name).strip(" .")
    return kept[:64] or "job"
