"""The official OpenAI Node SDK, run by Node's own test runner against the same gateway."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Served

pytestmark = [pytest.mark.engine, pytest.mark.node]


def test_node_sdk(served: Served) -> None:
    node = Path(sys.executable).parent / "node"  # the pinned Node from the lock, not the machine's
    done = subprocess.run(
        [str(node), "--test", "--test-reporter=tap", "sdk.test.mjs"],
        cwd=ROOT / "tests" / "node",
        env=os.environ | {"OPCGATE_BASE_URL": served.base_url, "OPCGATE_KEY": served.key},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 9" in done.stdout, done.stdout
