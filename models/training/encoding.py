"""Chats as token ids with a mask: exactly what the assistant says, and the mark that ends it, is learned."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.starter.encoding import Encoded
from models.training.errors import TrainingError
from models.training.rows import Chat

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The encoded chats that fit the context, and how many did not."""

    items: tuple[Encoded, ...]
    too_long: int

    @property
    def tokens(self) -> int:
        """Tokens, those that are not learned included."""
        return sum(len(one.ids) for one in self.items)


def encode_chats(tokenizer: Any, chats: Sequence[Chat], longest: int, where: str) -> Fitted:
    """Every answered chat of at most `longest` tokens. Raises TrainingError when none fits."""
    items: list[Encoded] = []
    too_long = 0
    for chat in chats:
        if chat.answered:
            for one in encode_chat(tokenizer, chat):
                if len(one.ids) <= longest:
                    items.append(one)
                else:
                    too_long += 1
    if not items:
        raise TrainingError(
            f"{where}: every chat is longer than the context of {longest} tokens; shorten them.",
            f"所有对话都超过 {longest} 个 token 的上下文长度，请缩短。",
        )
    return Fitted(tuple(items), too_long)


def encode_chat(tokenizer: Any, chat: Chat) -> Iterator[Encoded]:
    """The chat as one example, or one for each answer where the template renders earlier answers differently."""
    messages, tools = list(chat.messages), list(chat.tools) or None
    if _GENERATION.search(str(tokenizer.chat_template)):
        yield _by_template(tokenizer, messages, tools)
        return
    turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    full = _render(tokenizer, messages, tools)
    spans = [_span(tokenizer, messages[: turn + 1], tools) for turn in turns]
    if all(full.startswith(text) for text, _ in spans):
        yield _encoded(tokenizer, full, [(start, len(text)) for text, start in spans])
    else:
        for text, start in spans:
            yield _encoded(tokenizer, text, [(start, len(text))])


def _by_template(tokenizer: Any, messages: list[dict[str, Any]], tools: Any) -> Encoded:
    found = tokenizer.apply_chat_template(
        messages, tools=tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return Encoded(tuple(found["input_ids"]), tuple(bool(m) for m in found["assistant_masks"]))


def _render(tokenizer: Any, messages: list[dict[str, Any]], tools: Any, *, ask: bool = False) -> str:
    return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=ask))


def _span(tokenizer: Any, messages: list[dict[str, Any]], tools: Any) -> tuple[str, int]:
    """The text up to the last message, an answer, and where that answer begins: after what an engine would send."""
    asked = _render(tokenizer, messages[:-1], tools, ask=True)
    text = _render(tokenizer, messages, tools)
    if not text.startswith(asked):
        raise TrainingError(
            "the model's chat template does not continue its own generation prompt, so answers can't be told from "
            "prompts; mark them with {% generation %} in the template.",
            "模型的对话模板与生成提示不一致，无法区分回答与提示，请在模板中用 {% generation %} 标出回答。",
        )
    # Engines stop at the end mark: white space that the template writes after it is never generated.
    ended = text.rstrip()
    marked = len(ended) > len(asked) and ended.endswith(tuple(tokenizer.all_special_tokens))
    return (ended if marked else text), len(asked)


def _encoded(tokenizer: Any, text: str, spans: Sequence[tuple[int, int]]) -> Encoded:
    """Prompts and answers are cut into tokens apart, as an engine does that gets the one and writes the other."""
    ids: list[int] = []
    learn: list[bool] = []
    at = 0
    for start, end in (*spans, (len(text), len(text))):
        for piece, counts in ((text[at:start], False), (text[start:end], True)):
            if piece:
                piece_ids = tokenizer.encode(piece, add_special_tokens=False)
                ids += piece_ids
                learn += [counts] * len(piece_ids)
        at = end
    return Encoded(tuple(ids), tuple(learn))
