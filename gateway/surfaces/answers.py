"""What the endpoints answer, as far as the OpenAPI document tells it. Clients may meet further fields."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="allow")


class MessageErrorContent(Answer):
    """What went wrong, with Anthropic's type; the field and the code are this gateway's own."""

    type: str
    message: str


class MessageError(Answer):
    """Anthropic's error body."""

    type: Literal["error"]
    error: MessageErrorContent
    request_id: str


class Usage(Answer):
    """Tokens of prompt and answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(Answer):
    """The message that answers."""

    role: Literal["assistant"] | None = None
    content: str | None
    tool_calls: list[Json] | None = None


class ChatChoice(Answer):
    """One of the answers."""

    index: int
    message: ChatMessage
    finish_reason: str | None
    logprobs: Json | None = None


class ChatCompletion(Answer):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None = None
    aigc: Json | None = None


class CompletionChoice(Answer):
    """One of the texts."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: Json | None = None


class Completion(Answer):
    """A text completion."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    aigc: Json | None = None


class ResponseUsage(Answer):
    """Tokens of input and output."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: Json
    output_tokens_details: Json


class Response(Answer):
    """A Responses answer."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed", "in_progress"]
    model: str
    output: list[Json]
    usage: ResponseUsage | None
    error: Json | None
    incomplete_details: Json | None
    store: Literal[False]
    tools: list[Json]
    tool_choice: str | Json
    parallel_tool_calls: bool
    aigc: Json | None = None


class MessageUsage(Answer):
    """Tokens in Anthropic's words."""

    input_tokens: int
    output_tokens: int


class MessageAnswer(Answer):
    """An Anthropic message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Json]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage
    aigc: Json | None = None


class TokenCount(Answer):
    """How many tokens a message would have."""

    input_tokens: int


class Embedding(Answer):
    """One vector: numbers, or 32-bit floats in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Answer):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Answer):
    """Vectors in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class Tokens(Answer):
    """Token ids, and their strings where asked for."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None


class Text(Answer):
    """The text of token ids."""

    prompt: str


class Moderation(Answer):
    """The judgement of each input."""

    id: str
    model: str
    results: list[Json]
