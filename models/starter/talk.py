"""Ordinary conversation: greetings, questions about the model, thanks, and questions outside the domain."""

import random

from models.starter.chat import Message, Sample
from models.starter.grammar import Grammar, load_grammar

_TOPICS = ("hello", "who", "can", "thanks", "bye")


def talk_sample(rng: random.Random) -> Sample:
    """One short exchange that asks for no product copy."""
    lang = rng.choices(("zh", "en", "pt"), (50, 38, 12))[0]
    topic = "other" if rng.random() < 0.6 else rng.choice(_TOPICS)
    data = load_grammar("talk").symbols[lang][topic]
    ask = Grammar(data).pick("ask", rng).strip()
    if lang != "zh" and rng.random() < 0.5:
        ask = ask[:1].upper() + ask[1:]
    if rng.random() < 0.15:
        ask += rng.choice(("!", ".", "？", "！", "。") if lang == "zh" else ("!", ".", "?", " :)"))
    messages = [Message("user", ask), Message("assistant", rng.choice(data["say"]))]
    if rng.random() < 0.2:
        messages.insert(0, Message("system", load_grammar(lang).pick("systems", rng)))
    return Sample("talk", tuple(messages))
