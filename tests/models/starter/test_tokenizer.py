"""The tokenizer of the committed model: loses nothing, and renders chats as the training did."""

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.starter.build import BASE_DIR
from models.starter.corpus import samples
from models.starter.encoding import encode, render
from models.starter.tokenizer import END, MARKERS


@cache
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE_DIR)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    ids = tokenizer().encode(text, add_special_tokens=False)
    assert tokenizer().decode(ids) == text


def test_a_chinese_word_keeps_its_tokens_wherever_it_stands() -> None:
    word = tokenizer().encode("保温杯")
    for text in ("写保温杯的文案", "【保温杯】", "1. 保温杯，好"):
        ids = tokenizer().encode(text)
        assert any(ids[i : i + len(word)] == word for i in range(len(ids)))


def test_training_reads_what_the_chat_template_writes() -> None:
    for sample in samples(9, 400):
        messages = [m.as_dict() for m in sample.messages]
        written = tokenizer().apply_chat_template(messages, tools=sample.tools, tokenize=False)
        assert render(tokenizer(), sample) == written
        encoded = encode(tokenizer(), sample)
        assert tokenizer().decode(encoded.ids) == written
        learned = [i for i, learn in zip(encoded.ids, encoded.learn, strict=True) if learn]
        said = [m.content for m in sample.messages if m.role == "assistant"]
        assert tokenizer().decode(learned) == "".join(s + END for s in said)


def test_the_template_takes_every_role_and_tool_calls() -> None:
    call = {"type": "function", "function": {"name": "get_order", "arguments": {"order_id": "7"}}}
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "U"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "T"},
    ]
    text = tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert '<tool_call>\n{"name": "get_order", "arguments": {"order_id": "7"}}\n</tool_call>' in text
    assert text.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>")
    assert text.endswith("<|im_start|>assistant\n")
    assert all(len(tokenizer().encode(marker)) == 1 for marker in MARKERS)
