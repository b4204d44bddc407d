"""Where a growing text is judged: at the ends of sentences, so the places depend on the text and not on its chunks."""

SENTENCE_ENDS = frozenset("。！？!?\n")
LONGEST = 256
"""A piece without a sentence end is judged after so many characters: it bounds what `strict` holds back."""


class Pieces:
    """Finds the ends of pieces in a stream of text.

    A piece ends behind the first sentence end that follows anything worth reading, so `？！` or a run of line
    breaks makes no piece of its own.
    """

    def __init__(self) -> None:
        self._size = 0
        self._start = 0
        self._worth_reading = False

    def feed(self, text: str) -> list[tuple[int, int]]:
        """The pieces that end in `text`, as spans of the whole stream in code points."""
        spans = []
        for char in text:
            self._size += 1
            ends = char in SENTENCE_ENDS
            self._worth_reading = self._worth_reading or not (ends or char.isspace())
            if (ends and self._worth_reading) or self._size - self._start == LONGEST:
                spans.append((self._start, self._size))
                self._start, self._worth_reading = self._size, False
        return spans

    def flush(self) -> list[tuple[int, int]]:
        """What is left of the last piece, when the text is over or another field goes on."""
        spans = [(self._start, self._size)] if self._start < self._size else []
        self._start, self._worth_reading = self._size, False
        return spans
