"""Requests for product copy and their answers."""

import random
from collections.abc import Mapping

from models.starter.chat import Message, Sample
from models.starter.grammar import Grammar, load_grammar
from models.starter.products import Feature, compose_features, compose_product

TASKS = ("copy", "copy", "copy", "bullets", "bullets", "title", "social", "keywords", "service")
_ABROAD = {"en": ("英文", "英语", "英文版"), "pt": ("葡萄牙语", "葡语", "葡萄牙文")}
_AGAIN = {
    "zh": ("再{write}{T}，{cover}{F}{end}", "同一个产品，{please}{write}{T}，{cover}{F}{end}", "{T}呢？{cover}{F}"),
    "en": (
        "now {write} {art}{T}, {cover}{F}{end}",
        "For the same product, {please}{write} {art}{T}, {cover}{F}{end}",
        "And {art}{T}? {cover}{F}",
    ),
    "pt": (
        "agora {write} {art}{T}, {cover}{F}{end}",
        "Para o mesmo produto, {please}{write} {art}{T}, {cover}{F}{end}",
    ),
}


def copy_sample(rng: random.Random) -> Sample:
    """One conversation about product copy, in one of the languages, sometimes with a second turn."""
    lang = rng.choices(("zh", "en", "pt"), (45, 40, 15))[0]
    grammar = load_grammar(lang)
    product = compose_product(lang, grammar, rng)
    messages = list(_system(grammar, rng))
    task = rng.choice(TASKS)
    features = compose_features(lang, grammar, rng, rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 5, 6)))
    if lang != "zh" and rng.random() < 0.08:
        prompt = _request_from_chinese(lang, task, product, features, rng)
    else:
        template = rng.choice(grammar.alternatives("request"))
        prompt, product, features = request(lang, template, task, product, features, rng)
    messages += [Message("user", prompt), Message("assistant", answer(lang, task, product, features, rng))]
    if rng.random() < 0.06:
        task = rng.choice(TASKS)
        features = compose_features(lang, grammar, rng, rng.randint(1, 3))
        prompt, _, features = request(lang, rng.choice(_AGAIN[lang]), task, product, features, rng, plain=True)
        messages += [Message("user", prompt), Message("assistant", answer(lang, task, product, features, rng))]
    return Sample("copy", tuple(messages))


def _system(grammar: Grammar, rng: random.Random) -> tuple[Message, ...]:
    return (Message("system", grammar.pick("systems", rng)),) if rng.random() < 0.25 else ()


def request(
    lang: str,
    template: str,
    task: str,
    product: str,
    features: tuple[Feature, ...],
    rng: random.Random,
    *,
    plain: bool = False,
    commas: bool = False,
) -> tuple[str, str, tuple[Feature, ...]]:
    """A user's request, with the product and features as they are written in it (letter case may change)."""
    grammar = load_grammar(lang)
    change = rng.random()
    if not plain and lang != "zh" and change < 0.15:
        product = product.title()
    if not plain and lang != "zh" and 0.15 <= change < 0.22:
        features = tuple(Feature(f.text.capitalize(), f.category) for f in features)
    slots = {"P": product, "F": join(grammar, features, rng, commas=commas), "T": grammar.pick(f"t_{task}", rng)}
    text = grammar.fill(template, rng, slots).strip()
    if lang != "zh" and 0.22 <= change < 0.5:
        text = text[:1].upper() + text[1:]
    elif not plain and change > 0.9:
        text = text.lower()
        product = product.lower()
        features = tuple(Feature(f.text.lower(), f.category) for f in features)
    return text, product, features


def join(grammar: Grammar, features: tuple[Feature, ...], rng: random.Random, *, commas: bool = False) -> str:
    """The features as a person would list them."""
    texts = [f.text for f in features]
    joiner = rng.choice(grammar.alternatives("joiners"))
    if commas and rng.random() < 0.6:
        joiner = rng.choice(("，", "，", "、") if grammar is load_grammar("zh") else (", ",))
    if joiner.startswith("\n"):
        return joiner + joiner.join(texts)
    if rng.random() < 0.05:
        return "".join(f"{i}. {t} " for i, t in enumerate(texts, 1)).strip()
    if len(texts) > 1 and joiner.strip() in {"、", "，", ","} and rng.random() < 0.5:
        return joiner.join(texts[:-1]) + rng.choice(grammar.alternatives("last")) + texts[-1]
    return joiner.join(texts)


def _request_from_chinese(lang: str, task: str, product: str, features: tuple[Feature, ...], rng: random.Random) -> str:
    chinese = load_grammar("zh")
    slots = {
        "P": f" {product} ",
        "F": ", ".join(f.text for f in features),
        "T": rng.choice(_ABROAD[lang]) + chinese.pick(f"t_{task}", rng),
    }
    return chinese.pick("request", rng, slots).strip()


def answer(lang: str, task: str, product: str, features: tuple[Feature, ...], rng: random.Random) -> str:
    """The copy itself: the product by name, then every feature in the order asked."""
    grammar = load_grammar(lang)
    shape: Mapping[str, str] = load_grammar("answers").symbols[lang][task]
    text = grammar.fill(shape["head"], rng, {"P": product})
    body = _items(grammar, shape["item"], features, rng)
    text += body
    if "again" in shape:
        text += grammar.fill(shape["again"], rng, {"P": product}) + body
    return text + grammar.fill(shape["tail"], rng, {"P": product})


def _items(grammar: Grammar, shape: str, features: tuple[Feature, ...], rng: random.Random) -> str:
    parts = []
    for number, feature in enumerate(features, 1):
        benefit = grammar.pick(f"b_{feature.category}", rng)
        parts.append(grammar.fill(shape, rng, {"i": str(number), "f": feature.text, "b": benefit}))
    return "".join(parts)
