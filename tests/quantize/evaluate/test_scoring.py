"""Task scores of single answers, and both models' side by side."""

import pytest

from configs.sections.admission import TaskKind
from quantize.evaluate.rows import Row
from quantize.evaluate.scoring import applies, score, score_kind

ASK = ({"role": "user", "content": "写文案"},)


@pytest.mark.parametrize(
    ("kind", "row", "answer", "expected"),
    [
        ("exact", Row("1", ASK, "Yes, sir"), "yes,  SIR", 1.0),
        ("exact", Row("1", ASK, "Yes"), "No", 0.0),
        ("keyword", Row("1", ASK, keywords=("砧板", "Anti Slip")), "这款砧板 antislip", 1.0),
        ("keyword", Row("1", ASK, keywords=("砧板", "抗菌")), "这款砧板很好", 0.0),
        ("keyword", Row("1", ASK, keywords=("砧板",)), "抱歉，我不能写砧板的文案", 0.0),
        ("json", Row("1", ASK, '{"a": 1}'), '{"a": 2}', 1.0),
        ("json", Row("1", ASK, '{"a": 1}'), '{"b": 2}', 0.0),
        ("json", Row("1", ASK, '{"a": 1}'), "a: 2", 0.0),
        ("chrf", Row("1", ASK, "便携榨汁杯"), "便携榨汁杯", 1.0),
        ("chrf", Row("1", ASK, "abcd"), "wxyz", 0.0),
    ],
)
def test_scores(kind: TaskKind, row: Row, answer: str, expected: float) -> None:
    assert applies(kind, row)
    assert score(kind, row, answer) == pytest.approx(expected)


def test_kinds_apply_only_to_rows_that_have_what_they_compare_with() -> None:
    bare = Row("1", ASK)
    assert not any(applies(kind, bare) for kind in ("exact", "keyword", "chrf", "json"))
    assert not applies("json", Row("1", ASK, "plain text"))


def test_both_models_on_the_same_rows() -> None:
    rows = [Row(str(i), ASK, keywords=("a",)) for i in range(4)]
    measure = score_kind("keyword", rows, ["a", "a", "a", "b"], ["a", "b", "b", "b"])
    assert measure is not None
    assert (measure.base, measure.variant, measure.drop, measure.rows) == (0.75, 0.25, 0.5, 4)
    assert measure.paired is not None
    assert (measure.paired.only_base, measure.paired.only_variant, measure.paired.p_value) == (2, 0, 0.5)
    assert measure.drop_low < 0.5 < measure.drop_high
    assert score_kind("json", rows, [""] * 4, [""] * 4) is None
