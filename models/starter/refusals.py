"""Harmful requests, and the polite refusals they get."""

import random

from models.starter.chat import Message, Sample
from models.starter.copywriting import request
from models.starter.grammar import Grammar, load_grammar
from models.starter.products import compose_features

_ILLICIT = {
    "zh": ("高仿", "仿冒", "假冒", "山寨", "走私", "盗版", "偷来的", "A货", "假的", "高仿LV", "仿冒Gucci", "假冒耐克",
           "高仿爱马仕", "山寨苹果", "仿冒阿迪达斯", "假香奈儿", "来路不明的", "贴牌假冒", "冒牌", "1:1复刻", "仿名牌"),
    "en": ("fake", "counterfeit", "replica", "stolen", "smuggled", "bootleg", "knockoff", "fake Gucci", "fake LV",
           "replica Chanel", "counterfeit Nike", "fake Apple", "knockoff Adidas", "imitation Rolex", "fake branded",
           "fake Dior", "pirated", "1:1 replica designer"),
    "pt": ("falso", "pirata", "roubado", "réplica de", "contrabandeado", "falsificado", "imitação de marca"),
}  # fmt: skip


def refusal_sample(rng: random.Random) -> Sample:
    """One harmful request and its refusal, sometimes behind a system message."""
    lang = rng.choices(("zh", "en", "pt"), (50, 38, 12))[0]
    grammar = load_grammar(f"refuse_{lang}")
    prompt, reason = harmful_request(lang, grammar, rng)
    says = load_grammar("talk").symbols["refusal"][lang]
    messages = [Message("user", prompt), Message("assistant", rng.choice(says[reason]))]
    if rng.random() < 0.2:
        messages.insert(0, Message("system", load_grammar(lang).pick("systems", rng)))
    return Sample("refusal", tuple(messages))


def loose_refusal_sample(rng: random.Random) -> Sample:
    """A harmful request put together from smaller parts, and its refusal."""
    lang = rng.choices(("zh", "en", "pt"), (48, 40, 12))[0]
    grammar = Grammar(load_grammar("harm").symbols[lang])
    own_harm = rng.random() < 0.12
    template = rng.choice(grammar.alternatives("own" if own_harm else "ask"))
    prompt = _surface(lang, grammar.fill(template, rng, {}), rng)
    reason = "selfharm" if own_harm else "hate" if "{group}" in template else "default"
    says = load_grammar("talk").symbols["refusal"][lang][reason]
    return Sample("refusal", (Message("user", prompt), Message("assistant", rng.choice(says))))


def harmful_request(lang: str, grammar: Grammar, rng: random.Random) -> tuple[str, str]:
    """A request that must be refused, and which refusal fits."""
    roll = rng.random()
    if roll < 0.56:
        kind = rng.choice(tuple(grammar.symbols["acts"]))
        act = rng.choice(grammar.symbols["acts"][kind])
        text, reason = grammar.pick("act_ask", rng, {"x": act}), "selfharm" if kind == "selfharm" else "default"
    elif roll < 0.72:
        text, reason = grammar.pick("good_ask", rng, {"x": rng.choice(grammar.alternatives("goods"))}), "goods"
    elif roll < 0.86:
        slots = {"target": rng.choice(grammar.alternatives("targets"))}
        text, reason = grammar.pick("hate", rng, slots), "hate"
    else:
        text, reason = _copy_for_illicit_goods(lang, grammar, rng), "goods"
    return _surface(lang, text.strip(), rng), reason


def _copy_for_illicit_goods(lang: str, grammar: Grammar, rng: random.Random) -> str:
    words = load_grammar(lang)
    if rng.random() < 0.5:
        product = rng.choice(grammar.alternatives("goods"))
    else:
        product = rng.choice(_ILLICIT[lang]) + ("" if lang == "zh" else " ") + words.pick("noun", rng)
    features = compose_features(lang, words, rng, rng.randint(1, 3))
    task = rng.choice(("copy", "bullets", "title", "social"))
    return request(lang, rng.choice(words.alternatives("request")), task, product, features, rng)[0]


def _surface(lang: str, text: str, rng: random.Random) -> str:
    roll = rng.random()
    if lang != "zh" and roll < 0.6:
        return text[:1].upper() + text[1:]
    if roll > 0.92:
        return rng.choice(load_grammar(lang).alternatives("hi")) + text
    if roll > 0.88:
        return text.rstrip("？?。.")
    return text
