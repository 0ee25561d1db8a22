"""ComputeTorrent: a peer-to-peer network whose nodes run, and cross-check, each other's work.

    import ctorrent
    with ctorrent.connect() as net:
        print(net.run("job.yaml").answer())

Names below are loaded when first used: importing this package costs milliseconds, and never loads libp2p.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctorrent.client import Job as Job
    from ctorrent.client import Net as Net
    from ctorrent.client import connect as connect
    from ctorrent.embedded import Swarm as Swarm
    from ctorrent.embedded import swarm as swarm
    from ctorrent.errors import BadSignature as BadSignature
    from ctorrent.errors import CTorrentError as CTorrentError
    from ctorrent.errors import DiskFull as DiskFull
    from ctorrent.errors import JobClosed as JobClosed
    from ctorrent.errors import JobFileError as JobFileError
    from ctorrent.errors import JournalError as JournalError
    from ctorrent.errors import KeyFileError as KeyFileError
    from ctorrent.errors import LimitExceeded as LimitExceeded
    from ctorrent.errors import LocalError as LocalError
    from ctorrent.errors import Malformed as Malformed
    from ctorrent.errors import NoSuchPackage as NoSuchPackage
    from ctorrent.errors import PeerError as PeerError
    from ctorrent.errors import Unavailable as Unavailable
    from ctorrent.errors import Unsupported as Unsupported
    from ctorrent.errors import WorkError as WorkError
    from ctorrent.library.executor import Executor as Executor
    from ctorrent.library.failures import CallFailed as CallFailed
    from ctorrent.library.future import Future as Future
    from ctorrent.library.joblib_backend import register_joblib as register_joblib
    from ctorrent.library.mapping import MapResult as MapResult
    from ctorrent.library.task import Task as Task
    from ctorrent.library.task import task as task
    from ctorrent.library.values import register as register

__version__ = "0.1.0"

_CLIENT = ("Job", "Net", "connect")
_EMBEDDED = ("Swarm", "swarm")
_ERRORS = (
    "BadSignature", "CTorrentError", "DiskFull", "JobClosed", "JobFileError", "JournalError", "KeyFileError", "LimitExceeded",
    "LocalError", "Malformed", "NoSuchPackage", "PeerError", "Unavailable", "Unsupported", "WorkError",
)  # fmt: skip
_PLACES = {
    **dict.fromkeys(_CLIENT, "ctorrent.client"),
    **dict.fromkeys(_EMBEDDED, "ctorrent.embedded"),
    **dict.fromkeys(_ERRORS, "ctorrent.errors"),
    "CallFailed": "ctorrent.library.failures",
    "MapResult": "ctorrent.library.mapping",
    "register": "ctorrent.library.values",
    "Executor": "ctorrent.library.executor",
    "Future": "ctorrent.library.future",
    "Task": "ctorrent.library.task",
    "task": "ctorrent.library.task",
    "register_joblib": "ctorrent.library.joblib_backend",
}

__all__ = sorted(_PLACES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'ctorrent' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
