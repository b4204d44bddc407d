"""What the code behind the endpoints has to know of each: one `Surface` per endpoint, one `answer` for all."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from compliance.guards.turns import Turns
from gateway.surfaces.parts import Unscanned
from gateway.surfaces.shape import Ask, Json, Place
from gateway.surfaces.wire import Wire

if TYPE_CHECKING:
    from compliance.pipeline import Pipeline
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

Event = dict[str, Any]
Kind = Literal["generate", "embed", "tokens"]
Places = Callable[[Json], Iterator[Place]]
Joined = Callable[[Json], list[list[Place]]]
Conversations = Callable[[Json], list[tuple[str, Turns]]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A body as the engine is to get it.

    `paths` says what the caller calls its fields, by prefix; `unscanned` names what is passed on without a scan.
    """

    body: Json
    unscanned: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)


Prepare = Callable[[Json, Unscanned], Prepared]
"""From a well-formed body to the engine's. Raises InvalidRequest for what can't be served here."""

Decode = Callable[[AsyncGenerator[Event], int], AsyncGenerator[Event]]
"""From the engine's events to chat-like ones, which the guards read; the number is the model's context in tokens."""

Rebuild = Callable[[Event, "CheckedRequest", "Pipeline", "RequestEntry"], Event]
"""An answer without text to guard as it comes, built anew from named fields. Raises GatewayError."""


def as_it_is(body: Json, _parts: Unscanned) -> Prepared:
    """A body that goes to the engine as it came."""
    return Prepared(body)


def nothing_joined(_body: Json) -> list[list[Place]]:
    """Texts that have nothing to do with each other."""
    return []


def no_conversations(_body: Json) -> list[tuple[str, Turns]]:
    """Nothing that a guard model would read."""
    return []


@dataclass(frozen=True, slots=True)
class Surface:
    """One endpoint: its path, its request model, where its prompts hold text, how it is asked and answered.

    What is not `billed` holds and costs nothing. `engine_path` is the engine's, where it differs; `stream_options`
    says whether the engine takes OpenAI's there. Scopes of keys are in gateway/tenants/scopes.py.
    """

    endpoint: str
    path: str
    model: type[Ask]
    prompt_places: Places
    joined_places: Joined = nothing_joined
    text_fields: tuple[str, ...] = ()
    conversations: Conversations = no_conversations
    kind: Kind = "generate"
    billed: bool = True
    aliases: tuple[str, ...] = ()
    engine_path: str | None = None
    stream_options: bool = True
    always_usage: bool = False
    prepare: Prepare = as_it_is
    decode: Decode | None = None
    rebuild: Rebuild | None = None
    wire: Callable[[], Wire] = Wire
