"""Answers from the starter model through transformers, in batches and greedily, for evaluation without an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the model said, and whether it ended by itself."""

    text: str
    stopped: bool


@dataclass(frozen=True)
class LocalModel:
    """A tokenizer and its network, loaded from a folder, with an optional LoRA adapter."""

    tokenizer: Any
    network: Any

    def answer(self, prompts: Sequence[str], longest: int = 256, batch: int = 32) -> list[Answer]:
        """Greedy answers, in the order of the prompts."""
        return self.answer_chats([[{"role": "user", "content": p}] for p in prompts], longest, batch)

    def answer_chats(self, chats: Sequence[list[dict[str, Any]]], longest: int = 256, batch: int = 32) -> list[Answer]:
        """Greedy answers to whole conversations, in their order."""
        texts = [
            str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)) for chat in chats
        ]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            said = self._answer_batch([texts[i] for i in chosen], longest)
            answers.update(zip(chosen, said, strict=True))
        return [answers[i] for i in range(len(texts))]

    def _answer_batch(self, texts: Sequence[str], longest: int) -> list[Answer]:
        import torch

        inputs = self.tokenizer(
            list(texts),
            return_tensors="pt",
            padding=True,
            padding_side="left",
            return_token_type_ids=False,
            add_special_tokens=False,
        ).to(self.network.device)
        with torch.inference_mode():
            output = self.network.generate(**inputs, max_new_tokens=longest, do_sample=False)
        said = output[:, inputs["input_ids"].shape[1] :]
        end = self.tokenizer.eos_token_id
        return [
            Answer(self.tokenizer.decode(ids, skip_special_tokens=True).strip(), bool((ids == end).any()))
            for ids in said
        ]


def load_local(folder: Path, adapter: Path | None = None) -> LocalModel:
    """The model in a folder, in float32 so that every CPU gives the same answers."""
    import torch
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, adapter)
    network.eval()
    return LocalModel(tokenizer, network)
