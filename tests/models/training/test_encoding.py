"""Exactly what the assistant says is learned, with the starter's template and with shapes that real models use."""

from functools import cache
from typing import Any

import pytest

from models.starter.build import BASE_DIR
from models.training.encoding import encode_chat, encode_chats
from models.training.errors import TrainingError
from models.training.rows import Chat

GENERATION = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS_LAST = (  # like Qwen3: only the last answer is written with its (empty) thoughts
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_PROMPT = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}Answer: {% endif %}"

SYSTEM = {"role": "system", "content": "简短回答"}
FIRST = ({"role": "user", "content": "写杯子的标题"}, {"role": "assistant", "content": "好杯子，喝好水"})
SECOND = ({"role": "user", "content": "换一个"}, {"role": "assistant", "content": "Warm cups.\nEvery day."})


@cache
def _loaded() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE_DIR)


def tokenizer(template: str | None = None) -> Any:
    import copy

    one = copy.deepcopy(_loaded())
    if template:
        one.chat_template = template
    return one


def said(tok: Any, chat: Chat) -> list[str]:
    return [
        tok.decode([i for i, learn in zip(one.ids, one.learn, strict=True) if learn]) for one in encode_chat(tok, chat)
    ]


@pytest.mark.parametrize("template", [None, GENERATION], ids=["starter", "generation-tags"])
def test_every_answer_and_its_end_mark(template: str | None) -> None:
    tok = tokenizer(template)
    chat = Chat(1, (SYSTEM, *FIRST, *SECOND))
    assert said(tok, chat) == ["好杯子，喝好水<|im_end|>Warm cups.\nEvery day.<|im_end|>"]
    (one,) = encode_chat(tok, chat)
    whole = tok.apply_chat_template(list(chat.messages), tokenize=False)
    assert tok.decode(one.ids).rstrip() == whole.rstrip()


def test_the_prompt_is_cut_into_tokens_as_an_engine_does() -> None:
    tok = tokenizer()
    (one,) = encode_chat(tok, Chat(1, FIRST))
    asked = tok.apply_chat_template([FIRST[0]], tokenize=True, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    assert list(one.ids[: len(asked)]) == list(asked)
    assert one.learn.index(True) == len(asked)


def test_a_template_that_writes_earlier_answers_differently() -> None:
    tok = tokenizer(THINKS_LAST)
    chat = Chat(1, (*FIRST, *SECOND))
    thoughts = "<think>\n\n</think>\n\n"
    assert said(tok, chat) == [f"{thoughts}好杯子，喝好水<|im_end|>", f"{thoughts}Warm cups.\nEvery day.<|im_end|>"]
    _, last = encode_chat(tok, chat)
    assert "好杯子，喝好水" in tok.decode(last.ids)


def test_tools_and_calls() -> None:
    tool = {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object", "properties": {}}}}
    call = {"type": "function", "function": {"name": "get_order", "arguments": {"id": "7"}}}
    messages = (
        {"role": "user", "content": "订单 7 到哪了"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "已发货"},
        {"role": "assistant", "content": "已发货"},
    )
    (learned,) = said(tokenizer(), Chat(1, messages, (tool,)))
    assert learned.startswith('<tool_call>\n{"name": "get_order"')
    assert learned.endswith("</tool_call><|im_end|>已发货<|im_end|>")


def test_a_template_without_a_way_to_tell_answers_is_refused() -> None:
    with pytest.raises(TrainingError, match="generation"):
        list(encode_chat(tokenizer(WITHOUT_PROMPT), Chat(1, FIRST)))


def test_long_chats_are_counted() -> None:
    long = Chat(2, ({"role": "user", "content": "很" * 500}, {"role": "assistant", "content": "好"}))
    fitted = encode_chats(tokenizer(), [Chat(1, FIRST), long], 200, "x")
    assert len(fitted.items) == 1
    assert fitted.too_long == 1
