"""`prism` in processes of their own, each forked from one that has loaded the libraries already.

Loading them anew takes a process two to four seconds, most of what a test of a small command costs. What is tested of a
process is the same: its own environment, folder, signals, exit code, and files that nobody else has open. Only tests of
what a process loads, or of variables that a library reads while it is loaded, need a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType

_NUMBER = 16
"""Characters of a number on the line between the two processes."""


@dataclass
class Forked:
    """A running command.

    Attributes:
        pid: of its process, for signals.
        returncode: as `subprocess.Popen` has it; None until `wait` has returned.
    """

    pid: int
    returncode: int | None
    _line: socket.socket

    def wait(self, timeout: float = 120) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            self.returncode = os.waitstatus_to_exitcode(int(_received(self._line, _NUMBER)))
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Forks:
    """Starts commands; made by `forks`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def start(
        self, arguments: Sequence[object], *, folder: Path, env: Mapping[str, str], out: Path, err: Path
    ) -> Forked:
        """Start `prism ARGUMENTS`, or a program of Python after `-c`; what it prints goes to the two files."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._address)
        words = [str(argument) for argument in arguments]
        with out.open("wb") as to_out, err.open("wb") as to_err:
            asked = json.dumps({"arguments": words, "folder": str(folder), "env": dict(env)}).encode()
            socket.send_fds(line, [f"{len(asked):{_NUMBER}}".encode()], [to_out.fileno(), to_err.fileno()])
            line.sendall(asked)
        return Forked(int(_received(line, _NUMBER)), None, line)

    def run(
        self, *arguments: object, folder: Path, env: Mapping[str, str] | None = None, timeout: float = 600
    ) -> CompletedProcess[str]:
        """Run `prism ARGUMENTS`, or a program of Python after `-c`, to its end."""
        with tempfile.TemporaryDirectory() as printed:
            out, err = Path(printed, "out"), Path(printed, "err")
            process = self.start(arguments, folder=folder, env=os.environ if env is None else env, out=out, err=err)
            code = process.wait(timeout)
            return CompletedProcess([*map(str, arguments)], code, out.read_text("utf-8"), err.read_text("utf-8"))


@contextmanager
def forks(*modules: str, env: Mapping[str, str] | None = None) -> Iterator[Forks]:
    """A process that has loaded `modules`, from which commands are forked.

    env: its environment, for libraries that read theirs while they are loaded; each command gets its own all the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder, "forks"))
        command = [sys.executable, __file__, address, *modules]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=None if env is None else dict(env))
        try:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            yield Forks(address)
        finally:
            server.kill()
            server.wait()


def _serve(address: str, modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _one_command(line)
            line.close()


def _one_command(line: socket.socket) -> None:
    """Fork the command, say its process id, wait for it, and say how it ended; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(line, _NUMBER, 2)
    asked = json.loads(_received(line, int(size)))
    if (pid := os.fork()) == 0:
        line.close()
        _become(asked, files)
    for file in files:
        os.close(file)
    with contextlib.suppress(BrokenPipeError):
        line.sendall(f"{pid:{_NUMBER}}".encode())
        line.sendall(f"{os.waitpid(pid, 0)[1]:{_NUMBER}}".encode())
    os._exit(0)


def _received(line: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        parts.append(line.recv(size))
        if not parts[-1]:
            raise EOFError("the process that forks commands is gone")
        size -= len(parts[-1])
    return b"".join(parts)


def _become(asked: dict[str, object], files: Sequence[int]) -> None:
    """Be `prism ARGUMENTS`, as its console script is, or `python -c PROGRAM`; never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    for file in files:
        os.close(file)
    code = 1
    try:
        os.environ.clear()
        os.environ.update(asked["env"])  # type: ignore[call-overload]
        os.chdir(str(asked["folder"]))
        arguments: list[str] = asked["arguments"]  # type: ignore[assignment]
        if arguments[0] == "-c":
            exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            from alignment_prism.cli.main import main

            sys.argv = ["prism", *arguments]
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:
        _print(error.__traceback__, error)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _print(trace: TracebackType | None, error: BaseException) -> None:
    import traceback

    traceback.print_exception(type(error), error, trace)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
