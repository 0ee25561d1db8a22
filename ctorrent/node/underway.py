"""Assignments of one job that are out: by their ids, by dispatch's numbers, and in the journal for after a restart."""

from __future__ import annotations

from collections.abc import Iterable

from ctorrent.model.ids import NodeId
from ctorrent.node import dossier
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.returned import Given, load_given
from ctorrent.ports import Delete, Journal, Write


class UnderWay:
    """`soft`: what a restart would like to know, for the next commit that nobody waits for."""

    def __init__(self, journal: Journal, record: JobRecord) -> None:
        self.adopted = load_given(journal, record)  # of a life before a restart
        self.by_id = {given.id: given for given in self.adopted}
        self.by_number = {given.number: given for given in self.adopted}
        self.soft: list[Write] = []
        self._job = record.id

    @property
    def first_number(self) -> int:
        """Above every number that was used before a restart, as far as anybody remembers."""
        return 1 + max((given.number for given in self.adopted), default=-1)

    def add(self, given: Given) -> None:
        self.by_id[given.id] = self.by_number[given.number] = given
        self.soft.append(given.put(self._job))

    def drop(self, given: Given) -> None:
        self.by_id.pop(given.id, None)
        self.by_number.pop(given.number, None)
        if given.inside:  # it came back whole and held: kept in the commit that forgets it was out
            self.soft.append(dossier.put(self._job, given))
        self.soft.append(Delete("given", self._job + given.id))

    def of(self, worker: NodeId) -> list[Given]:
        return [given for given in self.by_id.values() if given.worker == worker]

    def blocks(self, numbers: Iterable[int]) -> int:
        """How many blocks these units hold, each counted once."""
        held = [self.by_number[number] for number in numbers if number in self.by_number]
        return len({index for given in held for index in given.indices})

    def take_soft(self) -> list[Write]:
        soft, self.soft = self.soft, []
        return soft

    def forget(self) -> list[Delete]:
        """The job is over: nothing of it is waited for."""
        return [Delete("given", self._job + identifier) for identifier in self.by_id]
