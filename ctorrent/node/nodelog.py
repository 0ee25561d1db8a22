"""The node's log: `<data folder>/logs/node.log`, five files of a stated size, for this user's eyes only.

The file has what our own rooms tell (INFO) and what libraries warn of; a terminal gets warnings only.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ctorrent.node import about
from ctorrent.node.settings import Settings
from ctorrent.store.folder import private_folder

FILES = 5  # the one that is written, and four before it
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Lines(logging.Formatter):
    """What a peer says must neither paint a terminal nor look like a line of ours: the rest of a record is indented."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(c if c.isprintable() or c == "\n" else " " for c in text).replace("\n", "\n    ")


class _Json(logging.Formatter):
    """One line a record, for programs: time (UTC), level, logger, message, job where it is about one, error where it has a trace."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if name := getattr(record, "job", "") or about.job():
            line["job"] = name
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Private(RotatingFileHandler):
    """Files of mode 0600 from their first byte; a full disk costs lines, not the node."""

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def folder(data_dir: Path) -> Path:
    """Where the logs of a node lie."""
    return data_dir / "logs"


def open_log(settings: Settings, terminal: bool) -> Path:
    """Log into the data folder from now on; warnings to stderr too, if `terminal`. -> the file. Raises LocalError."""
    path = private_folder(folder(settings.data_dir)) / "node.log"
    root = logging.getLogger()
    if terminal and not root.handlers:
        words = logging.StreamHandler()
        words.setLevel(logging.WARNING)
        words.setFormatter(_Json() if settings.log_format == "json" else _Lines("%(message)s"))
        root.addHandler(words)
    file = _Private(path, maxBytes=settings.log_bytes, backupCount=FILES - 1, encoding="utf-8")
    file.setFormatter(_Json() if settings.log_format == "json" else _Lines(FORMAT))
    root.addHandler(file)
    logging.getLogger("ctorrent").setLevel(logging.INFO)
    return path
