"""The report as Markdown: definitions, then one table for each section."""

from collections.abc import Iterable
from datetime import date

from compliance.quality.measures import Rate, Score, total
from compliance.quality.sections import (
    Classifier,
    Evasions,
    FalseAlarms,
    Injection,
    PersonalInfo,
    Quality,
    keyword_rows,
)

DEFINITIONS = """## What is measured

All texts go through the shipped pipeline as prompts, with the base policy. The tables stand in `tests/cases/` and were
written apart from the rules. Figures are counts over them, so they depend on no machine and no sampling.

- **Hit** (evasions): a finding with the row's risk that shares a character with the disguised term. **Exact**: such a
  finding with exactly the term's span. **Stopped**: the verdict blocks.
- **False alarm** (ordinary text): a text with any finding whose action masks, replaces or blocks it; texts that are
  only flagged pass unchanged and are counted on their own.
- **Span F1**: a found span counts only if its start, end and type (personal information) or risk (keywords) are
  exactly the expected ones. Precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN); "all"
  adds the counts up (micro average).
- **Plain filter**: the same terms in one Aho-Corasick automaton over NFKC and lower case; nothing else is looked
  through, no allowed words, no word boundaries.
- **Presidio as it comes**: its predefined recognizers over a blank spaCy pipeline for Chinese; types of its own that
  have no counterpart here are not held against it.
"""


def markdown(quality: Quality, day: date) -> str:
    """The whole report; nothing in it but the date depends on when or where it was made."""
    parts = [
        "# Quality of the compliance scanners\n",
        f"Written by `opcgate quality report` on {day.isoformat()}; do not edit by hand. Scanners in the shipped "
        f"pipeline: {', '.join(quality.scanners)}.\n",
        DEFINITIONS,
        _summary(quality),
    ]
    if quality.evasions:
        parts.append(_evasions(quality.evasions))
    parts.append(_ordinary(quality.ordinary))
    parts.append(_personal(quality.personal_info))
    parts.append(_injection(quality.injection) if quality.injection else _absent("Prompt injection", "injection"))
    parts.append(_classifier(quality.classifier) if quality.classifier else _absent("Classifier", "classifier"))
    return "\n".join(parts)


def _summary(quality: Quality) -> str:
    rows: list[list[str]] = []
    if quality.evasions:
        words = keyword_rows(quality)
        rows.append(["keywords", "evasions against ordinary text, by text", *_score(words)])
        rows.append(["keywords", "spans of evasions, strict", *_score(quality.evasions.spans)])
        rows.append(["plain filter", "spans of evasions, strict", *_score(quality.evasions.plain_spans)])
    for name, one in quality.personal_info.items():
        rows.append(["personal_info, entities", f"spans of {name}, strict", *_score(total(one.ours.values()))])
        rows.append(["Presidio as it comes", f"spans of {name}, strict", *_score(total(one.presidio.values()))])
    if quality.injection:
        rows.append(["injection", "attacks against their look-alikes, half `held`", *_score(_held(quality.injection))])
    if quality.classifier:
        alarms = _sum(quality.classifier.false_alarms.values())
        found = quality.classifier.found
        score = Score(tp=found.hits, fp=alarms.hits, fn=found.total - found.hits)
        rows.append(["classifier", "harmful against harmless sentences", *_score(score)])
    return _section("Summary", ["scanner", "on", "precision", "recall", "F1", "TP / FP / FN"], rows)


def _held(injection: Injection) -> Score:
    found, alarms = injection.found.get("held", Rate()), injection.false_alarms.get("held", Rate())
    return Score(tp=found.hits, fp=alarms.hits, fn=found.total - found.hits)


