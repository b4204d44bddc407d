"""Fresh weights that can already copy: two looking-back heads and induction heads, laid down by hand.

Networks this small spend most of a short training finding the circuit "find where this word stood before,
and say what came next". It is known what that circuit looks like, so training starts from it.
"""

from dataclasses import dataclass
from typing import Any

_POSITION_PAIRS = 6  # rotary pairs that turn fast: they tell neighbours apart
_CONTENT_PAIRS = 12  # from this pair on rotation is too slow to disturb a comparison of contents


@dataclass(frozen=True)
class _Frames:
    """Orthonormal directions: `read` compares and copies words, `back[i]` stores the word i + 1 places back."""

    read: Any
    back: tuple[Any, Any]
    speak: tuple[Any, ...]


def lay_copying_heads(network: Any, seed: int) -> None:
    """Write the circuit into the first three layers; the other weights keep their random start."""
    import torch

    hidden, head = network.config.hidden_size, network.config.head_dim
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(hidden, hidden, generator=generator))[0]
    other = torch.linalg.qr(torch.randn(hidden, hidden, generator=generator))[0]
    frames = _Frames(
        read=frame[:head],
        back=(frame[head : 2 * head], frame[2 * head : 3 * head]),
        speak=tuple(other[i * head : (i + 1) * head] for i in range(4)),
    )
    with torch.no_grad():
        embeddings = network.model.embed_tokens.weight
        embeddings.normal_(std=hidden**-0.5, generator=generator)
        embeddings[:, 0] = 0.25  # the same for every word: what a head looks at that only wants a position
        network.model.norm.weight.fill_(2.0)
        layers = network.model.layers
        for distance in (1, 2):
            _look_back(layers[0].self_attn, distance - 1, distance, frames)
        for number, layer in enumerate(layers[1:3]):
            _induce(layer.self_attn, 0, frames.read, frames.back[0], frames.speak[2 * number])
            _induce(layer.self_attn, 1, frames.back[0], frames.back[1], frames.speak[2 * number + 1])


def _look_back(attention: Any, head: int, distance: int, frames: _Frames) -> None:
    """A head that attends `distance` places back and stores that word in its own directions."""
    import math

    import torch

    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    query, key = attention.q_proj.weight, attention.k_proj.weight
    query[rows] *= 0.1
    key[rows] *= 0.1
    theta = float(attention.config.rope_parameters["rope_theta"])
    for pair in range(_POSITION_PAIRS):
        angle = distance * theta ** (-2 * pair / size)
        key[head * size + pair, 0] = 1.0
        query[head * size + pair, 0] = math.cos(angle)
        query[head * size + pair + size // 2, 0] = -math.sin(angle)
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight[:_POSITION_PAIRS] = 2.5
        norm.weight[size // 2 : size // 2 + _POSITION_PAIRS] = 2.5
    attention.v_proj.weight[rows] = frames.read
    attention.o_proj.weight[:, rows] = 0.1 * frames.back[distance - 1].T
    attention.v_proj.weight[rows, 0] = torch.zeros(size)


def _induce(attention: Any, head: int, asks: Any, offers: Any, speak: Any) -> None:
    """A head that finds a place whose stored word equals the asked one, and says the word standing there."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    query, key = attention.q_proj.weight, attention.k_proj.weight
    query[rows] *= 0.1
    key[rows] *= 0.1
    pairs = range(_CONTENT_PAIRS, size // 2)
    for row in [*pairs, *(p + size // 2 for p in pairs)]:
        query[head * size + row] = asks[row]
        key[head * size + row] = offers[row]
        for norm in (attention.q_norm, attention.k_norm):
            norm.weight[row] = 1.5
    attention.v_proj.weight[rows] = speak
    attention.o_proj.weight[:, rows] = 0.2 * speak.T
