"""What every test may rely on: no network, one thread a process, real data where it lies."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# Before any test imports torch or a Hub client.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import pytest
import quick_retries  # noqa: F401  # failed calls are made again at once
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# A loaded machine must not fail a property for being slow.
settings.register_profile("prism", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("prism")
# Hypothesis would read every module of ours for numbers and words to try: twenty seconds in a fresh clone, and a test
# would draw otherwise whenever another file changes.
providers._get_local_constants = lambda: providers._local_constants


_left_alone: set[str] = set()
"""Modules that were loaded when the garbage collector was last told to leave alone what there is."""


def _leave_alone() -> None:
    """Let the garbage collector leave alone what is loaded by now.

    Each training collects, and so do statsmodels and torch's profiler: for half a second with all libraries loaded.
    """
    _left_alone.update(sys.modules)
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    _leave_alone()


def pytest_runtest_logfinish() -> None:
    if len(sys.modules) > len(_left_alone) + 100:  # the test was the first to need a library
        _leave_alone()


REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies write no page: for tests that do not look at it. Its figures are most of the time of a small study."""
    monkeypatch.setattr("alignment_prism.studies.run.write_study_report", lambda *_: None)


@pytest.fixture
def own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are taken back after it."""
    from alignment_prism.training import METHODS

    monkeypatch.setattr(METHODS, "_methods", dict(METHODS))
    monkeypatch.setattr(METHODS, "_registered", frozenset())


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of public data sets, `PRISM_REALDATA` or `../shared/data`; the test is skipped without it."""
    folder = Path(os.environ.get("PRISM_REALDATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent; set PRISM_REALDATA to a folder that has it")
    return folder
