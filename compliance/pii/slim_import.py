"""Import a library without what it would only optionally use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make modules that are not loaded yet unimportable for a while.

    Presidio imports torch and transformers where they are installed, for engines that are not used here:
    that would cost each worker four seconds and 360 MB. A `None` in `sys.modules` is Python's own way to say
    that a module is not there; afterwards they can be imported as before.
    """
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)
