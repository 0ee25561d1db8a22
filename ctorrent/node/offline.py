"""What a person may do with this machine while no node runs: the owner's key, environments, images, the job schema.

The command line reaches these through its own node.py; everything else goes through the Door of a running node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctorrent.errors import KeyFileError


def owner_folder(owner_dir: Path | None = None) -> Path:
    """Where the owner's key lies."""
    from ctorrent.store import keys

    return owner_dir or keys.owner_folder()


def owner_show(owner_dir: Path | None = None) -> str:
    """The owner id of this machine. Raises KeyFileError when there is none, or the file is damaged."""
    from ctorrent.model.ids import owner_id
    from ctorrent.store import keyfile, keys

    path = owner_folder(owner_dir) / keys.OWNER_KEY_NAME
    try:
        return owner_id(keyfile.read(path, "owner").public)
    except FileNotFoundError:
        raise KeyFileError(f"There is no owner key in {path.parent}.", "Start a node once (ctorrent node); it makes one.") from None


def owner_export(target: Path, passphrase: str = "", owner_dir: Path | None = None) -> str:
    """Copy the owner key to a file, under a passphrase where one is given. -> owner id. Raises KeyFileError."""
    from ctorrent.store import keys

    return keys.export_owner(owner_dir, target, passphrase)


def owner_import(source: Path, passphrase: str = "", replace: bool = False, owner_dir: Path | None = None) -> str:
    """Make an exported key this machine's owner key. -> owner id. Raises KeyFileError."""
    from ctorrent.store import keys

    return keys.import_owner(source, owner_dir, passphrase, replace)


def job_schema() -> dict[str, Any]:
    """The job file as a JSON schema, for editors."""
    from ctorrent.plan import schema

    return dict(schema.job_schema())


def environment_remove(data_dir: Path, name: str) -> None:
    """Remove an environment that was added; jobs that need it find it no more. Raises LocalError."""
    from ctorrent.sandbox.environment import Environments
    from ctorrent.sandbox.limits import SandboxRules

    Environments(data_dir, SandboxRules()).remove(name)


def image_names() -> tuple[str, ...]:
    """Images that can be built here. Raises LocalError where the recipes are not installed."""
    from ctorrent.sandbox import image

    return image.names()


def image_build(name: str, base: str = "") -> str:
    """Build an image, which takes minutes. -> its id, "sha256:…". Raises LocalError."""
    from ctorrent.sandbox import image

    return image.build(name, base)
