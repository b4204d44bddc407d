"""The shape of one training sample: a conversation in the order it is spoken."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        """The form that chat templates and APIs take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Sample:
    """A conversation, the kind of text it teaches, and the tools it may call (as JSON)."""

    kind: str
    messages: tuple[Message, ...]
    tools_json: str = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        """What the user says."""
        return tuple(m.content for m in self.messages if m.role == "user")

    @property
    def tools(self) -> list[dict[str, Any]] | None:
        """The tools in the API's form, or None."""
        return json.loads(self.tools_json) if self.tools_json else None
