"""One block before the jury: its answers by equality, what is asked and outstanding, what was agreed so far."""

from __future__ import annotations

from collections.abc import Iterator

from ctorrent.model.ids import Digest, NodeId
from ctorrent.verify.ballot import Compare, Replica, verdict
from ctorrent.verify.compare import Different, Same

BYTES_KEPT = 4096  # of an agreed output, in memory: thousands of blocks are provisional at once
OWN_OUTVOTED = 3  # owners that agree against the requester's own run: then its machine is the odd one
_NOBODY: dict[NodeId, None] = {}  # shared: most cases never wait for anybody


class Case:
    """Exists from a block's first answer until it is final.

    classes: equal answers, the first of each as its centre; an owner has one voice. result: the class that was agreed
    on. struck: answers of workers that were expelled since.
    """

    __slots__ = (
        "audited", "awaiting", "checked", "checking", "classes", "contested", "counted", "differed", "digest", "drawn", "examined",
        "fetching", "lone", "out", "own", "own_owner", "result", "ripe", "said", "struck", "unplaced", "wavered",
    )  # fmt: skip

    def __init__(self, lone: bool) -> None:
        self.classes: list[list[Replica]] = []
        self.unplaced: list[Replica] = []  # their bytes are needed to say where they belong
        self.struck: list[Replica] = []
        self.result: list[Replica] | None = None
        self.said: list[Replica] | None = None  # the class whose output was last said …
        self.digest: Digest | None = None  # … and that output's
        self.counted: dict[NodeId, bool] = {}  # checks as they were counted
        self.wavered: dict[NodeId, Digest] = {}  # gave another answer when asked again; its first
        self.awaiting = self.fetching = _NOBODY  # replaced, never filled in place
        self.out = 0  # replicas asked for and not here
        self.lone = lone  # no other owner will come
        self.own: NodeId | None = None  # whose is the requester's own answer, run twice
        self.own_owner = ""  # whose, while another answer of that owner may still come
        self.checking = self.checked = False  # the requester runs it; ran it
        self.contested: tuple[NodeId, ...] = ()  # parties of the dispute that is open
        self.examined = False  # those who differed were asked again
        self.drawn = False  # the draws were made
        self.audited: NodeId | None = None  # on whose answer another owner was drawn to look
        self.ripe = False  # its window closed
        self.differed = ""  # the first difference, in words

    @property
    def quiet(self) -> bool:
        """Agreed, and nothing is under way."""
        return self.result is not None and not (self.out or self.waiting)

    @property
    def waiting(self) -> bool:
        return bool(self.awaiting or self.fetching or self.checking or self.unplaced)

    def replicas(self) -> Iterator[Replica]:
        for members in self.classes:
            yield from members

    def voices(self) -> int:
        return len(self.classes[0]) if len(self.classes) == 1 else sum(map(len, self.classes))

    def by_worker(self, worker: NodeId) -> Replica | None:
        for members in (*self.classes, self.unplaced):  # plain loops: asked for every answer
            for replica in members:
                if replica.worker == worker:
                    return replica
        return None

    def has_owner(self, owner: str) -> bool:
        for members in (*self.classes, self.unplaced, self.struck):
            for replica in members:
                if replica.owner == owner:
                    return True
        return False

    def has_word_of(self, requester: NodeId) -> bool:
        """Did the requester's machine answer, as a worker or in a run of its own?"""
        return self.own is not None or self.by_worker(requester) is not None

    def owners(self) -> tuple[str, ...]:
        return tuple(r.owner for r in (*self.replicas(), *self.unplaced, *self.struck))

    def class_of(self, worker: NodeId) -> list[Replica] | None:
        return next((members for members in self.classes if any(r.worker == worker for r in members)), None)

    def remove(self, worker: NodeId) -> Replica | None:
        """Take a voice out. The result, if it was in it, has one less."""
        for members in self.classes:
            for at, replica in enumerate(members):
                if replica.worker == worker:
                    if at == 0 and len(members) > 1 and members[1].output is None:
                        members[1].output = replica.output if members[1].digest == replica.digest else None
                    del members[at]
                    self.classes = [held for held in self.classes if held]
                    return replica
        return None

    def place(self, compare: Compare) -> list[Replica]:
        """Put what waits into classes. -> those whose bytes are lacking for it, and centres whose are."""
        lacking: list[Replica] = []
        left: list[Replica] = []
        for replica in self.unplaced:
            short = self._home(replica, compare)
            if short:
                left.append(replica)
                lacking += [r for r in short if r not in lacking]
        self.unplaced = left
        return lacking

    def _home(self, replica: Replica, compare: Compare) -> list[Replica]:
        for members in self.classes:
            if any(r.digest == replica.digest for r in members):
                members.append(replica)
                return []
        for members in self.classes:
            centre = members[0]
            short = [r for r in (centre, replica) if r.output is None]
            if short:
                return short
            if isinstance(verdict(centre, replica, compare), Same):
                members.append(replica)
                return []
        if self.classes and not self.differed:
            found = verdict(self.classes[0][0], replica, compare)
            self.differed = found.words if isinstance(found, Different) else ""
        self.classes.append([replica])
        return []

    def leading(self, compare: Compare) -> list[Replica] | None:
        """The class that the requester's own run is in, unless it stands alone against three; else a strict majority."""
        own = self.class_of(self.own) if self.own is not None else None
        most = max(self.classes, key=len)
        if own is None:
            return most if 2 * len(most) > self.voices() else None
        if len(own) > 1 or most is own or (len(most) == 1 and comparable(own[0], most[0], compare)):
            return own
        return most if len(most) >= OWN_OUTVOTED else None

    def forget_bytes(self) -> None:
        """An agreed block keeps small outputs, each once a class: the first one's voice may be struck."""
        for members in self.classes:
            for at, replica in enumerate(members):
                if replica.output is not None and (
                    len(replica.output) > BYTES_KEPT or (at and replica.digest == members[0].digest)
                ):
                    replica.output = None

    @property
    def wants_second(self) -> bool:
        """One answer is here, and what is asked for is no more than a second."""
        return self.result is None and self.out == 1 and self.voices() == 1 and not (self.waiting or self.struck)

    def own_ran(self, replica: Replica) -> None:
        """The requester ran it twice. An owner has one voice: then it is that."""
        before = [r.worker for r in (*self.replicas(), *self.unplaced) if r.owner == replica.owner]
        for worker in before:
            self.drop(worker)
        self.own, self.own_owner = replica.worker, "" if before else replica.owner
        self.unplaced.append(replica)

    def drop(self, worker: NodeId) -> Replica | None:
        """Take a voice out wherever it is, and wait for nothing of it."""
        replica = self.by_worker(worker)
        self.remove(worker)
        self.unplaced = [r for r in self.unplaced if r.worker != worker]
        self.awaiting = {name: None for name in self.awaiting if name != worker}
        self.fetching = {name: None for name in self.fetching if name != worker}
        return replica


def comparable(one: Replica, other: Replica, compare: Compare) -> bool:
    """Does it mean something where they differ? Not exactly, where the environments differ too."""
    found = verdict(one, other, compare)
    return isinstance(found, Same) or not found.exact or one.fingerprint == other.fingerprint


def proves(members: list[Replica], loser: Replica, compare: Compare) -> bool:
    """Is losing to these evidence? Not a failure's, not an exact one across environments."""
    if loser.failed or len(members) < 2 or any(r.digest == loser.digest for r in members):
        return False
    known = [r for r in members if r.output is not None] if loser.output is not None else []
    if not known:
        return any(r.fingerprint == loser.fingerprint for r in members)
    return any(not isinstance(verdict(r, loser, compare), Same) and comparable(r, loser, compare) for r in known)
