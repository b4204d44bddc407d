"""What fits this machine, before anything is started: schemes, adapters, and the arithmetic of memory."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from configs.schema import EngineSettings, ModelSettings
from configs.sections.catalog import Hardware, Scheme, VariantSettings, variant_id
from configs.sections.compatibility import Outcome
from models.catalog import Catalog, CatalogError
from models.compatibility import matrix, supported
from models.machine import Gpu, Machine
from models.memory import GIB, Needs, needs_of
from models.snapshot import SnapshotError

Verdict = Literal["fits", "tight", "refused", "unknown"]
BITSANDBYTES = ("nf4", "int8")
GPU_MEMORY_UTILIZATION = 0.92
"""vLLM's default share of a GPU's memory."""
BLOCKS = {"cpu": 128, "cuda": 16}


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know or to mend, in both languages. Only a `problem` refuses; `tight` is about margins of memory."""

    en: str
    zh: str
    problem: bool = False
    tight: bool = False

    def __str__(self) -> str:
        return f"{self.en} {self.zh}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of one model, or one variant of it, on one machine. Sizes are in bytes.

    `tight` fits without its margins only. `unknown`: its weights are not on this machine. `cache_bytes` is what the KV
    cache gets, and `kv_tokens` how many tokens that is.
    """

    id: str
    scheme: Scheme | None
    hardware: Hardware
    verdict: Verdict
    adapters: Outcome | None
    free_bytes: int
    needs: Needs | None = None
    cache_bytes: int = 0
    kv_tokens: int = 0
    remarks: list[Remark] = field(default_factory=list)

    @property
    def needed_bytes(self) -> int:
        """Everything together, margins included."""
        need = self.needs
        held = need.weights + need.adapters + need.activations + need.processes if need else 0
        return held + self.cache_bytes


def check_engine(catalog: Catalog, engine: EngineSettings, machine: Machine) -> Iterator[str]:
    """What to know before an engine is started, a line each. Raises CatalogError for what can't run."""
    found = diagnose(catalog, engine.model, engine.variant, machine, engine.kv_cache_gib)
    problems = [one for one in found.remarks if one.problem]
    if problems:
        raise CatalogError(
            f"'{found.id}' can't run here: " + " ".join(one.en for one in problems),
            "本机无法运行：" + "".join(one.zh for one in problems),
        )
    yield from (f"note: {one}" for one in found.remarks)


def diagnose_all(catalog: Catalog, machine: Machine, kv_cache_gib: int, only: str | None = None) -> list[Diagnosis]:
    """Every model and every variant of it, or only those of one model. Raises CatalogError for an unknown one."""
    models = catalog.settings.models if only is None else (catalog.base(only),)
    return [
        diagnose(catalog, base.id, scheme, machine, kv_cache_gib, plain=scheme is None)
        for base in models
        for scheme in (None, *(one.scheme for one in base.variants))
    ]


def diagnose(
    catalog: Catalog, model: str, scheme: str | None, machine: Machine, kv_cache_gib: int, *, plain: bool = False
) -> Diagnosis:
    """What is known of a model, or a variant of it, here. `plain`: of its unquantized weights, whatever it serves.

    Raises CatalogError for an unknown model or variant.
    """
    base = catalog.base(model)
    variant = None if plain else catalog.variant(base, scheme)
    remarks: list[Remark] = []
    folder = _folder(catalog, base, variant, remarks)
    quantized = variant.scheme if variant else _scheme_of(base, folder)
    remarks += _scheme_remarks(base, quantized, machine)
    adapters = supported(quantized, machine.hardware, adapters=True) if base.adapters else None
    if adapters and adapters.verdict != "yes":
        remarks.append(_about_adapters(base, adapters.verdict, adapters.why_en, adapters.why_zh))
    public_id = variant_id(base.id, variant.scheme) if variant else base.id
    rank = base.max_lora_rank if adapters and adapters.verdict != "no" else None
    needs = _needs(folder, base, machine, rank, remarks)
    cache = _cache_bytes(base, needs, machine, kv_cache_gib)
    tokens = needs.kv_tokens(cache, BLOCKS[_device(machine)]) if needs else 0
    if needs:
        remarks += _memory_remarks(base, needs, cache, tokens, machine)
    diagnosis = Diagnosis(
        id=public_id,
        scheme=quantized,
        hardware=machine.hardware,
        verdict=_verdict(remarks, needs),
        adapters=adapters.verdict if adapters else None,
        free_bytes=_free(machine),
        needs=needs,
        cache_bytes=cache,
        kv_tokens=tokens,
        remarks=remarks,
    )
    return diagnosis


