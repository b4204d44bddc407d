"""Sentence judges: the same sentences and the same outcome however a text is cut."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from compliance.deadline import Deadline
from compliance.gate import Gate
from compliance.matches import Meaning
from compliance.sentences import MAX_SENTENCE, Hold, Judged, SentenceScanner
from compliance.verdict import Action
from tests.compliance.helpers import stream, text_of

MEANING = Meaning("judge", "sentence", "other_illegal", "high", "bad", "a sentence with 坏", Action.block, "***", 0)


class Remembering:
    """Blocks a sentence with 坏 in it and remembers what it was asked."""

    name = "judge"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def warm_up(self) -> None:
        pass

    def judge(self, sentence: str, deadline: Deadline) -> Sequence[Judged]:
        self.asked.append(sentence)
        return [Judged(0, len(sentence), MEANING)] if "坏" in sentence else []


def judged(chunks: Sequence[str], hold: Hold) -> tuple[list[str], str, bool]:
    """The sentences that were judged up to the first bad one, the text that went out, and whether it was stopped."""
    judge = Remembering()
    releases = stream(Gate([SentenceScanner(judge, hold)], "text", 5.0), chunks)
    bad = next((at for at, one in enumerate(judge.asked) if "坏" in one), len(judge.asked))
    return judge.asked[: bad + 1], text_of(releases), any(one.blocked for one in releases)


def test_a_strict_judge_holds_a_sentence_until_it_has_ended() -> None:
    gate = Gate([SentenceScanner(Remembering(), "strict")], "text", 5.0)
    assert [gate.feed(chunk).text for chunk in ("好的", "。可以", "！再", "见")] == ["", "好的。", "可以！", ""]
    assert gate.flush().text == "再见"


def test_a_cutoff_judge_lets_text_out_and_stops_what_follows() -> None:
    gate = Gate([SentenceScanner(Remembering(), "cutoff")], "text", 5.0)
    assert gate.feed("这是坏").text == "这是坏"
    last = gate.feed("话。更多")
    assert (last.text, last.blocked) == ("", True)
    assert (last.findings[0].start, last.findings[0].end) == (0, 5)


def test_sentences_end_where_readers_see_it() -> None:
    asked, _, _ = judged(["一句。Two. 3.5 off! 四；五\n六"], "strict")
    assert asked == ["一句。", "two. ", "3.5 off!", " 四;", "五\n", "六"]


def test_a_text_without_end_is_judged_in_pieces() -> None:
    asked, text, _ = judged(["长" * 700], "strict")
    assert [len(one) for one in asked] == [MAX_SENTENCE, MAX_SENTENCE, 700 - 2 * MAX_SENTENCE]
    assert text == "长" * 700


@given(st.text("ab坏好。. \n", max_size=40), st.integers(1, 7), st.integers(0, 600))
def test_cutting_a_text_changes_nothing(text: str, size: int, padding: int) -> None:
    text = "长" * padding + text
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert judged(chunks, "strict") == judged([text], "strict")
    loose = judged(chunks, "cutoff")
    assert loose[0] == judged([text], "cutoff")[0]
    assert loose[2] == ("坏" in text)
