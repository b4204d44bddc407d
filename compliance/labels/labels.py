"""The maker of labels: one per process, built from the settings."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from compliance.labels.errors import LabelError, Problem
from compliance.labels.label import GENERATED, Label
from compliance.labels.notice import Notice, build_notice
from compliance.labels.provider import check_producer
from compliance.labels.rules import LabelRules, load_label_rules
from compliance.labels.seal import Keys, check_seals, production_seal, propagation_seal
from compliance.labels.signing_key import SigningKey, load_or_create_key
from compliance.verdict import RulesError
from configs.schema import LabelSettings


@dataclass(frozen=True, slots=True)
class Labels:
    """Makes labels in the provider's name. `digest` is the SHA-256 of the content, None while it is not known."""

    provider: str
    notice: Notice
    key: SigningKey
    rules: LabelRules

    def produced(self, content_id: str, digest: bytes | None) -> Label:
        """The label of a content that was generated here: the propagation fields equal the production fields."""
        seal = production_seal(self.key, GENERATED, self.provider, content_id, digest)
        return Label(GENERATED, self.provider, content_id, seal, self.provider, content_id, seal)

    def passed_on(self, label: Label, content_id: str, digest: bytes) -> Label:
        """The label of a content that came with one: its production fields stay as they are."""
        passed = replace(label, propagator=self.provider, propagate_id=content_id)
        return replace(passed, reserved2=propagation_seal(self.key, passed, digest))


def build_labels(settings: LabelSettings, rules: LabelRules | None = None) -> Labels:
    """Check the settings, and load the key or make it at the first start. Raises RulesError naming the setting."""
    rules = rules or load_label_rules()
    try:
        provider = check_producer(settings.provider, rules)
    except LabelError as error:
        raise RulesError(f"labels.provider: {error.en}", f"labels.provider：{error.zh}") from None
    return Labels(provider, build_notice(settings, rules), load_or_create_key(settings.key_file), rules)


def check_label(label: Label, digest: bytes | None, keys: Keys, rules: LabelRules) -> list[Problem]:
    """Why a label is not verified; empty when it is. `digest` None leaves the content out of it."""
    return label.problems(rules) + check_seals(label, digest, keys)


def digest_of_texts(texts: Iterable[str]) -> bytes:
    """The digest of an answer: SHA-256 of its texts in UTF-8, the empty ones left out, parted by U+0000.

    So the digest of an answer that is one text is the SHA-256 of that text.
    """
    return hashlib.sha256("\0".join(text for text in texts if text).encode()).digest()
