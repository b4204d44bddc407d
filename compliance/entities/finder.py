"""All entities of one folded sentence, without overlaps."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import ahocorasick_rs

from compliance.entities.addresses import Addresses
from compliance.entities.chinese_names import ChineseNames
from compliance.entities.foreign_names import ForeignNames
from compliance.entities.latin_addresses import find_latin_addresses
from compliance.entities.latin_names import LatinNames
from compliance.entities.latin_organizations import LatinOrganizations
from compliance.entities.model import EntityModel
from compliance.entities.organization_forms import ALL_SUFFIXES
from compliance.entities.organizations import Organizations
from compliance.verdict import Severity

# Without one of these there is no house number, no dot between names and nothing in Latin letters.
_SPECIAL = re.compile("[0-9a-z·•・‧∙号栋幢座室弄]")


class Entity(NamedTuple):
    """A span of the sentence and what it is."""

    start: int
    end: int
    type: str
    severity: Severity


class EntityFinder:
    """Immutable, shared by all streams and both directions."""

    def __init__(self, model: EntityModel) -> None:
        self._addresses = Addresses(model)
        self._organizations = Organizations(model)
        self._companies = LatinOrganizations(model)
        self._chinese = ChineseNames(model)
        self._foreign = ForeignNames(model)
        self._latin = LatinNames(model)
        # One pass tells of most sentences that they hold no name of a minority and no organisation.
        self._cues = ahocorasick_rs.AhoCorasick([*model.minority, *ALL_SUFFIXES]).find_matches_as_indexes
        self._parts = len(model.minority)

    def find(self, sentence: str) -> list[Entity]:
        """In order of their beginnings. What lies in an address is no organisation, what lies in either no person."""
        found: list[Entity] = []
        special = _SPECIAL.search(sentence) is not None
        cues = self._cues(sentence, overlapping=True)
        if special:
            _add(found, "address", "medium", self._addresses.find(sentence))
            _add(found, "address", "medium", find_latin_addresses(sentence))
        endings = [(start, end) for number, start, end in cues if number >= self._parts]
        if endings and (spans := self._organizations.find(sentence, endings)):
            _add(found, "organization", "low", spans)
        if special:
            _add(found, "organization", "low", self._companies.find(sentence))
            _add(found, "person_name", "medium", self._foreign.find_dotted(sentence))
        if len(cues) > len(endings) and (spans := self._foreign.find_known(sentence)):
            _add(found, "person_name", "medium", spans)
        if spans := self._chinese.find(sentence):
            _add(found, "person_name", "medium", spans)
        if special:
            for start, end, surname_only in self._latin.find(sentence):
                _add(found, "person_name", "low" if surname_only else "medium", [(start, end)])
        return sorted(found) if len(found) > 1 else found


def _add(found: list[Entity], type_: str, severity: Severity, spans: Sequence[tuple[int, int]]) -> None:
    """Add what overlaps nothing that was found before."""
    for start, end in spans:
        if not any(start < other.end and other.start < end for other in found):
            found.append(Entity(start, end, type_, severity))
