"""Hiding modules while Presidio is imported: undone whatever happens, and no other thread notices."""

import importlib
import subprocess
import sys
from threading import Thread

import pytest

from compliance.pii.slim_import import without

SPARE = "colorsys"  # a small module of the standard library that nothing here needs


def test_hidden_inside_and_importable_afterwards_even_after_a_fault() -> None:
    sys.modules.pop(SPARE, None)
    finders = list(sys.meta_path)
    with pytest.raises(ModuleNotFoundError, match=SPARE), without(SPARE):
        importlib.import_module(SPARE)
    assert sys.meta_path == finders
    assert importlib.import_module(SPARE).__name__ == SPARE


def test_other_threads_still_import_it() -> None:
    sys.modules.pop(SPARE, None)
    seen: list[str] = []
    with without(SPARE):
        thread = Thread(target=lambda: seen.append(importlib.import_module(SPARE).__name__))
        thread.start()
        thread.join()
    assert seen == [SPARE]


def test_presidio_comes_without_torch_and_without_a_warning() -> None:
    code = (
        "import sys\n"
        "from compliance.build import build_pipeline, shipped_settings\n"
        "build_pipeline(shipped_settings()).warm_up()\n"
        "assert 'presidio_analyzer' in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
