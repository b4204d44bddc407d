"""Errors that users read: what is wrong and how to mend it, in English and in Chinese."""

from typing import ClassVar


class BilingualError(Exception):
    """Carries `en` and `zh`; as one text they stand with `between` in the middle."""

    between: ClassVar[str] = " "

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(f"{en}{self.between}{zh}")
        self.en, self.zh = en, zh
