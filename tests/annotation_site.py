"""An annotation folder that a process of its own serves, for tests in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.annotation import sessions
from alignment_prism.annotation.database import Database
from alignment_prism.annotation.guidelines import note_read
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import all_projects


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Site:
    """A folder that a process of its own serves."""

    folder: Path
    database: Database
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, and come back when somebody answers."""
        words = [sys.executable, "-m", "alignment_prism.cli.main", "annotate", "serve", str(self.folder)]
        self.process = subprocess.Popen([*words, "--port", str(self.port)], stdout=subprocess.PIPE)
        # It says its address when it listens: who would try again and again would take the core that it starts on.
        assert self.process.stdout is not None and self.process.stdout.readline(), "the server has ended"

    def kill(self) -> None:
        """As the system does it when memory runs out."""
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def sign_in(self, person: Person) -> dict[str, Any]:
        """What a browser's context must hold to be signed in as somebody."""
        with self.database.write() as connection:
            token = sessions.sign_in(connection, person.id)
            for project in all_projects(connection):
                note_read(connection, project, person.interface or "en", person)
        cookie = {"name": "prism_session", "value": token, "domain": "127.0.0.1", "path": "/", "expires": -1,
                  "httpOnly": True, "secure": False, "sameSite": "Lax"}  # fmt: skip
        return {"storage_state": {"cookies": [cookie], "origins": []}}
