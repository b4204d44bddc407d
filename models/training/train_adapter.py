"""Train an adapter from start to end: check, learn, score, write. The commands and the starter's recipe call this."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.manifest import BaseRef, file_digest
from models.starter.card import machine
from models.training.base import Base, check_rank, choose_targets, find_base, open_base, with_lora
from models.training.card import write_card
from models.training.checkpoints import begin, work_folder
from models.training.encoding import Fitted, encode_chats
from models.training.manifest import CARD, AdapterManifest, DataRef, ScoreRef
from models.training.publish import check_out, publish, round_weights, save_weights
from models.training.rows import read_rows
from models.training.run import Report, train
from models.training.score import Scores, score
from models.training.settings import TrainSettings
from models.training.split import Split, split

TOOLS = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: the base (catalog id or folder), the data, and where the adapter goes."""

    model: str
    data: Path
    held_out: Path | None
    out: Path
    settings: TrainSettings
    config: Path | None = None
    resume: bool = False
    name: str = ""
    notes: Callable[[Any, Any], Sequence[str]] | None = None
    """Lines for the card's limits, from the tokenizer and the trained network."""


def train_adapter(job: Job, report: Report, say: Callable[[str], None]) -> AdapterManifest:
    """Write the adapter to `job.out`; returns its manifest. Raises TrainingError, and then writes nothing there."""
    started = time.monotonic()
    base = find_base(job.model, job.config)
    check_rank(base, job.settings.rank)
    check_out(job.out)
    rows = read_rows(job.data)
    held_out = read_rows(job.held_out, prompts_too=True) if job.held_out else None
    parts = split(rows, held_out)
    settings = job.settings.model_copy(update={"target_modules": choose_targets(base, job.settings.target_modules)})
    tokenizer = open_base(base)
    learned, kept, longest = _encode(tokenizer, base, parts, job)
    say(_told(parts, learned, kept, longest))
    work = work_folder(job.out)
    data = DataRef(
        sha256=rows.sha256,
        rows=len(rows.chats),
        learned=len(learned.items),
        tokens=learned.tokens,
        held_out_sha256=held_out.sha256 if held_out else None,
        held_out_rows=len(parts.held_out),
    )
    reference = BaseRef(id=base.id, digest=base.digest)
    fingerprint = {
        "base": reference.model_dump(),
        "data": data.model_dump(),
        "settings": settings.model_dump(mode="json"),
    }
    checkpoint = begin(work, fingerprint, resume=job.resume)
    network = with_lora(base, settings, settings.target_modules)
    best = train(network, learned.items, kept.items, settings, tokenizer.pad_token_id, work, checkpoint, report)
    dtype = _dtype(base)
    round_weights(network, dtype)
    say("scoring the adapter and the base / 正在评估适配器与基础模型")
    scores = _scores(network, tokenizer, kept, parts, settings.batch_tokens)
    notes = job.notes(tokenizer, network) if job.notes else ()
    draft = work / "adapter"
    if draft.exists():
        shutil.rmtree(draft)
    save_weights(network, base.id, dtype, draft)
    manifest = AdapterManifest(
        vertical=settings.vertical,
        base=reference,
        data=data,
        settings=settings,
        best_step=best,
        scores={name: ScoreRef.model_validate(one.as_dict()) for name, one in scores.items()},
        tools={name: version(name) for name in (*TOOLS, *(["bitsandbytes"] if settings.method == "qlora" else []))},
        files={path.name: file_digest(path) for path in sorted(draft.iterdir()) if path.name != CARD},
    )
    facts = {
        "name": job.name or job.out.name,
        "minutes": f"{(time.monotonic() - started) / 60:.1f}",
        "machine": machine(),
        "notes": "".join(f"- {line}\n" for line in notes),
    }
    write_card(draft, base, manifest, facts)
    (draft / "MANIFEST.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    job.out.parent.mkdir(parents=True, exist_ok=True)
    publish(draft, job.out)
    shutil.rmtree(work)
    return manifest


def _encode(tokenizer: Any, base: Base, parts: Split, job: Job) -> tuple[Fitted, Fitted, int]:
    from transformers import AutoConfig

    own = getattr(AutoConfig.from_pretrained(base.folder), "max_position_embeddings", base.context_tokens)
    longest = min(base.context_tokens, own)
    learned = encode_chats(tokenizer, parts.learned, longest, str(job.data))
    return learned, encode_chats(tokenizer, parts.held_out, longest, str(job.held_out or job.data)), longest


def _told(parts: Split, learned: Fitted, kept: Fitted, longest: int) -> str:
    told = f"{len(learned.items)} chats to learn, {len(kept.items)} held out"
    zh = f"训练 {len(learned.items)} 段对话，保留 {len(kept.items)} 段"
    if parts.left_out:
        told += f"; {parts.left_out} left out of training since their prompt is held out"
        zh += f"；{parts.left_out} 段因提示在保留集中而不参与训练"
    if learned.too_long + kept.too_long:
        told += f"; {learned.too_long + kept.too_long} left out as longer than {longest} tokens"
        zh += f"；{learned.too_long + kept.too_long} 段超过 {longest} 个 token 而略去"
    return f"{told} / {zh}"


def _scores(network: Any, tokenizer: Any, kept: Fitted, parts: Split, tokens: int) -> dict[str, Scores]:
    adapter = score(network, tokenizer, kept.items, parts.held_out, tokens)
    with network.disable_adapter():
        alone = score(network, tokenizer, kept.items, parts.held_out, tokens)
    return {"base": alone, "adapter": adapter}


def _dtype(base: Base) -> str:
    from transformers import AutoConfig

    stated = str(AutoConfig.from_pretrained(base.folder).dtype or "float32").removeprefix("torch.")
    return stated if stated in ("bfloat16", "float16") else "float32"
