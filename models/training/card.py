"""The card of an adapter, `README.md`: what it is of, what it scored, and what it must not be used for."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from models.training.base import Base
from models.training.manifest import CARD, AdapterManifest

_TEMPLATE = Path(__file__).parent / "card.md"
_ROWS = {
    "loss": ("held-out loss, nats per token (lower is better) / 保留集损失", "{:.3f}"),
    "chrf": ("chrF of answers against references / 与参考回答的 chrF", "{:.1f}"),
    "keywords": ("answers that hold every keyword / 含全部关键词的回答", "{:.1%}"),
}


def write_card(folder: Path, base: Base, manifest: AdapterManifest, facts: Mapping[str, str]) -> None:
    """Fill the template; `facts` are `name`, `minutes`, `machine` and `notes`."""
    settings, data = manifest.settings, manifest.data
    values = dict(facts) | {
        "licence": base.licence.lower() or "other",
        "licence_text": base.licence or "that of the base; ask its maker / 与基础模型相同",
        "vertical": manifest.vertical or "any",
        "base": base.id,
        "base_digest": base.digest,
        "data_digest": data.sha256,
        "rows": str(data.rows),
        "learned": str(data.learned),
        "held_out": str(data.held_out_rows),
        "scores": _table(manifest),
        "method": {"lora": "LoRA", "qlora": "QLoRA (NF4 base)"}[settings.method],
        "rank": str(settings.rank),
        "alpha": str(settings.alpha),
        "modules": ", ".join(settings.target_modules),
        "learning_rate": f"{settings.learning_rate:g}",
        "epochs": str(settings.epochs),
        "seed": str(settings.seed),
        "best_step": str(manifest.best_step),
        "tools": ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    }
    (folder / CARD).write_text(Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")


def _table(manifest: AdapterManifest) -> str:
    before, after = manifest.scores["base"], manifest.scores["adapter"]
    lines = ["| score | base alone | with the adapter |", "|---|---|---|"]
    for name, (title, shape) in _ROWS.items():
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and new is not None:
            lines.append(f"| {title} | {shape.format(old)} | {shape.format(new)} |")
    return "\n".join(lines)
