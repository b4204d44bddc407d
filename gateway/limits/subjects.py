"""Whose limits a request falls under, and what they are now: settings, and what operators have set since."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.limits import LimitSettings, RateSettings
from gateway.limits.tables import LimitRow

Kind = Literal["key", "tenant", "model"]
NONE = RateSettings()


@dataclass(frozen=True, slots=True)
class Subject:
    """A key, an organisation or a model."""

    kind: Kind
    id: str

    def named(self) -> str:
        """For messages."""
        return {"key": "this key", "tenant": "your organisation", "model": f"the model '{self.id}'"}[self.kind]


class LimitBook:
    """The limits in force. `refresh` reads anew what operators have set."""

    def __init__(self, settings: LimitSettings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._set: dict[Subject, RateSettings] = {}

    def of(self, subject: Subject) -> RateSettings:
        """What the subject may ask for."""
        found = self._set.get(subject)
        if found is not None:
            return found
        settings = self._settings
        if subject.kind == "key":
            return settings.keys.get(subject.id, settings.key)
        if subject.kind == "tenant":
            return settings.tenants.get(subject.id, settings.tenant)
        return settings.models.get(subject.id, NONE)

    def is_set(self, subject: Subject) -> bool:
        """Whether an operator has set something for the subject."""
        return subject in self._set

    async def refresh(self) -> None:
        """Read what operators have set."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(*LimitRow.__table__.columns))
            self._set = {
                Subject(row.kind, row.subject): RateSettings(
                    requests_per_minute=row.requests_per_minute,
                    tokens_per_minute=row.tokens_per_minute,
                    concurrent_requests=row.concurrent_requests,
                )
                for row in rows
            }
