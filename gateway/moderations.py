"""The free check: `/v1/moderations` in OpenAI's shape, with the spans and reasons behind each category.

It asks no node, so it works while none is ready. What it finds is recorded and has no consequences for the key.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compliance.pipeline import Pipeline
from compliance.verdict import ScannerError, Verdict
from configs.schema import ModerationSettings
from gateway.call import Call
from gateway.chat import Gateway
from gateway.errors import ScanFailed
from gateway.limits.places import Places
from gateway.moderation_categories import Categories
from gateway.prompt import INLINE_CHARS
from gateway.record import RequestEntry
from gateway.request import checked_body
from gateway.scan_turns import Steps, all_of
from gateway.settling import settled
from gateway.surfaces.moderations import ModerationRequest, Texts, texts_of
from gateway.tenants.scopes import check_scope
from gateway.upstream import Event

MODEL = "opcgate-compliance"
Scores = Callable[[str], Mapping[str, float]]
"""What a classifier gives each risk for a text, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Moderations:
    """What the free check needs besides the gateway, constructed in `build_app`."""

    categories: Categories
    settings: ModerationSettings
    places: Places
    scores: Scores | None = None

    async def answer(self, gateway: Gateway, call: Call, entry: RequestEntry) -> AsyncGenerator[Event]:
        """Judge the texts of one request: one event, the whole answer. Raises GatewayError."""
        async with settled(gateway, entry):
            caller = await gateway.keys.authenticate(call.credentials, call.address)
            entry.of(caller)
            check_scope(caller, entry.endpoint)
            with self.places.reserve(caller):
                texts = await self._texts(call)
                rules = await gateway.rules.of(caller, texts.model or "")
                entry.under(rules)
                steps = self._judged(rules.pipeline, texts, entry)
                short = texts.characters <= INLINE_CHARS
                results = all_of(steps) if short else await gateway.scans.run(caller.holder, steps)
                entry.outcome = "checked"
                yield {"id": "modr-" + entry.id.removeprefix("req_"), "model": MODEL, "results": results}

    async def _texts(self, call: Call) -> Texts:
        request, _ = checked_body(ModerationRequest, await call.read_body())
        return texts_of(
            request,
            max_texts=self.settings.texts_per_request,
            max_characters=self.settings.characters_per_request,
        )

    def _judged(self, pipeline: Pipeline, texts: Texts, entry: RequestEntry) -> Steps[list[dict[str, Any]]]:
        results = []
        for where, text in texts.by_path:
            results.append(self._result(pipeline, texts, where, text, entry))
            yield len(text)
        return results

    def _result(self, pipeline: Pipeline, texts: Texts, where: str, text: str, entry: RequestEntry) -> dict[str, Any]:
        try:
            verdict = pipeline.scan(text, texts.direction)
        except ScannerError as error:
            raise ScanFailed(
                f"The text could not be checked ({error}); nothing was judged. 内容检查失败，未得出结论。"
            ) from error
        entry.cover(where, len(text))
        entry.add_findings(where, verdict.findings)
        return self._described(verdict, self.scores(text) if self.scores else {})

    def _described(self, verdict: Verdict, scores: Mapping[str, float]) -> dict[str, Any]:
        judgement = self.categories.judge(verdict.findings, scores)
        applied = {name: ["text"] if name in judgement.judged else [] for name in judgement.flags}
        return {
            "flagged": judgement.flagged,
            "categories": judgement.flags,
            "category_scores": judgement.scores,
            "category_applied_input_types": applied,
            "findings": [asdict(one) for one in verdict.findings],
            "released": verdict.released,
            "rules": verdict.version,
        }
