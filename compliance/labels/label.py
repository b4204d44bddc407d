"""The AIGC object: seven strings that say who generated a content, who passed it on, and how to check that."""

import json
from dataclasses import dataclass
from typing import Any

from compliance.labels.errors import LabelError, Problem
from compliance.labels.rules import LabelRules

GENERATED = "1"
FIELDS = ("Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2")
MAX_VALUE_CHARACTERS = 4096
_COMPACT = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Label:
    """One implicit label, its fields in the standard's order (GB 45438-2025, appendix E)."""

    label: str
    producer: str
    produce_id: str
    reserved1: str
    propagator: str
    propagate_id: str
    reserved2: str

    def fields(self) -> dict[str, str]:
        """The inner object: `{"Label": …, …}`."""
        return {
            "Label": self.label,
            "ContentProducer": self.producer,
            "ProduceID": self.produce_id,
            "ReservedCode1": self.reserved1,
            "ContentPropagator": self.propagator,
            "PropagateID": self.propagate_id,
            "ReservedCode2": self.reserved2,
        }

    def inner_json(self) -> str:
        """The inner object as compact ASCII JSON."""
        return _COMPACT.encode(self.fields())

    def json(self) -> str:
        """The whole object, `{"AIGC":{…}}`, as compact ASCII JSON."""
        return f'{{"AIGC":{self.inner_json()}}}'

    @property
    def first_hand(self) -> bool:
        """True while nobody has passed the content on: the propagation fields equal the production fields."""
        return (self.propagator, self.propagate_id) == (self.producer, self.produce_id)

    def problems(self, rules: LabelRules) -> list[Problem]:
        """What the standard does not permit in this label."""
        found = []
        if self.label not in rules.implicit.values:
            known = ", ".join(rules.implicit.values)
            found.append(Problem(f"Label is none of {known}", f"字段 Label 应为 {known} 之一"))
        for name, value in self.fields().items():
            if not rules.implicit.permitted.fullmatch(value):
                found.append(
                    Problem(f"{name} holds a character that is not permitted", f"字段 {name} 含有不允许的字符")
                )
        return found


def parse_label(fields: Any) -> Label:
    """A label from its inner object, as anyone may have written it. Raises LabelError naming the field.

    What another provider left out is empty; a field nobody knows is refused, since it could not be kept.
    """
    if not isinstance(fields, dict):
        raise LabelError("AIGC: is not an object with the label's fields", "AIGC：应为包含标识字段的对象")
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise LabelError(
            f"AIGC: has an unknown field ({str(unknown[0])[:40]!r}); the fields are {', '.join(FIELDS)}",
            f"AIGC：含有未知字段，允许的字段为 {'、'.join(FIELDS)}",
        )
    for name, value in fields.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_VALUE_CHARACTERS:
            raise LabelError(f"AIGC.{name}: is not a printable string", f"AIGC.{name}：应为可打印字符串")
    if "Label" not in fields:
        raise LabelError("AIGC: has no field Label", "AIGC：缺少字段 Label")
    return Label(*(fields.get(name, "") for name in FIELDS))
