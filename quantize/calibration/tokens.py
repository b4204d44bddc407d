"""Calibration rows as the model reads them: through its own chat template, cut where they are too long."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantize.calibration.reading import Calibration, Row
from quantize.errors import BaseRefused, CalibrationError

LONGEST_ROW_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of each row, and how many rows were cut."""

    rows: tuple[tuple[int, ...], ...]
    cut: int

    @property
    def count(self) -> int:
        """Tokens of all rows."""
        return sum(map(len, self.rows))

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(map(len, self.rows))


def tokenize(calibration: Calibration, base: Path, context_tokens: int, most_rows: int | None = None) -> Tokens:
    """The first `most_rows` rows as token ids, none longer than the context or 2048.

    Raises CalibrationError, BaseRefused.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except Exception as error:  # noqa: BLE001 - whatever a broken tokenizer file makes it raise
        raise BaseRefused(
            f"{base}: its tokenizer can't be loaded ({type(error).__name__}); fetch the model again.",
            "分词器无法加载，请重新获取模型。",
        ) from None
    longest = min(context_tokens, LONGEST_ROW_TOKENS)
    whole = list(_ids(tokenizer, calibration, calibration.rows[:most_rows]))
    return Tokens(tuple(ids[:longest] for ids in whole), sum(len(ids) > longest for ids in whole))


def _ids(tokenizer: Any, calibration: Calibration, rows: tuple[Row, ...]) -> Iterator[tuple[int, ...]]:
    for row in rows:
        try:
            text = row.text or tokenizer.apply_chat_template(
                list(row.messages), tools=list(row.tools) or None, tokenize=False
            )
        except Exception as error:  # noqa: BLE001 - a model's template raises what it likes
            raise CalibrationError(
                f"{calibration.path}:{row.line}: the model's chat template refuses it ({type(error).__name__}); "
                "correct the order of the roles.",
                f"{calibration.path}:{row.line}：模型的对话模板不接受该行，请检查角色顺序。",
            ) from None
        # Chat templates write their own special tokens; a plain text gets those of the tokenizer.
        yield tuple(tokenizer.encode(text, add_special_tokens=bool(row.text)))
