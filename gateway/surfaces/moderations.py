"""`/v1/moderations`: its request model and the texts to judge."""

from dataclasses import dataclass
from typing import Literal

from pydantic import StrictStr

from compliance.verdict import Direction
from gateway.errors import InvalidRequest
from gateway.surfaces.shape import Json, Shape

ENDPOINT = "moderations"
PATH = "/v1/moderations"


class InputPart(Shape):
    """A part of an input. Images are known so that they can be refused by name."""

    type: Literal["text", "image_url"]
    text: StrictStr | None = None
    image_url: Json | None = None


class ModerationRequest(Shape):
    """The body of a moderation: OpenAI's fields, and in which direction the texts are judged."""

    input: StrictStr | list[StrictStr | InputPart]
    model: StrictStr | None = None
    opcgate_direction: Literal["prompt", "output"] | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be judged: one result for each text, under its path."""

    by_path: tuple[tuple[str, str], ...]
    direction: Direction
    model: str | None

    @property
    def characters(self) -> int:
        """How much there is to scan."""
        return sum(len(text) for _, text in self.by_path)


def texts_of(request: ModerationRequest, *, max_texts: int, max_characters: int) -> Texts:
    """The texts of a request. Raises InvalidRequest for images, mixed lists and what is over the limits."""
    texts = Texts(_by_path(request.input, max_texts), request.opcgate_direction or "output", request.model)
    if texts.characters > max_characters:
        raise InvalidRequest(
            f"The input is over {max_characters} characters; send less at once. 输入过长，请分次发送。",
            param="input",
        )
    return texts


def _by_path(given: str | list[str | InputPart], max_texts: int) -> tuple[tuple[str, str], ...]:
    if isinstance(given, str):
        return (("input", given),)
    if not 1 <= len(given) <= max_texts:
        raise InvalidRequest(f"Send 1 to {max_texts} inputs. 请发送 1 到 {max_texts} 条输入。", param="input")
    if isinstance(given[0], str):
        return tuple((f"input.{number}", _string(one, number)) for number, one in enumerate(given))
    # As at OpenAI, parts are one input with one result.
    return (("input", "\n".join(_text(one, number) for number, one in enumerate(given))),)


def _string(one: str | InputPart, number: int) -> str:
    if isinstance(one, str):
        return one
    raise InvalidRequest(
        f"'input.{number}' is a part among strings; send either strings or parts. 请勿混用字符串与对象。",
        param=f"input.{number}",
    )


def _text(one: str | InputPart, number: int) -> str:
    where = f"input.{number}"
    if isinstance(one, str):
        raise InvalidRequest(
            f"'{where}' is a string among parts; send either strings or parts. 请勿混用字符串与对象。", param=where
        )
    if one.type != "text":
        raise InvalidRequest(
            f"A part of type '{one.type}' can't be checked here; send parts of type 'text' only. "
            "暂不支持检查图片，请仅发送文本。",
            param=f"{where}.type",
        )
    if one.text is None or one.image_url is not None:
        raise InvalidRequest(
            f"A part of type 'text' has a 'text' and nothing else; mend '{where}'. 文本部分只应含 text。",
            param=f"{where}.text",
        )
    return one.text
