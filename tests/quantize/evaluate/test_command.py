"""`opcgate quantize evaluate` from end to end on a real artefact, without engines; and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from configs.loader import CONFIG_DIR, load_catalog
from models.admission import AdmissionError, check_artefact
from models.catalog import Catalog
from models.manifest import file_digest
from quantize.cli import quantize
from quantize.evaluate.command import admit_artefact
from quantize.evaluate.plan import prepare
from quantize.evaluate.result import read_evaluation
from tests.conftest import ROOT
from tests.quantize.evaluate.conftest import write_recipe

ROWS = {"text": 4, "tasks": 6, "harmful": 2, "ordinary": 2}
LOOSE = {
    "max_perplexity_ratio": 9.0,
    "max_mean_kl_nats": 9.0,
    "min_top1_agreement": 0.0,
    "min_task_score": 0.0,
    "max_task_drop": 1.0,
    "min_refusal_rate": 0.0,
    "max_refusal_drop": 1.0,
    "max_over_refusal": 1.0,
    "max_over_refusal_rise": 1.0,
    "max_compliance_rise": 1.0,
    "max_size_ratio": 0.8,
    "must_be_served": False,
    "min_rows": ROWS,
}


def deployment(folder: Path, **bars: Any) -> list[str]:
    """A catalog and an admission file of the test's own, with small tables; the options that name them."""
    catalog = yaml.safe_load((CONFIG_DIR / "models.yaml").read_text(encoding="utf-8"))
    starter = catalog["models"][0]
    kept = {name: starter[name] for name in ("id", "context_tokens", "dtype")}
    base = {**kept, "source": {"path": str(ROOT / starter["source"]["path"])}}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": [base]}), encoding="utf-8")
    nodes = [{"name": "n", "url": "http://127.0.0.1:9", "models": ["opc-starter"]}]
    (folder / "opcgate.yaml").write_text(yaml.safe_dump({"catalog": "models.yaml", "nodes": nodes}), encoding="utf-8")
    for name in ("in_domain", "harmful", "benign"):
        lines = (ROOT / "tests" / "cases" / f"starter_{name}.jsonl").read_text(encoding="utf-8").splitlines()
        (folder / f"{name}.jsonl").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    data = {
        "kinds": ["keyword", "chrf"],
        "generated_rows": 4,
        "tasks": ["in_domain.jsonl"],
        "harmful": ["harmful.jsonl"],
        "ordinary": ["benign.jsonl"],
        "longest_answer_tokens": 12,
    }
    admission = {"default": {"data": data, "bars": LOOSE | bars}}
    (folder / "admission.yaml").write_text(yaml.safe_dump(admission), encoding="utf-8")
    return ["--config", str(folder / "opcgate.yaml"), "--admission", str(folder / "admission.yaml"), "--no-serve"]


