"""Results of any harness as our records: prompts, replies, scores, labels."""

from alignment_prism.logs.columns import LogColumns
from alignment_prism.logs.own import Log, files_of, write_log
from alignment_prism.logs.read import HARNESSES, read_log, read_run
from alignment_prism.logs.verdicts import Meaning

__all__ = ["HARNESSES", "Log", "LogColumns", "Meaning", "files_of", "read_log", "read_run", "write_log"]
