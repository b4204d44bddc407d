"""The starter's tokenizer: byte-level BPE cut so that a word keeps its tokens wherever it stands."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.starter.products import common_characters

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>")
# One token group per digit, Chinese character and punctuation mark: copying then needs no guess about merges.
_SPLIT = r"\p{N}|\p{Han}| ?[^\s\p{N}\p{P}\p{S}\p{Han}]+| ?[\p{P}\p{S}]|\s"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A `PreTrainedTokenizerFast` with the ChatML template, trained on the texts."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKERS),
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_with_every_common_character(texts), trainer)
    core.add_tokens([AddedToken(m, normalized=False, special=False) for m in MARKERS])
    return _wrap(core)


def _with_every_common_character(texts: Iterable[str]) -> Iterable[str]:
    yield from texts
    # Often enough that each becomes one token even where the generated text never used it.
    for _ in range(150):
        yield common_characters()


def _wrap(core: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START, END],
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
    return tokenizer
