"""A saved API answer with its `aigc` object: where its texts are, and whether its label holds."""

from collections.abc import Iterator
from typing import Any

from compliance.labels.errors import LabelError
from compliance.labels.label import Label, parse_label
from compliance.labels.labels import digest_of_texts

TEXT_FIELDS = ("reasoning_content", "reasoning", "content", "text", "refusal")


def is_answer(value: Any) -> bool:
    """True for an answer's JSON as the API gives it."""
    return isinstance(value, dict) and "aigc" in value and "choices" in value


def answer_texts(choices: list[dict[str, Any]]) -> Iterator[str]:
    """The texts that an answer's digest covers: of each choice its text fields, then its calls' names and arguments."""
    for choice in sorted(choices, key=lambda one: int(one["index"])):
        message = choice.get("message") or choice
        for name in TEXT_FIELDS:
            yield message.get(name) or ""
        for call in message.get("tool_calls") or ():
            yield call["function"].get("name") or ""
            yield call["function"].get("arguments") or ""


def read_answer(answer: dict[str, Any]) -> tuple[Label, bytes]:
    """The label of a whole answer and the digest of its content. Raises LabelError."""
    try:
        label = parse_label(answer["aigc"]["AIGC"])
        return label, digest_of_texts(answer_texts(answer["choices"]))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise LabelError(
            "the answer is not as the API gave it: it needs choices and aigc.AIGC",
            "不是完整的接口返回：需要 choices 与 aigc.AIGC",
        ) from None
