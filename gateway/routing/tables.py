"""Tables of the nodes: those added at run time, what operators decided of each, and what workers see of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class NodeRow(Base):
    """A node that was added at run time, or (without `url`) the state of one that the settings name."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    url: Mapped[str | None] = mapped_column(String(300))
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_by: Mapped[str] = mapped_column(String(100))


class NodeReport(Base):
    """What one worker last saw of one node; rewritten every few seconds."""

    __tablename__ = "node_reports"

    worker: Mapped[str] = mapped_column(String(40), primary_key=True)
    node: Mapped[str] = mapped_column(String(50), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    state: Mapped[str] = mapped_column(String(10))
    ready: Mapped[list[str]] = mapped_column(JSON)
    breaker: Mapped[str] = mapped_column(String(10))
    open: Mapped[int] = mapped_column(Integer)
    running: Mapped[int | None] = mapped_column(Integer)
    waiting: Mapped[int | None] = mapped_column(Integer)
    kv_usage: Mapped[float | None] = mapped_column(Float)
    problem: Mapped[str] = mapped_column(String(200), default="")
