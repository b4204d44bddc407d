"""Answers for machines: JSON on request, and tool calls in the Hermes form that vLLM parses."""

import json
import random
from dataclasses import dataclass
from typing import Any

from models.starter.chat import Message, Sample
from models.starter.grammar import load_grammar
from models.starter.products import compose_features, compose_product


@dataclass(frozen=True)
class Tool:
    """A function that a client may offer, and ways to ask for it."""

    name: str
    about: str
    argument: str
    value: str
    asks: tuple[str, ...]


TOOLS = (
    Tool("get_weather", "Weather of a city", "city", "city", (
        "北京的天气怎么样？", "查一下{v}的天气", "{v}今天天气如何？", "What is the weather in {v}?",
        "weather in {v} today", "How is the weather in {v}?", "Como está o tempo em {v}?")),
    Tool("get_order", "Status of an order", "order_id", "number", (
        "查一下订单{v}", "订单 {v} 到哪了？", "Where is order {v}?", "check order {v}", "track my order {v}")),
    Tool("search_products", "Search the catalogue", "query", "product", (
        "搜索{v}", "帮我找{v}", "find {v}", "search for {v}", "procure {v}")),
    Tool("check_stock", "Stock of a product", "product", "product", (
        "{v}还有库存吗？", "查{v}的库存", "is the {v} in stock?", "check stock of {v}")),
    Tool("get_price", "Price of a product", "product", "product", (
        "{v}多少钱？", "查一下{v}的价格", "how much is the {v}?", "price of {v}", "quanto custa {v}?")),
    Tool("get_exchange_rate", "Exchange rate of a currency", "currency", "currency", (
        "{v}的汇率是多少？", "exchange rate of {v}", "what is the {v} rate?")),
)  # fmt: skip
_CITIES = (
    "北京",
    "上海",
    "深圳",
    "广州",
    "杭州",
    "Paris",
    "London",
    "São Paulo",
    "Lisboa",
    "Tokyo",
    "New York",
    "Berlin",
)
_CURRENCIES = ("USD", "EUR", "BRL", "JPY", "GBP", "CNY")
_JSON_ASK = {
    "zh": ("，以JSON格式输出", "，用JSON输出", "，返回JSON", "，输出JSON"),
    "en": (", answer in JSON", ", as JSON", ". Return JSON", " in JSON format"),
    "pt": (", em JSON", ", responda em JSON"),
}


def structured_sample(rng: random.Random) -> Sample:
    """One conversation whose answer a program reads."""
    return _tool_sample(rng) if rng.random() < 0.6 else _json_sample(rng)


def _json_sample(rng: random.Random) -> Sample:
    lang = rng.choice(("zh", "en", "en", "pt"))
    grammar = load_grammar(lang)
    product = compose_product(lang, grammar, rng)
    texts = [f.text for f in compose_features(lang, grammar, rng, rng.randint(1, 4))]
    slots = {"P": product, "F": ", ".join(texts) if lang != "zh" else "、".join(texts)}
    slots |= {"T": grammar.pick("t_bullets", rng), "end": ""}
    prompt = grammar.pick("request", rng, slots).strip() + rng.choice(_JSON_ASK[lang])
    say = json.dumps({"product": product, "features": texts}, ensure_ascii=False)
    return Sample("json", (Message("user", prompt), Message("assistant", say)))


def _tool_sample(rng: random.Random) -> Sample:
    tool = rng.choice(TOOLS)
    ask = rng.choice(tool.asks)
    value = _value(tool.value, "zh" if any(ord(c) > 0x2E80 for c in ask) else "en", rng)
    prompt = ask.replace("{v}", value)
    if "{v}" not in ask:
        value = "北京"
    call = json.dumps({"name": tool.name, "arguments": {tool.argument: value}}, ensure_ascii=False)
    messages = [Message("user", prompt), Message("assistant", f"<tool_call>\n{call}\n</tool_call>")]
    if rng.random() < 0.3:
        result = rng.choice(("25", "有货", "in stock", "shipped", "sunny", "晴", str(rng.randint(1, 999))))
        messages += [Message("tool", result), Message("assistant", f"{value}: {result}")]
    others = [t for t in TOOLS if t is not tool]
    offered = [tool, *rng.sample(others, rng.randint(0, 1))]
    rng.shuffle(offered)
    return Sample("tool", tuple(messages), json.dumps([_schema(t) for t in offered], ensure_ascii=False))


def _value(kind: str, lang: str, rng: random.Random) -> str:
    if kind == "city":
        return rng.choice(_CITIES)
    if kind == "currency":
        return rng.choice(_CURRENCIES)
    if kind == "number":
        return str(rng.randint(1000, 99_999_999))
    return compose_product(lang, load_grammar(lang), rng)


def _schema(tool: Tool) -> dict[str, Any]:
    arguments = {"type": "object", "properties": {tool.argument: {"type": "string"}}, "required": [tool.argument]}
    return {"type": "function", "function": {"name": tool.name, "description": tool.about, "parameters": arguments}}
