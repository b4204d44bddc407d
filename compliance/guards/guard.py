"""One configured guard: its protocol, its risks and what to do with them."""

from dataclasses import dataclass
from typing import Any

from compliance.guards.protocol import Body, GuardProtocol
from compliance.guards.risks import ProtocolRisks
from compliance.guards.turns import Turns, within
from compliance.verdict import Action, Direction, Finding
from configs.schema import GuardSettings


@dataclass(frozen=True, slots=True)
class Guard:
    """What to ask a guard model and what its answer means for a text."""

    settings: GuardSettings
    protocol: GuardProtocol
    risks: ProtocolRisks

    @property
    def url(self) -> str:
        return self.settings.url.rstrip("/").removesuffix("/v1") + self.protocol.path

    def body(self, turns: Turns, fresh: int) -> Body:
        """The request that has the last of `turns` judged, whose last `fresh` characters were not judged before.

        What is older goes when there is more text than the guard is to read at once.
        """
        return self.protocol.body(self.settings.model, within(turns, self.settings.window_characters, fresh))

    def findings(self, answer: Any, direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        """What the guard's JSON answer says about the text between `start` and `end`. Raises GuardAnswerError."""
        return tuple(
            Finding(
                start=start,
                end=end,
                type="guard",
                risk=one.risk,
                severity=one.severity,
                scanner="guard",
                rule=f"guard:{self.settings.name}/{category}",
                why=f"the guard {self.settings.name} answers {category}: {one.en} ({one.zh})",
                action=Action(getattr(self.settings.actions, one.severity)),
            )
            for category, one in self.risks.of(self.protocol.parse(answer, direction))
        )
