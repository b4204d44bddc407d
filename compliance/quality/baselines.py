"""What the scanners are compared with: a plain keyword filter, and Presidio as it comes."""

import unicodedata
import warnings
from collections.abc import Iterable
from typing import Any

import ahocorasick_rs

from compliance.quality.measures import Span

PRESIDIO_TYPES = {
    "CREDIT_CARD": ("bank_card",),
    "EMAIL_ADDRESS": ("email",),
    "IP_ADDRESS": ("ipv4",),
    "PHONE_NUMBER": ("mobile", "landline"),
    "PERSON": ("person_name",),
    "LOCATION": ("address",),
    "ORGANIZATION": ("organization",),
}
"""What Presidio's own types are called here; its other types (URL, dates) are not held against it."""


class PlainKeywordFilter:
    """The same terms in one Aho-Corasick automaton, with nothing but NFKC and lower case."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        """Terms as (folded term, risk)."""
        risks: dict[str, set[str]] = {}
        for term, risk in terms:
            risks.setdefault(_plain(term), set()).add(risk)
        self._risks = [tuple(sorted(one)) for one in risks.values()]
        self._automaton = ahocorasick_rs.AhoCorasick(list(risks))

    def find(self, text: str) -> list[Span]:
        """Every term in the text, in offsets of the text."""
        pieces = [_plain(char) for char in text]
        places = [at for at, piece in enumerate(pieces) for _ in piece]
        hits = self._automaton.find_matches_as_indexes("".join(pieces), overlapping=True)
        return [
            Span(places[start], places[end - 1] + 1, risk) for index, start, end in hits for risk in self._risks[index]
        ]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


class PresidioAsItComes:
    """Presidio's predefined recognizers over a blank spaCy pipeline for Chinese."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spacy
            from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
            from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
            from presidio_analyzer.predefined_recognizers import EmailRecognizer
            from tldextract import TLDExtract

            domains = TLDExtract(suffix_list_urls=())

            class OfflineEmailRecognizer(EmailRecognizer):  # type: ignore[misc]
                """Presidio's own asks the internet for the list of public suffixes."""

                def validate_result(self, pattern_text: str) -> bool:
                    return bool(domains(pattern_text).fqdn)

            class BlankEngine(SpacyNlpEngine):  # type: ignore[misc]
                def __init__(self) -> None:
                    super().__init__(ner_model_configuration=NerModelConfiguration(labels_to_ignore=[]))
                    self.nlp = {"zh": spacy.blank("zh")}

            registry = RecognizerRegistry(supported_languages=["zh"])
            registry.load_predefined_recognizers(languages=["zh"])
            registry.remove_recognizer("EmailRecognizer")
            registry.add_recognizer(OfflineEmailRecognizer(supported_language="zh"))
            self._engine: Any = AnalyzerEngine(registry=registry, nlp_engine=BlankEngine(), supported_languages=["zh"])

    def find(self, text: str, expected: Iterable[Span]) -> list[Span]:
        """What it finds, named like the expected span where one of its types may stand for several of ours."""
        kinds = {(one.start, one.end): one.kind for one in expected}
        found = []
        for one in self._engine.analyze(text, language="zh"):
            ours = PRESIDIO_TYPES.get(one.entity_type, ())
            if ours:
                kind = kinds.get((one.start, one.end), "")
                found.append(Span(one.start, one.end, kind if kind in ours else ours[0]))
        return found
