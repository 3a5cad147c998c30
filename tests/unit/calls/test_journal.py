"""The journal of calls loses nothing that was put, whatever happens to the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from alignment_prism.calls.journal import CallJournal, call_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=8))
def test_what_was_put_is_read_again(tmp_path_factory, entries) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("journal") / "deep" / "calls.jsonl"
    with CallJournal(path) as journal:
        for key, value in entries.items():
            journal.put(key, value)
    again = CallJournal(path)
    assert again.torn == 0
    assert len(again) == len(entries)
    assert {key: again.get(key) for key in entries} == entries


def test_entries_survive_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from alignment_prism.calls.journal import CallJournal\n"
        "journal = CallJournal(sys.argv[1])\n"
        "for number in range(100):\n"
        "    journal.put(str(number), {'reply': 'а' * number})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "calls.jsonl")], check=False)
    journal = CallJournal(tmp_path / "calls.jsonl")
    assert len(journal) == 100
    assert journal.get("99") == {"reply": "а" * 99}


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with CallJournal(path) as journal:
        journal.put("one", "été")
        journal.put("two", "неделя")
    os.truncate(path, path.stat().st_size - 7)  # in the middle of a character
    with CallJournal(path) as journal:
        assert (journal.torn, journal.get("one"), journal.get("two")) == (1, "été", None)
        journal.put("three", 3)
    again = CallJournal(path)
    assert (again.torn, again.get("one"), again.get("three"), "two" in again) == (1, "été", 3, False)


def test_a_full_disk_is_an_error_and_spoils_no_entry(tmp_path: Path) -> None:
    """A limit of the file's size plays the full disk: it lets through a part of the last line."""
    script = (
        "import resource, signal, sys\n"
        "from alignment_prism.calls.journal import CallJournal\n"
        "from alignment_prism.domain.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "journal = CallJournal(sys.argv[1])\n"
        "try:\n"
        "    for number in range(100):\n"
        "        journal.put(str(number), 'x' * 80)\n"
        "except StoreError as error:\n"
        "    print(error.exit_code, error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "journal.put('after', 1)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "calls.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("5 cannot write the journal: File too large")
    journal = CallJournal(tmp_path / "calls.jsonl")
    assert (journal.torn, len(journal), journal.get("8"), journal.get("after")) == (0, 10, "x" * 80, 1)


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    journal = CallJournal(tmp_path / "calls.jsonl")

    def put(name: str) -> None:
        for number in range(50):
            journal.put(f"{name}{number}", name * 500)

    threads = [threading.Thread(target=put, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    again = CallJournal(tmp_path / "calls.jsonl")
    assert (len(again), again.torn) == (200, 0)
    assert again.get("c49") == "c" * 500


def test_key_follows_every_part() -> None:
    assert call_key("m", {"temperature": 0}) == call_key("m", {"temperature": 0})
    assert len({call_key("m", "x"), call_key("mx"), call_key("m", "y"), call_key("m", ["x"]), call_key("x", "m")}) == 5
