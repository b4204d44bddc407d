"""The input side of the pipeline: every string that can reach the model is scanned, masked, or refused.

Each string is scanned alone, and once: a conversation that is sent again costs a look-up. Texts that a model reads in
one go (a user's turns, the parts of a message) are also scanned where they join.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from compliance.pipeline import Pipeline
from compliance.pseudonyms import Pseudonyms
from compliance.verdict import Action, Finding, ScannerError
from gateway.errors import InvalidRequest, PromptRefused, ScanFailed
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.scan_turns import ScanTurns, Steps, all_of
from gateway.scanned import Outcome, ScannedTexts
from gateway.seams import SCANNERS, Crossing, crossings_of, joins
from gateway.surfaces.shape import Place

INLINE_CHARS = 4_000
"""Prompts with more new text are scanned in a thread, so that one of them does not hold up everybody's streams."""

LOOKED_UP_INLINE_CHARS = 200_000
"""Looking up is a hundred times faster than scanning, but no more than so much is looked up in between."""

INLINE_TEXTS = 1_000
"""With more texts not even that: each costs a look-up, and another where it joins the next."""

MOST_TEXTS = 20_000
"""More in one request are refused: the smallest of them takes longer to scan than to send."""

COST_OF_A_TEXT = 64
"""Characters that take as long to scan as it takes to begin."""

SPLIT_MASK = "***"
"""What stands where a masked value begins that goes on in the next message; there it is left out."""

Cut = tuple[int, int, str]
"""Start and end in the raw text, and what is put there."""


@dataclass(frozen=True, slots=True)
class ScannedPrompt:
    """What came of a prompt that was not refused.

    `replaced` is the first finding that the policy wants answered by a set answer. `pseudonyms` stand in the prompt
    where the policy asks for them; the answer is to get the values back.
    """

    replaced: Finding | None
    pseudonyms: Pseudonyms | None


async def scan_prompt(
    pipeline: Pipeline, request: CheckedRequest, entry: RequestEntry, scanned: ScannedTexts, turns: ScanTurns
) -> ScannedPrompt:
    """Scan all text of a prompt and put masked text in its place.

    Raises PromptRefused when a span is blocked, ScanFailed when a scanner fails, InvalidRequest for too many texts.
    """
    places = list(islice(request.places(), MOST_TEXTS + 1))
    if len(places) > MOST_TEXTS:
        raise InvalidRequest(
            f"The request holds more than {MOST_TEXTS} texts (messages, parts, names and values of schemas); send "
            f"fewer. 请求中的文本超过 {MOST_TEXTS} 段。"
        )
    scan = PromptScan(pipeline, scanned, places, request.joined(), entry)
    if scan.is_long():
        return await turns.run(entry.tenant or entry.key_id or "", scan.steps())
    return all_of(scan.steps())


