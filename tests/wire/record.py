"""Write a vector for each sample that has none: `python -m tests.wire.record`. Never changes one that is there.

A signed format cannot change once anybody has signed with it; a new major version is a new domain and new files.
"""

from __future__ import annotations

import json
from pathlib import Path

from ctorrent.wire import codec
from tests.wire import samples

VECTORS = Path(__file__).parent / "vectors"


def written(name: str) -> dict[str, str]:
    """The vector of a sample as this version makes it: hex throughout."""
    if name in samples.SIGNED:
        sealed = samples.sealed(name)
        return {"body": sealed.body.hex(), "public": sealed.public.hex(), "signature": sealed.signature.hex()}
    if name.startswith("message-"):
        return {"frame": codec.encode_message(samples.MESSAGES[name.removeprefix("message-")]).hex()}
    return {"bytes": OTHERS[name].hex()}


OTHERS = {
    "environment": codec.environment_bytes(samples.ENVIRONMENT),
    "tally": codec.encode_tally(samples.TALLY),
    "incarnation": codec.encode_incarnation(samples.HEAD),
    "receipt": codec.encode_receipt(samples.sealed("work")),
    "proof-rerun": codec.encode_proof(samples.RERUN),
    "proof-fork": codec.encode_proof(samples.FORK),
    "rotation": codec.seal_rotation(samples.ROTATION, samples.OWNER, samples.MEMBER),
    "checkpoint": codec.encode_checkpoint(samples.CHECKPOINT),
    "invite": codec.encode_invite(samples.INVITE).encode(),
}
NAMES = [*samples.SIGNED, *(f"message-{name}" for name in samples.MESSAGES), *OTHERS]

if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    for name in NAMES:
        path = VECTORS / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(written(name), indent=1) + "\n")
            print("recorded", path.name)
