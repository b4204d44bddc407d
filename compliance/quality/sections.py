"""The report's figures, section by section, from golden tables and a pipeline."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from compliance.pipeline import Pipeline
from compliance.quality.baselines import PlainKeywordFilter, PresidioAsItComes
from compliance.quality.measures import Rate, Score, Span, rate, row_score, strict_scores, total, touches
from compliance.quality.tables import (
    TABLES,
    Attack,
    Evasion,
    Harmful,
    Harmless,
    LookAlike,
    Ordinary,
    Personal,
    read_table,
)
from compliance.verdict import Finding, Surface, strictest

ORDINARY_TABLES = tuple(name for name, row in TABLES.items() if row is Ordinary)
PERSONAL_TABLES = tuple(name for name, row in TABLES.items() if row is Personal)


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evasions(_Figures):
    """Disguised terms. `by_*`: the share that is hit, by ours and by the plain filter."""

    hit: Rate
    hit_exactly: Rate
    stopped: Rate
    plain: Rate
    by_technique: dict[str, tuple[Rate, Rate]]
    by_risk: dict[str, tuple[Rate, Rate]]
    spans: Score
    plain_spans: Score


class FalseAlarms(_Figures):
    """Ordinary texts that were stopped or changed, that were only flagged, and who did either."""

    rows: int
    stopped: Rate
    flagged: Rate
    stopped_by: dict[str, int]
    flagged_by: dict[str, int]
    plain: Rate


class PersonalInfo(_Figures):
    """Strict spans and types of personal information, by type, by ours and by Presidio as it comes."""

    rows: int
    ours: dict[str, Score]
    presidio: dict[str, Score]


class Injection(_Figures):
    """Attacks by technique, and ordinary text that looks like them."""

    found: dict[str, Rate]
    stopped: dict[str, Rate]
    by_technique: dict[str, Rate]
    disguised: Rate
    false_alarms: dict[str, Rate]
    false_stops: dict[str, Rate]


class Classifier(_Figures):
    """Sentences by risk: found at all, found as their own risk; and harmless ones that were found."""

    found: Rate
    own_risk: dict[str, Rate]
    false_alarms: dict[str, Rate]


class Quality(_Figures):
    """All figures of one report. A section is None where its scanner or its tables are not there."""

    scanners: tuple[str, ...]
    evasions: Evasions | None
    ordinary: dict[str, dict[str, FalseAlarms]]
    personal_info: dict[str, PersonalInfo]
    injection: Injection | None
    classifier: Classifier | None


class Measurer:
    """Scans each table once. `plain` and `presidio` are the baselines."""

    def __init__(
        self, pipeline: Pipeline, plain: PlainKeywordFilter, presidio: PresidioAsItComes, folder: Path
    ) -> None:
        self._pipeline = pipeline
        self._plain = plain
        self._presidio = presidio
        self._folder = folder
        self._scanners = tuple(scanner.name for scanner in pipeline.scanners("prompt"))

    def measure(self) -> Quality:
        """Every section there is something for."""
        return Quality(
            scanners=self._scanners,
            evasions=self._evasions(read_table(self._folder, "evasions", Evasion)),
            ordinary={
                name: self._ordinary(texts)
                for name in ORDINARY_TABLES
                if (texts := read_table(self._folder, name, Ordinary))
            },
            personal_info={
                name: self._personal(rows)
                for name in PERSONAL_TABLES
                if (rows := read_table(self._folder, name, Personal))
            },
            injection=self._injection(),
            classifier=self._classifier(),
        )

    def _findings(self, text: str, surface: Surface = "text") -> tuple[Finding, ...]:
        return self._pipeline.scan(text, "prompt", surface=surface).findings

    def _evasions(self, rows: Sequence[Evasion]) -> Evasions | None:
        if not rows:
            return None
        ours = [self._findings(row.text, row.channel) for row in rows]
        spans = [[Span(one.start, one.end, one.risk) for one in found] for found in ours]
        words = [[span(one, one.risk) for one in found if one.scanner == "keywords"] for found in ours]
        plain = [self._plain.find(row.text) for row in rows]
        hits = [touches(row.span, found) for row, found in zip(rows, spans, strict=True)]
        plain_hits = [touches(row.span, found) for row, found in zip(rows, plain, strict=True)]

        def grouped(key: Callable[[Evasion], str]) -> dict[str, tuple[Rate, Rate]]:
            return {
                name: (
                    rate(hit for row, hit in zip(rows, hits, strict=True) if key(row) == name),
                    rate(hit for row, hit in zip(rows, plain_hits, strict=True) if key(row) == name),
                )
                for name in sorted({key(row) for row in rows})
            }

        return Evasions(
            hit=rate(hits),
            hit_exactly=rate(row.span in found for row, found in zip(rows, spans, strict=True)),
            stopped=rate(strictest(found).stops for found in ours),
            plain=rate(plain_hits),
            by_technique=grouped(lambda row: row.technique),
            by_risk=grouped(lambda row: row.risk),
            spans=_all_strict(([row.span] for row in rows), words),
            plain_spans=_all_strict(([row.span] for row in rows), plain),
        )

    def _ordinary(self, rows: Sequence[Ordinary]) -> dict[str, FalseAlarms]:
        """By domain, the whole table under an empty name."""
        domains = {"": list(rows)}
        for row in rows:
            if row.domain:
                domains.setdefault(row.domain, []).append(row)
        judged = {row.text: (self._findings(row.text), bool(self._plain.find(row.text))) for row in rows}
        return {name: _alarms([judged[row.text] for row in group]) for name, group in sorted(domains.items())}

    def _personal(self, rows: Sequence[Personal]) -> PersonalInfo:
        ours: dict[str, Score] = {}
        theirs: dict[str, Score] = {}
        for row in rows:
            found = [span(one, one.type) for one in self._findings(row.text) if one.risk == "personal_info"]
            _add(ours, strict_scores(row.spans, found))
            _add(theirs, strict_scores(row.spans, self._presidio.find(row.text, row.spans)))
        return PersonalInfo(rows=len(rows), ours=dict(sorted(ours.items())), presidio=dict(sorted(theirs.items())))

    def _injection(self) -> Injection | None:
        attacks = read_table(self._folder, "injection", Attack)
        ordinary = read_table(self._folder, "injection_ordinary", LookAlike)
        if "injection" not in self._scanners or not attacks:
            return None
        judged = {row.text: self._of("injection", row.text) for row in (*attacks, *ordinary)}
        stops = {text: strictest(found).stops for text, found in judged.items()}
        splits = sorted({row.split for row in attacks})
        return Injection(
            found={one: rate(bool(judged[row.text]) for row in attacks if row.split == one) for one in splits},
            stopped={one: rate(stops[row.text] for row in attacks if row.split == one) for one in splits},
            by_technique={
                one: rate(bool(judged[row.text]) for row in attacks if row.technique == one)
                for one in sorted({row.technique for row in attacks})
            },
            disguised=rate(bool(judged[row.text]) for row in attacks if row.disguise),
            false_alarms={one: rate(bool(judged[row.text]) for row in ordinary if row.split == one) for one in splits},
            false_stops={one: rate(stops[row.text] for row in ordinary if row.split == one) for one in splits},
        )

    def _classifier(self) -> Classifier | None:
        harmful = read_table(self._folder, "classifier_harmful", Harmful)
        harmless = read_table(self._folder, "classifier_benign", Harmless)
        if "classifier" not in self._scanners or not harmful:
            return None
        risks = [{one.risk for one in self._of("classifier", row.text)} for row in harmful]
        alarms = [bool(self._of("classifier", row.text)) for row in harmless]
        return Classifier(
            found=rate(map(bool, risks)),
            own_risk={
                risk: rate(risk in found for row, found in zip(harmful, risks, strict=True) if row.risk == risk)
                for risk in sorted({row.risk for row in harmful})
            },
            false_alarms={
                kind: rate(alarm for row, alarm in zip(harmless, alarms, strict=True) if row.kind == kind)
                for kind in sorted({row.kind for row in harmless})
            },
        )

    def _of(self, scanner: str, text: str) -> list[Finding]:
        return [one for one in self._findings(text) if one.scanner == scanner]


def span(finding: Finding, kind: str) -> Span:
    """A finding as a span of this kind."""
    return Span(finding.start, finding.end, kind)


def keyword_rows(quality: Quality) -> Score:
    """Keywords over whole texts: evasions that are hit, against ordinary texts with a keyword in them."""
    hits = quality.evasions.hit if quality.evasions else Rate()
    wrong = sum(one[""].stopped_by.get("keywords", 0) for one in quality.ordinary.values())
    return row_score(hits, Rate(hits=wrong, total=sum(one[""].rows for one in quality.ordinary.values())))


def _all_strict(expected: Iterable[list[Span]], found: Iterable[list[Span]]) -> Score:
    pairs = zip(expected, found, strict=True)
    return total(score for wanted, got in pairs for score in strict_scores(wanted, got).values())


def _add(whole: dict[str, Score], more: dict[str, Score]) -> None:
    for kind, score in more.items():
        whole[kind] = whole.get(kind, Score()).and_also(score)


def _alarms(judged: Sequence[tuple[tuple[Finding, ...], bool]]) -> FalseAlarms:
    def changed(one: Finding) -> bool:
        return one.action.rank > 1

    stopped_by: dict[str, int] = {}
    flagged_by: dict[str, int] = {}
    for found, _ in judged:
        stops = {one.scanner for one in found if changed(one)}
        for scanner in stops:
            stopped_by[scanner] = stopped_by.get(scanner, 0) + 1
        for scanner in {one.scanner for one in found} - stops:
            flagged_by[scanner] = flagged_by.get(scanner, 0) + 1
    return FalseAlarms(
        rows=len(judged),
        stopped=rate(any(map(changed, found)) for found, _ in judged),
        flagged=rate(bool(found) and not any(map(changed, found)) for found, _ in judged),
        stopped_by=dict(sorted(stopped_by.items())),
        flagged_by=dict(sorted(flagged_by.items())),
        plain=rate(hit for _, hit in judged),
    )
