"""Inheritance: which files a policy is made of, and what they come to together."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from compliance.policies.files import Known, PolicyFile, field_error, read_policy
from compliance.policies.policy import DEFAULT_LEAVES, Policy
from compliance.verdict import Action, RulesError

SUFFIX = ".yaml"
DEFAULT = "default"
BASE = "base"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Shelf:
    """The policies of some folders, by file name without `.yaml`; the first folder that has a name wins.

    `default` is the file that `extends: default` means.
    """

    def __init__(self, folders: Iterable[Path], default: Path, known: Known) -> None:
        self._default = default
        self._folders = tuple(dict.fromkeys(folders))
        self._known = known
        self._read: dict[Path, PolicyFile] = {}

    def paths(self) -> dict[str, Path]:
        """Every policy by name."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                found.setdefault(path.stem, path)
        return found

    def stack(self, layers: Sequence[str]) -> Policy:
        """The policy that results when each layer's file is laid over the ones before it, with all they extend.

        A file that an earlier layer brought along is not laid twice. A layer that extends nothing starts anew.
        Raises RulesError with file and field.
        """
        files: list[PolicyFile] = []
        for layer in layers:
            chain = self._chain(self._default if layer == DEFAULT else self._find(layer))
            if files and chain[0] is not files[0]:
                files.clear()
            files += [file for file in chain if file not in files]
        leaves = {leaf: value for file in files for leaf, value in file.leaves.items()}
        sources = {leaf: file.name for file in files for leaf in file.leaves}
        policy = Policy(">".join(file.name for file in files), leaves, sources)
        _reject_incomplete(files, policy)
        return policy

    def used(self) -> tuple[Path, ...]:
        """Every file that was read so far."""
        return tuple(self._read)

    def _chain(self, path: Path) -> list[PolicyFile]:
        """A file and all that it extends, the root first."""
        chain = [self._file(path)]
        while (wanted := chain[0].extends) is not None:
            parent = self._file(self._parent(chain[0], wanted))
            if parent in chain:
                circle = " -> ".join(one.name for one in [*reversed(chain), parent])
                raise field_error(chain[0].path, ("extends",), f"goes in a circle: {circle}", f"循环继承：{circle}")
            chain.insert(0, parent)
        return chain

    def _parent(self, child: PolicyFile, wanted: str) -> Path:
        """The file that is extended: one beside the child, else one of the folders; never the child itself.

        The default policy itself may say `extends: default` and gets `base`, so that it can be tried alone.
        """
        if wanted == DEFAULT and self._default != child.path:
            return self._default
        name = BASE if wanted == DEFAULT else wanted
        found = self._locate(name, (child.path.parent, *self._folders), but=child.path)
        if found is None:
            raise field_error(child.path, ("extends",), *self._missing(wanted))
        return found

    def _find(self, name: str) -> Path:
        found = self._locate(name, self._folders)
        if found is None:
            raise RulesError(*self._missing(name))
        return found

    def _locate(self, name: str, folders: tuple[Path, ...], but: Path | None = None) -> Path | None:
        if not NAME.fullmatch(name):
            return None
        candidates = (folder / f"{name}{SUFFIX}" for folder in folders)
        return next((path for path in candidates if path != but and path.is_file()), None)

    def _missing(self, name: str) -> tuple[str, str]:
        """That there is no such policy, and which there are, in English and Chinese."""
        names = ", ".join((DEFAULT, *self.paths()))
        return f"no policy is called {name!r}; there are {names}", f"没有名为 {name!r} 的策略；现有：{names}"

    def _file(self, path: Path) -> PolicyFile:
        if path not in self._read:
            self._read[path] = read_policy(path, self._known)
        return self._read[path]


def _reject_incomplete(files: list[PolicyFile], policy: Policy) -> None:
    """What a policy must say, itself or by inheritance, and what its actions need."""
    root = files[0].path
    for leaf in (*DEFAULT_LEAVES, ("placeholders", "keyword")):
        if leaf not in policy.leaves:
            raise field_error(
                root,
                leaf,
                "Field required; say it here or extend a policy that does",
                "必填；请写明，或继承含有它的策略",
            )
    by_name = {file.name: file.path for file in files}
    for leaf, value in policy.leaves.items():
        if value is Action.substitute and policy.answers is None:
            raise field_error(
                by_name[policy.sources[leaf]],
                leaf,
                "'replace' needs a set answer; give answers.default with zh and en",
                "“replace” 需要预设回答，请填写 answers.default 的 zh 与 en",
            )
        if leaf[0] == "answers" and (*leaf[:-1], "en" if leaf[-1] == "zh" else "zh") not in policy.leaves:
            raise field_error(by_name[policy.sources[leaf]], leaf, "give both zh and en", "请同时给出 zh 与 en")
