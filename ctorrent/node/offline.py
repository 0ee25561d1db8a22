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


def owner_rotate(owner_dir: Path | None = None) -> tuple[str, str]:
    """A new owner key, which the old one signs for. -> (old, new). Raises KeyFileError."""
    import time

    from ctorrent.store import keys

    return keys.rotate_owner(owner_dir, int(time.time()))


def owner_rotations(owner_dir: Path | None = None) -> list[dict[str, Any]]:
    """Changes of key that lead to the owner key here, oldest first: {"old", "new", "unix"}. Raises KeyFileError."""
    from ctorrent.model.ids import OwnerId, owner_public
    from ctorrent.store import keys
    from ctorrent.wire import codec

    found = [codec.open_rotation(body) for body in keys.rotations(owner_dir, owner_public(OwnerId(owner_show(owner_dir))))]
    return [{"old": one.old, "new": one.new, "unix": one.issued_unix_s} for one in found]


def folder_holder(data_dir: Path) -> str:
    """The process id of the node that holds a data folder; empty when none does."""
    from ctorrent.store.inuse import holder

    return holder(data_dir)


def leftovers(data_dir: Path, dry_run: bool) -> list[tuple[str, tuple[str, ...], int]]:
    """(what, names, bytes) of cells, containers and images that no living node uses; removed, unless only looked at."""
    from ctorrent.node.settings import load
    from ctorrent.sandbox import tidy

    keep_days = load({"data_dir": data_dir}).keep_days
    return [(left.what, left.names, left.size_bytes) for left in tidy.leftovers(data_dir, dry_run, keep_days)]


def footprint(data_dir: Path, owner_dir: Path, identity: bool) -> list[dict[str, Any]]:
    """What `uninstall` removes: see node/footprint.py. Raises LocalError."""
    from ctorrent.node import footprint

    return footprint.survey(data_dir, owner_dir, identity)


def uninstall(data_dir: Path, owner_dir: Path, identity: bool) -> list[str]:
    """Remove it. -> names in the data folder that are not ours and stay. Raises LocalError."""
    from ctorrent.node import footprint

    return footprint.remove(data_dir, owner_dir, identity)


def job_schema() -> dict[str, Any]:
    """The job file as a JSON schema, for editors."""
    from ctorrent.plan import schema

    return dict(schema.job_schema())


def check_job(path: Path, text: str, options: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Read a job file with no node. -> owners that must agree, programs it needs. Raises JobFileError, LocalError.

    As far as its first block; to the last where each has a name, since no two may be alike.
    """
    from ctorrent.market.fit import programs_of
    from ctorrent.node.diskfolder import DiskFolder
    from ctorrent.node.tender import asked_of
    from ctorrent.plan.blocks import draft_blocks
    from ctorrent.plan.code import listed
    from ctorrent.plan.jobfile import override, parse_jobfile
    from ctorrent.plan.outputs import OutputNames

    job = override(parse_jobfile(text, path.name), options)
    folder = DiskFolder(path.parent)
    listed(job, folder)
    names = OutputNames(job)
    for draft in draft_blocks(job, folder):
        names.add_draft(draft, 0)
        if not job.outputs:
            break
    return asked_of(job.verify)[1], programs_of(job.argv, job.environment)


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


def settings(data_dir: Path) -> dict[str, Any]:
    """What the next node here would be told, and what is wrong with it: see node/examine.py."""
    from ctorrent.node import examine

    return examine.settings(data_dir)


def identity(data_dir: Path, owner_dir: Path | None = None) -> dict[str, Any]:
    """Keys, swarms and friends, as far as files say: see node/examine.py."""
    from ctorrent.node import examine

    return examine.identity(data_dir, owner_dir)


def machine(data_dir: Path, isolation: str = "auto", measure: bool = False) -> dict[str, Any]:
    """Hardware, environments and the sandbox that works here: see node/examine.py."""
    from ctorrent.node import examine

    return examine.machine(data_dir, isolation, measure)


def read_target(text: str) -> dict[str, Any]:
    """What an address or invite says: see node/visit.py. Raises LocalError for what cannot be read."""
    from ctorrent.node import visit

    return visit.target(text)


def visit(address: str, own_port: int = 0) -> dict[str, Any]:
    """Who answers at an address or an invite, and how this machine looks from there: see node/visit.py. Raises LocalError."""
    from ctorrent.node import visit

    return visit.visit(address, own_port)


def verify_receipt(path: Path, data_dir: Path, sample: dict[str, Any], online: bool, told: Any, block_s: float | None = None) -> dict[str, Any]:
    """Check a receipt file and run blocks of it again: see node/receipt_verify.py. Raises LocalError.

    sample: {"count", "seed", "blocks"}. told: called with words about how far it is. block_s: as of receipt_place.Wanted.
    """
    from ctorrent.node import examine, receipt_verify
    from ctorrent.node.receipt_place import Wanted

    own = examine.settings(data_dir)["settings"]
    wanted = Wanted(data_dir, own["isolation"], tuple(own["programs"]), online, own["install_bytes"], block_s)
    return receipt_verify.verify(path, receipt_verify.Sample(**sample), wanted, told)
