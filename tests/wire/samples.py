"""One of everything that travels, from fixed keys: the vectors and the fuzz start here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ctorrent.model import session as s
from ctorrent.model.block import Block, InputRef
from ctorrent.model.entry import Checkpoint, Entry, EntryKind, Head, Proof, ProofKind, Rotation, Sum, Tally, Work
from ctorrent.model.identity import Certificate, Invite, Link
from ctorrent.model.ids import Digest, JobId, Ring, RingKind, node_id, owner_id
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
    Verify,
)
from ctorrent.model.result import Committed, Failure, FailureKind, Result, Usage
from ctorrent.model.trade import Announcement, Assignment, Bid, No, NoReason
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec

REQUESTER, WORKER, OWNER, MEMBER, ROOT = (Signer(bytes([n]) * 32) for n in range(1, 6))
JOB = JobId(b"j" * 32)


def d(letter: str) -> Digest:
    return Digest(letter.encode() * 32)


ENVIRONMENT = Environment(">=3.11,<3.13", "x86_64", ("numpy>=1.26", "scikit-learn"), ("awk",), "img@sha256:00")
NEEDS = Needs(2, 1 << 30, 1, 8 << 30, "8.0", Isolation.DOCKER)
SWARM = Ring(RingKind.SWARM, owner_id(ROOT.public))

MANIFEST = Manifest(
    requester=node_id(REQUESTER.public),
    nonce=b"n" * 16,
    ring=SWARM,
    program=Program(ProgramKind.PYTHON, d("c"), "search.py:score", (), "best-by accuracy"),
    seed=(1 << 64) - 1,
    draw_hash=d("d"),
    issued_unix_s=1_800_000_000,
    valid_s=86_400,
    environment=ENVIRONMENT,
    needs=NEEDS,
    verify=Verify(3, 7, Equality.NUMERIC, 1e-3, 0.0, False, Assurance.ECONOMY, True),
    limits=Limits(1.5, 1000, 2000, 3000, 4000.0, 2),
    price_max=0.25,
    coalesce=False,
    keep_errors=True,
    name="Ziffern: größer",
)
SILENT = Manifest(
    requester=node_id(REQUESTER.public),
    nonce=b"\0" * 16,
    ring=Ring(RingKind.PUBLIC),
    program=Program(ProgramKind.COMMAND, d("c"), argv=("wc", "-w", "{input}")),
    seed=0,
    draw_hash=d("d"),
    issued_unix_s=0,
    valid_s=0,
)
AMENDMENT = Amendment(JOB, 1, Digest(JOB), AmendmentKind.BLOCKS, 0, 12, d("r"))
KEEPERS = Amendment(JOB, 2, d("p"), AmendmentKind.KEEPERS, keepers=(node_id(WORKER.public),))
CLOSE = Amendment(JOB, 3, d("q"), AmendmentKind.CLOSE, draw_secret=b"s" * 32)
CERTIFICATE = Certificate(owner_id(OWNER.public), node_id(WORKER.public), 1_800_000_000, 0, "desk")
LINK = Link(owner_id(ROOT.public), owner_id(ROOT.public), owner_id(OWNER.public), 1, 1_800_000_000, 31_536_000)
LINK2 = Link(owner_id(ROOT.public), owner_id(OWNER.public), owner_id(MEMBER.public), 2, 1_800_000_001, 0)
INVITE = Invite(
    node_id(WORKER.public),
    owner_id(OWNER.public),
    owner_id(ROOT.public),
    b"t" * 16,
    ("/ip4/192.0.2.7/tcp/4270", "/ip6/2001:db8::7/tcp/4270"),
)
ANNOUNCEMENT = Announcement(
    JOB, node_id(REQUESTER.public), 2, SWARM, NEEDS, ENVIRONMENT, 8, 30.0, 0.5, b"a signed peer record"
)
BID = Bid(
    JOB,
    node_id(WORKER.public),
    b"n" * 16,
    4,
    9,
    d("f"),
    Isolation.JAIL.value,
    "x86_64 Hopper 550.1",
    123.5,
    0.0,
    d("a"),
)
ASSIGNMENT = Assignment(JOB, 1, d("a"), node_id(WORKER.public), b"m" * 16, 30.0, (d("0"), d("1")))
RESULT = Result(d("i"), node_id(WORKER.public), d("f"), (Committed(d("0"), d("x")), Committed(d("1"), d("y"))), "x86_64")
ENTRY = Entry(node_id(REQUESTER.public), 0, 1, d("\0"), EntryKind.TALLY, SWARM, b"body", 1_800_000_000)
FUTURE = Entry(node_id(REQUESTER.public), 3, 900, d("z"), 77, Ring(RingKind.PUBLIC), b"\xff\x00", 1_800_000_000)
TALLY = Tally(d("t"), node_id(WORKER.public), owner_id(OWNER.public), 100, 2, 0, "x86_64", d("e"))
HEAD = Head(node_id(REQUESTER.public), 2, 17, d("h"))
WORK = Work(
    d("t"), node_id(REQUESTER.public), node_id(WORKER.public), owner_id(OWNER.public), owner_id(MEMBER.public), 2, 1200, 0.75, 0.125, 3.5
)
RERUN = Proof(ProofKind.RERUN, node_id(WORKER.public), leaf=d("e"), output=d("o"))
ROTATION = Rotation(owner_id(OWNER.public), owner_id(MEMBER.public), 1_800_000_000)
CHECKPOINT = Checkpoint(
    HEAD, 0, 2, tuple(Sum(node_id(k.public), owner_id(OWNER.public), 90, 3, 1) for k in sorted((WORKER, MEMBER), key=lambda k: k.public)), 12.25
)

Case = tuple[Any, Callable[[], Sealed], Callable[[Sealed], Any]]

PINNED = replace(
    MANIFEST,
    program=Program(ProgramKind.COMMAND, d("c"), argv=("ffmpeg", "-i", "{input}", "{output}"), outputs="small/{stem}.mp4"),
    lock=d("l"),
)

JUDGED = replace(MANIFEST, verify=replace(
    MANIFEST.verify, equal=Equality.TOPK, check="judge.py:right", script="judge.py:same", top=5, alpha=0.001, audit_share=0.05
))  # fmt: skip

SIGNED: dict[str, Case] = {
    "manifest-judged": (JUDGED, lambda: codec.seal_manifest(JUDGED, REQUESTER), lambda x: codec.open_manifest(x).manifest),
    "work": (WORK, lambda: codec.seal_work(WORK, WORKER), codec.open_work),
    "manifest": (MANIFEST, lambda: codec.seal_manifest(MANIFEST, REQUESTER), lambda x: codec.open_manifest(x).manifest),
    "manifest-silent": (
        SILENT,
        lambda: codec.seal_manifest(SILENT, REQUESTER),
        lambda x: codec.open_manifest(x).manifest,
    ),
    "manifest-pinned": (
        PINNED,
        lambda: codec.seal_manifest(PINNED, REQUESTER),
        lambda x: codec.open_manifest(x).manifest,
    ),
    "amendment": (
        AMENDMENT,
        lambda: codec.seal_amendment(AMENDMENT, REQUESTER),
        lambda x: codec.open_amendment(x, node_id(REQUESTER.public)),
    ),
    "amendment-keepers": (
        KEEPERS,
        lambda: codec.seal_amendment(KEEPERS, REQUESTER),
        lambda x: codec.open_amendment(x, node_id(REQUESTER.public)),
    ),
    "amendment-close": (
        CLOSE,
        lambda: codec.seal_amendment(CLOSE, REQUESTER),
        lambda x: codec.open_amendment(x, node_id(REQUESTER.public)),
    ),
    "certificate": (CERTIFICATE, lambda: codec.seal_certificate(CERTIFICATE, OWNER), codec.open_certificate),
    "link": (LINK, lambda: codec.seal_link(LINK, ROOT), codec.open_link),
    "announcement": (ANNOUNCEMENT, lambda: codec.seal_announcement(ANNOUNCEMENT, REQUESTER), codec.open_announcement),
    "bid": (BID, lambda: codec.seal_bid(BID, WORKER), codec.open_bid),
    "assignment": (
        ASSIGNMENT,
        lambda: codec.seal_assignment(ASSIGNMENT, REQUESTER),
        lambda x: codec.open_assignment(x)[0],
    ),
    "result": (RESULT, lambda: codec.seal_result(RESULT, WORKER), codec.open_result),
    "entry": (ENTRY, lambda: codec.seal_entry(ENTRY, REQUESTER).sealed, lambda x: codec.open_entry(x).entry),
    "entry-future": (FUTURE, lambda: codec.seal_entry(FUTURE, REQUESTER).sealed, lambda x: codec.open_entry(x).entry),
}


def sealed(name: str) -> Sealed:
    return SIGNED[name][1]()


OUTPUTS = (
    s.Output(b"o" * 16, b"\x00\x01", None, 2, Usage(0.5, 0.0, 0.6, 1 << 20), None, b"printed"),
    s.Output(b"p" * 16, None, d("b"), 5_000_000, Usage(), None),
    s.Output(b"q" * 16, b"\x01\x01E", None, 3, Usage(), Failure(FailureKind.EXCEPTION, "E", "Traceback …")),
)
NO = No(NoReason.PACKAGES, "scikit-learn")
FORK = Proof(ProofKind.FORK, node_id(REQUESTER.public), (sealed("entry"), sealed("entry-future")))

MESSAGES: dict[str, s.Message] = {
    "introduction": s.Introduction(sealed("certificate"), ((sealed("link"),),), "desk", "0.1.0", b"\x80"),
    "introduction-bare": s.Introduction(None, (), "", ""),
    "interest": s.Interest(JOB, 3),
    "describe": s.Describe(JOB, b"n" * 16, sealed("manifest"), (sealed("amendment"), sealed("amendment-close")), b"s" * 32),
    "declined": s.Declined(JOB, No(NoReason.FULL), 12.5),
    "offered": s.Offered(sealed("bid")),
    "no-thanks": s.NoThanks(JOB, (NO, No(NoReason.BUSY))),
    "engaged": s.Engaged(JOB, 6),
    "assign": s.Assign(
        sealed("assignment"),
        (Block(0, 7, b"\x80"), Block(1, (1 << 64) - 1, b"\x81\xa1x\x01", (InputRef("part-1.txt", d("b"), 99),))),
    ),
    "returned": s.Returned(sealed("result"), OUTPUTS, 0, True),
    "returned-part": s.Returned(sealed("result"), OUTPUTS[1:], 1, False),
    "hand-back": s.HandBack(d("i"), No(NoReason.BUSY, "the owner came back")),
    "revoke": s.Revoke(d("i")),
    "amended": s.Amended(sealed("amendment")),
    "finished": s.Finished(JOB),
    "progress": s.Progress(d("i"), 4, b"line\n"),
    "unsupported": s.UnsupportedKind(200),
    "acknowledged": s.Acknowledged(d("i")),
    "join-request": s.JoinRequest(b"t" * 16, sealed("certificate")),
    "join-answer": s.JoinAnswer((sealed("link"),), sealed("certificate")),
    "join-refused": s.JoinAnswer((), None, "the invite was used up"),
    "friend-request": s.FriendRequest(sealed("certificate"), "Ada"),
    "inquiry": s.Inquiry(b"t" * 16, 4270),
    "inquiry-bare": s.Inquiry(),
    "findings": s.Findings(1_700_000_000, "used up", "192.168.1.7", "refused"),
    "blob-request": s.BlobRequest(d("b"), 1 << 20),
    "blob-head": s.BlobHead(5_000_000),
    "blob-empty": s.BlobHead(0),
    "blob-absent": s.BlobHead(-1),
    "billed": s.Billed(JOB, codec.encode_work(WORK)),
    "countersigned": s.Countersigned(JOB, sealed("work")),
}
