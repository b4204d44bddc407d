"""One worker's chain: it grows in the transaction that commits the requests' rows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Select, insert, select

from gateway.audit.canonical import Canonical
from gateway.audit.chain import Head
from gateway.audit.tables import LinkRow, TextRow
from gateway.record import Settlement
from gateway.row_insert import RowInsert
from gateway.store import RequestRecord

REQUESTS = Canonical(RequestRecord.__table__)  # type: ignore[arg-type]


class ChainWriter:
    """Appends a link for every settled request; a part of the group's transaction.

    It comes behind the parts that may still change a row (the ledger's): the hash is of the row as it is committed.

    `head` is the last link that is known to be committed.
    """

    def __init__(self, writer: str, clock: Callable[[], float] = time.time) -> None:
        self.writer = writer
        self.head = Head()
        self._clock = clock
        self._pending = Head()
        self._known = True
        self._links = RowInsert(LinkRow.__table__)

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Append a link per request, and the texts that are kept of them."""
        if not self._known:
            self.head = head_of(connection, self.writer)
            self._known = True
        head, at_us = self.head, int(self._clock() * 1_000_000)
        links = []
        for one in group:
            link = head.link(self.writer, "request", one.row["id"], REQUESTS.digest("request", one.row), at_us)
            head = Head(link.seq, link.own)
            links.append(link)
        self._links.run(connection, [link.columns() for link in links])
        texts = [asdict(text) for one in group for text in one.texts]
        if texts:
            connection.execute(insert(TextRow), texts)
        self._pending = head

    def committed(self) -> None:
        """The group is in the database."""
        self.head = self._pending

    def rolled_back(self) -> None:
        """It is not, or nobody knows: the head is read again before the next group."""
        self._known = False


def head_of(connection: Connection, writer: str) -> Head:
    """The head of a writer's chain in the database."""
    row = connection.execute(last_link(writer)).first()
    return Head() if row is None else Head(row.seq, row.own)


def last_link(writer: str) -> Select[tuple[int, bytes]]:
    """The query for a chain's last link."""
    return select(LinkRow.seq, LinkRow.own).where(LinkRow.writer == writer).order_by(LinkRow.seq.desc()).limit(1)
