"""The label step: every answer gets its `aigc` object and header, and the visible text where the policy wants it.

The text is put in behind the gate, so nothing scans it away; answers that programs read (tools, JSON) get none inside.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from compliance.labels.answers import answer_texts
from compliance.labels.label import Label
from compliance.labels.labels import Labels, digest_of_texts
from compliance.labels.notice import before_and_after
from configs.schema import LabelPosition, LabelSettings
from gateway.errors import InvalidRequest, LabelAgreementRequired
from gateway.guard import choices_asked
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.surfaces.chat import TEXT_FIELDS
from gateway.tenants.keys import Caller
from gateway.upstream import Event

HEADER = b"x-aigc"
JOINED = 64
Shown = LabelPosition | Literal["none"]


@dataclass(frozen=True, slots=True)
class Labelling:
    """What the gateway labels answers with."""

    labels: Labels
    settings: LabelSettings

    def begin(self, request: CheckedRequest, caller: Caller, entry: RequestEntry) -> "AnswerLabel":
        """The label of the answer to come. Raises LabelAgreementRequired, InvalidRequest for a bad header."""
        return AnswerLabel(self.labels, request, entry, self._position(request, caller, entry))

    def _position(self, request: CheckedRequest, caller: Caller, entry: RequestEntry) -> Shown:
        if entry.label_asked is None:
            chosen = caller.label_position or self.settings.tenants.get(caller.tenant or "", self.settings.position)
            return "corner" if read_by_programs(request.body) else chosen
        if entry.label_asked != "none":
            raise InvalidRequest(
                "The header x-opcgate-label may only be 'none'; leave it out for a labelled answer. "
                "请求头 x-opcgate-label 只能为 none。",
                param="x-opcgate-label",
            )
        agreement = caller.agreement
        if agreement is None or agreement.version != self.settings.agreement_version:
            raise LabelAgreementRequired(
                "Answers without a visible label need a recorded agreement of this key "
                f"(version {self.settings.agreement_version}); ask the operator, or leave x-opcgate-label out. "
                "获取不含显式标识的内容须先签署协议，请联系运营方，或去掉请求头 x-opcgate-label。",
                param="x-opcgate-label",
            )
        entry.label_agreement = agreement.id
        return "none"


def read_by_programs(body: dict[str, Any]) -> bool:
    """True when the answer's text is parsed or pasted into other text, so that a sentence inside would break it."""
    form = body.get("response_format") or (body.get("output_config") or {}).get("format") or {}
    calls = bool(body.get("tools")) and body.get("tool_choice") not in ("none", {"type": "none"})
    return (
        calls or form.get("type", "text") != "text" or any(body.get(name) for name in ("structured_outputs", "suffix"))
    )


