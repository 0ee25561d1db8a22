"""A job file becomes a manifest that can be signed and opened."""

from __future__ import annotations

from ctorrent.model.ids import Digest, Ring, RingKind, node_id
from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.manifest import Circumstances, draft_manifest
from ctorrent.seal import Signer
from ctorrent.wire import codec
from tests.plan.test_jobfile import FULL, SHORT

SIGNER = Signer(b"k" * 32)
GIVEN = Circumstances(
    node_id(SIGNER.public), Ring(RingKind.PUBLIC), Digest(b"c" * 32), b"n" * 16, 42, Digest(b"d" * 32), 1_800_000_000
)


def test_every_field_arrives_signed() -> None:
    for text in (SHORT, FULL):
        manifest = draft_manifest(parse_jobfile(text), GIVEN)
        assert codec.open_manifest(codec.seal_manifest(manifest, SIGNER)).manifest == manifest


def test_the_file_goes_before_the_circumstances() -> None:
    assert draft_manifest(parse_jobfile(SHORT), GIVEN).seed == 42
    full = draft_manifest(parse_jobfile(FULL), GIVEN)
    assert (full.seed, full.name, full.program.argv[0]) == (255, "no", "sh")
    assert full.valid_s == 7200 + 86_400
