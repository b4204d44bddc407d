"""Tables of limits: what operators have set, what of a minute is given out, and who holds places."""

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store import Base


class LimitRow(Base):
    """Limits that an operator has set for a key, organisation or model; they go before the settings."""

    __tablename__ = "limits"

    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject: Mapped[str] = mapped_column(String(100), primary_key=True)
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    tokens_per_minute: Mapped[int | None] = mapped_column(BigInteger)
    concurrent_requests: Mapped[int | None] = mapped_column(Integer)


class WindowRow(Base):
    """How much of a subject's minute workers have taken. `minute` is Unix time divided by 60."""

    __tablename__ = "limit_windows"

    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject: Mapped[str] = mapped_column(String(100), primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True, index=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[int] = mapped_column(BigInteger)


class PlacesRow(Base):
    """How many of a subject's places for open requests a worker holds."""

    __tablename__ = "limit_places"

    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject: Mapped[str] = mapped_column(String(100), primary_key=True)
    worker: Mapped[str] = mapped_column(String(40), primary_key=True)
    held: Mapped[int] = mapped_column(Integer)
