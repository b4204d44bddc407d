"""The schemes: which tool makes each, what it needs, and how large its weights are."""

import typing
from dataclasses import dataclass
from typing import Literal

from configs.sections.catalog import Scheme
from quantize.errors import UnknownScheme

Tool = Literal["bitsandbytes", "llm-compressor"]


@dataclass(frozen=True, slots=True)
class SchemeFacts:
    """One scheme. `least_rows` of calibration data, 0 where it uses none; `bits` per weight, scales included."""

    name: Scheme
    tool: Tool
    least_rows: int
    bits: float
    en: str
    zh: str


SCHEMES: dict[Scheme, SchemeFacts] = {
    one.name: one
    for one in (
        SchemeFacts("nf4", "bitsandbytes", 0, 4.5, "4-bit NormalFloat weights", "4 位 NormalFloat 权重"),
        SchemeFacts("int8", "bitsandbytes", 0, 8.1, "8-bit integer weights, LLM.int8()", "8 位整数权重，LLM.int8()"),
        SchemeFacts(
            "w8a8", "llm-compressor", 32, 8.1, "8-bit integer weights and activations, GPTQ", "8 位整数权重与激活，GPTQ"
        ),
        SchemeFacts("w4a16-gptq", "llm-compressor", 32, 4.2, "4-bit integer weights, GPTQ", "4 位整数权重，GPTQ"),
        SchemeFacts("w4a16-awq", "llm-compressor", 32, 4.3, "4-bit integer weights, AWQ", "4 位整数权重，AWQ"),
        SchemeFacts(
            "fp8", "llm-compressor", 0, 8.1, "8-bit float weights and activations", "8 位浮点权重与激活（FP8）"
        ),
    )
}


def scheme_facts(name: str) -> SchemeFacts:
    """The scheme of that name. Raises UnknownScheme, which lists all."""
    for scheme in typing.get_args(Scheme):
        if scheme == name:
            return SCHEMES[scheme]
    known = ", ".join(SCHEMES)
    raise UnknownScheme(f"scheme '{name}' is unknown; choose one of {known}.", f"未知的量化方案，可选：{known}。")
