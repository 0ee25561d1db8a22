"""Manifest and amendment, and the policies inside them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.job import (
    Amendment,
    AmendmentKind,
    Assurance,
    Environment,
    Equality,
    Isolation,
    Limits,
    Manifest,
    Needs,
    Program,
    ProgramKind,
    SignedManifest,
    Verify,
)
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    canonical,
    digest_of,
    enum_of,
    few,
    figure,
    node_from_wire,
    node_to_wire,
    nonce_of,
    ring_from_wire,
    ring_to_wire,
    seal,
    signed_by,
    text,
    unseal,
    whole,
)
from ctorrent.wire.pb import job_pb2 as pb

JOB_DOMAIN = "ctorrent/job/1"
AMENDMENT_DOMAIN = "ctorrent/amendment/1"
_DRAW_SECRET_BYTES_MAX = 64  # a hash's worth of randomness is 32


def seal_manifest(manifest: Manifest, signer: Signer) -> Sealed:
    """Sign a manifest with its requester's key."""
    message = pb.Manifest(
        requester=node_to_wire(manifest.requester),
        nonce=manifest.nonce,
        ring=ring_to_wire(manifest.ring),
        program=_program_to_wire(manifest.program),
        seed=manifest.seed,
        draw_hash=manifest.draw_hash,
        issued_unix_s=manifest.issued_unix_s,
        valid_s=manifest.valid_s,
        environment=environment_to_wire(manifest.environment),
        needs=needs_to_wire(manifest.needs),
        verify=_verify_to_wire(manifest.verify),
        limits=_limits_to_wire(manifest.limits),
        price_max=manifest.price_max,
        coalesce=manifest.coalesce,
        keep_errors=manifest.keep_errors,
        name=manifest.name,
        lock=manifest.lock,
    )
    return seal(JOB_DOMAIN, message, signer, message.requester, BOUNDS.manifest_bytes)


def open_manifest(sealed: Sealed) -> SignedManifest:
    """Check and decode. Raises Malformed, LimitExceeded, BadSignature."""
    m = unseal(JOB_DOMAIN, sealed, pb.Manifest, BOUNDS.manifest_bytes)
    signed_by(sealed, m.requester, "manifest")
    manifest = Manifest(
        requester=node_from_wire(m.requester),
        nonce=nonce_of(m.nonce, "manifest nonce"),
        ring=ring_from_wire(m.ring),
        program=_program_from_wire(m.program),
        seed=m.seed,
        draw_hash=digest_of(m.draw_hash, "draw hash"),
        issued_unix_s=whole(m.issued_unix_s, "issued_unix_s", high=BOUNDS.time_s),
        valid_s=whole(m.valid_s, "valid_s", high=BOUNDS.time_s),
        environment=environment_from_wire(m.environment),
        needs=needs_from_wire(m.needs),
        verify=_verify_from_wire(m.verify),
        limits=_limits_from_wire(m.limits),
        price_max=figure(m.price_max, "price"),
        coalesce=m.coalesce,
        keep_errors=m.keep_errors,
        name=text(m.name, "job name"),
        lock=bytes(digest_of(m.lock, "lock")) if m.lock else b"",
    )
    return SignedManifest(job_id(sealed), manifest, sealed)


def job_id(sealed: Sealed) -> JobId:
    """The job's id from the exact bytes of its manifest."""
    return JobId(digest(JOB_DOMAIN, sealed.body))


def seal_amendment(amendment: Amendment, signer: Signer) -> Sealed:
    """Sign an amendment; the signer must be the job's requester, which readers check."""
    message = pb.Amendment(
        job=amendment.job,
        seq=amendment.seq,
        prev=amendment.prev,
        kind=pb.AmendmentKind.Value(f"AMENDMENT_KIND_{amendment.kind.name}"),
        first_index=amendment.first_index,
        count=amendment.count,
        root=amendment.root,
        blob=amendment.blob,
        keepers=[node_to_wire(k) for k in amendment.keepers],
        reason=amendment.reason,
        draw_secret=amendment.draw_secret,
    )
    return seal(AMENDMENT_DOMAIN, message, signer, signer.public, BOUNDS.amendment_bytes)


