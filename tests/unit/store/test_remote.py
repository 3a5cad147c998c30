"""A folder as a store."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.store import write_artifact
from alignment_prism.store.remote import RemoteStore


def test_two_may_send_the_same_file_at_once(tmp_path: Path) -> None:
    """As a study's process does, of an artifact that is on its way while a node asks for it."""
    with write_artifact(tmp_path / "made") as folder:
        (folder / "weights").write_bytes(bytes(100))
    store = RemoteStore(f"file://{tmp_path}/store")
    store.make()
    others = [lambda: store.send("two", tmp_path / "made")]

    def meanwhile(done: int, total: int, words: str = "", /) -> None:
        while others:
            others.pop()()

    store.send("one", tmp_path / "made", meanwhile)
    assert store.keys() == {"one", "two"}
    store.fetch("one", tmp_path / "fetched", "artifact")
    assert (tmp_path / "fetched/weights").read_bytes() == bytes(100)
    assert not list((tmp_path / "store").rglob("*.part"))
