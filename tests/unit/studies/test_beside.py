"""Work beside a file leaves nothing behind but what somebody else has put there."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.studies.beside import journal_beside


def test_the_folder_beside_a_file_goes_with_its_journal_and_with_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a.jsonl.unfinished"
    with journal_beside(tmp_path / "a.jsonl") as journal:
        journal.put("key", 1)
        assert [path.name for path in folder.iterdir()] == ["calls.jsonl"]
    assert not folder.exists()
    folder.mkdir()
    (folder / "precious").write_text("mine")
    with journal_beside(tmp_path / "a.jsonl") as journal:
        journal.put("key", 1)
    assert [path.name for path in folder.iterdir()] == ["precious"]
    with journal_beside(tmp_path / "none.jsonl"):
        pass
    assert not (tmp_path / "none.jsonl.unfinished").exists()
