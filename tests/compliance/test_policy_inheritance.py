"""Inheritance of policies: golden rows, and properties over policies that hypothesis makes up."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.build import build_rules, policy_shelf, shipped_settings
from compliance.policies.policy import Policy
from compliance.policies.shelf import Shelf
from compliance.verdict import Action, Direction, RulesError, Severity
from tests.compliance.helpers import read_cases

RISKS = ("personal_info", "ip", "terrorism")
TYPES = ("mobile", "uscc", "keyword")
SCANNERS = ("keywords", "personal_info", "classifier")


def shelf_of(folder: Path, files: dict[str, Any]) -> Shelf:
    for name, fields in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    return policy_shelf(shipped_settings().model_copy(update={"policy_folders": (folder,)}))


@pytest.mark.parametrize("row", read_cases("policy_inheritance"), ids=lambda row: row["note"])
def test_golden_rows(tmp_path: Path, row: dict[str, Any]) -> None:
    shelf = shelf_of(tmp_path, row["files"])
    if "error" in row:
        with pytest.raises(RulesError) as caught:
            shelf.stack(row["layers"])
        assert row["error"] in caught.value.en
        assert any("\u4e00" <= char <= "\u9fff" for char in caught.value.zh)
        return
    policy = shelf.stack(row["layers"])
    assert policy.name == row.get("made_of", policy.name)
    assert policy.dry_run == row.get("dry_run", False)
    for direction, risk, severity, type_, scanner, action in row.get("actions", ()):
        assert policy.action(direction, risk, severity, type_, scanner) == action, (direction, risk, severity)
    assert {name: policy.enabled(name) for name in row.get("enabled", ())} == row.get("enabled", {})
    assert {name: policy.hold(name) for name in row.get("hold", ())} == row.get("hold", {})


ACTIONS = st.sampled_from([str(action) for action in Action])
CELLS = st.dictionaries(st.sampled_from(get_args(Severity)), ACTIONS)
SIDES = st.dictionaries(st.sampled_from(get_args(Direction)), CELLS)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "default": SIDES,
        "risks": st.dictionaries(st.sampled_from(RISKS), SIDES),
        "types": st.dictionaries(st.sampled_from(TYPES), SIDES),
        "scanners": st.dictionaries(st.sampled_from(SCANNERS), SIDES),
        "dry_run": st.booleans(),
    },
)


def table(policy: Policy) -> dict[tuple[str, ...], Action]:
    """Every question that can be asked of a policy over a few risks, types and scanners, with its answer."""
    return {
        (direction, risk, severity, type_, scanner): policy.action(direction, risk, severity, type_, scanner)
        for direction in get_args(Direction)
        for risk in RISKS
        for severity in get_args(Severity)
        for type_ in TYPES
        for scanner in SCANNERS
    }


@settings(max_examples=40, deadline=None)
@given(parent=FIELDS)
def test_a_child_without_overrides_equals_its_parent(
    tmp_path_factory: pytest.TempPathFactory, parent: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("policies")
    shelf = shelf_of(folder, {"parent": {"extends": "base"} | parent, "child": {"extends": "parent"}})
    whole, child = shelf.stack(["parent"]), shelf.stack(["child"])
    assert table(child) == table(whole)
    assert child.digest() == whole.digest()
    assert shelf.stack(["base", "parent", "child"]).leaves == whole.leaves


@settings(max_examples=40, deadline=None)
@given(parent=FIELDS, data=st.data())
def test_an_override_changes_its_own_cell_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, parent: dict[str, Any], data: st.DataObject
) -> None:
    direction = data.draw(st.sampled_from(get_args(Direction)))
    severity = data.draw(st.sampled_from(get_args(Severity)))
    type_ = data.draw(st.sampled_from(TYPES))
    override = {"extends": "parent", "types": {type_: {direction: {severity: "mask"}}}}
    folder = tmp_path_factory.mktemp("policies")
    shelf = shelf_of(folder, {"parent": {"extends": "base"} | parent, "child": override})
    before, after = table(shelf.stack(["parent"])), table(shelf.stack(["child"]))
    for question, action in after.items():
        touched = (question[0], question[2], question[3]) == (direction, severity, type_)
        assert action == (Action.mask if touched else before[question])


def test_policies_that_come_out_equal_share_their_pipeline(tmp_path: Path) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("毒品\tother_illegal\thigh\n", encoding="utf-8")
    policies = {
        "same": {"extends": "base", "name": "another title"},
        "dry": {"extends": "base", "dry_run": True},
        "other": {"extends": "base", "default": {"output": {"high": "mask"}}},
    }
    shelf_of(tmp_path, policies)
    changes = {"policy_folders": (tmp_path,), "lexicons": (terms,), "allow_lists": ()}
    book = build_rules(shipped_settings().model_copy(update=changes))
    base, same, dry, other = (book.rules(layers).pipeline for layers in ((), ("same",), ("dry",), ("other",)))
    assert same is base
    assert len({one.version for one in (base, dry, other)}) == 3
    assert dry.scanners("output")[0] is base.scanners("output")[0], "a dry run compiles nothing anew"
    assert (base.enforce, dry.enforce) == (True, False)
    assert dry.scan("卖毒品吗", "output").released == "卖毒品吗"
    assert base.scan("卖毒品吗", "output").released == "卖"
    assert other.scan("卖毒品吗", "output").released == "卖***吗"


def test_a_scanner_that_is_off_looks_at_nothing(tmp_path: Path) -> None:
    shelf_of(tmp_path, {"quiet": {"extends": "base", "scanners": {"keywords": {"enabled": False}}}})
    book = build_rules(shipped_settings().model_copy(update={"policy_folders": (tmp_path,)}))
    pipeline = book.rules(("quiet",)).pipeline
    assert "keywords" not in [scanner.name for scanner in pipeline.scanners("output")]
    assert [one.type for one in pipeline.scan("出售冰毒，电话13800138000", "output").findings] == ["mobile"]


def test_fields_that_stand_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("extends: base\nrisks: {}\ndefault: {}\nrisks: {}\n", encoding="utf-8")
    with pytest.raises(RulesError, match=r"twice\.yaml:4: risks: stands twice"):
        shelf_of(tmp_path, {}).stack(["twice"])


def test_the_shipped_policies_can_all_be_used() -> None:
    shelf = policy_shelf(shipped_settings())
    assert set(shelf.paths()) >= {"base", "dry-run", "review", "set-answers"}
    for name in shelf.paths():
        shelf.stack([name])
