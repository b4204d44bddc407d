"""Provider codes: 27 characters that name who generates or propagates, checked part by part."""

import re

from compliance.labels.errors import LabelError
from compliance.labels.rules import CodePart, LabelRules
from compliance.pii.uscc import is_valid

NAME = re.compile(r"[A-Za-z]")
MAX_NAME_CHARACTERS = 64
PROPAGATES = "2"


def parse_provider_code(code: str, rules: LabelRules) -> dict[str, str]:
    """The code's parts by name. Raises LabelError naming the first part that is wrong."""
    parts = rules.provider_code.parts
    length = sum(part.length for part in parts)
    if len(code) != length:
        raise LabelError(
            f"a provider code has {length} characters, this one has {len(code)}",
            f"服务提供者编码应为 {length} 位，当前为 {len(code)} 位",
        )
    found: dict[str, str] = {}
    start = 0
    for part in parts:
        value = code[start : start + part.length]
        _check_part(part, value, start)
        found[part.name] = value
        start += part.length
    _check_ending(found, code, rules)
    return found


def _check_part(part: CodePart, value: str, start: int) -> None:
    place_en = f"characters {start + 1}-{start + part.length}" if part.length > 1 else f"character {start + 1}"
    place_zh = f"第 {start + 1}-{start + part.length} 位" if part.length > 1 else f"第 {start + 1} 位"
    if not re.fullmatch(part.pattern, value):
        raise LabelError(
            f"provider code, {place_en}, the {part.en}, is {value!r}: {part.hint_en}",
            f"服务提供者编码{place_zh}（{part.zh}）有误：{part.hint_zh}",
        )
    if part.name == "credit_code" and not is_valid(value.lower()):
        raise LabelError(
            f"provider code, {place_en}, the {part.en}: its region or check character is wrong; "
            "compare it with the licence",
            f"服务提供者编码{place_zh}（{part.zh}）的行政区划或校验码不正确，请对照营业执照",
        )


def _check_ending(found: dict[str, str], code: str, rules: LabelRules) -> None:
    bare = rules.provider_code.without_extension
    if found["service_type"] == bare[0] and not code.endswith(bare):
        raise LabelError(
            f"provider code: with service type {bare[0]} there is no self-assigned part; end it with {bare}",
            f"服务提供者编码：服务类型为 {bare[0]} 时没有自编码，末 5 位应为 {bare}",
        )


def check_producer(provider: str, rules: LabelRules) -> str:
    """`provider` when it may stand as ContentProducer: a valid code that isn't a propagator's, or an ASCII name.

    A name begins with a letter and a code with a digit, so a mistyped code is never taken for a name.
    """
    if not NAME.match(provider):
        if parse_provider_code(provider, rules)["service_type"] == PROPAGATES:
            raise LabelError(
                "provider code: service type 2 is a propagation service; give the code of the generating service",
                "服务提供者编码：服务类型 2 为传播服务，请填写生成合成服务的编码",
            )
        return provider
    if len(provider) > MAX_NAME_CHARACTERS or not rules.implicit.permitted.fullmatch(provider) or '"' in provider:
        raise LabelError(
            f"a provider's name has at most {MAX_NAME_CHARACTERS} printable ASCII characters without space, quote "
            "or backslash",
            f"服务提供者名称最多 {MAX_NAME_CHARACTERS} 个可见 ASCII 字符，不含空格、引号和反斜杠；中文名称请改用编码",
        )
    return provider
