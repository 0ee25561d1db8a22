"""ports.Keys by name: the same name has the same keys in every run."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.ids import NodeId, OwnerId, node_id, owner_id
from ctorrent.seal import Signer, digest


@dataclass(frozen=True, slots=True)
class FakeKeys:
    """ports.Keys."""

    node: Signer
    owner: Signer

    @property
    def node_id(self) -> NodeId:
        return node_id(self.node.public)

    @property
    def owner_id(self) -> OwnerId:
        return owner_id(self.owner.public)


def keys(name: str, owner: str = "") -> FakeKeys:
    """Keys of the node `name`, whose owner is `owner` (a person of the node's name when empty)."""
    secret = digest("ctorrent/testing/node/1", name.encode())
    return FakeKeys(Signer(secret), Signer(digest("ctorrent/testing/owner/1", (owner or name).encode())))
