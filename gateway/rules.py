"""The rules in force: which policy a request has, and new rule files taken over while requests run.

A request keeps the pipeline it began with, so a swap drops nothing and changes no open stream. Rule files that cannot
be used leave the old rules in force; the log says which file, line and field.
"""

import asyncio
import gc
import hashlib
import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from compliance.build import build_rules, rule_files
from compliance.rulebook import EffectiveRules, Layers, RuleBook
from compliance.verdict import RulesError
from configs.schema import ComplianceSettings
from gateway.background import Background
from gateway.errors import PolicyUnavailable
from gateway.tenants.keys import Caller

log = logging.getLogger("opcgate.rules")

GIVE_WAY_SECONDS = 0.0005
"""While 20,000 terms were compiled, the event loop's median wait fell from 15 to 6 ms, the longest by half."""

Build = Callable[[ComplianceSettings], RuleBook]


class Rules:
    """The rule book in force, and the watch over the files it was read from."""

    def __init__(self, settings: ComplianceSettings, *, build: Build = build_rules) -> None:
        """Read and compile the rules. Raises RulesError."""
        self._settings = settings
        self._build = build
        self._files = FileDigests()
        first = self._files.of(rule_files(settings))
        self._book = self._load(())
        # A file that was written while it was read is read again at the first look.
        self._seen = self._fingerprint() if self._files.of(rule_files(settings)) == first else ""
        self._asked = asyncio.Event()
        self._background = Background()
        self.problem: str | None = None
        self.reloads = 0

    @property
    def default(self) -> EffectiveRules:
        """The rules of a request that neither its model, its tenant nor its key has a policy for."""
        return self._book.rules()

    def warm_up(self) -> None:
        """Load now what would otherwise be loaded at the first finding."""
        _warm_up(self._book)

    async def of(self, caller: Caller, model: str) -> EffectiveRules:
        """The rules of one request. Raises PolicyUnavailable: without its policy a request is not served."""
        tenants = caller.tenant_policy or self._settings.tenants.get(caller.tenant or "")
        names = (self._settings.models.get(model), tenants, caller.policy)
        layers = tuple(name for name in names if name)
        book = self._book
        ready = book.ready(layers)
        if ready is not None:
            return ready
        try:
            return await asyncio.to_thread(_compile, book, layers)
        except RulesError as error:
            log.error("key %s cannot be served: %s", caller.key_id, error)
            raise PolicyUnavailable(
                "The policy of this key or model can't be used; ask the operator. 策略不可用，请联系运营方。"
            ) from error

    def start(self) -> None:
        """Watch the rule files from now on; SIGHUP asks for a look at once. Call inside the event loop."""
        self._background.start(self._watch(), "rules")
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.look_now)

    def look_now(self) -> None:
        """Look at the rule files now, and try again what failed before."""
        self._asked.set()

    async def close(self) -> None:
        """Stop watching."""
        if self._background.started and threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        await self._background.close()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reload_interval_seconds):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            await self._take_over_changes(again=asked)

    async def _take_over_changes(self, *, again: bool) -> None:
        """Build from changed files beside the rules in force, and swap when that succeeds."""
        found = await asyncio.to_thread(self._fingerprint)
        if found == self._seen and not (again and self.problem):
            return
        try:
            book = await asyncio.to_thread(self._load_beside, self._book.known_layers())
        except Exception as error:
            if await asyncio.to_thread(self._fingerprint) == found:  # else somebody is still writing: look again
                self._seen = found
                self.problem = str(error)
                log.error("the old rules stay, the new ones can't be used: %s", error, exc_info=_unless_ours(error))
            return
        if await asyncio.to_thread(self._fingerprint) != found:
            return
        old, self._book = self._book, book
        self._seen = found
        self.problem = None
        self.reloads += 1
        # Like what start-up makes, the new rules stay: a full collection that walks them would stop every stream.
        gc.freeze()
        log.info("rules %s took over from %s", book.rules().pipeline.version, old.rules().pipeline.version)

    def _load(self, used: tuple[Layers, ...]) -> RuleBook:
        """A new book, with every policy checked and everything compiled that is known to be needed."""
        book = self._build(self._settings)
        book.check_policies()
        for layers in dict.fromkeys(((), *((name,) for name in self._settings.models.values()))):
            book.rules(layers)
        for name in self._settings.tenants.values():
            book.policy((name,))
        for layers in used:
            with suppress(RulesError):  # a policy that was taken away; whoever still names it is refused
                book.rules(layers)
        if used:
            _warm_up(book)
        return book

    def _load_beside(self, used: tuple[Layers, ...]) -> RuleBook:
        """`_load` in a thread that gives way to the event loop more often than Python's threads do by themselves."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(GIVE_WAY_SECONDS)
        try:
            return self._load(used)
        finally:
            sys.setswitchinterval(usual)

    def _fingerprint(self) -> str:
        return self._files.of((*rule_files(self._settings), *self._book.policy_files()))


class FileDigests:
    """Digests of files' contents; a file whose size and times stay the same is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], bytes]] = {}

    def of(self, paths: tuple[Path, ...]) -> str:
        """One digest of all these files and their names. A file that cannot be read counts as such."""
        whole = hashlib.sha256()
        for path in sorted(set(paths)):
            whole.update(str(path).encode() + b"\0" + self._digest(path))
        return whole.hexdigest()

    def _digest(self, path: Path) -> bytes:
        try:
            about = path.stat()
            marks = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
            known = self._known.get(path)
            if known is None or known[0] != marks:
                known = self._known[path] = (marks, hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            return b"cannot be read"
        return known[1]


def _compile(book: RuleBook, layers: Layers) -> EffectiveRules:
    rules = book.rules(layers)
    rules.pipeline.warm_up()
    return rules


def _warm_up(book: RuleBook) -> None:
    for layers in book.known_layers():
        book.rules(layers).pipeline.warm_up()


def _unless_ours(error: Exception) -> BaseException | None:
    """A traceback helps with what we did not foresee; an error in a rule file says all there is to say."""
    return None if isinstance(error, RulesError) else error
