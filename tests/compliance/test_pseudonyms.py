"""Pseudonyms: the golden table, and exact restoring however an answer is cut."""

import json
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from compliance.pseudonyms import Pseudonyms, Restorer
from compliance.verdict import Action, Finding
from tests.compliance.helpers import CASES, read_cases

PLACEHOLDERS: dict[str, str] = yaml.safe_load(
    (CASES.parent.parent / "configs" / "policies" / "base.yaml").read_text(encoding="utf-8")
)["placeholders"]["types"]


def vault() -> Pseudonyms:
    return Pseudonyms(PLACEHOLDERS.__getitem__)


def findings(text: str, found: Sequence[Sequence[str]]) -> list[Finding]:
    """Findings of these types and values, each looked for from where the last one began."""
    made: list[Finding] = []
    for type_, value in found:
        start = text.index(value, made[-1].start if made else 0)
        end = start + len(value)
        made.append(Finding(start, end, type_, "personal_info", "high", "test", "test", "a test", Action.pseudonymise))
    return made


def restored(pseudonyms: Pseudonyms, chunks: Sequence[str]) -> str:
    restorer = Restorer(pseudonyms)
    return "".join([*(restorer.feed(chunk) for chunk in chunks), restorer.flush()])


@pytest.mark.parametrize("row", read_cases("pseudonyms"), ids=lambda row: row["note"])
def test_every_row(row: dict[str, list[str] | str]) -> None:
    pseudonyms = vault()
    pseudonyms.reserve(row["texts"])
    replaced = [
        pseudonyms.replace(text, findings(text, found)) for text, found in zip(row["texts"], row["found"], strict=True)
    ]
    assert replaced == row["replaced"]
    answer = row["answer"]
    for size in range(1, len(answer) + 1):
        assert restored(pseudonyms, [answer[at : at + size] for at in range(0, len(answer), size)]) == row["restored"]


def test_one_more_turn_keeps_the_numbers() -> None:
    first = ["我是张伟", "李娜也在"]
    numbers = []
    for texts in (first, [*first, "王芳和张伟都到了"]):
        pseudonyms = vault()
        pseudonyms.reserve(texts)
        found = {"我是张伟": ["张伟"], "李娜也在": ["李娜"], "王芳和张伟都到了": ["王芳", "张伟"]}
        numbers.append(
            [pseudonyms.replace(text, findings(text, [("person_name", one) for one in found[text]])) for text in texts]
        )
    assert numbers[1][:2] == numbers[0] == ["我是[姓名1]", "[姓名2]也在"]
    assert numbers[1][2] == "[姓名3]和[姓名1]都到了"


def test_only_what_may_become_a_pseudonym_is_held() -> None:
    pseudonyms = vault()
    pseudonyms.replace("张伟", findings("张伟", [("person_name", "张伟")]))
    restorer = Restorer(pseudonyms)
    assert [restorer.feed(chunk) for chunk in ("好[", "姓", "名", "1", "]", "[手", "x[姓名2", "[")] == [
        *("好", "", "", "", "张伟", "[手", "x[姓名2", ""),
    ]
    assert restorer.flush() == "["


def test_values_in_json_strings_are_escaped_and_unescaped() -> None:
    pseudonyms = vault()
    text = r"{\"to\": \"O\u0027Brien \\"
    value = r"O\u0027Brien"
    replaced = pseudonyms.replace(text, findings(text, [("person_name", value)]), "json")
    assert "O'Brien" not in replaced
    assert restored(pseudonyms, ["[姓名1]"]) == "O'Brien"
    quoted = 'a"b'
    pseudonyms.replace(quoted, findings(quoted, [("person_name", quoted)]))
    restorer = Restorer(pseudonyms, "json")
    assert json.loads('"' + restorer.feed("[姓名2]") + '"') == quoted


def test_a_vault_does_not_show_what_it_holds() -> None:
    pseudonyms = vault()
    pseudonyms.replace("张伟", findings("张伟", [("person_name", "张伟")]))
    assert "张伟" not in repr(pseudonyms)
    assert len(pseudonyms) == 1


VALUES = st.lists(st.text("张王李伟娜芳12", min_size=2, max_size=4), min_size=1, max_size=5, unique=True)


@given(VALUES, st.lists(st.text("，。[姓名12]手好 ", max_size=6), min_size=6, max_size=6), st.integers(1, 5))
def test_what_was_replaced_comes_back_at_any_cut(values: list[str], between: list[str], size: int) -> None:
    text, found = between[0], []
    for value, after in zip(values, between[1:], strict=False):
        found.append(
            Finding(len(text), len(text) + len(value), "person_name", "", "high", "", "", "", Action.pseudonymise)
        )
        text += value + after
    pseudonyms = vault()
    pseudonyms.reserve([text])
    replaced = pseudonyms.replace(text, found)
    chunks = [replaced[at : at + size] for at in range(0, len(replaced), size)]
    assert restored(pseudonyms, chunks) == text
    for one in found:
        assert replaced.count("[") >= text.count("[") + 1, one


def test_a_value_that_is_to_be_masked_gets_no_number() -> None:
    pseudonyms = vault()
    name = Finding(0, 2, "person_name", "personal_info", "high", "test", "test", "a test", Action.pseudonymise)
    number = Finding(3, 14, "mobile", "personal_info", "high", "test", "test", "a test", Action.mask)
    assert pseudonyms.replace("张伟，13800138000", [name, number]) == "[姓名1]，[手机号]"
    assert restored(pseudonyms, ["[姓名1]，[手机号]"]) == "张伟，[手机号]"
