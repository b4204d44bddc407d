"""What the benchmark says: one request, one answer, the same words whole and streamed, and a big word list."""

import json
import random
from pathlib import Path
from typing import Any

SYSTEM = (
    "你是一名跨境电商文案助手，擅长为小商家撰写商品标题、卖点和详情页。"
    "语言简洁真诚，不夸大功效，也不使用绝对化用语，表达自然。"
)
USER = (
    "请为一款便携式手冲咖啡壶写一段商品介绍，面向经常露营和出差的年轻人。"
    "需要突出轻巧、耐摔、容易清洗和保温效果好这四个特点，"
    "语气亲切，不要堆砌形容词。开头先用一句话点出使用场景，中间分别说明每个特点带来的好处，"
    "结尾给出一句适合放在主图上的短标语，并提醒买家收货后先用热水冲洗再使用。"
)
ANSWER = (
    "清晨的帐篷外，水刚烧开，一杯手冲就能唤醒整座山谷。壶身轻巧，放进背包几乎没有负担；外壳耐摔，磕碰也不必心疼。"
    "内壁光滑，清水一冲就干净；双层结构锁住温度，聊完长长一段路，咖啡依然温热。"
    "带上它，把喜欢的味道一路带到远方。收到后请先用热水冲洗，再开始你的第一杯。"
)
EVENTS = 64
TERMS = 20_000

_HEAD = {"id": "chatcmpl-bench", "created": 1_700_000_000}
_PROMPT_TOKENS = 150


VARIED = "①NUMBER②"
"""Stands where each request has a number of its own, so that nobody answers from a memory of the same words."""


def request_body(model: str, *, stream: bool) -> str:
    """The request: 2 messages with 200 Chinese characters in total, and the place of its number."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER + VARIED}]
    return _json({"model": model, "messages": messages, "max_tokens": EVENTS, "temperature": 0, "stream": stream})


def whole_answer() -> str:
    """The answer as one chat completion."""
    message = {"role": "assistant", "content": ANSWER}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json(_HEAD | {"object": "chat.completion", "model": "bench", "choices": [choice], "usage": _usage(EVENTS)})


def probe_answer() -> str:
    """What a one-token text completion gets, with which gateways ask whether an engine is ready."""
    choice = {"index": 0, "text": "1", "logprobs": None, "finish_reason": "length"}
    return _json(_HEAD | {"object": "text_completion", "model": "bench", "choices": [choice], "usage": _usage(1)})


def stream_script() -> dict[str, Any]:
    """The answer as server-sent events: plain, with running token counts, and the closing count.

    An engine sends what it is asked for, so each proxy gets the form that its own request asks for.
    """
    return {
        "plain": [_event(one) for one in _chunks()],
        "counted": [_event(one | {"usage": _usage(count)}) for count, one in enumerate(_chunks(), start=1)],
        "usage": _event(_chunk([]) | {"usage": _usage(EVENTS)}),
        "probe": probe_answer(),
    }


def _chunks() -> list[dict[str, Any]]:
    chunks = []
    for position in range(EVENTS):
        piece = ANSWER[len(ANSWER) * position // EVENTS : len(ANSWER) * (position + 1) // EVENTS]
        delta = {"role": "assistant", "content": piece} if position == 0 else {"content": piece}
        finish = "stop" if position == EVENTS - 1 else None
        chunks.append(_chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]))
    return chunks


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return _HEAD | {"object": "chat.completion.chunk", "model": "bench", "choices": choices}


def _usage(completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": _PROMPT_TOKENS,
        "completion_tokens": completion,
        "total_tokens": _PROMPT_TOKENS + completion,
    }


def _event(payload: dict[str, Any]) -> str:
    return f"data: {_json(payload)}\n\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_lexicon(path: Path, *, terms: int = TERMS, seed: int = 20) -> None:
    """Write a seeded word list of common characters, none of it in the request or the answer."""
    rng = random.Random(seed)
    rows, cells = range(0xB0, 0xD7), range(0xA1, 0xFF)  # where GB 2312 keeps its common characters
    common = [bytes((row, cell)).decode("gb2312") for row in rows for cell in cells]
    said = SYSTEM + USER + ANSWER
    words: dict[str, None] = {}
    while len(words) < terms:
        word = "".join(rng.choices(common, k=rng.choice((2, 3, 4, 4, 5, 6))))
        if word not in said:
            words[word] = None
    lines = [f"{word}\tother_illegal\t{rng.choice(('low', 'medium', 'high'))}" for word in words]
    path.write_text("term\trisk\tseverity\n" + "\n".join(lines) + "\n", encoding="utf-8")
