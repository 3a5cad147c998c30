"""The store: artifacts with manifests, what outputs may replace, the journal of model calls, references."""

from alignment_prism.calls.journal import CallJournal, call_key
from alignment_prism.store.artifacts import (
    Manifest,
    artifact_key,
    check_folder,
    file_digest,
    folder_digest,
    is_complete,
    read_manifest,
    verify,
    write_artifact,
)
from alignment_prism.store.locks import folder_lock
from alignment_prism.store.outputs import check_files, check_inputs, check_within, check_writable
from alignment_prism.training.reference_store import ReferenceSpace, ReferenceStore, example_key

__all__ = [
    "CallJournal",
    "Manifest",
    "ReferenceSpace",
    "ReferenceStore",
    "artifact_key",
    "call_key",
    "check_files",
    "check_folder",
    "check_inputs",
    "check_within",
    "check_writable",
    "example_key",
    "file_digest",
    "folder_digest",
    "folder_lock",
    "is_complete",
    "read_manifest",
    "verify",
    "write_artifact",
]
