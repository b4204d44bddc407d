"""What goes wrong in training an adapter, said in both languages."""

from configs.bilingual import BilingualError


class TrainingError(BilingualError):
    """An adapter can't be trained or used as asked; `en` and `zh` name the file or option and the mend."""

    between = " / "
