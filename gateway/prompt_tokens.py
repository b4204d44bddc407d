"""The real number of a prompt's tokens: a model's own tokenizer and chat template, loaded once."""

import hashlib
import json
import logging
import re
import secrets
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

from gateway.chat_template import ChatTemplate
from models.catalog import ROOT, ServedModel

log = logging.getLogger("opcgate.tokens")
REMEMBERED = 20_000
BOS_LIKE = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")


def load_prompt_tokens(model: ServedModel) -> "PromptTokens | None":
    """The tokenizer of a model's base, from its local folder or the hub's cache; None when it isn't on this machine."""
    source = model.base.source
    files = {name: _local(source.path, source.huggingface, source.revision, name) for name in FILES}
    tokenizer = files["tokenizer.json"]
    if tokenizer is None:
        return None
    try:
        return PromptTokens(tokenizer, files["tokenizer_config.json"], files["chat_template.jinja"])
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exception
        log.warning("model %s: its tokenizer can't be used (%s)", model.base.id, type(error).__name__)
        return None


FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def _local(path: Path | None, huggingface: str | None, revision: str | None, name: str) -> Path | None:
    if path is not None:
        found = ROOT / path / name
        return found if found.is_file() else None
    if huggingface is None:
        return None
    cached = try_to_load_from_cache(huggingface, name, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


class PromptTokens:
    """Counts the prompts of one base model. Pieces between special tokens are counted once and remembered.

    What is remembered is a number under a keyed hash, never a text.
    """

    def __init__(self, tokenizer: Path, config: Path | None = None, template: Path | None = None) -> None:
        raw = tokenizer.read_text(encoding="utf-8")
        self._tokenizer = Tokenizer.from_str(raw)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        settings = json.loads(config.read_text(encoding="utf-8")) if config else {}
        source = template.read_text(encoding="utf-8") if template else settings.get("chat_template")
        special = {name: _token(settings[name]) for name in BOS_LIKE if settings.get(name)}
        self._template = ChatTemplate(source, special) if isinstance(source, str) else None
        self._marks = _marks(json.loads(raw))
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()  # long prompts are counted in other threads

    def count(self, body: dict[str, Any]) -> tuple[list[int], bool]:
        """The tokens of each prompt of a request, and whether the engine would count the same."""
        if "messages" in body:
            return self._chat(body)
        texts = body.get("prompt") or body.get("input") or ""
        counts = [self._whole(one) for one in ([texts] if isinstance(texts, str) else texts) if isinstance(one, str)]
        return counts or [0], not body.get("suffix") and len(counts) > 0

    def count_text(self, text: str) -> int:
        """The tokens of a text that a model wrote."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _chat(self, body: dict[str, Any]) -> tuple[list[int], bool]:
        if self._template is None:
            return [self._as_json(body)], False
        try:
            text, exact = self._template.render(body)
        except Exception:  # noqa: BLE001 - templates call what callers send, and so raise anything
            # The engine will refuse it with the template's own reason, or else it is paid.
            return [self._as_json(body)], False
        return [self._count(text)], exact

    def _as_json(self, body: dict[str, Any]) -> int:
        """About the tokens of a chat that no template renders here."""
        return self._count(json.dumps([body["messages"], body.get("tools")], ensure_ascii=False))

    def _whole(self, text: str) -> int:
        """A prompt that is no chat gets the tokenizer's own special tokens around it."""
        return len(self._tokenizer.encode(text, add_special_tokens=True))

    def _count(self, text: str) -> int:
        if self._marks is None:
            return self._remembered_count(text)
        pieces = self._marks.split(text)
        return len(pieces) - 1 + sum(self._remembered_count(one) for one in pieces if one)

    def _remembered_count(self, text: str) -> int:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
        known = self._remembered.get(key)
        if known is None:
            known = len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])
            with self._lock:
                self._remembered[key] = known
                if len(self._remembered) > REMEMBERED:
                    self._remembered.popitem(last=False)
        return known


def _token(value: Any) -> str:
    return str(value["content"]) if isinstance(value, dict) else str(value)


def _marks(tokenizer: dict[str, Any]) -> re.Pattern[str] | None:
    """Where a text may be split without changing its tokens: at added tokens, unless a piece's tokens depend on where
    it stands (tokenizers that put something before the first word)."""
    parts = json.dumps([tokenizer.get("pre_tokenizer"), tokenizer.get("normalizer")])
    if "Metaspace" in parts or "Prepend" in parts or '"add_prefix_space": true' in parts:
        return None
    added = tokenizer.get("added_tokens") or ()
    plain = [one for one in added if not (one["normalized"] or one["lstrip"] or one["rstrip"] or one["single_word"])]
    if not plain or len(plain) != len(added):
        return None
    longest_first = sorted((one["content"] for one in plain), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))
