"""Settings and catalog files: the shipped ones load, and a wrong one says which field and how to mend it."""

from pathlib import Path

import pytest

from configs.loader import DEFAULT_PATH, SettingsError, load_catalog, load_settings
from tests.conftest import run_opcgate
from tests.models.site import make_site

NODE = 'nodes: [{name: a, url: "http://127.0.0.1:1", models: [m]}]\n'
GUARD = "{name: g, protocol: qwen3guard, url: 'http://127.0.0.1:1', model: m}"


def test_the_shipped_files_load() -> None:
    settings = load_settings(DEFAULT_PATH)
    catalog = load_catalog(settings.catalog)
    ids = {entry.id for entry in catalog.models} | {a.id for entry in catalog.models for a in entry.adapters}
    assert settings.engine.model in ids
    assert {model for node in settings.nodes for model in node.models} <= ids
    assert {entry.source.kind() for entry in catalog.models} == {"path", "package", "huggingface", "modelscope"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes: []\n", "nodes: "),
        (NODE + "lisen: {port: 1}\n", "lisen: Extra inputs are not permitted"),
        (NODE + "listen: {port: 99999}\n", "listen.port: "),
        (NODE + "database: {url: 'mysql://x'}\n", "database.url: "),
        ('nodes: [{name: a, url: "ftp://x", models: [m]}]\n', "nodes.0.url: "),
        (NODE.replace("]\n", ', {name: a, url: "http://127.0.0.1:2", models: [m]}]\n'), "share a name"),
        (NODE + f"guards: [{GUARD}, {GUARD}]\n", "guards: Value error, two guards share a name"),
        (NODE + f"guards: [{GUARD.replace('qwen3guard', 'perspective')}]\n", "guards.0.protocol: "),
        (NODE + f"guards: [{GUARD.replace('model: m', 'model: m, api_key: sk-1')}]\n", "guards.0.api_key: Extra"),
        ("nodes: [\n", ":2: is not YAML"),
        ("- 1\n", "(file): "),
    ],
)
def test_a_wrong_file_names_the_field(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "opcgate.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as wrong:
        load_settings(file)
    assert str(file) in str(wrong.value)
    assert says in str(wrong.value)


def test_guards_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "opcgate.yaml"
    file.write_text(NODE + f"guards: [{GUARD}]\n")
    (guard,) = load_settings(file).guards
    assert (guard.mode, guard.on_failure, guard.directions) == ("strict", "refuse", ("prompt", "output"))


def test_the_command_says_it_too(tmp_path: Path) -> None:
    missing = run_opcgate("config", "check", "--config", str(tmp_path / "none.yaml"))
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)
    good = run_opcgate("config", "check")
    assert good.returncode == 0
    assert good.stdout == "ok: 1 node(s), database sqlite+aiosqlite:///.state/opcgate.db\n"


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPCGATE_DATABASE_URL", "postgresql+asyncpg://me:secret@db/opcgate")
    for command in ("check", "show"):
        done = run_opcgate("config", command)
        assert done.returncode == 0
        assert "secret" not in done.stdout + done.stderr


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "opcgate.yaml"
    file.write_text(NODE + "catalog: my/models.yaml\ncompliance: {policy: p.yaml}\n")
    settings = load_settings(file)
    assert settings.catalog == tmp_path / "my" / "models.yaml"
    assert settings.compliance.policy == tmp_path / "p.yaml"


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("[{id: a, source: {}, context_tokens: 100}]", "exactly one of"),
        ("[{id: a, source: {path: x, huggingface: y}, context_tokens: 100}]", "exactly one of"),
        ("[{id: a, source: {path: x}, context_tokens: 100}, {id: a, source: {path: x}, context_tokens: 100}]", "twice"),
        ("[{id: '../x', source: {path: x}, context_tokens: 100}]", "models.0.id"),
    ],
)
def test_a_wrong_catalog_names_the_field(models: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(f"models: {models}\n")
    with pytest.raises(SettingsError, match=says):
        load_catalog(file)


def test_a_node_that_cannot_serve_its_models_is_refused(tmp_path: Path) -> None:
    catalog = make_site(tmp_path, "w4a16-gptq")
    file = tmp_path / "opcgate.yaml"
    node = "{name: a, url: 'http://127.0.0.1:1', models: [m-w4a16-gptq], hardware: HARDWARE}"
    said = {}
    for hardware in ("cpu", "cpu-avx512", "toaster"):
        file.write_text(f"catalog: {catalog}\nnodes: [{node.replace('HARDWARE', hardware)}]\n")
        said[hardware] = run_opcgate("config", "check", "--config", str(file))
    assert [one.returncode for one in said.values()] == [2, 0, 2]
    assert "nodes: node 'a' (cpu) can't serve 'm-w4a16-gptq'" in said["cpu"].stderr
    assert "nodes.0.hardware: " in said["toaster"].stderr
