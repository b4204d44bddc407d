"""`opcgate label`: what people type, what they read, and the exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from compliance.labels.cli import label


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "opcgate.yaml"
    path.write_text(
        f"labels: {{key_file: '{tmp_path}/key.pem'}}\n"
        "nodes: [{name: one, url: 'http://127.0.0.1:1', models: [opc-starter]}]\n"
    )
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(label, [str(one) for one in arguments])


def test_add_show_verify(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "copy.md"
    file.write_text("# 文案\n轻便耐用。\n")
    assert run("show", file).exit_code == 1
    assert run("verify", file, "--config", config).exit_code == 1
    assert not (tmp_path / "key.pem").exists(), "verifying makes no key"
    added = run("add", file, "--model", "opc-starter", "--config", config)
    assert added.exit_code == 0, added.output
    shown = run("show", file)
    assert shown.exit_code == 0
    assert shown.stdout == added.stdout
    assert json.loads(shown.stdout)["AIGC"]["ContentProducer"] == "opcgate-local"
    assert "produced by / 生成者 opcgate-local, 20" in shown.stderr
    assert "AI生成" in file.read_text()
    verified = run("verify", file, "--config", config)
    assert verified.exit_code == 0, verified.output
    file.write_text(file.read_text().replace("轻便", "轻巧"))
    edited = run("verify", file, "--config", config)
    assert edited.exit_code == 1
    assert "the content is not the one that was sealed" in edited.stderr
    assert "内容与签名时不一致" in edited.stderr


def test_another_machine_verifies_with_the_public_key(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n")
    added = run("add", file, "--model", "m", "--config", config)
    assert "show the label beside the content" in added.stderr
    key = run("key", "--config", config)
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(config.read_text().replace("key.pem", "other.pem"))
    lost = run("verify", file, "--config", elsewhere)
    assert lost.exit_code == 2
    assert "--public-key" in lost.stderr
    trusted = run("verify", file, "--public-key", key.stdout.strip(), "--config", elsewhere)
    assert trusted.exit_code == 0, trusted.output
    run("key", "--config", elsewhere)
    stranger = run("verify", file, "--config", elsewhere)
    assert stranger.exit_code == 1
    assert "not among the trusted" in stranger.stderr


def test_a_saved_answer_is_verified_as_it_is(config: Path, tmp_path: Path) -> None:
    from compliance.labels.labels import build_labels, digest_of_texts
    from configs.loader import load_settings

    labels = build_labels(load_settings(config).labels)
    made = labels.produced("0" * 32, digest_of_texts(["轻便耐用。"]))
    answer = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "轻便耐用。"}}],
        "aigc": {"AIGC": made.fields()},
    }
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(answer))
    assert run("verify", file, "--config", config).exit_code == 0
    answer["choices"][0]["message"]["content"] = "轻便耐用！"  # type: ignore[index]
    file.write_text(json.dumps(answer))
    assert run("verify", file, "--config", config).exit_code == 1
    del answer["aigc"]["AIGC"]  # type: ignore[attr-defined]
    file.write_text(json.dumps(answer))
    assert run("verify", file, "--config", config).exit_code == 2


def test_a_provider_code_is_explained() -> None:
    good = run("provider", "001191440300708461136T1XGW3")
    assert good.exit_code == 0
    assert "91440300708461136T" in good.stdout
    assert "统一社会信用代码" in good.stdout
    bad = run("provider", "001191440300708461137T1XGW3")
    assert bad.exit_code == 2
    assert "characters 5-22" in bad.stderr
    assert "校验码" in bad.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "none.md"), "cannot be read"),
        (("add", "none.md", "--model", "m"), "cannot be read"),
        (("add", "none.md", "--model", "m", "--notice", "top"), "--notice"),
        (("verify", "none.md"), "cannot be read"),
        (("add", "x.md", "--model", "m", "--config", "none.yaml"), "no such file"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], says: str, config: Path) -> None:
    done = run(*arguments, *(() if "show" in arguments or "--config" in arguments else ("--config", config)))
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output
