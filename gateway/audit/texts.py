"""Texts that are kept because the settings say so: prompts as sent, answers as released, encrypted.

A text is bound to the id of its record and to its part, so that no text can be moved to another record. The record
holds the SHA-256 of the ciphertext, and so the chain does.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from configs.sections.audit import AuditSettings, Kept
from gateway.audit.text_keys import KEY, TextDamaged, TextKeys, seal, unseal
from gateway.record import RequestEntry
from gateway.upstream import Event

Part = Literal["prompt", "answer", "text", "detail", "contact"]


@dataclass(frozen=True, slots=True)
class SealedText:
    """A text as it is stored: `owner` is the id of the record, `wrapped` is its own key under the key `key_id`."""

    owner: str
    part: str
    key_id: str
    wrapped: bytes
    sealed: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the ciphertext, hexadecimal."""
        return hashlib.sha256(self.sealed).hexdigest()


def seal_text(keys: TextKeys, owner: str, part: Part, text: bytes) -> SealedText:
    """Encrypt a text for a record."""
    own, bound = secrets.token_bytes(KEY), _bound(owner, part)
    return SealedText(owner, part, keys.newest, keys.wrap(own, bound), seal(own, text, bound))


def open_text(keys: TextKeys, text: SealedText, digest: str | None = None) -> bytes:
    """Decrypt a text; with `digest`, only if its ciphertext has that hash. Raises UnknownTextKey, TextDamaged."""
    if digest is not None and digest != text.digest:
        raise TextDamaged("the text is not the one that was recorded. 文本与记录不符。")
    bound = _bound(text.owner, text.part)
    return unseal(keys.unwrap(text.key_id, text.wrapped, bound), text.sealed, bound)


def rewrap(keys: TextKeys, text: SealedText) -> SealedText:
    """The same text with its key under the newest key. Raises UnknownTextKey, TextDamaged."""
    bound = _bound(text.owner, text.part)
    own = keys.unwrap(text.key_id, text.wrapped, bound)
    return SealedText(text.owner, text.part, keys.newest, keys.wrap(own, bound), text.sealed)


def _bound(owner: str, part: str) -> bytes:
    return f"opcgate-text-v1\0{owner}\0{part}".encode()


class TextKeeper:
    """Decides whose texts are kept. `keys` is None where the settings keep nothing."""

    def __init__(self, settings: AuditSettings, keys: TextKeys | None) -> None:
        self._settings = settings
        self._keys = keys

    def begin(self, body: dict[str, Any], entry: RequestEntry) -> None:
        """Keep the prompt before it is masked, if the rules for this request say so."""
        settings = self._settings
        keep = settings.keep_text_of_tenants.get(
            entry.tenant or "", settings.keep_text_of_policies.get(entry.policy or "", settings.keep_text)
        )
        if self._keys is None or (keep.prompt == "none" and keep.answer == "none"):
            return
        prompt = b"" if keep.prompt == "none" else orjson.dumps(body)
        entry.keeping = Keeping(self._keys, keep.prompt, keep.answer, prompt)


class Keeping:
    """What is being kept of one request."""

    def __init__(self, keys: TextKeys, prompt: Kept, answer: Kept, body: bytes) -> None:
        self._keys = keys
        self._prompt = prompt
        self._answer = answer
        self._body = body
        self._said: dict[str, list[str]] = {}

    def add(self, event: Event) -> None:
        """Note the texts of an event that goes out."""
        if self._answer == "none":
            return
        for choice in event.get("choices") or ():
            for name, text in _texts(choice):
                self._said.setdefault(f"choices.{choice['index']}.{name}", []).append(text)

    def seal(self, entry: RequestEntry) -> tuple[SealedText, ...]:
        """The encrypted texts; their hashes go into the entry's row."""
        texts = []
        flagged = bool(entry.findings)
        if self._body and (self._prompt == "all" or flagged):
            texts.append(seal_text(self._keys, entry.id, "prompt", self._body))
            entry.prompt_text_digest = texts[-1].digest
        if self._said and (self._answer == "all" or flagged):
            answer = orjson.dumps({name: "".join(parts) for name, parts in self._said.items()})
            texts.append(seal_text(self._keys, entry.id, "answer", answer))
            entry.answer_text_digest = texts[-1].digest
        return tuple(texts)


def keeps_text(settings: AuditSettings) -> bool:
    """Whether any of the settings keeps any text."""
    every = (settings.keep_text, *settings.keep_text_of_policies.values(), *settings.keep_text_of_tenants.values())
    return any(one.prompt != "none" or one.answer != "none" for one in every)


def _texts(choice: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if choice.get("text"):
        yield "text", choice["text"]
    message = choice.get("message") or choice.get("delta") or {}
    for name, value in message.items():
        if isinstance(value, str) and value and name != "role":
            yield name, value
    for position, call in enumerate(message.get("tool_calls") or ()):
        function, where = call.get("function") or {}, f"tool_calls.{call.get('index', position)}"
        for name in ("name", "arguments"):
            if function.get(name):
                yield f"{where}.{name}", function[name]
