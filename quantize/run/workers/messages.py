"""What a run and its worker say to each other: one JSON object a line, each a dataclass below.

The worker says Hello, is given one Job, and answers with Progress and Alive, then with one Result or Failed.
Only the standard library is used here, because the worker's environment has nothing else of ours.
"""

import json
import types
import typing
from dataclasses import asdict, dataclass, fields

PROTOCOL = 1


class MessageError(Exception):
    """A line that is none of the messages below."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker is there: what it speaks, and the versions of the tools that shape its result."""

    protocol: int
    tools: dict[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """What to quantize. `tokens_file` holds one JSON list of token ids a line; `out` is an empty folder."""

    protocol: int
    scheme: str
    base: str
    out: str
    tokens_file: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` steps of a stage are behind us; a total of 0 is unknown."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Alive:
    """Sent every few seconds; the processor seconds that the worker has used tell work from a hang."""

    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """The folder is written. `settings` is what the tool was told, as it understood it."""

    device: str
    settings: dict[str, object]


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work: `kind` is one of disk-full, out-of-memory, protocol, error."""

    kind: str
    why: str


Message = Hello | Job | Progress | Alive | Result | Failed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in typing.get_args(Message)}


def encode(message: Message) -> str:
    """One line, its end included."""
    content = {"message": type(message).__name__, **asdict(message)}
    return json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n"


def decode(line: str) -> Message:
    """The message of one line. Raises MessageError unless every field is there, with the right type, and no other."""
    try:
        content = json.loads(line)
    except ValueError:
        raise MessageError("not JSON") from None
    if not isinstance(content, dict) or content.get("message") not in _KINDS:
        raise MessageError("no known message")
    kind = _KINDS[content.pop("message")]
    wanted = typing.get_type_hints(kind)
    if set(content) != {one.name for one in fields(kind)}:
        raise MessageError(f"{kind.__name__}: fields {sorted(content)} instead of {sorted(wanted)}")
    for name, value in content.items():
        if not _fits(value, wanted[name]):
            raise MessageError(f"{kind.__name__}.{name}: not {wanted[name]}")
    return kind(**content)


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(wanted))
    plain = typing.get_origin(wanted) or wanted
    if isinstance(value, bool):
        return plain is bool
    if plain is float:
        return isinstance(value, int | float)
    return isinstance(plain, type) and isinstance(value, plain)