def open_amendment(sealed: Sealed, requester: NodeId) -> Amendment:
    """Check and decode one link of `requester`'s job. That the chain fits together is the reader's to check."""
    m = unseal(AMENDMENT_DOMAIN, sealed, pb.Amendment, BOUNDS.amendment_bytes)
    signed_by(sealed, node_to_wire(requester), "amendment")
    kind = enum_of(AmendmentKind, m.kind, "amendment kind")
    _check_payload(kind, m)
    few(len(m.keepers), "keepers", BOUNDS.keepers)
    return Amendment(
        job=JobId(digest_of(m.job, "job id")),
        seq=whole(m.seq, "amendment seq", low=1),
        prev=digest_of(m.prev, "previous amendment"),
        kind=kind,
        first_index=whole(m.first_index, "first index", high=BOUNDS.large),
        count=whole(m.count, "block count"),
        root=m.root,
        blob=m.blob,
        keepers=tuple(node_from_wire(k) for k in m.keepers),
        reason=text(m.reason, "reason", BOUNDS.detail_chars),
        draw_secret=m.draw_secret,
    )


def amendment_id(sealed: Sealed) -> Digest:
    """What the next amendment names as `prev`."""
    return Digest(digest(AMENDMENT_DOMAIN, sealed.body))


def _check_payload(kind: AmendmentKind, m: pb.Amendment) -> None:
    if kind is AmendmentKind.BLOCKS:
        digest_of(m.root, "Merkle root")
        whole(m.count, "block count", low=1)
    elif m.root or m.count or m.first_index:
        raise Malformed(f"an amendment of kind {kind.name} appends no blocks")
    if kind in (AmendmentKind.CODE, AmendmentKind.CALIBRATION):
        digest_of(m.blob, "blob")
    elif m.blob:
        raise Malformed(f"an amendment of kind {kind.name} names no blob")
    if len(m.draw_secret) > _DRAW_SECRET_BYTES_MAX or (m.draw_secret and kind is not AmendmentKind.CLOSE):
        raise Malformed("a draw secret is at most 64 bytes and shown at close only")


# Policies ------------------------------------------------------------------------------------------------------------


def _program_to_wire(program: Program) -> pb.Program:
    return pb.Program(
        kind=pb.ProgramKind.Value(f"PROGRAM_KIND_{program.kind.name}"),
        code=program.code,
        entry=program.entry,
        argv=program.argv,
        reduce=program.reduce,
        outputs=program.outputs,
        files_bytes=program.files_bytes,
    )


def _program_from_wire(m: pb.Program) -> Program:
    kind = enum_of(ProgramKind, m.kind, "program kind")
    if not (m.entry if kind is ProgramKind.PYTHON else m.argv):
        raise Malformed(f"a {kind.name.lower()} program that names nothing to run")
    return Program(
        kind=kind,
        code=digest_of(m.code, "code digest"),
        entry=text(m.entry, "entry"),
        argv=words(m.argv, "arguments", BOUNDS.word_chars),
        reduce=text(m.reduce, "reduce"),
        outputs=text(m.outputs, "outputs"),
        files_bytes=whole(m.files_bytes, "bytes of files", high=BOUNDS.large),
    )


def environment_bytes(environment: Environment) -> bytes:
    """Canonical bytes of the predicate, as they enter block and content digests."""
    return canonical(environment_to_wire(environment))


def environment_to_wire(environment: Environment) -> pb.Environment:
    """ValueError unless packages and programs ascend: two spellings of one need would be two environments."""
    for names in (environment.packages, environment.programs):
        if not _ascending(names):
            raise ValueError(f"packages and programs must be sorted and none twice: {', '.join(names)}")
    return pb.Environment(
        python=environment.python,
        arch=environment.arch,
        packages=environment.packages,
        programs=environment.programs,
        image=environment.image,
    )


