"""The training loop: transformers' Trainer on batches cut by tokens, with early stop and checkpoints."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.starter.encoding import Encoded
from models.starter.training import make_batches
from models.training.base import bf16
from models.training.checkpoints import COMPLETE, best_of, stopped_early
from models.training.settings import TrainSettings

# On a busy machine the threads of a small network wait for each other in every operation: measured on two shared
# cores, a step of the starter took one second with one thread and more than ten with two.
ONE_THREAD_BELOW = 50_000_000

Report = Callable[[int, int, float | None, float | None], None]
"""Called with step, steps, and the training or held-out loss where one is new."""


def train(
    network: Any,
    learned: Sequence[Encoded],
    held_out: Sequence[Encoded],
    settings: TrainSettings,
    pad: int,
    work: Path,
    checkpoint: Path | None,
    report: Report,
) -> int:
    """Train in place and leave the best weights in the network; returns the step that they are of."""
    from peft import load_peft_weights, set_peft_model_state_dict

    if checkpoint and stopped_early(checkpoint, settings.patience):
        best = best_of(checkpoint)
        set_peft_model_state_dict(network, load_peft_weights(str(best), device="cpu"))
        return int(best.name.rpartition("-")[2])
    trainer = _trainer(network, learned, held_out, settings, pad, work, report)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return int(trainer.state.best_global_step or trainer.state.global_step)


def _trainer(
    network: Any,
    learned: Sequence[Encoded],
    held_out: Sequence[Encoded],
    settings: TrainSettings,
    pad: int,
    work: Path,
    report: Report,
) -> Any:
    import torch
    from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments

    cuda = torch.cuda.is_available()
    if not cuda and sum(p.numel() for p in network.parameters()) < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    rng = random.Random(settings.seed)  # noqa: S311 - the same seed has to give the same batches
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        # An item of the data set is already a batch of rows of similar length.
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,  # below one: a share of all steps
        adam_beta2=0.98,
        max_grad_norm=1.0,
        use_cpu=not cuda,
        bf16=bf16(),
        gradient_checkpointing=cuda,
        gradient_checkpointing_kwargs={"use_reentrant": False} if cuda else None,
        eval_strategy="steps",
        eval_steps=settings.eval_every,
        save_strategy="steps",
        save_steps=settings.eval_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        logging_steps=10,
        seed=settings.seed,
        data_seed=settings.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=make_batches(learned, settings.batch_tokens, rng),
        eval_dataset=make_batches(held_out, settings.batch_tokens, rng),
        data_collator=lambda items: padded(items[0], pad),
        callbacks=[EarlyStoppingCallback(settings.patience), _watch(report)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def padded(batch: Sequence[Encoded], pad: int) -> dict[str, Any]:
    """One batch as tensors; what is not learned, padding included, has the label that losses leave out."""
    import torch

    width = max(len(one.ids) for one in batch)

    def filled(rows: list[list[int]], with_: int) -> Any:
        return torch.tensor([row + [with_] * (width - len(row)) for row in rows])

    return {
        "input_ids": filled([list(one.ids) for one in batch], pad),
        "attention_mask": filled([[1] * len(one.ids) for one in batch], 0),
        "labels": filled(
            [[i if learn else -100 for i, learn in zip(one.ids, one.learn, strict=True)] for one in batch], -100
        ),
    }


def _watch(report: Report) -> Any:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Tells about progress, and marks checkpoints that are whole."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
            report(state.global_step, state.max_steps, logs.get("loss"), logs.get("eval_loss"))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    return Watch()
