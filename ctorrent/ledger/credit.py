"""Credit without a coin: who worked for whom, from receipts that both have signed. Pure.

    requester's own entry (RECEIPT) holds what its worker signed: job tag, number, hours, credits
    balance of two owners = what one earned with the other - what the other earned with it
    a person's room here  = its limit + what friends' debts to it carry (backing) - what it owes here

There is no coin, so nothing can be minted: a receipt is its requester's own word that it owes, and binds nobody else.
Inventing receipts among one's own identities moves debts between them, and no limit of anybody outside.
One receipt counts once: by job, worker and number, for as long as it is held; a second one of that name is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ctorrent.model.entry import Work
from ctorrent.model.ids import NodeId, OwnerId


@dataclass(frozen=True, slots=True)
class CreditRules:
    """Limits of what is held and how much strangers may owe."""

    receipts_max: int = 1 << 17  # of friends and others: some 60 MB; one's own are not counted
    newcomers: float = 10.0  # all strangers together may owe so many times what one may: identities are free
    hops_friends: int = 256  # friends that a backing may run over: the largest lines
    hops_debtors: int = 256  # and debtors that it is shared among: the largest debts


@dataclass(frozen=True, slots=True)
class Receipt:
    """One that its entry's author and its worker have signed, and its place in the author's log."""

    work: Work
    incarnation: int
    seq: int
    issued_unix_s: int = 0  # the author's claim

    @property
    def name(self) -> tuple[bytes, NodeId, int]:
        return self.work.job_tag, self.work.worker, self.work.number


@dataclass(frozen=True, slots=True)
class Amount:
    """Work, added up."""

    receipts: int = 0
    blocks: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    credits: float = 0.0

    def plus(self, work: Work) -> Amount:
        return Amount(
            self.receipts + 1, self.blocks + work.blocks, self.core_hours + work.core_hours,
            self.gpu_hours + work.gpu_hours, self.credits + work.credits,
        )  # fmt: skip


@dataclass(slots=True)
class Account:
    """Of one other person: what their machines did for mine, and mine for theirs."""

    for_me: Amount = Amount()
    for_them: Amount = Amount()

    @property
    def balance(self) -> float:
        """Credits that they owe me; below zero, I them."""
        return self.for_them.credits - self.for_me.credits


Person = Callable[[NodeId, OwnerId], str]  # whose a node is, of the owner that a receipt names: only as far as it is proven


@dataclass(slots=True)
class _Log:
    """One author's receipts, in the order in which they came."""

    held: dict[tuple[bytes, NodeId, int], Receipt] = field(default_factory=dict)


class Receipts:
    """Those that this node holds."""

    def __init__(self, rules: CreditRules | None = None) -> None:
        self.rules = rules or CreditRules()
        self.version = 0  # changes whenever what is held does
        self._authors: dict[NodeId, _Log] = {}
        self._loose: dict[tuple[NodeId, tuple[bytes, NodeId, int]], None] = {}  # not one's own, oldest first

    def learn(self, author: NodeId, receipt: Receipt, own: bool) -> str:
        """Take in the receipt of an entry; -> "" or why it counts for nothing. own: this person gave or did the work."""
        work = receipt.work
        if work.requester != author:
            return "a receipt is an entry of its requester"
        if work.requester == work.worker:
            return "a receipt to oneself"
        log = self._authors.setdefault(author, _Log())
        held = log.held.get(receipt.name)
        if held is not None:
            return "" if held.work == work else f"a second receipt {work.number} of one job for {work.worker}"
        log.held[receipt.name] = receipt
        self.version += 1
        if not own:
            self._loose[author, receipt.name] = None
            while len(self._loose) > self.rules.receipts_max:
                self._drop(*next(iter(self._loose)))
        return ""

    def holds(self, author: NodeId, tag: bytes, worker: NodeId, number: int) -> bool:
        """Was this receipt given?"""
        return author in self._authors and (tag, worker, number) in self._authors[author].held

    def forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        """Entries from there on weigh nothing; what one's own work earned stays: nobody sheds a debt by forking."""
        for name, receipt in list(self._authors.get(author, _Log()).held.items()):
            if receipt.incarnation == incarnation and receipt.seq >= seq and (author, name) in self._loose:
                self._drop(author, name)

    def _drop(self, author: NodeId, name: tuple[bytes, NodeId, int]) -> None:
        self._loose.pop((author, name), None)
        self._authors[author].held.pop(name, None)
        if not self._authors[author].held:
            del self._authors[author]
        self.version += 1

    def all(self) -> Iterable[Receipt]:
        """Every one, by author as they were met."""
        for log in self._authors.values():
            yield from log.held.values()


@dataclass(slots=True)
class Accounts:
    """What a person's receipts come to, and what others owe each other as far as it concerns them."""

    with_me: dict[str, Account]
    owed: dict[tuple[str, str], float]  # (debtor, creditor) -> credits between two others


def accounts(receipts: Iterable[Receipt], me: str, person: Person) -> Accounts:
    """Add receipts up by pairs of persons."""
    found = Accounts({}, {})
    for receipt in receipts:
        work = receipt.work
        debtor, creditor = person(work.requester, work.requester_owner), person(work.worker, work.worker_owner)
        if debtor == creditor:
            continue  # one's own machines owe each other nothing
        if debtor == me:
            account = found.with_me.setdefault(creditor, Account())
            account.for_me = account.for_me.plus(work)
        elif creditor == me:
            account = found.with_me.setdefault(debtor, Account())
            account.for_them = account.for_them.plus(work)
        else:
            found.owed[debtor, creditor] = found.owed.get((debtor, creditor), 0.0) + work.credits
    return found