class PromptScan:
    """One prompt under scan."""

    def __init__(
        self,
        pipeline: Pipeline,
        scanned: ScannedTexts,
        places: Sequence[Place],
        joined: Sequence[Sequence[Place]],
        entry: RequestEntry,
    ) -> None:
        self._pipeline = pipeline
        self._scanned = scanned
        self._places = places
        self._joined = joined
        self._entry = entry
        self._cuts: dict[str, list[Cut]] = {}  # by path, what is masked across a join
        self._replaced: Finding | None = None
        self._pseudonyms: Pseudonyms | None = None

    def is_long(self) -> bool:
        """Whether the scan is better done in a thread."""
        if len(self._places) > INLINE_TEXTS:
            return True
        seams = [join for texts in self._joined for join in joins(texts)]
        size = sum(_cost(place.text) for place in self._places) + sum(_cost(join.text) for join in seams)
        if INLINE_CHARS < size <= LOOKED_UP_INLINE_CHARS:
            knows, rules = self._scanned.knows, self._pipeline
            new = [one.text for one in self._places if not knows(rules, one.text, "prompt", one.surface)]
            new += [one.text for one in seams if not knows(rules, one.text, "prompt", one.surface, SCANNERS)]
            size = sum(map(_cost, new))
        return size > INLINE_CHARS

    def steps(self) -> Steps[ScannedPrompt]:
        """Scan, record, mask, a text at a time. Raises PromptRefused, ScanFailed."""
        try:
            for texts in self._joined:
                for join in joins(texts):
                    for crossing in crossings_of(self._pipeline, self._scanned, join):
                        self._act_on(crossing)
                    yield _cost(join.text)
            for place in self._places:
                self._judge(place)
                yield _cost(place.text)
        except ScannerError as error:
            raise ScanFailed(
                f"The prompt could not be checked ({error}), so it was not sent to the model. "
                "内容检查失败，请求未送达模型。"
            ) from error
        self._hide_everywhere()
        return ScannedPrompt(self._replaced, self._pseudonyms)

    def _act_on(self, crossing: Crossing) -> None:
        """Record and refuse what a finding across a join calls for, or note what is to be masked of each text."""
        self._entry.add_findings(crossing.last.param, (crossing.finding,))
        self._stop(crossing.last, (crossing.finding,))
        if not crossing.finding.action.hides or not self._pipeline.enforce:
            return
        mask = SPLIT_MASK
        for place, start, end in crossing.pieces:
            self._cuts.setdefault(place.param, []).append((start, end, mask))
            mask = ""

    def _judge(self, place: Place) -> None:
        outcome = self._scanned.scan(self._pipeline, place.text, "prompt", place.surface)
        self._entry.cover(place.param, len(place.text))
        if outcome.findings:
            self._entry.add_findings(place.param, outcome.findings)
            self._stop(place, outcome.findings)
        cuts = self._cuts.get(place.param)
        if cuts is None:
            if outcome.masked is not None:
                _mask(place, self._hidden(place, place.text, outcome))
            return
        rest = without(place.text, cuts)
        outcome = self._scanned.scan(self._pipeline, rest, "prompt", place.surface)
        self._stop(place, outcome.findings)
        _mask(place, self._hidden(place, rest, outcome))

    def _hidden(self, place: Place, text: str, outcome: Outcome) -> str:
        """A text with placeholders or pseudonyms for what its findings hide."""
        if outcome.masked is None:
            return text
        hiding = [one for one in outcome.findings if one.action.hides]
        if all(one.action is Action.mask for one in hiding):
            return outcome.masked
        if self._pseudonyms is None:
            self._pseudonyms = Pseudonyms(self._pipeline.placeholder)
            self._pseudonyms.reserve(one.text for one in self._places)
        return self._pseudonyms.replace(text, hiding, place.surface)

    def _hide_everywhere(self) -> None:
        """A value that has a pseudonym gets it wherever it stands, also where no scanner saw it."""
        if self._pseudonyms is None:
            return
        for place in self._places:
            text = self._pseudonyms.replace(place.text, (), place.surface)
            if text != place.text:
                _mask(place, text)

    def _stop(self, place: Place, findings: Sequence[Finding]) -> None:
        """Refuse the prompt, or note that it gets a set answer, where the strictest of the findings asks for it."""
        strictest = max(findings, key=lambda one: one.action.rank, default=None)
        if strictest is None or not strictest.action.stops or not self._pipeline.enforce:
            return
        if strictest.action is Action.substitute:
            self._replaced = self._replaced or strictest
            return
        self._entry.broke_rules("prompt", strictest.action)
        raise PromptRefused(_why(place, strictest), param=place.param)


def without(text: str, cuts: list[Cut]) -> str:
    """The text with each of these spans replaced; of spans that overlap only the first one's replacement stays."""
    out: list[str] = []
    at = 0
    for start, end, mask in sorted(cuts):
        if start >= at:
            out += (text[at:start], mask)
        at = max(at, end)
    return "".join(out) + text[at:]


def _cost(text: str) -> int:
    return len(text) + COST_OF_A_TEXT


def _mask(place: Place, text: str) -> None:
    if place.kind in ("name", "number"):
        raise InvalidRequest(
            f"A {place.kind} in '{place.param}' holds personal information and can't be masked; leave it out. "
            "字段名或数字含个人信息，请删去。",
            param=place.param,
        )
    place.replace(text)


def _why(place: Place, finding: Finding) -> str:
    return (
        f"The prompt was refused by the content policy: {finding.risk} ({finding.type}) in '{place.param}', "
        f"characters {finding.start} to {finding.end}. 提示词违反内容安全策略，请修改后重试。"
    )
