"""Policies: what they decide, and that a bad one is refused with the field and the mend."""

from pathlib import Path

import pytest
import yaml

from compliance.build import build_pipeline, shipped_settings
from compliance.pii import PII_TYPES
from compliance.taxonomy import load_taxonomy
from compliance.verdict import RulesError
from tests.compliance.helpers import read_cases

BASE = shipped_settings().policy


def edited(tmp_path: Path, **changes: object) -> Path:
    """The base policy with some top-level fields replaced."""
    path = tmp_path / "policy.yaml"
    data = yaml.safe_load(BASE.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def every(action: str) -> dict[str, dict[str, str]]:
    severities = dict.fromkeys(("high", "medium", "low"), action)
    return {"prompt": severities, "output": severities}


@pytest.mark.parametrize("row", read_cases("policy"), ids=lambda row: row["note"])
def test_golden_rows(tmp_path: Path, row: dict[str, object]) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("毒品\tother_illegal\thigh\n假货\tip\tmedium\n假货\tbiz_other\thigh\n", encoding="utf-8")
    policy = edited(tmp_path, **row["policy"])  # type: ignore[arg-type]
    settings = shipped_settings().model_copy(update={"policy": policy, "lexicons": (terms,), "allow_lists": ()})
    verdict = build_pipeline(settings).scan(str(row["text"]), row["direction"])  # type: ignore[arg-type]
    assert [str(finding.action) for finding in verdict.findings] == row["actions"]
    assert verdict.released == row["released"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"risks": {"unheard_of": every("block")}}, "risks.unheard_of: unknown; use one of"),
        ({"types": {"shoe_size": every("mask")}}, "types.shoe_size: unknown"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"default": every("destroy")}, "default.prompt.high: "),
        ({"default": {"prompt": {"high": "block"}}}, "default.prompt.medium: Field required"),
        ({"placeholders": {"keyword": 'a"b', "types": {}}}, "placeholders.keyword: must be text without quotes"),
        ({"placeholders": {"keyword": "", "types": {}}}, "placeholders.keyword: must be text"),
        ({"placeholders": {"keyword": "*", "types": {"shoe": "*"}}}, "placeholders.types.shoe: unknown"),
    ],
)
def test_a_bad_policy_is_refused(tmp_path: Path, changes: dict[str, object], names: str) -> None:
    path = edited(tmp_path, **changes)
    with pytest.raises(RulesError) as caught:
        build_pipeline(shipped_settings().model_copy(update={"policy": path}))
    where, _, rest = caught.value.en.partition(": ")
    assert where.startswith(f"{path}:")
    assert where.removeprefix(f"{path}:").isdigit(), "the line is named"
    assert rest.startswith(names)
    assert caught.value.zh.startswith(where)


def test_yaml_that_does_not_parse_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("name: a\nrisks: [\n", encoding="utf-8")
    with pytest.raises(RulesError, match=r"policy\.yaml:3: "):
        build_pipeline(shipped_settings().model_copy(update={"policy": path}))


def test_the_taxonomy_holds_the_31_risks() -> None:
    taxonomy = load_taxonomy(BASE.parent.parent / "taxonomy.yaml")
    clauses = [risk.clause.split()[0] for risk in taxonomy.risks]
    assert [clauses.count(part) for part in ("A.1", "A.2", "A.3", "A.4", "A.5")] == [8, 9, 5, 7, 2]
    assert len(taxonomy.ids) == 31


def test_every_type_has_a_placeholder_of_its_own() -> None:
    placeholders = yaml.safe_load(BASE.read_text(encoding="utf-8"))["placeholders"]["types"]
    assert set(placeholders) >= set(PII_TYPES)
    assert len(set(placeholders.values())) == len(placeholders)


def test_the_version_names_the_rules(tmp_path: Path) -> None:
    settings = shipped_settings()
    same = build_pipeline(settings).version
    assert build_pipeline(settings).version == same
    title = settings.model_copy(update={"policy": edited(tmp_path, name="other")})
    assert build_pipeline(title).version == same, "a title decides nothing"
    other = settings.model_copy(update={"policy": edited(tmp_path, default=every("flag"))})
    assert build_pipeline(other).version != same
