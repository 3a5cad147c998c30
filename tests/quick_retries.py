"""Imported, it lets failed calls be made again nearly at once: a run against a failing server is as long as its calls.

How long is paused before a retry is tested for itself (`unit/calls/test_retries.py`).
"""

from alignment_prism.calls import retries

PAUSES = retries.FIRST_PAUSE, retries.FIRST_PAUSE_OF_RATE
"""As they are outside tests."""

retries.FIRST_PAUSE, retries.FIRST_PAUSE_OF_RATE = (seconds / 50 for seconds in PAUSES)
