"""Labels: golden tables of codes, names, texts and front matters; keys, ids and seals; nothing forged passes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.labels.errors import LabelError
from compliance.labels.files import formats
from compliance.labels.formats.markdown import MARKDOWN
from compliance.labels.ids import new_content_id, time_of
from compliance.labels.label import FIELDS, Label, parse_label
from compliance.labels.labels import Labels, build_labels, check_label, digest_of_texts
from compliance.labels.notice import check_text
from compliance.labels.provider import check_producer, parse_provider_code
from compliance.labels.rules import load_label_rules
from compliance.labels.seal import parse_seal
from compliance.labels.signing_key import SigningKey, load_key, load_or_create_key, parse_public_key
from compliance.verdict import RulesError
from configs.schema import LabelSettings
from tests.conftest import read_cases

RULES = load_label_rules()
FORMATS = formats(RULES)


def trusted(labels: Labels) -> dict:
    return {labels.key.id: labels.key.public}


# Golden tables.


@pytest.mark.parametrize("case", read_cases("labels_provider_codes.jsonl"), ids=lambda case: case["code"] or "empty")
def test_provider_codes(case: dict) -> None:
    if "parts" in case:
        assert list(parse_provider_code(case["code"], RULES).values()) == case["parts"]
        return
    with pytest.raises(LabelError) as refused:
        parse_provider_code(case["code"], RULES)
    assert case["part"] in refused.value.en
    assert case.get("zh", "服务提供者编码") in refused.value.zh


@pytest.mark.parametrize("case", read_cases("labels_providers.jsonl"), ids=lambda case: case["provider"] or "empty")
def test_providers(case: dict) -> None:
    if case.get("ok"):
        assert check_producer(case["provider"], RULES) == case["provider"]
        return
    with pytest.raises(LabelError) as refused:
        check_producer(case["provider"], RULES)
    assert case["says"] in refused.value.en


@pytest.mark.parametrize("case", read_cases("labels_texts.jsonl"), ids=lambda case: case["text"] or "empty")
def test_visible_texts(case: dict) -> None:
    if case.get("ok"):
        check_text(case["text"], "labels.text_zh", RULES)
        return
    with pytest.raises(RulesError) as refused:
        check_text(case["text"], "labels.text_zh", RULES)
    assert case["says"] in refused.value.en
    assert refused.value.en.startswith("labels.text_zh: ")
    assert refused.value.zh.startswith("labels.text_zh：")


@pytest.mark.parametrize("case", read_cases("labels_front_matter.jsonl"), ids=lambda case: case["id"])
def test_front_matters(case: dict) -> None:
    data = case["file"].encode()
    new = Label("1", "producer", "id", "seal", "propagator", "id2", 'seal2"')
    if "error" in case:
        for use in (lambda: MARKDOWN.read(data), lambda: MARKDOWN.write(data, new)):
            with pytest.raises(LabelError, match=case["error"]):
                use()
        return
    label, _ = MARKDOWN.read(data)
    assert (label and list(label.fields().values())) == case["label"]
    if "add_error" in case:
        with pytest.raises(LabelError, match=case["add_error"]):
            MARKDOWN.write(data, new)
        return
    written = MARKDOWN.write(data, new)
    assert MARKDOWN.read(written)[0] == new
    for kept in case.get("kept", ()):
        assert kept in written.decode(), "what stood there before is there still"


def test_the_shipped_texts_and_provider_are_valid(labels: Labels) -> None:
    assert labels.notice.texts("opc-starter") == {
        "zh": "AI生成（opcgate · opc-starter）",
        "en": "AI生成 / AI-generated (opcgate · opc-starter)",
    }


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "001191440300708461137T1XGW3"}, "labels.provider"),
        ({"text_en": "AI-generated"}, "labels.text_en"),
        ({"display_name": "a\u200bb"}, "labels.display_name"),
        ({"key_file": Path("/proc/none/key.pem")}, "labels.key_file"),
    ],
)
def test_wrong_settings_name_their_field(wrong: dict, field: str, tmp_path: Path) -> None:
    with pytest.raises(RulesError) as refused:
        build_labels(LabelSettings(**({"key_file": tmp_path / "key.pem"} | wrong)))
    assert refused.value.en.startswith(f"{field}: ")
    assert refused.value.zh.startswith(f"{field}：")


# The key.


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "label-key.pem"
    key = load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path).public_text == key.public_text
    assert list(path.parent.iterdir()) == [path]
    assert SigningKey.of(load_key(path).private).id == key.id
    assert parse_public_key(f" {key.public_text}\n").public_bytes_raw() == key.public.public_bytes_raw()
    path.chmod(0o644)
    with pytest.raises(RulesError, match="chmod 600"):
        load_or_create_key(path)
    path.chmod(0o600)
    path.write_bytes(b"not a key")
    with pytest.raises(RulesError, match="PEM"):
        load_or_create_key(path)


@pytest.mark.parametrize("text", ["", "abc", "x" * 43 + "=", "!" * 43])
def test_a_wrong_public_key_is_refused(text: str) -> None:
    with pytest.raises(LabelError, match="43"):
        parse_public_key(text)


# Content ids.


@given(now=st.floats(0, 2**47 / 1000, allow_nan=False))
def test_content_ids_hold_their_time(now: float) -> None:
    assert abs(time_of(new_content_id(now)).timestamp() - now) < 0.0011


def test_content_ids_are_unique_and_ordered() -> None:
    ids = [new_content_id(1_700_000_000 + second / 1000) for second in range(2000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert all(len(one) == 32 for one in ids)


# Seals.

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def test_a_first_label_equals_on_both_sides(labels: Labels) -> None:
    label = labels.produced("id1", digest_of_texts(["你好"]))
    assert (label.propagator, label.propagate_id, label.reserved2) == (label.producer, "id1", label.reserved1)
    assert label.problems(RULES) == []
    assert json.loads(label.json()) == {"AIGC": label.fields()}
    assert label.json().isascii()
    assert " " not in label.json()


@settings(max_examples=60, deadline=None)
@given(content=texts, edited=texts, data=st.data())
def test_an_edited_content_or_label_fails(labels: Labels, content: str, edited: str, data: st.DataObject) -> None:
    digest = digest_of_texts([content])
    label = labels.produced(new_content_id(1.0), digest)
    if data.draw(st.booleans()):
        label = labels.passed_on(label, new_content_id(2.0), digest)
    assert check_label(label, digest, trusted(labels), RULES) == []
    assert check_label(label, None, trusted(labels), RULES) == []
    if edited != content and edited:
        assert check_label(label, digest_of_texts([edited]), trusted(labels), RULES)
    name = data.draw(st.sampled_from(FIELDS))
    old = label.fields()[name]
    at = data.draw(st.integers(0, len(old)))
    char = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
    new = data.draw(st.sampled_from([old[:at] + char + old[at:], old[:at] + char + old[at + 1 :], old[:at], ""]))
    forged = parse_label(label.fields() | {name: new})
    if forged != label:
        assert check_label(forged, digest, trusted(labels), RULES), f"{name} was changed and nobody noticed"


def test_what_else_is_not_verified(labels: Labels, tmp_path: Path) -> None:
    other = build_labels(LabelSettings(key_file=tmp_path / "other.pem"))
    digest = digest_of_texts(["x"])
    label = labels.produced("id1", digest)
    (problem,) = check_label(label, digest, trusted(other), RULES)
    assert "not among the trusted" in problem.en
    (problem,) = check_label(labels.produced("id1", None), digest, trusted(labels), RULES)
    assert "does not cover the content" in problem.en
    foreign = Label("1", "p", "i", "someone's code", "p", "i", "someone's code")
    assert any("only its maker" in one.en for one in check_label(foreign, digest, trusted(labels), RULES))
    undecided = labels.passed_on(label, "id2", digest)
    swapped = replace(undecided, reserved2=undecided.reserved1)
    assert any("does not fit" in one.en for one in check_label(swapped, digest, trusted(labels), RULES))
    strange = replace(label, label="7", producer="中文")
    assert {"Label is none of 1, 2, 3", "ContentProducer holds a character that is not permitted"} <= {
        one.en for one in check_label(strange, digest, trusted(labels), RULES)
    }


@given(st.text(max_size=60))
def test_any_reserved_code_is_read_or_left(code: str) -> None:
    assert parse_seal(code) is None or code.startswith("ed25519:")


def test_no_command_takes_a_label_out() -> None:
    from compliance.labels.cli import label

    names: list[Callable | str | None] = [one.name or one.callback.__name__ for one in label.registered_commands]
    assert sorted(map(str, names)) == ["add", "key", "provider", "show", "verify"]
