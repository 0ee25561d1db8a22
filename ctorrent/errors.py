"""Every error of ours, by whose fault it is.

    CTorrentError
    ├── LocalError        this machine or this person: settings, keys, disk, a job file
    │   ├── JobFileError      a job file says something impossible; names line and field
    │   ├── JobClosed         a job takes no more blocks: sealed, ended, full, or never open
    │   ├── KeyFileError      a key file is damaged, foreign or readable by others
    │   ├── NoSuchPackage     every package index asked says that there is none of that name
    │   ├── JournalError      the journal cannot be read or written
    │   └── DiskFull          the quota or the disk has no room; others are told so, as a reason of its own
    ├── PeerError         what a peer sent or did; charged to that peer
    │   ├── Malformed         bytes that do not decode, or are not canonical
    │   ├── BadSignature      a seal that does not verify
    │   ├── LimitExceeded     too large, too many, too fast
    │   └── Unsupported       a required feature or major version is missing
    ├── WorkError         the user's program failed
    └── Unavailable       nobody can, now: no peer, busy, gone, out of time

A message is one sentence; `hint` says what to do next. Faces print both, and a traceback only on request.
"""

from __future__ import annotations


class CTorrentError(Exception):
    """Root of the tree. `hint` is what the reader can do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{stop} {self.hint}"


class LocalError(CTorrentError):
    """This machine's or this person's to mend."""


class JobFileError(LocalError):
    """A job file is wrong. The message starts with `file:line: field:`."""


class JobClosed(LocalError):
    """A job takes no more blocks: it was not submitted open, was sealed, has ended, or has as many as it may."""


class KeyFileError(LocalError):
    """A key file is damaged, foreign or open to others; never answered by a new identity."""


class NoSuchPackage(LocalError):
    """Every package index that was asked says that it has none of these names; none was out of reach."""

    def __init__(self, message: str, hint: str = "", names: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.names = names


class JournalError(LocalError):
    """The journal cannot be read, written, or is newer than this program."""


class DiskFull(LocalError):
    """What others' jobs may put on this machine is used up, or the disk is."""


class PeerError(CTorrentError):
    """A peer sent or did something it must not; the session ends and the peer is charged."""


class Malformed(PeerError):
    """Bytes that do not decode, or decode to something that is not canonical."""


class BadSignature(PeerError):
    """A seal that does not verify under the key it names."""


class LimitExceeded(PeerError):
    """Larger, more or faster than the stated limit."""


class Unsupported(PeerError):
    """A required feature or major version that one side lacks; names both versions."""


class WorkError(CTorrentError):
    """The user's program failed; the message carries its own words."""


class Unavailable(CTorrentError):
    """Nobody can do it now: no peer, all busy, gone, or out of time."""


def leaves(group: BaseExceptionGroup[CTorrentError]) -> list[CTorrentError]:
    """Every error of a group, and of the groups in it."""
    found: list[CTorrentError] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
