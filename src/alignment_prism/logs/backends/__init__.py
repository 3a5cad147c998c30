"""Readers of logs that need the harness's own library."""
