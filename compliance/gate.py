"""The hold-back gate: text comes in pieces, what is decided goes out, the rest waits.

Three offsets move to the right: `_at` (raw text before it was released or masked) <= the decided
frontier <= what was fed. A scanner's promise (`Scan.advance`) makes the frontier exact: every match that
starts before it is known, whatever comes later. So the released text cannot depend on how the text was
cut, and nothing waits that no rule can still touch.
"""

from collections.abc import Sequence
from typing import NamedTuple

from compliance.deadline import Deadline
from compliance.matches import Match, Meaning, Scan, Scanner, dominates
from compliance.unicode import Folded, Folder
from compliance.verdict import Finding, ScannerError, Surface

BLOCK = 1024
"""A long chunk is worked off in blocks of so many characters: bounded memory, and a deadline check."""

_TRIM_AT = 512


class Release(NamedTuple):
    """What one `feed` or `flush` decided.

    `text` may go out. `end` is the raw offset up to which everything was released or masked. `masked` are
    the raw spans newly taken out; `findings` the newly decided ones. `blocked`: the stream is over.
    """

    text: str
    end: int
    masked: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]
    blocked: bool


class _Span:
    """A match in raw offsets."""

    __slots__ = ("end", "folding", "meaning", "start")

    def __init__(self, start: int, end: int, meaning: Meaning, folding: str) -> None:
        self.start = start
        self.end = end
        self.meaning = meaning
        self.folding = folding


