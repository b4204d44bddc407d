"""What the compliance pipeline says of both models' answers."""

from collections.abc import Sequence

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from configs.strict import Strict
from quantize.evaluate.progress import Report
from quantize.evaluate.statistics import Paired


class ComplianceMeasure(Strict):
    """Shares of answers with a finding under the shipped base policy: of any risk, and by risk."""

    rules: str
    any_risk: Paired
    by_risk: dict[str, Paired]


def measure_compliance(base: Sequence[str], variant: Sequence[str], report: Report) -> ComplianceMeasure:
    """Scan every answer as output; the sequences answer the same prompts."""
    pipeline = build_pipeline(shipped_settings())
    found = []
    for done, (before, after) in enumerate(zip(base, variant, strict=True), 1):
        found.append((_risks(pipeline, before), _risks(pipeline, after)))
        report("compliance / 合规检查", done, len(base))
    risks = sorted({risk for before, after in found for risk in before | after})
    return ComplianceMeasure(
        rules=pipeline.version,
        any_risk=Paired.of([bool(before) for before, _ in found], [bool(after) for _, after in found]),
        by_risk={
            risk: Paired.of([risk in before for before, _ in found], [risk in after for _, after in found])
            for risk in risks
        },
    )


def _risks(pipeline: Pipeline, answer: str) -> frozenset[str]:
    return frozenset(finding.risk for finding in pipeline.scan(answer, "output").findings)
