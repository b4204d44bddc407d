"""Samples as token ids, with a mask of the tokens that the model has to produce itself."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.starter.chat import Sample
from models.starter.tokenizer import END, START


@dataclass(frozen=True)
class Encoded:
    """Token ids of a conversation; `learn[i]` says whether token i counts in the loss."""

    ids: tuple[int, ...]
    learn: tuple[bool, ...]


def encode_all(tokenizer: Any, samples: Iterable[Sample], longest: int) -> Iterator[Encoded]:
    """Every sample that fits, rendered with the tokenizer's own chat template."""
    for sample in samples:
        encoded = encode(tokenizer, sample)
        if len(encoded.ids) <= longest:
            yield encoded


def encode(tokenizer: Any, sample: Sample, words: Mapping[str, Sequence[int]] | None = None) -> Encoded:
    """One sample; exactly the assistant's words and their end marks are learned.

    `words` maps single stand-in characters of the sample to the token ids that take their place.
    """
    text = render(tokenizer, sample)
    ids: list[int] = []
    learn: list[bool] = []
    opening = f"{START}assistant\n"
    for number, part in enumerate(text.split(opening)):
        head = opening if number else ""
        said, end, rest = part.partition(END) if number else ("", "", part)
        for piece, counts in ((head, False), (said + end, True), (rest, False)):
            if piece:
                piece_ids = _with_words(tokenizer, piece, words) if words else _ids(tokenizer, piece)
                ids += piece_ids
                learn += [counts] * len(piece_ids)
    return Encoded(tuple(ids), tuple(learn))


def _with_words(tokenizer: Any, text: str, words: Mapping[str, Sequence[int]]) -> list[int]:
    ids: list[int] = []
    pieces = re.split(f"([{''.join(words)}])", text)
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece in words:
            ids += words[piece]
        elif following in words and tokenizer.decode(words[following][:1]).startswith(" "):
            # The space before a Latin word is part of its first token.
            ids += _ids(tokenizer, piece.removesuffix(" "))
        else:
            ids += _ids(tokenizer, piece)
    return ids


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def render(tokenizer: Any, sample: Sample) -> str:
    """The sample as the model reads it."""
    messages = [m.as_dict() for m in sample.messages]
    if sample.tools_json:
        return str(tokenizer.apply_chat_template(messages, tools=sample.tools, tokenize=False))
    # The template's plain path, spelt out: a hundred times faster than Jinja, and a test compares the two.
    return "".join(f"{START}{m.role}\n{m.content}{END}\n" for m in sample.messages)
