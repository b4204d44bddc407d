"""The tables of syllables say what pypinyin says, of which they are made."""

import random

import pytest

from compliance.keywords.pinyin import read_aloud, syllables
from compliance.keywords.recipe.readings import folded_phrases, read_by_pypinyin, readings_of_characters

READINGS = readings_of_characters()
PHRASES = sorted(folded_phrases())


def test_every_character_has_its_commonest_reading() -> None:
    assert {char: [syllable] for char, syllable in syllables().items()} == {
        char: read_by_pypinyin(char) for char in READINGS if char < "\U00010000"
    }


def test_every_phrase_is_read_as_one() -> None:
    several = [phrase for phrase in PHRASES if any("," in READINGS.get(char, "") for char in phrase)]
    assert [read_aloud(phrase) for phrase in several] == [read_by_pypinyin(phrase) for phrase in several]


def test_texts_are_parted_into_the_same_phrases() -> None:
    rng = random.Random(20261124)
    ambiguous = [char for char, its in READINGS.items() if "," in its]
    for _ in range(5000):
        parts = [rng.choice(PHRASES)[: rng.randint(1, 6)] for _ in range(rng.randint(1, 3))]
        text = rng.choice(ambiguous) + "".join(parts) + rng.choice(("", "a1", "，好"))
        assert read_aloud(text) == read_by_pypinyin(text)


@pytest.mark.parametrize(
    ("text", "syllables_"),
    [
        ("银行卡", ["yin", "hang", "ka"]),
        ("行动", ["xing", "dong"]),
        ("重庆", ["chong", "qing"]),
        ("绿色ok", ["lv", "se", "o", "k"]),
        ("呜呜咽", ["wu", "wu", "yan"]),  # the beginning of a phrase, read by the character
        ("丛𪟝孚埏", ["cong", "ji", "fu", "shan"]),  # what a traditional character of the basic plane is folded to
        ("", []),
    ],
)
def test_readings(text: str, syllables_: list[str]) -> None:
    assert read_aloud(text) == syllables_