def _folder(
    catalog: Catalog, base: ModelSettings, variant: VariantSettings | None, remarks: list[Remark]
) -> Path | None:
    """Where the weights are, or None with a remark that says what to do."""
    try:
        return Path(catalog.weights(base, variant.scheme)) if variant else catalog.weights_folder(base)
    except CatalogError as error:
        remarks.append(Remark(error.en, error.zh, problem=True))
    except SnapshotError as error:
        remarks.append(Remark(error.en, error.zh))
    return None


def _scheme_of(base: ModelSettings, folder: Path | None) -> Scheme | None:
    """The matrix's name for a base that is quantized where it comes from, by the catalog or its own config.json."""
    named: dict[str, Scheme] = {"fp8": "fp8", "awq": "w4a16-awq", "gptq": "w4a16-gptq", "bitsandbytes": "nf4"}
    method = base.quantization
    if method is None and folder is not None:
        with suppress(OSError, ValueError, AttributeError):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            method = config.get("quantization_config", {}).get("quant_method")
    return named.get(str(method).removesuffix("_marlin"))


def _scheme_remarks(base: ModelSettings, scheme: Scheme | None, machine: Machine) -> Iterator[Remark]:
    """Whether the processor or the GPU can run it."""
    support = supported(scheme, machine.hardware)
    name = scheme or "unquantized"
    if support.verdict == "no":
        yield Remark(support.why_en, support.why_zh, problem=True)
    elif support.verdict == "not run":
        yield Remark(
            f"{name} was not tried on {machine.hardware}: {support.why_en or 'nothing is known against it.'}",
            f"{name} 尚未在该硬件上验证。{support.why_zh}",
        )
    if scheme in BITSANDBYTES and (find_spec("vllm_bnb_plugin") is None or find_spec("bitsandbytes") is None):
        yield Remark(
            f"{scheme} needs the packages bitsandbytes and vllm-bnb-plugin; install them with `make setup`.",
            "缺少 bitsandbytes 或 vllm-bnb-plugin，请安装。",
            problem=True,
        )
    if machine.gpu is not None:
        yield from _gpu_remarks(base, scheme, machine.gpu.compute_capability)


def _gpu_remarks(base: ModelSettings, scheme: Scheme | None, capability: float) -> Iterator[Remark]:
    row = matrix()[(scheme or "none", "cuda")]
    least, native = row.least_compute_capability, row.native_compute_capability
    if least and capability < least:
        yield Remark(
            f"{scheme} needs a GPU of compute capability {least}, and this one has {capability}.",
            f"{scheme} 要求 GPU 计算能力不低于 {least}，本机为 {capability}。",
            problem=True,
        )
    elif native and capability < native:
        yield Remark(
            f"{scheme} runs with its weights only (Marlin kernels): all of it needs compute capability {native}, and "
            f"this GPU has {capability}.",
            f"该 GPU 计算能力为 {capability}，低于 {native}，{scheme} 仅以权重量化方式（Marlin 内核）运行。",
        )
    if base.dtype == "bfloat16" and capability < 8.0:
        yield Remark(
            f"bfloat16 needs compute capability 8.0, and this GPU has {capability}; set dtype: float16.",
            f"bfloat16 要求计算能力 8.0，本机为 {capability}，请改用 float16。",
            problem=True,
        )


def _about_adapters(base: ModelSettings, verdict: Outcome, why_en: str, why_zh: str) -> Remark:
    names = ", ".join(one.id for one in base.adapters)
    if verdict == "no":
        return Remark(f"without its adapters ({names}): {why_en}", f"不提供其适配器。{why_zh}")
    return Remark(f"its adapters ({names}) were not tried on this hardware.", "其适配器尚未在该硬件上验证。")


