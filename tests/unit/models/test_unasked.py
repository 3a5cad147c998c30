"""What libraries say of themselves when they are loaded is not told to users who did not ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import logging
{before}
import alignment_prism.models
import bitsandbytes
ops = logging.getLogger("bitsandbytes.backends.cpu.ops")
ops.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please", "No module named 'kernels'")
ops.warning("what is amiss is told")
"""


@pytest.mark.parametrize(("before", "told"), [("", False), ("logging.basicConfig()", True)])
def test_a_kernel_for_cpus_that_is_not_there_is_told_to_those_alone_who_ask_for_logs(before: str, told: bool) -> None:
    """On CPUs that compute bfloat16 bitsandbytes says it itself when it is loaded, which PEFT does."""
    pytest.importorskip("bitsandbytes")
    command = [sys.executable, "-c", CODE.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ("kernels" in done.stderr) is told
    assert "what is amiss is told" in done.stderr
