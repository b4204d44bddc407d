"""`opcgate policy`: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from compliance.policies.cli import policy
from tests.compliance.helpers import CASES

TABLE = CASES / "policy_cases.jsonl"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(policy, [str(one) for one in arguments])


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    path = tmp_path / "lenient.yaml"
    path.write_text("extends: default\ndefault: {prompt: {high: flag}}\n", encoding="utf-8")
    return path


def table_of(folder: Path, *rows: object) -> Path:
    path = folder / "table.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_shipped_table_passes_with_the_shipped_policy() -> None:
    done = run("test", TABLE)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("6 cases, 0 failed / 6 个用例，0 个不符; policy base, rules ")


def test_a_failing_case_is_explained(lenient: Path) -> None:
    done = run("test", TABLE, "--policy", lenient)
    assert done.exit_code == 1
    where, difference, found, summary = done.output.splitlines()
    assert where == f"{TABLE}:1: harmful words are refused in prompts (prompt)"
    assert difference == "    action: expected block, got flag"
    assert found.startswith("    found: 2-6 keyword, other_illegal (high) -> flag: a high-severity term")
    assert "[keywords starter.tsv:" in found
    assert "6 cases, 1 failed" in summary
    assert "policy base>lenient" in summary


def test_a_policy_may_be_given_by_name() -> None:
    assert run("test", TABLE, "--policy", "review").exit_code == 0
    dry = run("test", TABLE, "--policy", "dry-run")
    assert dry.exit_code == 1
    assert "released: expected '电话[手机号]', got '电话13800138000'" in dry.output
    assert "dry run" in dry.output


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{nonsense", "table.jsonl:1: not JSON"),
        ("[1]", "table.jsonl:1: the line: Input should be"),
        ({"text": "a"}, "table.jsonl:1: expects nothing; give action, released or risks"),
        ({"text": "a", "action": "explode"}, "table.jsonl:1: action: Input should be"),
        ({"action": "block"}, "table.jsonl:1: text: Field required"),
        ({"text": "a", "action": "block", "colour": 1}, "table.jsonl:1: colour: Extra inputs"),
        ({"text": "a", "risks": ["cheese"]}, "table.jsonl:1: risks: unknown cheese"),
        ("# only a comment", "table.jsonl: holds no case"),
    ],
)
def test_a_bad_table_is_an_error(tmp_path: Path, row: object, why: str) -> None:
    done = run("test", table_of(tmp_path, row))
    assert done.exit_code == 2
    assert why in done.stderr


def test_missing_files_and_unknown_policies_are_errors(tmp_path: Path) -> None:
    assert run("test", tmp_path / "nowhere.jsonl").exit_code == 2
    assert "no policy is called 'nobody'" in run("test", TABLE, "--policy", "nobody").stderr
    assert "cannot be read" in run("test", TABLE, "--policy", tmp_path / "nowhere.yaml").stderr
    assert run("show", "nobody").exit_code == 2


def test_show_says_where_each_value_comes_from(lenient: Path) -> None:
    own = run("show", lenient)
    assert own.output.splitlines() == ["# base>lenient", "default.prompt.high  flag  # lenient"]
    whole = run("show", lenient, "--effective").output.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in whole[1:]}
    assert rows["default.prompt.high"] == ["flag", "#", "lenient"]
    assert rows["default.output.high"] == ["block", "#", "base"]
    assert rows["repeated_violations.in_a_row"] == ["3", "#", "base"]
    assert run("show", "review", "dry-run").output.startswith("# base>review>dry-run\ndry_run  true  # dry-run")


def test_list_names_every_policy_and_what_is_wrong(tmp_path: Path) -> None:
    done = run("list")
    assert done.exit_code == 0
    for name in ("base", "review", "dry-run", "set-answers"):
        assert name in done.output
    (tmp_path / "bad.yaml").write_text("extends: nobody\n", encoding="utf-8")
    config = tmp_path / "opcgate.conf"
    config.write_text(
        f"nodes: [{{name: a, url: 'http://x', models: [m]}}]\n"
        f"compliance: {{policy_folders: ['{tmp_path}'], policy: '{CASES.parents[1]}/configs/policies/base.yaml'}}\n",
        encoding="utf-8",
    )
    done = run("list", "--config", config)
    assert done.exit_code == 2
    assert "bad.yaml:1: extends: no policy is called 'nobody'" in done.stderr
