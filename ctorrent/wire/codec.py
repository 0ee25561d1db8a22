"""Model <-> bytes, with limits on decode. The one door to the files beside it; only they import pb.

`seal_x(model, signer)` signs a model's canonical bytes; `open_x(sealed)` checks size, signature, canonical form, that
the key that signed is the one the body names, and every range, in that order. Whatever is wrong raises a PeerError.
"""

from __future__ import annotations

from ctorrent.wire.codec_bounds import BOUNDS, Bounds, decode_sealed, encode_sealed
from ctorrent.wire.codec_identity import (
    decode_invite,
    encode_invite,
    open_certificate,
    open_link,
    open_membership,
    seal_certificate,
    seal_link,
)
from ctorrent.wire.codec_job import (
    amendment_id,
    environment_bytes,
    job_id,
    open_amendment,
    open_manifest,
    seal_amendment,
    seal_manifest,
)
from ctorrent.wire.codec_ledger import (
    decode_entries,
    decode_incarnation,
    decode_tally,
    encode_entries,
    encode_incarnation,
    encode_tally,
    entry_id,
    open_entry,
    read_entry,
    seal_entry,
)
from ctorrent.wire.codec_record import (
    decode_checkpoint,
    decode_proof,
    decode_receipt,
    decode_work,
    encode_checkpoint,
    encode_proof,
    encode_receipt,
    encode_work,
    open_rotation,
    open_work,
    seal_rotation,
    seal_work,
)
from ctorrent.wire.codec_result import open_result, result_id, seal_result
from ctorrent.wire.codec_session import decode_message, encode_message
from ctorrent.wire.codec_trade import (
    assignment_bytes,
    assignment_id,
    open_announcement,
    open_assignment,
    open_bid,
    seal_announcement,
    seal_assignment,
    seal_bid,
)

__all__ = [
    "BOUNDS",
    "Bounds",
    "amendment_id",
    "assignment_bytes",
    "assignment_id",
    "decode_checkpoint",
    "decode_entries",
    "decode_incarnation",
    "decode_invite",
    "decode_message",
    "decode_proof",
    "decode_receipt",
    "decode_sealed",
    "decode_tally",
    "decode_work",
    "encode_checkpoint",
    "encode_entries",
    "encode_incarnation",
    "encode_invite",
    "encode_message",
    "encode_proof",
    "encode_receipt",
    "encode_sealed",
    "encode_tally",
    "encode_work",
    "entry_id",
    "environment_bytes",
    "job_id",
    "open_amendment",
    "open_announcement",
    "open_assignment",
    "open_bid",
    "open_certificate",
    "open_entry",
    "open_link",
    "open_manifest",
    "open_membership",
    "open_result",
    "open_rotation",
    "open_work",
    "read_entry",
    "result_id",
    "seal_amendment",
    "seal_announcement",
    "seal_assignment",
    "seal_bid",
    "seal_certificate",
    "seal_entry",
    "seal_link",
    "seal_manifest",
    "seal_result",
    "seal_rotation",
    "seal_work",
]
