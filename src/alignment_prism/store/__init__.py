"""The store: artifacts with manifests, what outputs may replace, locks."""

from alignment_prism.store.artifacts import (
    Manifest,
    artifact_key,
    check_folder,
    file_digest,
    is_complete,
    is_intact,
    package_version,
    read_manifest,
    verify,
    write_artifact,
)
from alignment_prism.store.locks import folder_lock, output_lock
from alignment_prism.store.outputs import (
    check_files,
    check_inputs,
    check_within,
    check_writable,
    shared_fault,
    storage_fault,
)

__all__ = [
    "Manifest",
    "artifact_key",
    "check_files",
    "check_folder",
    "check_inputs",
    "check_within",
    "check_writable",
    "file_digest",
    "folder_lock",
    "is_complete",
    "is_intact",
    "output_lock",
    "package_version",
    "read_manifest",
    "shared_fault",
    "storage_fault",
    "verify",
    "write_artifact",
]
