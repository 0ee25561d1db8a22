"""From a manifest to the machines that decide about its blocks: among friends at once, among strangers with audits."""

from __future__ import annotations

import random
from functools import partial

from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.model.ids import NodeId, RingKind
from ctorrent.model.job import Assurance, Manifest
from ctorrent.node.jobbook import JobRecord
from ctorrent.verify import draw
from ctorrent.verify.audit import rules_for
from ctorrent.verify.ballot import Compare
from ctorrent.verify.jury import Jury
from ctorrent.verify.quorum import Quorum

Votes = Quorum | Jury


def is_audited(manifest: Manifest) -> bool:
    """Strangers may work on it, or its requester asked for audits. Friends do not collude: their jobs wait for nothing."""
    verify = manifest.verify
    return manifest.ring.kind is not RingKind.FRIENDS or verify.assurance is Assurance.ECONOMY or verify.audit_share > 0


def votes_of(record: JobRecord, me: NodeId, compare: Compare) -> Votes:
    """Who counts the votes of a job. compare: how two outputs are compared (verify/screen.py)."""
    manifest = record.job.manifest
    if is_audited(manifest):
        return Jury(manifest.verify, rules_for(manifest.verify), record.draw_secret, me, compare)
    return Quorum(manifest.verify, compare=compare)


def dispatch_of(record: JobRecord, first_number: int) -> Dispatch:
    """Who hands out its blocks."""
    manifest = record.job.manifest
    terms = d.Terms(
        manifest.verify.replicas, manifest.limits.attempts, manifest.limits.block_s, manifest.coalesce, manifest.keep_errors,
        apart=is_audited(manifest), homogeneous=manifest.verify.homogeneous,
        sparing=manifest.verify.assurance is Assurance.ECONOMY,
    )  # fmt: skip
    rules = d.tuned(d.Rules(), record.expected.block_s, record.expected.start_s)
    return Dispatch(terms, random.Random(record.draw_secret), rules, first_number, partial(_pick, record.draw_secret))


def _pick(secret: bytes, index: int, again: int, candidates: list[NodeId]) -> NodeId | None:
    return draw.pick(secret, "replica", index, again, candidates)
