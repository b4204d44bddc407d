"""The input side of the pipeline: every string that can reach the model is scanned, masked, or refused."""

import asyncio

from compliance.pipeline import Pipeline
from compliance.verdict import Action, Finding, ScannerError, Verdict
from gateway.errors import InvalidRequest, PromptRefused, ScanFailed
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.surfaces.shape import Place

# Longer prompts are scanned in a thread, so that one of them does not hold up everybody's streams.
INLINE_CHARS = 20_000


async def scan_prompt(pipeline: Pipeline, request: CheckedRequest, entry: RequestEntry) -> Finding | None:
    """Scan all text of a prompt and put masked text in its place.

    Returns the first finding that the policy wants answered by a set answer. Raises PromptRefused when a span is
    blocked and ScanFailed when a scanner fails.
    """
    places = list(request.places())
    if sum(len(place.text) for place in places) > INLINE_CHARS:
        return await asyncio.to_thread(_scan, pipeline, places, entry)
    return _scan(pipeline, places, entry)


def _scan(pipeline: Pipeline, places: list[Place], entry: RequestEntry) -> Finding | None:
    replaced: Finding | None = None
    for place in places:
        try:
            verdict = pipeline.scan(place.text, "prompt", surface="json" if place.kind == "json" else "text")
        except ScannerError as error:
            raise ScanFailed(
                f"The prompt could not be checked ({error}), so it was not sent to the model. "
                "内容检查失败，请求未送达模型。"
            ) from error
        if verdict.findings:
            entry.add_findings(place.param, verdict.findings)
            if pipeline.enforce:
                asked = _act(place, verdict, entry)
                replaced = replaced or asked
    return replaced


def _act(place: Place, verdict: Verdict, entry: RequestEntry) -> Finding | None:
    if verdict.action.stops:
        first = next(one for one in verdict.findings if one.action is verdict.action)
        if verdict.action is Action.substitute:
            return first
        entry.broke_rules("prompt", verdict.action)
        raise PromptRefused(_why(place, first), param=place.param)
    if verdict.action is not Action.mask:
        return None
    if place.kind == "name":
        raise InvalidRequest(
            f"A name in '{place.param}' holds personal information and can't be masked; rename it. 字段名含个人信息。",
            param=place.param,
        )
    place.replace(verdict.released)
    return None


def _why(place: Place, finding: Finding) -> str:
    return (
        f"The prompt was refused by the content policy: {finding.risk} ({finding.type}) in '{place.param}', "
        f"characters {finding.start} to {finding.end}. 提示词违反内容安全策略，请修改后重试。"
    )