def _needs(
    folder: Path | None, base: ModelSettings, machine: Machine, rank: int | None, remarks: list[Remark]
) -> Needs | None:
    if folder is None:
        return None
    try:
        return needs_of(folder, base.dtype, _device(machine), rank)
    except (OSError, ValueError, KeyError, TypeError) as error:
        remarks.append(
            Remark(
                f"{folder}: how much memory it needs can't be read ({type(error).__name__}: {error}).",
                "无法读取该模型的内存需求。",
            )
        )
        return None


def _device(machine: Machine) -> Literal["cpu", "cuda"]:
    return "cuda" if machine.gpu else "cpu"


def _free(machine: Machine) -> int:
    return machine.gpu.free_bytes if machine.gpu else machine.free_bytes


def _cache_bytes(base: ModelSettings, needs: Needs | None, machine: Machine, kv_cache_gib: int) -> int:
    """What the KV cache gets: `engine.kv_cache_gib` on a CPU, on a GPU what the rest leaves of vLLM's share."""
    if needs is None or not needs.kv_token:
        return 0
    if machine.gpu is None:
        return kv_cache_gib * GIB
    return max(0, _share(base, machine.gpu) - needs.weights - needs.adapters - needs.activations - needs.processes)


def _share(base: ModelSettings, gpu: Gpu) -> int:
    """The part of a GPU's memory that vLLM takes: its default, or the last --gpu-memory-utilization of the catalog."""
    arguments = (*base.engine_args, *base.hardware_args.get("cuda", ()))
    found = re.findall(r"--gpu-memory-utilization[= ](0?\.\d+|1(?:\.0+)?)(?: |$)", " ".join(arguments))
    return int(gpu.total_bytes * (float(found[-1]) if found else GPU_MEMORY_UTILIZATION))


def _memory_remarks(base: ModelSettings, needs: Needs, cache: int, tokens: int, machine: Machine) -> Iterator[Remark]:
    free, place = _free(machine), "GPU" if machine.gpu else "machine"
    certain = needs.weights + needs.adapters + (0 if machine.gpu else cache)
    likely = certain + needs.activations + needs.processes
    if certain > free:
        mend = (
            "take a quantized variant or a larger GPU" if machine.gpu else "lower engine.kv_cache_gib, or free memory"
        )
        yield Remark(
            f"it needs {gib(certain)} for weights, adapters and cache; this {place} has {gib(free)} free; {mend}.",
            f"权重、适配器与缓存需要 {gib(certain)}，可用 {gib(free)}，内存不足。",
            problem=True,
        )
    elif likely > free:
        yield Remark(
            f"it is tight: about {gib(likely)} with what the engine itself takes, and {gib(free)} are free.",
            f"内存偏紧：含引擎自身约需 {gib(likely)}，可用 {gib(free)}。",
            tight=True,
        )
    if machine.gpu and (share := _share(base, machine.gpu)) > free:
        yield Remark(
            f"vLLM wants {gib(share)} of this GPU and {gib(free)} are free, so it would end at start; free the rest, "
            "or lower --gpu-memory-utilization in hardware_args.cuda.",
            f"vLLM 启动时需占用 {gib(share)} 显存，可用 {gib(free)}，请释放显存或调低 --gpu-memory-utilization。",
            problem=True,
        )
    if needs.kv_token and tokens < base.context_tokens and certain <= free:
        least = -(-base.context_tokens * needs.kv_token // GIB)
        mend = "lower context_tokens" if machine.gpu else f"set engine.kv_cache_gib to {least} or lower context_tokens"
        yield Remark(
            f"the KV cache holds {tokens} tokens, fewer than one request of {base.context_tokens}; {mend}.",
            f"KV 缓存只能容纳 {tokens} 个词元，少于单个请求的 {base.context_tokens}。",
            problem=True,
        )


def _verdict(remarks: list[Remark], needs: Needs | None) -> Verdict:
    if any(one.problem for one in remarks):
        return "refused"
    if needs is None:
        return "unknown"
    return "tight" if any(one.tight for one in remarks) else "fits"


def gib(size: int) -> str:
    """A size for people: GiB, or MiB below a tenth of one."""
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / (1 << 20):.1f} MiB"
