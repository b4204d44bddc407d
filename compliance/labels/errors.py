"""What can be wrong with a label, said in English and Chinese."""

from dataclasses import dataclass

from compliance.verdict import ComplianceError
from configs.bilingual import BilingualError


class LabelError(BilingualError, ComplianceError):
    """A label, a provider code or a file to be labelled cannot be used; `en` and `zh` say where and how to mend it."""

    between = " / "


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a label is not verified."""

    en: str
    zh: str

    def __str__(self) -> str:
        return f"{self.en} / {self.zh}"
