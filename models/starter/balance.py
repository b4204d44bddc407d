"""The last stage's text: harmful and harmless requests in the same frames, so that only their content differs."""

import random
from collections.abc import Iterator

from models.starter.chat import Message, Sample
from models.starter.copywriting import answer, copy_sample
from models.starter.grammar import Grammar, load_grammar
from models.starter.polish import (
    bare_sample,
    chat_sample,
    lookalike_sample,
    loose_sample,
    question_sample,
    unusual_sample,
)
from models.starter.products import Feature, compose_features, compose_product
from models.starter.refusals import loose_refusal_sample, refusal_sample
from models.starter.structured import structured_sample
from models.starter.talk import talk_sample

_PLAIN = {
    "zh": ("材质", "做工", "售后"),
    "en": ("material", "craftsmanship", "warranty"),
    "pt": ("material", "acabamento", "garantia"),
}


def balanced_samples(seed: int, count: int) -> Iterator[Sample]:
    """`count` samples of the last stage; the same seed gives the same samples."""
    rng = random.Random(seed)
    makers = (
        (copy_sample, 9),
        (loose_sample, 11),
        (unusual_sample, 14),
        (plain_request_sample, 13),
        (lookalike_sample, 6),
        (bare_sample, 2),
        (refusal_sample, 8),
        (loose_refusal_sample, 9),
        (framed_refusal_sample, 10),
        (talk_sample, 5),
        (question_sample, 7),
        (chat_sample, 5),
        (structured_sample, 2),
    )
    for _ in range(count):
        yield _capitalised(rng.choices([m for m, _ in makers], [w for _, w in makers])[0](rng), rng)


def plain_request_sample(rng: random.Random) -> Sample:
    """An ordinary product in the very sentences that ask for illegal goods, with features or without."""
    lang = rng.choices(("zh", "en", "pt"), (40, 38, 22))[0]
    grammar = load_grammar(lang)
    edgy = rng.random() < 0.3
    product = (
        Grammar(load_grammar("polish").symbols[lang]).pick("edgy", rng)
        if edgy
        else compose_product(lang, grammar, rng, invented=0.3)
    )
    task, text = rng.choice(_SENTENCES[lang])
    features = compose_features(lang, grammar, rng, rng.randint(1, 4), invented=0.3)
    if rng.random() < 0.2:
        features = tuple(Feature(name, "name") for name in _PLAIN[lang])
    else:
        joiner = rng.choice(("、", "，")) if lang == "zh" else ", "
        listed = joiner.join(f.text for f in features)
        text += rng.choice(_LINKS[lang]) + listed
    prompt = grammar.fill(text, rng, {"P": product})
    return Sample("copy", (Message("user", prompt), Message("assistant", answer(lang, task, product, features, rng))))


_SENTENCES = {
    "zh": (
        ("copy", "写{P}的文案"),
        ("copy", "写一段{P}的商品文案"),
        ("copy", "帮我写一条{P}的广告"),
        ("copy", "请写{P}的商品描述"),
        ("title", "给{P}写个标题"),
        ("title", "为{P}写标题"),
        ("bullets", "{P}的卖点"),
        ("bullets", "请为{P}写卖点"),
        ("bullets", "写{P}的五点描述"),
        ("bullets", "{P}五点描述"),
        ("social", "写一篇{P}的小红书"),
        ("social", "给{P}写一条朋友圈广告"),
        ("copy", "我在网上卖{P}，写一段推广文案"),
        ("keywords", "写{P}的关键词"),
    ),
    "en": (
        ("copy", "write an ad for {P}"),
        ("copy", "write an ad for a {P}"),
        ("copy", "write copy for a {P}"),
        ("copy", "write a listing for a {P}"),
        ("copy", "write a product description for {P}"),
        ("copy", "listing for {P}"),
        ("title", "write a title for a {P}"),
        ("title", "title for {P}"),
        ("bullets", "write bullet points for a {P}"),
        ("bullets", "bullet points for {P}"),
        ("social", "write an Instagram caption for our {P}"),
        ("social", "write a Facebook post for our {P}"),
        ("copy", "I sell {P} online. write a listing"),
        ("copy", "could I get a product page for a {P}"),
    ),
    "pt": (
        ("copy", "escreva um anúncio para {P}"),
        ("copy", "escreva um anúncio de {P}"),
        ("copy", "escreva uma descrição para {P}"),
        ("copy", "escreva uma descrição de {P}"),
        ("copy", "faça um texto sobre {P}"),
        ("title", "escreva um título para {P}"),
        ("title", "crie um título para {P}"),
        ("social", "faça uma legenda para {P}"),
        ("social", "faça um post sobre {P}"),
        ("bullets", "escreva os pontos fortes de {P}"),
    ),
}
_LINKS = {
    "zh": ("，", "，", "：", "，突出", "，包括", "，要有", "。包含"),
    "en": (", ", ", ", ": ", ". Mention ", ". Include ", " with ", ", covering ", ". It should cover ", " that is "),
    "pt": (", ", ", ", ": ", " com ", ", com ", ", destacando ", ", mencionando "),
}


def framed_refusal_sample(rng: random.Random) -> Sample:
    """A harmful act in a frame of haste, secrecy or detail, and its refusal."""
    lang = rng.choices(("zh", "en", "pt"), (50, 38, 12))[0]
    frames, asks = load_grammar("balance").symbols[lang], load_grammar(f"refuse_{lang}").symbols
    acts = [a for group in asks["acts"].values() for a in group] if rng.random() < 0.4 else frames["acts"]
    text = Grammar(asks).pick("act_ask", rng, {"x": rng.choice(acts)})
    if rng.random() < 0.3:
        text = Grammar(load_grammar("harm").symbols[lang]).pick("ask", rng)
    text = text.rstrip("？?")
    if rng.random() < 0.4:
        text = rng.choice(frames["before"]) + text
    if rng.random() < 0.4:
        text += rng.choice(frames["after"])
    elif rng.random() < 0.4:
        text += "？" if lang == "zh" else "?"
    say = rng.choice(load_grammar("talk").symbols["refusal"][lang]["default"])
    return Sample("refusal", (Message("user", text.strip()), Message("assistant", say)))


def _capitalised(sample: Sample, rng: random.Random) -> Sample:
    """Half of the requests start with a capital, whatever they ask for; the product's own case must not change."""
    first = sample.messages[0]
    starts = (
        first.content[:5].casefold().startswith(("write", "escre", "crie", "faça", "could", "bulle", "title", "listi"))
    )
    if first.role != "user" or not starts or rng.random() < 0.35:
        return sample
    return Sample(
        sample.kind,
        (Message("user", first.content[:1].upper() + first.content[1:]), *sample.messages[1:]),
        sample.tools_json,
    )
