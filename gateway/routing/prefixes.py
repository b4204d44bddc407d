"""Which node has the beginning of a conversation in its cache.

Workers share nothing, so a worker that sees a conversation for the first time falls back on a rule on which all
workers agree: a hash of the beginning and of the node's name.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import orjson

MOST_CHARACTERS = 16_384
HOME_CHARACTERS = 1024


class Prefixes:
    """Remembers, for the first 1, 2, 4, … times `step` characters of prompts, which node was asked last."""

    def __init__(self, step: int, most: int) -> None:
        self._step = step
        self._most = most
        self._nodes: OrderedDict[int, str] = OrderedDict()

    def keys(self, model: str, prompt: str) -> list[int]:
        """A key for each beginning of the prompt, longest last."""
        keys: list[int] = []
        length = self._step
        while length <= len(prompt):
            keys.append(hash((model, prompt[:length])))
            length *= 2
        return keys

    def node(self, keys: list[int]) -> str | None:
        """The node that was last asked with the longest known beginning."""
        for key in reversed(keys):
            name = self._nodes.get(key)
            if name is not None:
                return name
        return None

    def remember(self, keys: list[int], node: str) -> None:
        """These beginnings are now in the node's cache."""
        for key in keys:
            self._nodes[key] = node
            self._nodes.move_to_end(key)
        while len(self._nodes) > self._most:
            self._nodes.popitem(last=False)

    def __len__(self) -> int:
        return len(self._nodes)


def home(prompt: str, names: Iterable[str]) -> str | None:
    """The node on which all workers agree for a prompt that is worth caching, None for a short one."""
    if len(prompt) < HOME_CHARACTERS:
        return None
    start = zlib.crc32(prompt[:HOME_CHARACTERS].encode("utf-8", "surrogatepass"))
    return max(names, key=lambda name: zlib.crc32(name.encode(), start), default=None)


def rendered(body: dict[str, Any]) -> str:
    """The beginning of a prompt, in the order in which chat templates write it: tools, system, turns."""
    parts = [orjson.dumps(body["tools"]).decode()] if body.get("tools") else []
    size = len(parts[0]) if parts else 0
    source = body.get("messages") or body.get("prompt") or body.get("input") or ""
    for piece in source if isinstance(source, list) else [source]:
        text = piece if isinstance(piece, str) else _said(piece)
        parts.append(text)
        size += len(text)
        if size >= MOST_CHARACTERS:
            break
    return "\n".join(parts)[:MOST_CHARACTERS]


def _said(message: Any) -> str:
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(one.get("text") or "" for one in content if isinstance(one, dict))
    return f"{message.get('role', '')}:{content or ''}"
