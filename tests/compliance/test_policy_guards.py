"""What policies say of guard models: golden rows, and `opcgate policy` with guards configured."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from compliance.build import policy_shelf, shipped_settings
from compliance.guards.rules import guard_rules
from compliance.policies.cli import policy as app
from compliance.verdict import Action, Finding, RulesError
from configs.schema import GuardSettings
from tests.compliance.helpers import read_cases

GUARDS = frozenset({"qwen", "llama"})
GUARD = {"name": "qwen", "protocol": "qwen3guard", "url": "http://127.0.0.1:1", "model": "m"}


@pytest.mark.parametrize("row", read_cases("policy_guards"), ids=lambda row: row["note"])
def test_golden_rows(tmp_path: Path, row: dict[str, Any]) -> None:
    for name, fields in row.get("files", {}).items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    shelf = policy_shelf(shipped_settings().model_copy(update={"policy_folders": (tmp_path,)}), GUARDS)
    if "error" in row:
        with pytest.raises(RulesError) as caught:
            shelf.stack(["default", *row["layers"]])
        assert row["error"] in caught.value.en
        return
    settings = GuardSettings.model_validate(GUARD | row.get("settings", {}))
    rules = guard_rules(settings, shelf.stack(["default", *row["layers"]]))
    cells = {f"{direction}.{severity}": action for (direction, severity), action in rules.actions.items()}
    said = {"enabled": rules.enabled, "mode": rules.mode, "on_failure": rules.on_failure} | cells
    assert {name: said[name] for name in row["rules"]} == row["rules"]


def test_findings_get_the_policys_actions_and_allowed_ones_go(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "extends: default\nguards: {qwen: {output: {high: flag, low: allow}}}\n", encoding="utf-8"
    )
    shelf = policy_shelf(shipped_settings().model_copy(update={"policy_folders": (tmp_path,)}), GUARDS)
    rules = guard_rules(GuardSettings.model_validate(GUARD), shelf.stack(["default", "shop"]))
    high = Finding(0, 1, "guard", "ip", "high", "guard", "guard:qwen/x", "x", Action.block)
    low = Finding(0, 1, "guard", "ip", "low", "guard", "guard:qwen/y", "y", Action.flag)
    assert [one.action for one in rules.applied((high, low), "output")] == [Action.flag]
    assert [one.action for one in rules.applied((high, low), "prompt")] == [Action.block, Action.flag]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "opcgate.yaml"
    policies = {"strict": {"extends": "default", "guards": {"qwen": {"prompt": {"medium": "block"}}}}}
    (tmp_path / "policies").mkdir()
    for name, fields in policies.items():
        (tmp_path / "policies" / f"{name}.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    shipped = shipped_settings()
    settings = {
        "nodes": [{"name": "n", "url": "http://127.0.0.1:1", "models": ["m"]}],
        "guards": [GUARD | {"mode": "cutoff"}],
        "compliance": {
            "policy": str(shipped.policy),
            "policy_folders": ["policies"],
            "lexicons": [str(path) for path in shipped.lexicons],
            "allow_lists": [str(path) for path in shipped.allow_lists],
        },
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def test_show_says_what_holds_for_each_guard_and_where_it_comes_from(config: Path) -> None:
    shown = CliRunner().invoke(app, ["show", "strict", "--effective", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    lines = {line.split()[0]: line.split()[1:] for line in shown.output.splitlines() if line.startswith("guards.")}
    assert lines["guards.qwen.prompt.medium"] == ["block", "#", "strict"]
    assert lines["guards.qwen.output.medium"] == ["flag", "#", "settings"]
    assert lines["guards.qwen.mode"] == ["cutoff", "#", "settings"]
    assert len(lines) == 9


def test_a_table_supposes_what_guards_say(config: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "你好", "direction": "prompt", "guards": {"qwen": "medium"}, "action": "block"},
        {"text": "你好", "direction": "output", "guards": {"qwen": "medium"}, "action": "flag"},
        {"text": "你好", "direction": "output", "guards": {"qwen": "fails"}, "action": "block"},
        {"text": "你好", "direction": "output", "action": "allow"},
    ]
    table = tmp_path / "table.jsonl"
    table.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")

    def ran(name: str) -> str:
        return CliRunner().invoke(app, ["test", str(table), "--policy", name, "--config", str(config)]).output

    assert "4 cases, 0 failed" in ran("strict")
    plain = ran("default")
    assert "4 cases, 1 failed" in plain
    assert "action: expected block, got flag" in plain


def test_a_table_with_an_unknown_guard_is_refused(config: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text('{"text": "x", "guards": {"gwen": "high"}, "action": "block"}', encoding="utf-8")
    done = CliRunner().invoke(app, ["test", str(table), "--config", str(config)])
    assert done.exit_code == 2
    assert "table.jsonl:1: guards: gwen not configured" in done.stderr