# -- how far somebody may be in debt here -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What an owner allows, in credits."""

    friend: float = 1000.0
    stranger: float = 10.0


@dataclass(frozen=True, slots=True)
class Room:
    """How far one person may still go into debt here, and what that is made of."""

    owes: float  # credits: receipts, and work that waits for one
    allowed: float  # of its own: a friend's line, or a stranger's allowance
    backed: float  # carried by what friends owe it

    @property
    def limit(self) -> float:
        return self.allowed + self.backed

    @property
    def left(self) -> float:
        return self.limit - self.owes


def room(
    who: str, debts: Mapping[str, float], friends: Iterable[str], owed: Mapping[tuple[str, str], float],
    limits: Limits, rules: CreditRules = CreditRules(),
) -> Room:  # fmt: skip
    """How much more work may be done for `who` on credit.

    debts: what each person owes me (below zero: I owe it). friends: persons with a line of their own.
    Strangers share a pool, so that a thousand new identities cost no more than `rules.newcomers` of them; each keeps
    what others have left of it. Beyond that a friend's debt to a stranger backs it, within what that friend may itself
    still owe here, and no friend's line carries more than itself, however many strangers name it.
    """
    named = sorted(set(friends))
    debt = debts.get(who, 0.0)
    if who in named:
        return Room(debt, limits.friend, 0.0)
    others = {other: owes for other, owes in debts.items() if other != who and other not in named and owes > 0}
    pool = max(0.0, rules.newcomers * limits.stranger - sum(min(owes, limits.stranger) for owes in others.values()))
    allowed = min(limits.stranger, pool)
    lines = {friend: max(0.0, limits.friend - max(0.0, debts.get(friend, 0.0))) for friend in named}
    excess = {other: owes - limits.stranger for other, owes in others.items() if owes > limits.stranger}
    return Room(debt, allowed, backing(who, excess, lines, owed, rules))


def backing(
    who: str, excess: Mapping[str, float], lines: Mapping[str, float], owed: Mapping[tuple[str, str], float],
    rules: CreditRules = CreditRules(),
) -> float:  # fmt: skip
    """Most that friends' debts to `who` carry, after they carried what other debtors owe beyond their allowance.

    A maximum flow over two hops (debtor -> friend -> me) by augmenting paths: what others need is placed first, and may
    be moved to other friends for `who`'s sake, never taken away.
    """
    friends = sorted(lines, key=lambda friend: (-lines[friend], friend))[: rules.hops_friends]
    debtors = sorted(excess, key=lambda other: (-excess[other], other))[: rules.hops_debtors]
    flow = _Flow({friend: lines[friend] for friend in friends})
    for debtor in [*debtors, who]:
        for friend in friends:
            net = owed.get((friend, debtor), 0.0) - owed.get((debtor, friend), 0.0)
            if net > 0:
                flow.carries[debtor, friend] = net
    for debtor in debtors:
        flow.push(debtor, excess[debtor])
    return flow.push(who, float("inf"))


class _Flow:
    """Ford and Fulkerson's maximum flow on a graph of debtors and friends; breadth first, as Edmonds and Karp."""

    def __init__(self, lines: dict[str, float]) -> None:
        self.lines = lines  # what each friend's line has left
        self.carries: dict[tuple[str, str], float] = {}  # (debtor, friend) -> what it may still carry
        self._used: dict[tuple[str, str], float] = {}

    def push(self, debtor: str, wanted: float) -> float:
        """Carry as much of `wanted` as there is room for."""
        carried = 0.0
        while wanted - carried > EPSILON and (path := self._path(debtor)):
            most = min(wanted - carried, self.lines[path[-1]], *self._rooms(path))
            for one, other, back in _steps(path):
                self._move(one, other, most, back)
            self.lines[path[-1]] -= most
            carried += most
        return carried

    def _path(self, debtor: str) -> list[str]:
        """debtor, friend[, debtor, friend …] with room on each step; empty: there is none."""
        queue: list[list[str]] = [[debtor]]
        seen = {debtor}
        while queue:
            path = queue.pop(0)
            for friend in self.lines:
                if friend in seen or self.carries.get((path[-1], friend), 0.0) <= EPSILON:
                    continue
                seen.add(friend)
                if self.lines[friend] > EPSILON:
                    return [*path, friend]
                for (other, used_by), amount in self._used.items():
                    if used_by == friend and amount > EPSILON and other not in seen:
                        seen.add(other)
                        queue.append([*path, friend, other])
        return []

    def _rooms(self, path: list[str]) -> list[float]:
        return [self._used[other, one] if back else self.carries[one, other] for one, other, back in _steps(path)]

    def _move(self, one: str, other: str, amount: float, back: bool) -> None:
        debtor, friend = (other, one) if back else (one, other)
        signed = -amount if back else amount
        self.carries[debtor, friend] = self.carries.get((debtor, friend), 0.0) - signed
        self._used[debtor, friend] = self._used.get((debtor, friend), 0.0) + signed


EPSILON = 1e-9  # credits: below it a path carries nothing


def _steps(path: list[str]) -> list[tuple[str, str, bool]]:
    """Pairs along a path; True: from a friend back to a debtor it carries already."""
    return [(path[i], path[i + 1], i % 2 == 1) for i in range(len(path) - 1)]