def run(artefact: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(quantize, ["evaluate", "--artefact", str(artefact), *options])
    return done.exit_code, done.output


def test_a_good_artefact_is_measured_and_admitted(nf4: Path, tmp_path: Path) -> None:
    (nf4 / "README.md").write_text("# n\n<!-- evaluation -->\nnot yet\n<!-- /evaluation -->\n## Limits\n")
    code, output = run(nf4, *deployment(tmp_path), "--admit")
    assert code == 0, output
    assert "已准入目录" in output
    card = (nf4 / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# n\n<!-- evaluation -->\n")
    assert card.endswith("<!-- /evaluation -->\n## Limits\n")
    assert "| perplexity / 困惑度 |" in card
    assert "not yet" not in card
    evaluation = read_evaluation(nf4)
    assert evaluation.verdict.admitted
    assert evaluation.plan.artefact == file_digest(nf4 / "MANIFEST.json")
    assert evaluation.plan.admission_file == file_digest(tmp_path / "admission.yaml")
    assert {one.use: one.rows for one in evaluation.plan.data} == {"text": 4, "tasks": 2, "harmful": 2, "ordinary": 2}
    assert evaluation.measured.rows.model_dump() == ROWS
    assert evaluation.plan_sha256 in output
    # NF4 moves the starter a little: not at all would mean that the base was compared with itself.
    assert 0 < evaluation.text.mean_kl_nats < 0.5
    assert 0.8 < evaluation.text.perplexity_ratio < 1.5
    assert evaluation.text.base_perplexity < 2
    assert evaluation.measured.size_ratio == pytest.approx(0.55, abs=0.1)
    variant = load_catalog(tmp_path / "models.yaml").models[0].variants[0]
    assert (variant.scheme, variant.digest) == ("nf4", evaluation.plan.artefact)
    assert variant.evaluation == file_digest(nf4 / "EVALUATION.json")
    assert "<svg" in (nf4 / "EVALUATION.html").read_text(encoding="utf-8")


def test_a_missed_bar_is_said_and_nothing_is_admitted(nf4: Path, tmp_path: Path) -> None:
    code, output = run(nf4, *deployment(tmp_path, max_size_ratio=0.1), "--admit", "--json")
    assert code == 1
    found = json.loads(output[output.index("{") :])
    assert [reason["bar"] for reason in found["verdict"]["reasons"]] == ["max_size_ratio"]
    assert not (tmp_path / "models.variants.yaml").exists()
    assert not read_evaluation(nf4).verdict.admitted


def test_what_is_refused_before_anything_is_measured(nf4: Path, tmp_path: Path) -> None:
    options = deployment(tmp_path)
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text('{"messages": []}\n', encoding="utf-8")
    refused = [
        (["--data", str(tmp_path / "empty.jsonl")], "has no rows"),
        (["--data", str(tmp_path / "bad.jsonl")], "bad.jsonl:1: messages"),
        (["--data", str(tmp_path / "none.jsonl")], "can't be read"),
        (["--model", "qwen3-8b"], "was made from opc-starter"),
        (["--admission", str(tmp_path / "none.yaml")], "no such file"),
        (["--admit", "--out", str(tmp_path)], "leave --out away"),
    ]
    for more, said in refused:
        code, output = run(nf4, *options, *more)
        assert (code, said in output) == (2, True), output
    assert not (nf4 / "EVALUATION.json").exists()


def test_artefacts_that_are_not_what_their_manifest_says(nf4: Path, tmp_path: Path) -> None:
    options = deployment(tmp_path)
    (nf4 / "config.json").write_text("{}", encoding="utf-8")
    assert_refused(nf4, options, "config.json: was changed")
    (nf4 / "MANIFEST.json").unlink()
    assert_refused(nf4, options, "MANIFEST.json: no such file")


def test_an_artefact_of_another_base(nf4: Path, tmp_path: Path) -> None:
    (nf4 / "MANIFEST.json").unlink()
    write_recipe(nf4, "0" * 64)
    assert_refused(nf4, deployment(tmp_path), "quantize again from the catalog's")


def test_an_edited_evaluation_is_found(nf4: Path, tmp_path: Path) -> None:
    options = deployment(tmp_path)
    assert run(nf4, *options, "--admit")[0] == 0
    result = nf4 / "EVALUATION.json"
    result.write_text(result.read_text(encoding="utf-8").replace('"admitted": true', '"admitted":  true'))
    catalog = Catalog(load_catalog(tmp_path / "models.yaml"))
    variant = catalog.settings.models[0].variants[0]
    with pytest.raises(AdmissionError, match=r"EVALUATION\.json"):
        check_artefact(catalog, "opc-starter", variant)
    # The artefact itself, changed after it was measured, is not handed on either.
    prepared = prepare(catalog, nf4, tmp_path / "admission.yaml", model=None, text=None, quick=False)
    (nf4 / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AdmissionError, match="was changed"):
        admit_artefact(tmp_path / "models.yaml", prepared)


def assert_refused(artefact: Path, options: list[str], said: str) -> None:
    code, output = run(artefact, *options)
    assert (code, said in output) == (2, True), output
