"""The small parts on their own: the error tree, the SSE decoder, the log-probability hold, request bodies."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.logprobs import LogprobHold
from gateway.request import CHAT, parse_request
from gateway.sse import SSEDecoder
from tests.compliance.helpers import of_terms


def every_error(kind: type[errors.GatewayError] = errors.GatewayError) -> list[type[errors.GatewayError]]:
    return [kind] + [deeper for sub in kind.__subclasses__() for deeper in every_error(sub)]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_openais_body_and_a_status_that_sdks_treat_right(kind: type[errors.GatewayError]) -> None:
    error = kind("why", param="x")
    assert set(json.loads(error.body())["error"]) == {"message", "type", "param", "code"}
    permanent = issubclass(kind, errors.InvalidRequest | errors.Unauthorized | errors.PromptRefused)
    assert (error.status in (408, 409, 429) or error.status >= 500) != permanent
    assert kind.__name__ in str(errors.__doc__), "the tree in the module's docstring shows every error"


@given(st.lists(st.text(min_size=1).map(lambda one: json.dumps(one).encode()), max_size=8), st.data())
def test_events_come_whole_out_of_any_split(payloads: list[bytes], data: st.DataObject) -> None:
    separator = data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n"]))
    wire = b"".join(b"data: " + one + separator for one in payloads)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=10)))
    decoder = SSEDecoder()
    chunks = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == payloads
    assert decoder.flush()


def test_a_stream_that_ends_inside_an_event_says_so() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b'data: {"a": 1}\n\n: comment\nevent: x\ndata: {"b"')) == [b'{"a": 1}']
    assert not decoder.flush()


def test_an_endless_event_is_an_error() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    with pytest.raises(ValueError, match="larger"):
        list(decoder.feed(b"data: " + b"x" * 200))


@given(st.text("ab中😀", max_size=30), st.data())
def test_logprobs_leave_with_their_text_and_never_touch_a_masked_span(text: str, data: st.DataObject) -> None:
    size = len(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=6)))
    tokens = [text[start:end] for start, end in zip([0, *cuts], [*cuts, size], strict=True)]
    start = data.draw(st.integers(0, size))
    masked = (start, data.draw(st.integers(start, size)))
    hold, out, fed = LogprobHold(of_terms({})), [], 0
    for number, token in enumerate(tokens):
        fed += len(token)
        decided = data.draw(st.integers(0, fed)) if number < len(tokens) - 1 else size
        decided = size if number == len(tokens) - 1 else (masked[0] if masked[0] < decided < masked[1] else decided)
        hold.decide(decided, (masked,) if number == 0 else ())
        out += hold.feed(token, [(token, number)], final=number == len(tokens) - 1)
    starts = [sum(map(len, tokens[:number])) for number in range(len(tokens))]
    touched = {
        number
        for number, token in enumerate(tokens)
        if starts[number] < masked[1] and masked[0] < starts[number] + max(1, len(token))
    }
    assert out == [number for number in range(len(tokens)) if number not in touched]


def test_logprobs_that_do_not_fit_the_text_are_not_shown() -> None:
    hold = LogprobHold(of_terms({}))
    hold.decide(2, ())
    assert hold.feed("你好", [("<tool>", 1), ("你", 2)], final=False) == []
    hold.decide(3, ())
    assert hold.feed("吗", [("吗", 3)], final=True) == []


def test_what_goes_to_the_engine() -> None:
    body = {
        "model": "public",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": False},
        "store": False,
        "user": "u",
        "temperature": 0.5,
        "seed": None,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    }
    request = parse_request(CHAT, orjson.dumps(body), max_choices=8)
    sent = orjson.loads(request.upstream_body("served@1"))
    kept = {name: body[name] for name in ("messages", "stream", "temperature", "tools", "response_format")}
    usage = {"include_usage": True, "continuous_usage_stats": True}
    assert sent == kept | {"model": "served@1", "stream_options": usage}
    assert not request.include_usage
