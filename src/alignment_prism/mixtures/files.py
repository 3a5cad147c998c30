"""Mixtures from files to a file: the pools read, the mixture written with what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_prism.domain import LANGUAGES, Languages, Pair, PairKind
from alignment_prism.io import sha256_of, write_json, write_records
from alignment_prism.io.identity import Identities
from alignment_prism.io.rejects import Rejects
from alignment_prism.mixtures.build import Mixture
from alignment_prism.preferences import iter_pairs
from alignment_prism.store.names import manifest_beside


def read_pools(
    files: Mapping[PairKind, Sequence[str]],
    rejects: Rejects,
    *,
    language: str | None = None,
    mapping: Mapping[str, str] | None = None,
    languages: Languages = LANGUAGES,
    prefer: str = "better",
) -> dict[PairKind, list[Pair]]:
    """The two pools, their pairs under ids that are unique over both.

    Args:
        files: of each pool.
        rejects: accounts for their rows.
        language, mapping, languages, prefer: as in `read_pairs`.

    Raises:
        InputError: as `read_pairs`.
    """
    identities = Identities()
    pools: dict[PairKind, list[Pair]] = {kind: [] for kind in PairKind}
    for kind, names in files.items():
        for name in names:
            pools[kind] += iter_pairs(
                name,
                kind=kind,
                language=language,
                mapping=mapping,
                languages=languages,
                prefer=prefer,
                intake=rejects.intake(name),
                identities=identities,
            )
    return pools


def write_mixture(mixture: Mixture, out: str | Path, rejects: Rejects) -> dict[str, Any]:
    """Write the pairs to `out` and the manifest beside it.

    Args:
        mixture: to write.
        out: `.jsonl` or `.parquet`.
        rejects: the accounts of the files that it was drawn from.

    Returns:
        The manifest: that of the mixture, with the digest and the counts of rows of every file.

    Raises:
        StoreError: a file cannot be written.
    """
    manifest = {
        **{key: value for key, value in mixture.manifest.items() if key != "pairs"},
        "inputs": {name: sha256_of(name) for name in rejects.intakes},
        "rows": rejects.counts(),
        "pairs": mixture.manifest["pairs"],
    }
    write_records(out, mixture.pairs, Pair)
    write_json(manifest_beside(str(out)), manifest)
    return manifest
