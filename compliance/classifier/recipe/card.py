"""The classifier's card: what it is, what it was made from, and what was measured."""

from collections.abc import Mapping
from pathlib import Path

from compliance.classifier.artefact import Artefact
from compliance.classifier.recipe.measure import RiskScore, Scores

TEMPLATE = Path(__file__).parent / "card_template.md"


def write_card(
    path: Path, artefact: Artefact, facts: Mapping[str, str], test: Scores, tables: Mapping[str, Scores]
) -> None:
    """Fill the template; `facts` are its other fields, `tables` the results by name, the last one over all."""
    template = TEMPLATE.read_text(encoding="utf-8")
    by_table = [f"  - `{name}`: {_total(scores)}." for name, scores in tables.items()]
    totals = {
        "held_out_total": _total(test),
        "tables_total": "\n".join(by_table) or "  - not measured in this build.",
    }
    every = list(tables.values())[-1] if tables else None
    path.write_text(template.format_map({**facts, **totals, "per_risk": _table(artefact, test, every)}), "utf-8")


def _total(scores: Scores) -> str:
    harmful = (
        f"{scores.harmful:,} harmful sentences: {_share(scores.caught, scores.harmful)} reported, "
        f"{_share(scores.hit, scores.carried)} with their own risk"
    )
    harmless = f"{scores.harmless:,} harmless ones: {_share(scores.false_alarms, scores.harmless)} reported"
    return "; ".join([harmful] * bool(scores.harmful) + [harmless] * bool(scores.harmless))


def _table(artefact: Artefact, test: Scores, tables: Scores | None) -> str:
    held_out = {one.risk: one for one in test.per_risk}
    by_hand = {one.risk: one for one in tables.per_risk} if tables else {}
    lines = [
        "| risk | threshold | held out: precision | recall | of | by hand: precision | recall | of |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for risk, threshold in zip(artefact.risks, artefact.threshold, strict=True):
        cells = [*_cells(held_out.get(risk)), *_cells(by_hand.get(risk))]
        lines.append(f"| `{risk}` | {threshold:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(score: RiskScore | None) -> tuple[str, str, str]:
    if score is None:
        return "-", "-", "0"
    percents = ("-" if share is None else f"{share:.0%}" for share in (score.precision, score.recall))
    return (*percents, str(score.carried))  # type: ignore[return-value]  # two percents and a count


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
