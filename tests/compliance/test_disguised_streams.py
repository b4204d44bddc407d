"""Whatever terms, disguises, allowed words and cuts come together: a stream releases what the whole text would."""

from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.keywords.foldings import Folding
from compliance.keywords.scanner import KeywordScanner
from compliance.keywords.terms import CompiledTerms
from compliance.keywords.views import Wanted
from compliance.matches import Meaning
from compliance.unicode import fold
from compliance.verdict import Action, Surface
from tests.compliance.helpers import of_scanners, stream, text_of

TERMS = [
    *(
        "海洛因",
        "洛因",
        "冰毒",
        "毒冰",
        "一夜情",
        "1夜",
        "十一",
        "k2粉",
        "24小时",
        "大麻",
        "porn",
        "kill",
        "il",
        "buy heroin",
    ),
    *("妈妈桑", "aab", "abab", "海海", "强奸", "b毒", "a-b", "c++", "<海>", "海 洛", "三三三", "mm", "。海", "因。"),
]
ALLOWED = ["大麻烦", "小大麻", "海洛因子", "反海洛因", "porno", "a porn", "一夜情缘", "kills", "小1x", "嗨洛音"]
PIECES = [
    *"海洛因毒冰一1十夜情大麻妈桑强奸弓虽女干氵每嗨独аео0lіbhuydank2粉3",
    *(" ", "-", ".", "~", "、", "，", "|", "\n", "·", "&", "🔥", "\u200b", "\u0301", "\ud83d", "\x00"),
    *("&#27602;", "&#x6d77;", "%E5%9B%A0", "\\u6bd2", "&#x6d", "%E5%9B", "<b>", "porn", "hai", "luo", "yin", "bing"),
]

wanted = st.builds(
    lambda text, foldings, bounded: Wanted(fold(text), Folding(foldings), bounded),
    st.sampled_from(TERMS),
    st.integers(0, sum(Folding)) | st.just(int(sum(Folding))),
    st.booleans(),
)


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(wanted, min_size=1, max_size=4, unique_by=lambda one: one.text),
    st.lists(st.sampled_from(ALLOWED), max_size=3),
    st.lists(st.sampled_from(["flag", "mask", "block"]), min_size=4, max_size=4),
    st.lists(st.sampled_from(PIECES), max_size=16).map("".join),
    st.integers(1, 4),
    st.sampled_from(["text", "json"]),
)
def test_a_stream_says_what_the_whole_text_says(
    terms: list[Wanted], allowed: list[str], actions: list[str], text: str, size: int, surface: Surface
) -> None:
    meanings = [
        (Meaning("keywords", "keyword", "ip", "high", one.text, "a term", Action(action), "***", 0),)
        for one, action in zip(terms, actions, strict=False)
    ]
    made = of_scanners(KeywordScanner(CompiledTerms(terms, [fold(word) for word in allowed]), meanings))
    whole = made.scan(text, "output", surface=surface)
    releases = stream(made.gate(surface=surface), [text[at : at + size] for at in range(0, len(text), size)])
    assert text_of(releases) == whole.released
    found = [one for release in releases for one in release.findings]
    assert found == list(whole.findings[: len(found)])
    assert len(found) == len(whole.findings) or any(release.blocked for release in releases)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(wanted, min_size=1, max_size=4, unique_by=lambda one: one.text),
    st.lists(st.sampled_from(ALLOWED), max_size=3),
    st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), min_size=2, max_size=5),
)
def test_what_is_remembered_of_other_streams_changes_nothing(
    terms: list[Wanted], allowed: list[str], texts: list[list[str]]
) -> None:
    """A scanner that has seen other texts holds and finds after every piece what a new one does."""
    compiled = CompiledTerms(terms, [fold(word) for word in allowed])
    meanings = [(Meaning("keywords", "keyword", "ip", "high", one.text, "", Action.mask, "***", 0),) for one in terms]
    experienced = of_scanners(KeywordScanner(compiled, meanings))
    for pieces in (*texts, *texts[::-1]):
        new = of_scanners(KeywordScanner(compiled, meanings))
        assert stream(experienced.gate(), pieces) == stream(new.gate(), pieces)
