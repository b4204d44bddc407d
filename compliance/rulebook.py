"""One state of all rule files: effective policies and their pipelines, compiled when first asked for."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import get_args

from compliance.matches import Scanner
from compliance.pipeline import Pipeline
from compliance.policies.policy import Policy
from compliance.policies.shelf import DEFAULT, Shelf
from compliance.verdict import Direction

Layers = tuple[str, ...]
"""Names of policies laid over the default one: the model's, the tenant's, the key's, as far as they have one."""

CompileScanners = Callable[[Policy, Direction], Sequence[Scanner]]


@dataclass(frozen=True, slots=True)
class EffectiveRules:
    """What holds for a request: its policy, and the pipeline compiled from it."""

    policy: Policy
    pipeline: Pipeline


class RuleBook:
    """Immutable but for its cache; thread-safe. A changed rule file needs a new book."""

    def __init__(
        self,
        shelf: Shelf,
        compile_scanners: CompileScanners,
        other_rules: str,
        deadline_s: float,
    ) -> None:
        """`other_rules` is a digest of everything besides the policies that decides a verdict."""
        self._shelf = shelf
        self._compile_scanners = compile_scanners
        self._other_rules = other_rules
        self._deadline_s = deadline_s
        self._lock = Lock()
        self._by_layers: dict[Layers, EffectiveRules] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._scanners: dict[tuple[Direction, str], Sequence[Scanner]] = {}

    def ready(self, layers: Layers) -> EffectiveRules | None:
        """The rules of these layers if they are compiled already."""
        return self._by_layers.get(layers)

    def rules(self, layers: Layers = ()) -> EffectiveRules:
        """The rules of these layers; takes a while the first time. Raises RulesError."""
        ready = self._by_layers.get(layers)
        if ready is not None:  # without the lock, which a compilation of other layers may hold for seconds
            return ready
        with self._lock:
            if layers not in self._by_layers:
                policy = self.policy(layers)
                self._by_layers[layers] = EffectiveRules(policy, self._pipeline(policy))
            return self._by_layers[layers]

    def policy(self, layers: Layers = ()) -> Policy:
        """The effective policy of these layers, not compiled. Raises RulesError."""
        return self._shelf.stack((DEFAULT, *layers))

    def known_layers(self) -> tuple[Layers, ...]:
        """Every combination that was asked for so far."""
        return tuple(self._by_layers)

    def check_policies(self) -> None:
        """Read every policy of the folders. Raises RulesError at the first that cannot be used."""
        for name in self._shelf.paths():
            self._shelf.stack((name,))

    def policy_files(self) -> tuple[Path, ...]:
        """Every policy file that can be asked for or was."""
        return tuple(dict.fromkeys((*self._shelf.paths().values(), *self._shelf.used())))

    def _pipeline(self, policy: Policy) -> Pipeline:
        digest = policy.digest()
        if digest not in self._pipelines:
            scanners = {direction: self._compiled(policy, direction) for direction in get_args(Direction)}
            self._pipelines[digest] = Pipeline(
                hashlib.sha256(f"{self._other_rules} {digest}".encode()).hexdigest()[:16],
                scanners,
                self._deadline_s,
                enforce=not policy.dry_run,
                answers=policy.answers,
                placeholder=policy.placeholder,
            )
        return self._pipelines[digest]

    def _compiled(self, policy: Policy, direction: Direction) -> Sequence[Scanner]:
        key = (direction, policy.scanning_digest(direction))
        if key not in self._scanners:
            self._scanners[key] = self._compile_scanners(policy, direction)
        return self._scanners[key]
