"""Import a library without what it would only optionally use."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType


class _Hider(MetaPathFinder):
    """Says to one thread that some modules are not there."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = frozenset(modules)
        self._thread = get_ident()

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self._modules and get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not imported here", name=fullname)
        return None


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make modules that are not loaded yet unimportable in this thread for a while.

    Presidio's libraries import torch and transformers where they are installed, for engines that are not used
    here: that would cost each worker four seconds and 360 MB. Other threads import them meanwhile as ever, and so
    does everyone afterwards; only thinc goes on believing that there is no torch.
    """
    hider = _Hider(modules)
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)
