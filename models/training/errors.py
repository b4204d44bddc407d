"""What goes wrong in training an adapter, said in both languages."""


class TrainingError(Exception):
    """An adapter can't be trained or used as asked; `en` and `zh` name the file or option and the mend."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(f"{en} / {zh}")
        self.en, self.zh = en, zh
