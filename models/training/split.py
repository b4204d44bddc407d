"""Which chats are learned and which are held out; no prompt is in both."""

from dataclasses import dataclass

from models.training.errors import TrainingError
from models.training.rows import Chat, Rows, prompts

FEWEST = 20
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """Chats to learn, chats held out, and how many were left out of training since their prompt is held out."""

    learned: tuple[Chat, ...]
    held_out: tuple[Chat, ...]
    left_out: int = 0


def split(rows: Rows, held_out: Rows | None) -> Split:
    """Divide the rows: by a file of held-out chats, or else a tenth by the digests of the prompts.

    A prompt's digest decides alone, so a row stays on its side however the file grows. Raises TrainingError when
    too few are left to learn from.
    """
    if held_out is None:
        digests = set(prompts(rows.chats))
        kept = {d for d in digests if int(d[:8], 16) < HELD_OUT_SHARE * 2**32} or set(sorted(digests)[:1])
        learned = tuple(c for c in rows.chats if c.prompt_digest not in kept)
        parts = Split(learned, tuple(c for c in rows.chats if c.prompt_digest in kept))
    else:
        kept = set(prompts(held_out.chats))
        learned = tuple(c for c in rows.chats if c.prompt_digest not in kept)
        parts = Split(learned, held_out.chats, len(rows.chats) - len(learned))
    if len(learned) < FEWEST:
        raise TrainingError(
            f"{rows.path}: only {len(learned)} chats to learn from besides the held-out ones; give at least {FEWEST}.",
            f"除保留的评估对话外只有 {len(learned)} 段对话可供训练，至少需要 {FEWEST} 段。",
        )
    if held_out and not any(c.answered for c in held_out.chats):
        raise TrainingError(
            f"{held_out.path}: no chat has an assistant turn; add answers to measure the loss on.",
            "评估文件中没有助手回答，请补充用于计算损失的回答。",
        )
    return parts
