"""How a vLLM engine is started for a catalog model: its command line, its environment, its adapters."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from configs.schema import EngineSettings
from configs.sections.catalog import Hardware, ModelSettings
from models.catalog import Catalog, CatalogError, Probe, ServedModel
from models.compatibility import this_hardware

MOST_LORAS_AT_ONCE = 8
LOOPBACK_ONLY = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """What to run and with which environment; `url` is where it will answer."""

    argv: tuple[str, ...]
    env: dict[str, str]
    url: str


def engine_command(catalog: Catalog, settings: EngineSettings, hardware: Hardware | None = None) -> EngineCommand:
    """The command that serves a catalog model with vLLM, CPU or CUDA build alike. Raises CatalogError.

    `hardware` is what it will run on; default this machine's.
    """
    base = catalog.base(settings.model)
    variant = catalog.variant(base, settings.variant)
    weights = catalog.weights(base, settings.variant)
    hardware = hardware or this_hardware()
    family = catalog.family(base.id, settings.variant, hardware)
    # The CPU build's own `vllm serve` script looks for a distribution of another name, so the module it is.
    argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    argv += ["--model", weights, "--served-model-name", family[0].served_name]
    argv += ["--host", settings.host, "--port", str(settings.port)]
    argv += ["--max-model-len", str(base.context_tokens), "--dtype", base.dtype]
    # Cached tokens have a price of their own, so the engine has to say how many there were.
    argv += ["--disable-uvicorn-access-log", "--enable-prompt-tokens-details"]
    if base.kind == "embed":
        argv += ["--runner", "pooling"]
    # A variant's own config.json says how it was quantized, and vLLM reads it there.
    if variant is None:
        argv += _source_flags(base)
    if base.tool_parser:
        argv += ["--enable-auto-tool-choice", "--tool-call-parser", base.tool_parser]
    if base.reasoning_parser:
        argv += ["--reasoning-parser", base.reasoning_parser]
    adapters = len({one.adapter.id for one in family if one.adapter})
    if adapters:
        argv += ["--enable-lora", "--max-lora-rank", str(base.max_lora_rank)]
        # vLLM's own default is one adapter in a batch: requests for two adapters would wait for each other.
        argv += ["--max-loras", str(min(adapters, MOST_LORAS_AT_ONCE)), "--max-cpu-loras", str(adapters)]
    argv += [*base.engine_args, *base.hardware_args.get(hardware, ()), *(variant.engine_args if variant else ())]
    source = "path" if variant else base.source.kind()
    return EngineCommand(tuple(argv), _environment(source, settings), engine_url(settings))


def _source_flags(base: ModelSettings) -> list[str]:
    """Revision and quantization of weights that the catalog names itself."""
    flags = []
    if base.source.kind() in ("huggingface", "modelscope") and base.quantization != "bitsandbytes":
        flags += ["--load-format", "safetensors"]  # what is fetched at start must not be unpickled
    if base.source.revision:
        flags += ["--revision", base.source.revision]
    if base.quantization:
        flags += ["--quantization", base.quantization]
    return flags


def engine_url(settings: EngineSettings) -> str:
    """Where the engine answers."""
    return f"http://{settings.host}:{settings.port}"


def _environment(source: str, settings: EngineSettings) -> dict[str, str]:
    """This process's environment with what the engine needs; nothing calls out unless the model is on a hub."""
    env = dict(os.environ)
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    env |= {"VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib)}
    if source == "modelscope":
        env["VLLM_USE_MODELSCOPE"] = "1"
    elif source in ("path", "package"):
        env |= LOOPBACK_ONLY
    return env


def load_adapters(catalog: Catalog, settings: EngineSettings) -> Iterator[ServedModel]:
    """Load each of the model's adapters into the running engine, under its digest's name. Raises CatalogError."""
    family = catalog.family(settings.model, settings.variant, this_hardware())
    by_name = {model.served_name: model for model in reversed(family) if model.adapter}
    for model in reversed(by_name.values()):
        body = {"lora_name": model.served_name, "lora_path": str(model.adapter_path)}
        request = urllib.request.Request(  # noqa: S310 - the address is the engine this process started
            engine_url(settings) + "/v1/load_lora_adapter",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - as above
                yield model
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")
            if "already been loaded" not in answer:
                raise CatalogError(
                    f"adapter '{model.id}' was refused by the engine: {answer[:300]}", "推理引擎拒绝加载该适配器。"
                ) from None
            yield model
        except OSError as error:
            raise CatalogError(f"adapter '{model.id}' could not be loaded: {error}", "适配器加载失败。") from None


def answers(url: str, asked: Probe, timeout_seconds: float) -> bool:
    """True when the engine really answers: vLLM says healthy before it can."""
    request = urllib.request.Request(  # noqa: S310 - the address is the engine this process started
        url + asked.path, json.dumps(asked.body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310 - as above
            return asked.is_answered_by(json.load(response))
    except (OSError, ValueError):
        return False