def environment_from_wire(m: pb.Environment) -> Environment:
    packages, programs = words(m.packages, "packages"), words(m.programs, "programs")
    if not (_ascending(packages) and _ascending(programs)):
        raise Malformed("packages and programs must be sorted and none twice")
    return Environment(
        python=text(m.python, "python"),
        arch=text(m.arch, "arch"),
        packages=packages,
        programs=programs,
        image=text(m.image, "image", BOUNDS.detail_chars),
    )


def _ascending(names: Sequence[str]) -> bool:
    return all(a < b for a, b in pairwise(names))


def words(names: Sequence[str], what: str, limit: int = BOUNDS.label_chars) -> tuple[str, ...]:
    """A bounded list of bounded texts."""
    few(len(names), what, BOUNDS.words)
    return tuple(text(name, what, limit) for name in names)


def needs_to_wire(needs: Needs) -> pb.Needs:
    return pb.Needs(
        cpu=needs.cpu,
        memory_bytes=needs.memory_bytes,
        gpu=needs.gpu,
        gpu_memory_bytes=needs.gpu_memory_bytes,
        compute_capability=needs.compute_capability,
        isolation=pb.Isolation.Value(f"ISOLATION_{needs.isolation.name}"),
    )


def needs_from_wire(m: pb.Needs) -> Needs:
    return Needs(
        cpu=whole(m.cpu, "cpu", low=1, high=BOUNDS.cores),
        memory_bytes=whole(m.memory_bytes, "memory", high=BOUNDS.large),
        gpu=whole(m.gpu, "gpu", high=BOUNDS.cores),
        gpu_memory_bytes=whole(m.gpu_memory_bytes, "gpu memory", high=BOUNDS.large),
        compute_capability=text(m.compute_capability, "compute capability"),
        isolation=enum_of(Isolation, m.isolation, "isolation"),
    )


def _verify_to_wire(verify: Verify) -> pb.Verify:
    return pb.Verify(
        replicas=verify.replicas,
        replicas_max=verify.replicas_max,
        equal=pb.Equality.Value(f"EQUALITY_{verify.equal.name}"),
        rtol=verify.rtol,
        atol=verify.atol,
        nan_equal=verify.nan_equal,
        assurance=pb.Assurance.Value(f"ASSURANCE_{verify.assurance.name}"),
        homogeneous=verify.homogeneous,
        check=verify.check,
        script=verify.script,
        top=verify.top,
        alpha=verify.alpha,
        audit_share=verify.audit_share,
    )


def _verify_from_wire(m: pb.Verify) -> Verify:
    replicas = whole(m.replicas, "replicas", low=1, high=BOUNDS.replicas)
    return Verify(
        replicas=replicas,
        replicas_max=whole(m.replicas_max, "replicas_max", low=replicas, high=BOUNDS.replicas),
        equal=enum_of(Equality, m.equal, "equal"),
        rtol=figure(m.rtol, "rtol"),
        atol=figure(m.atol, "atol"),
        nan_equal=m.nan_equal,
        assurance=enum_of(Assurance, m.assurance, "assurance"),
        homogeneous=m.homogeneous,
        check=text(m.check, "check"),
        script=text(m.script, "script"),
        top=whole(m.top, "top"),
        alpha=figure(m.alpha, "alpha"),
        audit_share=figure(m.audit_share, "audit_share"),
    )


def _limits_to_wire(limits: Limits) -> pb.Limits:
    return pb.Limits(
        block_s=limits.block_s,
        output_bytes=limits.output_bytes,
        log_bytes=limits.log_bytes,
        scratch_bytes=limits.scratch_bytes,
        job_s=limits.job_s,
        attempts=limits.attempts,
    )


def _limits_from_wire(m: pb.Limits) -> Limits:
    return Limits(
        block_s=figure(m.block_s, "block_s"),
        output_bytes=whole(m.output_bytes, "output_bytes", high=BOUNDS.large),
        log_bytes=whole(m.log_bytes, "log_bytes", high=BOUNDS.large),
        scratch_bytes=whole(m.scratch_bytes, "scratch_bytes", high=BOUNDS.large),
        job_s=figure(m.job_s, "job_s"),
        attempts=whole(m.attempts, "attempts", low=1),
    )
