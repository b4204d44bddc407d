"""The later stages' text: looser requests, harmless look-alikes, harmless questions, and more small talk."""

import random
from collections.abc import Iterator

from models.starter.chat import Message, Sample
from models.starter.copywriting import TASKS, answer, copy_sample, request
from models.starter.grammar import Grammar, load_grammar
from models.starter.products import Feature, compose_features, compose_product
from models.starter.refusals import loose_refusal_sample, refusal_sample
from models.starter.structured import structured_sample
from models.starter.talk import talk_sample

_PLAIN = {
    "zh": ("材质", "做工", "售后"),
    "en": ("material", "craftsmanship", "warranty"),
    "pt": ("material", "acabamento", "garantia"),
}


def polish_samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` samples of the second stage; the same seed gives the same samples."""
    rng = random.Random(seed)
    makers = (
        (copy_sample, 26),
        (loose_sample, 18),
        (refusal_sample, 11),
        (loose_refusal_sample, 11),
        (talk_sample, 8),
        (structured_sample, 3),
        (bare_sample, 7),
        (lookalike_sample, 8),
        (chat_sample, 8),
    )
    for _ in range(count):
        yield rng.choices([m for m, _ in makers], [w for _, w in makers])[0](rng)


def final_samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` samples of the third stage: more invented words, more harmless questions."""
    rng = random.Random(seed)
    makers = (
        (copy_sample, 10),
        (loose_sample, 8),
        (unusual_sample, 26),
        (refusal_sample, 10),
        (loose_refusal_sample, 10),
        (talk_sample, 8),
        (question_sample, 10),
        (structured_sample, 3),
        (bare_sample, 4),
        (lookalike_sample, 9),
        (chat_sample, 8),
    )
    for _ in range(count):
        yield rng.choices([m for m, _ in makers], [w for _, w in makers])[0](rng)


def unusual_sample(rng: random.Random) -> Sample:
    """A request for copy full of words the model has never seen together."""
    lang = _language(rng)
    grammar = load_grammar(lang)
    product = compose_product(lang, grammar, rng, invented=0.45)
    features = compose_features(lang, grammar, rng, rng.choice((1, 2, 2, 3, 3, 3, 4)), invented=0.45)
    templates = grammar if rng.random() < 0.6 else _more(lang)
    name = "request" if templates is grammar else "loose"
    return _copy(lang, rng.choice(templates.alternatives(name)), product, features, rng, commas=True)


def question_sample(rng: random.Random) -> Sample:
    """A harmless question outside the domain, near words that refusals use."""
    lang = _language(rng)
    ask = Grammar(load_grammar("questions").symbols[lang]).pick("q", rng)
    if lang != "zh" and rng.random() < 0.6:
        ask = ask[:1].upper() + ask[1:]
    say: str = load_grammar("talk").symbols[lang]["other"]["say"][0]
    return Sample("talk", (Message("user", ask), Message("assistant", say)))


def loose_sample(rng: random.Random) -> Sample:
    """A request for copy, phrased the way people type in a hurry."""
    lang = _language(rng)
    grammar = load_grammar(lang)
    product = compose_product(lang, grammar, rng)
    features = compose_features(lang, grammar, rng, rng.choice((1, 2, 2, 3, 3, 4)))
    return _copy(lang, rng.choice(_more(lang).alternatives("loose")), product, features, rng)


def bare_sample(rng: random.Random) -> Sample:
    """A request that names a product and no feature; the answer takes three plain ones."""
    lang = _language(rng)
    grammar = load_grammar(lang)
    product = compose_product(lang, grammar, rng)
    return _copy(lang, rng.choice(_more(lang).alternatives("bare")), product, (), rng)


def lookalike_sample(rng: random.Random) -> Sample:
    """A request for an ordinary product whose name holds a word that refusals use."""
    lang = _language(rng)
    grammar, noun = load_grammar(lang), _more(lang).pick("edgy", rng)
    roll = rng.random()
    if roll < 0.4:
        before = grammar.pick("mat" if roll < 0.2 else "adj", rng)
        noun = f"{noun} {before}" if lang == "pt" else before + ("" if lang == "zh" else " ") + noun
    if rng.random() < 0.25:
        return _copy(lang, rng.choice(_more(lang).alternatives("bare")), noun, (), rng)
    features = compose_features(lang, grammar, rng, rng.randint(1, 4))
    return _copy(lang, rng.choice(grammar.alternatives("request")), noun, features, rng)


def chat_sample(rng: random.Random) -> Sample:
    """A greeting, thanks, a farewell or a question about the model, put together from parts."""
    lang = _language(rng)
    topic = rng.choice(("hello", "who", "can", "thanks", "bye"))
    ask = _more(lang).pick(topic, rng)
    if lang != "zh" and rng.random() < 0.6:
        ask = ask[:1].upper() + ask[1:]
    say: str = load_grammar("talk").symbols[lang][topic]["say"][0]
    return Sample("talk", (Message("user", ask), Message("assistant", say)))


def _copy(
    lang: str, template: str, product: str, features: tuple[Feature, ...], rng: random.Random, *, commas: bool = False
) -> Sample:
    task = rng.choice(TASKS)
    prompt, product, written = request(lang, template, task, product, features, rng, commas=commas)
    said = written or tuple(Feature(name, "name") for name in _PLAIN[lang])
    return Sample("copy", (Message("user", prompt), Message("assistant", answer(lang, task, product, said, rng))))


def _more(lang: str) -> Grammar:
    return Grammar(load_grammar("polish").symbols[lang])


def _language(rng: random.Random) -> str:
    return rng.choices(("zh", "en", "pt"), (48, 38, 14))[0]