class Gate:
    """Scans one stream. Not thread-safe: one gate per stream; the scanners behind it are shared."""

    def __init__(
        self,
        scanners: Sequence[Scanner],
        surface: Surface,
        deadline_s: float,
        *,
        survey: bool = False,
        enforce: bool = True,
    ) -> None:
        """`survey` goes on collecting findings after a block, without releasing anything.

        Without `enforce` findings say what the policy wants, and the text goes out as it is (a dry run).
        """
        self._folder = Folder(surface)
        self._fold_plainly = self._folder.feed_plain
        self._scans: list[Scan] = [scanner.start() for scanner in scanners]
        self._reach = max((scanner.reach for scanner in scanners), default=0) + 2
        self._deadline = Deadline(deadline_s)
        self._survey = survey
        self._enforce = enforce

        self._raw = ""  # raw text from `_at` on
        self._at = 0
        self._window = ""  # folded text: the undecided suffix and `_reach` characters before it
        self._shift = 0  # raw offset of window[0] while the fold is one to one
        self._starts: list[int] | None = None  # else each folded character's raw span
        self._ends: list[int] = []

        self._decided: list[_Span] = []  # matches the frontier has not passed yet
        self._covering: list[_Span] = []  # passed ones that may still cover a later, smaller match
        self._mask_end = 0
        self._blocked = False
        self._failed: ScannerError | None = None

    def feed(self, chunk: str) -> Release:
        """Take in a chunk and release what it decides."""
        self._deadline.restart()
        return self._step(chunk, False) if len(chunk) <= BLOCK else self._in_blocks(chunk, False)

    def flush(self) -> Release:
        """The text is over: decide and release the rest."""
        self._deadline.restart()
        return self._step("", True)

    def feed_whole(self, text: str) -> Release:
        """Feed and flush in one: the same outcome for less work."""
        self._deadline.restart()
        return self._step(text, True) if len(text) <= BLOCK else self._in_blocks(text, True)

    @property
    def held(self) -> int:
        """How many raw characters wait to be decided."""
        return len(self._raw)

    def _in_blocks(self, chunk: str, final: bool) -> Release:
        last = (len(chunk) - 1) // BLOCK * BLOCK
        parts = [
            self._step(chunk[start : start + BLOCK], final and start == last) for start in range(0, last + 1, BLOCK)
        ]
        return Release(
            "".join(part.text for part in parts),
            parts[-1].end,
            tuple(span for part in parts for span in part.masked),
            tuple(finding for part in parts for finding in part.findings),
            self._blocked,
        )

    def _step(self, chunk: str, final: bool) -> Release:
        if self._failed is not None:
            raise self._failed
        if self._blocked and not self._survey:
            return Release("", self._at, (), (), True)
        seen = len(self._window)
        self._raw += chunk
        plain = self._fold_plainly(chunk)
        if plain is None:
            self._append(self._folder.feed(chunk, final))
        elif self._starts is None:  # most chunks
            if not seen:
                self._shift = self._folder.at - len(plain)
            self._window += plain
        else:
            self._append(Folded(plain, None, None, self._folder.at))
        undecided = self._run_scans(seen, final)
        frontier = self._folder.at if undecided == len(self._window) else self._raw_start(undecided)
        release = self._release(frontier)
        if undecided > _TRIM_AT + self._reach:
            self._trim(undecided - self._reach)
        return release

    def _append(self, folded: Folded) -> None:
        """Add folded text to the window, keeping the raw offset of each character."""
        text = folded.text
        if folded.starts is not None and folded.ends is not None:
            self._starts = self._spelt_out() + folded.starts
            self._ends += folded.ends
        elif self._starts is not None:
            first = folded.raw_end - len(text)
            self._starts += range(first, folded.raw_end)
            self._ends += range(first + 1, folded.raw_end + 1)
        elif not self._window:
            self._shift = folded.raw_end - len(text)
        self._window += text

    def _spelt_out(self) -> list[int]:
        """The raw starts of the window as a list, from when the fold is not one to one any more."""
        if self._starts is None:
            size = len(self._window)
            self._starts = list(range(self._shift, self._shift + size))
            self._ends = list(range(self._shift + 1, self._shift + size + 1))
        return self._starts

    def _raw_start(self, index: int) -> int:
        return self._shift + index if self._starts is None else self._starts[index]

    def _raw_end(self, index: int) -> int:
        return self._shift + index + 1 if self._starts is None else self._ends[index]

    def _run_scans(self, seen: int, final: bool) -> int:
        """Let every scanner look at the new text; return the first position one of them holds open."""
        window = self._window
        undecided = len(window)
        deadline = self._deadline
        for scan in self._scans:
            try:
                matches, open_at = scan.advance(window, seen, final, deadline)
                deadline.check(scan.name)
            except ScannerError as error:
                self._failed = error
                raise
            except Exception as error:  # noqa: BLE001 - whatever a scanner raises must refuse the text
                self._failed = ScannerError(scan.name, f"raised {type(error).__name__}")
                raise self._failed from None
            if matches:
                self._decided += [self._to_raw(match) for match in matches]
            if open_at < undecided:
                undecided = open_at
        return undecided

    def _to_raw(self, match: Match) -> _Span:
        start, end = self._raw_start(match.start), self._raw_end(match.end - 1)
        return _Span(start, end, match.meaning, match.folding)

    def _release(self, frontier: int) -> Release:
        """Let out everything before the frontier, masked; stop at the first blocked span."""
        if not self._decided and not self._covering:
            return Release(self._take(frontier), self._at, (), (), self._blocked)
        out: list[str] = []
        masked: list[tuple[int, int]] = []
        findings: list[Finding] = []
        for span in self._pass(frontier):
            findings.append(_finding(span))
            action = span.meaning.action
            if self._blocked or not self._enforce:
                continue
            if action.stops:
                out.append(self._take(span.start))
                self._blocked = True
                self._raw = ""
                if not self._survey:
                    break
            elif action.hides:
                if span.start >= self._mask_end:
                    out.append(self._take(span.start))
                    out.append(span.meaning.placeholder)
                if span.end > self._mask_end:
                    masked.append((max(span.start, self._mask_end), span.end))
                    self._take(span.end)
                    self._mask_end = span.end
        if not self._blocked:
            out.append(self._take(frontier))
        return Release("".join(out), self._at, tuple(masked), tuple(findings), self._blocked)

    def _take(self, until: int) -> str:
        """Cut the raw text before `until` off the held text."""
        count = until - self._at
        if count <= 0 or self._blocked:
            return ""
        text = self._raw
        self._at = until
        if count == len(text):
            self._raw = ""
            return text
        self._raw = text[count:]
        return text[:count]

    def _pass(self, frontier: int) -> list[_Span]:
        """The matches that start before the frontier, without those that a larger one covers."""
        ready = [span for span in self._decided if span.start < frontier]
        self._decided = [span for span in self._decided if span.start >= frontier]
        ready.sort(key=_outer_first)
        kept: list[_Span] = []
        covering = self._covering
        for span in ready:
            covering = [outer for outer in covering if outer.end > span.start]
            if not any(_covers(outer, span) for outer in covering):
                kept.append(span)
            covering.append(span)
        self._covering = [outer for outer in covering if outer.end > frontier]
        kept.sort(key=_strictest_first)
        return kept

    def _trim(self, count: int) -> None:
        """Forget folded text that no rule looks back to any more."""
        self._window = self._window[count:]
        if self._starts is None:
            self._shift += count
        else:
            del self._starts[:count]
            del self._ends[:count]
        for scan in self._scans:
            scan.forget(count)


def _outer_first(span: _Span) -> tuple[int, int, int, int]:
    return (span.start, -span.end, -span.meaning.action.rank, -span.meaning.strength)


def _strictest_first(span: _Span) -> tuple[int, int, int, int, str, str]:
    meaning = span.meaning
    return (span.start, -meaning.action.rank, -span.end, -meaning.strength, meaning.type, meaning.rule)


def _covers(outer: _Span, inner: _Span) -> bool:
    return dominates(outer.meaning, (outer.start, outer.end), inner.meaning, (inner.start, inner.end))


def _finding(span: _Span) -> Finding:
    m = span.meaning
    return Finding(span.start, span.end, m.type, m.risk, m.severity, m.scanner, m.rule, m.why, m.action, span.folding)
