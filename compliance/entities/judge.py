"""The judge of named entities: names, addresses and organisations in a sentence, each with its meaning.

Why a lattice of our own: jieba's tagger finds as many names but takes 高峰, 明白 and 文明 for names too and costs
0.4 ms a sentence; THULAC and LAC need a licence or a framework that does not fit, HanLP, LTP and spaCy load their
models from a hub. `docs/personal-information.md` has the figures.
"""

from collections.abc import Callable, Mapping, Sequence

from compliance.deadline import Deadline
from compliance.entities.finder import EntityFinder
from compliance.matches import Meaning
from compliance.sentences import Judged
from compliance.verdict import Action, Severity

_GRADES: tuple[tuple[str, Severity, str], ...] = (
    ("person_name", "medium", "characters that read best as a personal name"),
    ("person_name", "low", "a surname with a title"),
    ("address", "medium", "a street or an estate with a number"),
    ("organization", "low", "an organisation by its suffix and what stands before it"),
)


class EntityJudge:
    """Judges one folded sentence; immutable, shared by all streams."""

    name = "entities"

    def __init__(self, finder: EntityFinder, meanings: Mapping[tuple[str, Severity], Meaning]) -> None:
        """Entities without a meaning are not reported."""
        self._finder = finder
        self._meanings = meanings

    def judge(self, sentence: str, deadline: Deadline) -> Sequence[Judged]:
        found = self._finder.find(sentence)
        if not found:
            return ()
        judged: list[Judged] = []
        for entity in found:
            meaning = self._meanings.get((entity.type, entity.severity))
            if meaning is not None:
                judged.append(Judged(entity.start, entity.end, meaning))
        return judged

    def warm_up(self) -> None:
        """Nothing to load: the model was read when the finder was made."""


def entity_meanings(
    action: Callable[[str, Severity], Action], placeholder: Callable[[str], str]
) -> dict[tuple[str, Severity], Meaning]:
    """What each kind of entity means under a policy; nothing for what the policy allows."""
    meanings: dict[tuple[str, Severity], Meaning] = {}
    for type_, severity, why in _GRADES:
        wanted = action(type_, severity)
        if wanted is not Action.allow:
            meanings[type_, severity] = Meaning(
                scanner=EntityJudge.name,
                type=type_,
                risk="personal_info",
                severity=severity,
                rule=f"entities.{type_}",
                why=why,
                action=wanted,
                placeholder=placeholder(type_),
                strength=10,
            )
    return meanings
