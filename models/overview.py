"""The catalog as people and machines read it: one entry for each model, with its variants and adapters."""

from typing import Any, get_args

from configs.schema import ModelSettings
from configs.sections.catalog import Hardware, variant_id
from models.catalog import Catalog
from models.compatibility import carries_adapters, matrix, supported
from models.machine import Machine


def overview(catalog: Catalog, base: ModelSettings, machine: Machine) -> dict[str, Any]:
    """All that the catalog says of a model, and what the matrix says of its variants. Reads no weights."""
    source = base.source
    return {
        "id": base.id,
        "kind": base.kind,
        "source": {
            source.kind(): str(source.path or source.package or source.huggingface or source.modelscope),
            "revision": source.revision,
        },
        "digest": base.digest,
        "licence": base.licence,
        "filing_number": base.filing_number,
        "vertical": base.vertical,
        "context_tokens": base.context_tokens,
        "dtype": base.dtype,
        "quantization": base.quantization,
        "served_variant": base.served_variant,
        "price": base.price.model_dump() if base.price else None,
        "engine_args": list(base.engine_args),
        "hardware_args": {kind: list(one) for kind, one in base.hardware_args.items()},
        "description": {"zh": base.description_zh, "en": base.description_en},
        "variants": [
            {
                "id": variant_id(base.id, one.scheme),
                "scheme": one.scheme,
                "path": str(one.path),
                "digest": one.digest,
                "evaluation": one.evaluation,
                "engine_args": list(one.engine_args),
                "here": supported(one.scheme, machine.hardware).verdict,
                "adapters_here": carries_adapters(one.scheme, machine.hardware).verdict,
            }
            for one in base.variants
        ],
        "adapters": [
            {
                "id": one.id,
                "path": str(one.path),
                "digest": one.digest,
                "vertical": one.vertical,
                "description": {"zh": one.description_zh, "en": one.description_en},
                "variants": [
                    variant_id(one.id, variant.scheme)
                    for variant in base.variants
                    if carries_adapters(variant.scheme, machine.hardware).verdict != "no"
                ],
            }
            for one in base.adapters
        ],
    }


def matrix_markdown(language: str = "en") -> str:
    """The compatibility matrix as a Markdown table, `alone / with adapters`, and the reasons below it."""
    kinds: tuple[Hardware, ...] = get_args(Hardware)
    lines = [f"| scheme | {' | '.join(kinds)} |", "|---|---|---|---|"]
    for scheme in dict.fromkeys(scheme for scheme, _ in matrix()):
        rows = [matrix()[(scheme, one)] for one in kinds]
        lines.append(f"| {scheme} | {' | '.join(f'{one.serves} / {one.adapters}' for one in rows)} |")
    said = dict.fromkeys((one.scheme, one.why_en if language == "en" else one.why_zh) for one in matrix().values())
    return "\n".join([*lines, "", *(f"- {scheme}: {why}" for scheme, why in said if why)]) + "\n"
