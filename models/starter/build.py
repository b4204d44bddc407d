"""Building the starter model from nothing: text, tokenizer, weights, manifest."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.starter.balance import balanced_samples
from models.starter.chat import Sample
from models.starter.corpus import samples
from models.starter.drills import drills
from models.starter.encoding import Encoded, encode_all
from models.starter.network import new_network
from models.starter.polish import final_samples, polish_samples
from models.starter.recipe import Recipe
from models.starter.tokenizer import train_tokenizer
from models.starter.training import Schedule, train
from models.starter.words import any_word_samples

ARTEFACTS_DIR = Path(__file__).parent / "artefacts"
BASE_DIR = ARTEFACTS_DIR / "base"
Report = Callable[[int, int, float], None]


def build_starter(recipe: Recipe, out: Path, report: Report) -> dict[str, Any]:
    """Write tokenizer and weights into `out`; returns what the manifest says about the run."""
    import torch

    torch.set_num_threads(1)
    started = time.monotonic()
    tokenizer = train_tokenizer(_texts(recipe), recipe.vocabulary)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = new_network(recipe, tokenizer).to(device)
    first_stage(recipe, tokenizer, network, report)
    second_stage(recipe, tokenizer, network, report)
    loss = 0.0
    states: list[dict[str, Any]] = []
    # Stages meet in the precision that is saved, so that each can be run by itself.
    network.to(torch.bfloat16).to(torch.float32)
    for stage in (third_stage, fourth_stage, fifth_stage):
        loss = stage(recipe, tokenizer, network, report)
        network.to(torch.bfloat16).to(torch.float32)
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    # Each of the last stages is best at something else; their mean is better than any of them.
    network.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    network.to(torch.bfloat16).save_pretrained(out)
    return {
        "seed": recipe.seed,
        "recipe": recipe.digest(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "final_loss": round(loss, 4),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "device": device.type,
    }


def _texts(recipe: Recipe) -> list[str]:
    chosen: list[Sample] = list(samples(recipe.seed + 1, recipe.tokenizer_samples))
    said = [f"{m.role}\n{m.content}" for s in chosen for m in s.messages]
    # Product names come in title case too, and should not fall into letters there.
    return said + [text.title() for text in said[::3]] + [s.tools_json for s in chosen if s.tools_json]


def first_stage(recipe: Recipe, tokenizer: Any, network: Any, report: Report) -> float:
    """Learn to copy and to answer; the schedule is cut where the second stage takes over."""
    data = list(encode_all(tokenizer, samples(recipe.seed, recipe.samples), recipe.longest_sample))
    data += drills(tokenizer, recipe.seed, recipe.drills)
    plan = replace(schedule(recipe), stop_after=recipe.first_stage_batches)
    return train(network, data, plan, tokenizer.pad_token_id, report)


def second_stage(recipe: Recipe, tokenizer: Any, network: Any, report: Report) -> float:
    """Forget the drills, and learn looser requests; at a lower rate."""
    chosen = polish_samples(recipe.seed + 2, recipe.second_stage_samples)
    return _later_stage(recipe, chosen, recipe.second_stage_rate_share, tokenizer, network, report)


def third_stage(recipe: Recipe, tokenizer: Any, network: Any, report: Report) -> float:
    """Copy unusual words without slips, and tell harmless questions from harmful ones."""
    chosen = final_samples(recipe.seed + 3, recipe.third_stage_samples)
    return _later_stage(recipe, chosen, recipe.third_stage_rate_share, tokenizer, network, report)


def fourth_stage(recipe: Recipe, tokenizer: Any, network: Any, report: Report) -> float:
    """Copy any token whatever, also those that no generated text happens to use."""
    chosen = final_samples(recipe.seed + 4, recipe.fourth_stage_samples)
    extra = any_word_samples(tokenizer, recipe.seed, recipe.fourth_stage_any_word_samples)
    return _later_stage(recipe, chosen, recipe.fourth_stage_rate_share, tokenizer, network, report, extra)


def fifth_stage(recipe: Recipe, tokenizer: Any, network: Any, report: Report) -> float:
    """Tell harmful from harmless by content alone."""
    chosen = balanced_samples(recipe.seed + 5, recipe.fifth_stage_samples)
    extra = any_word_samples(tokenizer, recipe.seed + 1, recipe.fifth_stage_any_word_samples)
    return _later_stage(recipe, chosen, recipe.fifth_stage_rate_share, tokenizer, network, report, extra)


def _later_stage(
    recipe: Recipe,
    chosen: Iterable[Sample],
    rate_share: float,
    tokenizer: Any,
    network: Any,
    report: Report,
    extra: Iterable[Encoded] = (),
) -> float:
    data = [*encode_all(tokenizer, chosen, recipe.longest_sample), *extra]
    plan = schedule(recipe)
    plan = replace(
        plan,
        learning_rate=plan.learning_rate * rate_share,
        embedding_learning_rate=plan.embedding_learning_rate * rate_share,
    )
    return train(network, data, plan, tokenizer.pad_token_id, report)


def schedule(recipe: Recipe) -> Schedule:
    """The recipe's training settings."""
    return Schedule(
        tokens_per_batch=recipe.tokens_per_batch,
        learning_rate=recipe.learning_rate,
        embedding_learning_rate=recipe.embedding_learning_rate,
        warmup_share=recipe.warmup_share,
        seed=recipe.seed,
        shards=recipe.shards,
    )
