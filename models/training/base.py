"""The base model of an adapter: found in the catalog or a folder, checked, and opened with fresh LoRA weights."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.loader import SettingsError, load_catalog, load_settings
from models.catalog import Catalog, CatalogError, folder_digest
from models.snapshot import SnapshotError
from models.training.errors import TrainingError
from models.training.settings import TrainSettings
from models.weights import WeightsError, check_weights

USUAL_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
UNBOUNDED = 2**31  # the model's own context is the bound
USUAL_MAX_RANK = 16  # the catalog's default
OUTPUT_LAYERS = frozenset({"lm_head", "embed_out"})  # engines serve no LoRA on these by default


@dataclass(frozen=True, slots=True)
class Base:
    """Where the base is, its id and digest, its licence, and how far an engine follows: context and LoRA rank."""

    id: str
    folder: Path
    digest: str
    licence: str
    context_tokens: int
    max_lora_rank: int


def find_base(model: str, config: Path | None) -> Base:
    """A catalog id, or a folder with a model's config.json. Raises TrainingError, also for weights not to be opened."""
    if not Path(model).is_dir():
        return _from_catalog(model, config)
    folder = Path(model)
    if not (folder / "config.json").is_file():
        raise TrainingError(
            f"--model {model}: {folder.name} holds no config.json; name a catalog id or a model's folder.",
            "找不到基础模型的 config.json，请指定目录中的模型或模型文件夹。",
        )
    try:
        check_weights(folder)
    except WeightsError as error:
        raise TrainingError(f"--model {model}: {error.en}", f"基础模型：{error.zh}") from None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("._-") or "base"
    return Base(name, folder, folder_digest(folder), "", UNBOUNDED, USUAL_MAX_RANK)


def _from_catalog(model: str, config: Path | None) -> Base:
    try:
        catalog = Catalog(load_catalog(load_settings(config).catalog))
        entry = catalog.base(model)
        if entry.kind != "generate":
            raise TrainingError(
                f"--model {model}: makes vectors, not text; choose a generating model.",
                "该模型只生成向量，不能训练对话。",
            )
        folder, digest = catalog.weights_folder(entry), catalog.weights_digest(entry)
    except SettingsError as error:
        raise TrainingError(f"--config: {error}", "配置文件或模型目录无法读取，请按提示修改。") from None
    except (CatalogError, SnapshotError) as error:
        raise TrainingError(f"--model {model}: {error.en}", error.zh) from None
    return Base(entry.id, folder, digest, entry.licence, entry.context_tokens, entry.max_lora_rank)


def check_rank(base: Base, rank: int) -> None:
    """Raise TrainingError when no engine would serve an adapter of this rank on the base."""
    if rank > base.max_lora_rank:
        raise TrainingError(
            f"--rank {rank}: is above the base's max_lora_rank of {base.max_lora_rank}, and vLLM would not serve it; "
            f"lower the rank, or raise max_lora_rank in the catalog.",
            f"秩 {rank} 高于基础模型的 max_lora_rank（{base.max_lora_rank}），vLLM 无法加载，请降低秩或修改目录。",
        )


def choose_targets(base: Base, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The modules to adapt: those asked for, else the usual ones the model has. Raises TrainingError for others."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base.folder))
    linear = {name.rpartition(".")[2] for name, module in empty.named_modules() if isinstance(module, torch.nn.Linear)}
    known = sorted(linear - OUTPUT_LAYERS)
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise TrainingError(
            f"--target-modules {','.join(unknown)}: the base has no such modules; it has {', '.join(known)}.",
            f"基础模型没有这些模块：{', '.join(unknown)}；可选：{', '.join(known)}。",
        )
    return tuple(sorted(asked)) or tuple(t for t in USUAL_TARGETS if t in known) or tuple(known)


def open_base(base: Base) -> Any:
    """The tokenizer, with a pad token. Raises TrainingError when the model has no chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    if not tokenizer.chat_template:
        raise TrainingError(
            f"--model {base.id}: its tokenizer has no chat template; choose a chat model.",
            "该模型没有对话模板，请选择对话模型。",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def with_lora(base: Base, settings: TrainSettings, targets: tuple[str, ...]) -> Any:
    """The base with fresh adapter weights in float32; `qlora` holds the base in 4 bits (bitsandbytes NF4)."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

    set_seed(settings.seed)
    cuda = torch.cuda.is_available()
    # A GPU trains beside a bfloat16 base; a CPU multiplies bfloat16 under autocast only, where that is fast.
    options: dict[str, Any] = {"dtype": torch.bfloat16 if cuda else torch.float32}
    if cuda:
        options["device_map"] = "auto"
    if settings.method == "qlora":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16 if bf16() else torch.float32,
        )
    network = AutoModelForCausalLM.from_pretrained(base.folder, use_safetensors=True, **options)
    if settings.method == "qlora":
        network = prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(targets),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(network, config)


def bf16() -> bool:
    """Whether this machine multiplies bfloat16 matrices natively."""
    import torch

    from models.starter.training import bf16_is_fast

    return bf16_is_fast(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
