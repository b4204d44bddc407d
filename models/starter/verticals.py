"""The verticals that starter adapters learn: requests and answers from a grammar per vertical, with invented words."""

import random
from collections.abc import Iterator
from functools import cache

from models.starter.balance import balanced_samples
from models.starter.chat import Message, Sample
from models.starter.grammar import Grammar, load_grammar
from models.starter.products import invented_word

VERTICALS = (
    "short-drama",
    "short-video",
    "paid-knowledge",
    "digital-culture",
    "cross-border-southeast-asia",
    "software-development",
)


def vertical_samples(vertical: str, seed: int, count: int) -> Iterator[Sample]:
    """`count` requests of a vertical and their answers; the same seed gives the same samples."""
    rng = random.Random(seed)
    for _ in range(count):
        yield _sample(vertical, rng)


def training_samples(vertical: str, seed: int, count: int) -> Iterator[Sample]:
    """What an adapter is trained on: its vertical, the base's own last stage against forgetting, and refusals."""
    rng = random.Random(seed)
    base = balanced_samples(seed, count)
    for _ in range(count):
        roll = rng.random()
        if roll < 0.68:
            yield _sample(vertical, rng)
        elif roll < 0.73:
            yield _refusal(vertical, rng)
        else:
            yield next(base)


@cache
def _grammar(vertical: str) -> Grammar:
    own = load_grammar(f"vertical_{vertical}").symbols
    return Grammar({**load_grammar("verticals").symbols[own["lang"]], **own})


def _sample(vertical: str, rng: random.Random) -> Sample:
    grammar = _grammar(vertical)
    symbols = grammar.symbols
    slots: dict[str, str] = {}
    for slot, name in symbols["once"].items():
        # A word that no list holds can only be copied from the request.
        made_up = rng.random() < symbols["invented"].get(slot, 0.0)
        lang = "zh" if symbols["lang"] == "zh" else "en"
        text = invented_word(lang, rng, short=True) if made_up else grammar.pick(name, rng, slots)
        slots[slot] = text if lang == "zh" else text.lower()
    form = rng.choices(symbols["forms"], [len(f["ask"]) for f in symbols["forms"]])[0]
    # One list may be named twice in a form (three lectures need three titles); slots alone stay the same throughout.
    ask = grammar.fill(rng.choice(form["ask"]), rng, slots).strip()
    say = grammar.fill(rng.choice(form["say"]), rng, slots).strip()
    return Sample(vertical, (Message("user", ask), Message("assistant", say)))


def _refusal(vertical: str, rng: random.Random) -> Sample:
    lang = "zh" if _grammar(vertical).symbols["lang"] == "zh" else "en"
    act = Grammar(load_grammar("harm").symbols[lang]).pick("act", rng)
    slots = {"act": act, "form": rng.choice(_grammar(vertical).symbols["form"])}
    asked = rng.choice(load_grammar("verticals").symbols["harm"][lang])
    text = _grammar(vertical).fill(asked, rng, slots)
    says = load_grammar("talk").symbols["refusal"][lang]["default"]
    return Sample("refusal", (Message("user", text), Message("assistant", rng.choice(says))))