class AnswerLabel:
    """Labels one answer: `apply` each event in order, then `finish`."""

    def __init__(self, labels: Labels, request: CheckedRequest, entry: RequestEntry, position: Shown) -> None:
        self._labels = labels
        self._request = request
        self._entry = entry
        self._position: Shown = position
        self._content_id = entry.id.removeprefix("req_")
        text = labels.notice.text(request.model)
        self._before, self._after = ("", "") if position == "none" else before_and_after(position, text)
        self._choices: dict[int, ChoiceText] = {}
        self._open = choices_asked(request.body)
        self._labelled = False
        self._head: Event = {}

    def apply(self, event: Event) -> Sequence[Event]:
        """The event with what the label adds to it; two events where the visible text goes before an ending."""
        if not self._request.stream:
            return (self._whole(event),)
        if self._entry.label_position is None:
            self._announce_stream()
        elif self._goes_on(event):  # most events
            return (event,)
        return self._streamed(event)

    def _announce_stream(self) -> None:
        self._announce(self._labels.produced(self._content_id, None))

    def _goes_on(self, event: Event) -> bool:
        """True for a further piece of one choice's content and nothing else, which has then been taken in."""
        choices = event["choices"]
        if len(choices) != 1 or choices[0]["finish_reason"] is not None:
            return False
        known = self._choices.get(choices[0]["index"])
        if known is None or not known.begun or not known.add_content(choices[0]):
            return False
        self._head = event
        return True

    def _announce(self, label: Label, characters: int = 0) -> None:
        """The header and the record; at the first event, so that only what is answered counts as labelled or not."""
        self._entry.response_headers.append((HEADER, label.json().encode()))
        self._entry.label_position = self._position
        self._entry.label_characters = characters

    def _whole(self, event: Event) -> Event:
        added = 0
        for choice in event["choices"]:
            part, name = (choice, "text") if "text" in choice else (choice["message"], "content")
            if part.get(name):
                part[name] = self._before + part[name] + self._after
                added += len(self._before + self._after)
        label = self._labels.produced(self._content_id, digest_of_texts(answer_texts(event["choices"])))
        self._announce(label, added)
        event["aigc"] = self._object(label)
        return event

    def _streamed(self, event: Event) -> Sequence[Event]:
        self._head = event
        endings, out = [], []
        for choice in event["choices"]:
            known = self._choices.setdefault(choice["index"], ChoiceText(choice["index"]))
            part, name = (choice, "text") if "text" in choice else (choice["delta"], "content")
            if part.get(name) and not known.begun:
                known.begun = True
                part[name] = self._count(self._before) + part[name]
            if choice["finish_reason"] is not None:
                self._open -= 1
                if known.begun and self._after:
                    part[name] = (part.get(name) or "") + self._count(self._after)
                    endings.append(_ending(choice))
            known.add(choice)
        if endings:
            out.append(event)
            event = {**event, "choices": endings}
        if self._open == 0 and not self._labelled:
            event["aigc"] = self._sealed()
        out.append(event)
        return out

    def _count(self, text: str) -> str:
        self._entry.label_characters = (self._entry.label_characters or 0) + len(text)
        return text

    def _sealed(self) -> dict[str, Any]:
        self._labelled = True
        whole = [one.choice() for one in self._choices.values()]
        return self._object(self._labels.produced(self._content_id, digest_of_texts(answer_texts(whole))))

    def _object(self, label: Label) -> dict[str, Any]:
        """The `aigc` object: the label, and for an interface the text to show and where the answer holds it already."""
        out: dict[str, Any] = {"AIGC": label.fields(), "position": self._position}
        if self._position != "none":
            out["notice"] = self._labels.notice.texts(self._request.model)
        return out

    def finish(self) -> Iterator[Event]:
        """The object in an event of its own for a stream whose engine ended some choice without saying so."""
        if self._request.stream and not self._labelled:
            if self._entry.label_position is None:
                self._announce_stream()
            head = {key: value for key, value in self._head.items() if key not in ("choices", "usage")}
            yield {**head, "choices": [], "aigc": self._sealed()}


def _ending(choice: dict[str, Any]) -> dict[str, Any]:
    """What says that the choice is over, taken out of it: the visible text goes before."""
    ending: dict[str, Any] = {"index": choice["index"], "logprobs": None, "finish_reason": choice["finish_reason"]}
    if "text" in choice:
        ending["text"] = ""
    else:
        ending["delta"] = {}
    choice["finish_reason"] = None
    if "stop_reason" in choice:
        ending["stop_reason"] = choice.pop("stop_reason")
    return ending


@dataclass(slots=True)
class Pieces:
    """A text that comes in pieces. They are joined now and then: one character alone takes eighty bytes."""

    _joined: list[str] = field(default_factory=list)
    _last: list[str] = field(default_factory=list)

    def append(self, text: str) -> None:
        """Add what has come."""
        self._last.append(text)
        if len(self._last) == JOINED:
            self._joined.append("".join(self._last))
            self._last.clear()

    def text(self) -> str:
        """All of it."""
        return "".join(self._joined) + "".join(self._last)


@dataclass(slots=True)
class ChoiceText:
    """The texts of one streamed choice, as a whole answer would hold them."""

    index: int
    begun: bool = False
    _texts: defaultdict[str, Pieces] = field(default_factory=lambda: defaultdict(Pieces))
    _calls: dict[int, dict[str, Pieces]] = field(default_factory=dict)

    def add(self, choice: dict[str, Any]) -> None:
        """Take in what an event adds."""
        if "text" in choice:
            self._texts["text"].append(choice["text"])
            return
        delta = choice["delta"]
        for name in TEXT_FIELDS:
            if delta.get(name):
                self._texts[name].append(delta[name])
        for call in delta.get("tool_calls") or ():
            known = self._calls.setdefault(call["index"], {"name": Pieces(), "arguments": Pieces()})
            for name, pieces in known.items():
                pieces.append(call["function"].get(name) or "")

    def add_content(self, choice: dict[str, Any]) -> bool:
        """Take in a piece of a chat's content; False, and nothing is taken in, when there is anything else."""
        delta = choice.get("delta")
        content = delta.get("content") if delta and len(delta) == 1 else None
        if not content:
            return False
        self._texts["content"].append(content)
        return True

    def choice(self) -> dict[str, Any]:
        """The choice as a whole answer's."""
        message: dict[str, Any] = {name: pieces.text() for name, pieces in self._texts.items()}
        message["tool_calls"] = [
            {"function": {name: pieces.text() for name, pieces in call.items()}}
            for _, call in sorted(self._calls.items())
        ]
        return {"index": self.index, "message": message}