def _evasions(evasions: Evasions) -> str:
    said = (
        f"Hit {_rate(evasions.hit)}, exact {_rate(evasions.hit_exactly)}, stopped {_rate(evasions.stopped)}; "
        f"the plain filter hits {_rate(evasions.plain)}.\n"
    )
    head = ["technique", "hit", "plain filter hits"]
    by_technique = [[name, _rate(ours), _rate(plain)] for name, (ours, plain) in evasions.by_technique.items()]
    by_risk = [[name, _rate(ours), _rate(plain)] for name, (ours, plain) in evasions.by_risk.items()]
    return _section("Evasions (evasions.jsonl)", head, by_technique, said) + "\n" + _table(["risk", *head[1:]], by_risk)


def _ordinary(tables: dict[str, dict[str, FalseAlarms]]) -> str:
    rows = [
        [
            name,
            domain or "**all**",
            _rate(one.stopped),
            _by(one.stopped_by),
            _rate(one.flagged),
            _by(one.flagged_by),
            _rate(one.plain),
        ]
        for name, domains in tables.items()
        for domain, one in domains.items()
    ]
    head = ["table", "domain", "false alarms", "by", "only flagged", "by", "plain filter hits"]
    return _section("Ordinary text that must pass", head, rows)


def _personal(tables: dict[str, PersonalInfo]) -> str:
    rows: list[list[str]] = []
    for name, one in tables.items():
        for kind in [*one.ours, ""]:
            ours = one.ours[kind] if kind else total(one.ours.values())
            theirs = one.presidio.get(kind, Score(fn=ours.tp + ours.fn)) if kind else total(one.presidio.values())
            rows.append([name, kind or f"**all** ({one.rows} texts)", *_score(ours), _value(theirs.f1)])
    head = ["table", "type", "precision", "recall", "F1", "TP / FP / FN", "F1 of Presidio as it comes"]
    return _section("Personal information, strict spans and types", head, rows)


def _injection(injection: Injection) -> str:
    said = (
        "The tables were split before any pattern was written: `tune` was looked at row by row, of `held` only how "
        "many were missed by technique. One author wrote the tables and the patterns. Look-alikes are prompt writing, "
        "teaching, corrections, code and security articles; an attack that is only quoted in talk about attacks is "
        "flagged, not stopped.\n"
    )
    rows = [
        [split, _rate(injection.found[split]), _rate(injection.stopped[split]), _rate(injection.false_stops[split]),
         _rate(injection.false_alarms[split])]
        for split in injection.found
    ]  # fmt: skip
    head = ["half", "attacks found", "attacks stopped", "look-alikes stopped", "look-alikes with any finding"]
    techniques = [[name, _rate(one)] for name, one in injection.by_technique.items()]
    techniques.append(["(disguised ones of all techniques)", _rate(injection.disguised)])
    return _section("Prompt injection", head, rows, said) + "\n" + _table(["technique", "found"], techniques)


def _classifier(classifier: Classifier) -> str:
    said = f"Harmful sentences found: {_rate(classifier.found)}.\n"
    rows = [[risk, _rate(one)] for risk, one in classifier.own_risk.items()]
    kinds = [[kind, _rate(one)] for kind, one in classifier.false_alarms.items()]
    harmless = _table(["harmless kind", "false alarms"], kinds)
    return _section("Classifier", ["risk", "found as this risk"], rows, said) + "\n" + harmless


def _absent(title: str, scanner: str) -> str:
    return f"## {title}\n\nThe shipped pipeline has no scanner `{scanner}`; nothing was measured.\n"


def _section(title: str, head: list[str], rows: Iterable[list[str]], said: str = "") -> str:
    return f"## {title}\n\n" + (f"{said}\n" if said else "") + _table(head, rows)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _sum(rates: Iterable[Rate]) -> Rate:
    whole = Rate()
    for one in rates:
        whole = whole.and_also(one)
    return whole


def _by(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"


def _score(score: Score) -> list[str]:
    return [_value(score.precision), _value(score.recall), _value(score.f1), f"{score.tp} / {score.fp} / {score.fn}"]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _rate(one: Rate) -> str:
    return "-" if one.value is None else f"{one.value:.2%} ({one.hits}/{one.total})"
