"""A server that plays the batch API of OpenAI: files, batches, results; and six questions to it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alignment_prism.calls.answer import Answer as Reply
from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.journal import CallJournal
from alignment_prism.calls.runner import Request, ask_all
from alignment_prism.domain import user

Answer = tuple[int, dict[str, Any]]


class BatchServer:
    """A batch API.

    Attributes:
        alone: model and messages of every call outside of a batch.
        batches: the calls of every batch.
        refused: HTTP status with which batches are refused; 200 takes them.
        status: with which calls outside of a batch are answered.
        answer: to a call: HTTP status and body.
        ended: status of a batch when it is looked at, with what else is said of it.
        known: whether batches that were taken are known.
        lines: makes the file of results of what it would be.
        looked: called when a batch is looked at.
        asked: what is called before a request is answered, by the last part of its path.
        url: its address.
    """

    def __init__(self) -> None:
        self.alone: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.refused = self.status = 200
        self.answer: Callable[[dict[str, Any]], Answer] = said
        self.ended: tuple[str, dict[str, Any]] = ("completed", {})
        self.known = True
        self.lines: Callable[[list[str]], list[str]] = lambda lines: lines
        self.looked: Callable[[], None] = lambda: None
        self.asked: dict[str, Callable[[], None]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.get(self.path.rpartition("/")[2], lambda: None)()
                if self.path.endswith("/files"):
                    lines = [json.loads(line) for line in body.decode().splitlines() if line.startswith("{")]
                    outer.batches.append(lines)
                    name = f"f{len(outer.batches) - 1}"
                    self._send({"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x",
                                "purpose": "batch", "status": "processed"})  # fmt: skip
                elif self.path.endswith("/batches"):
                    self._send(self._batch(json.loads(body)["input_file_id"], "validating"), outer.refused)
                else:
                    outer.alone.append(json.loads(body))
                    self._send(said(outer.alone[-1])[1], outer.status)

            def do_GET(self) -> None:
                name = re.search(r"f\d+", self.path)
                assert name is not None
                calls = outer.batches[int(name[0][1:])]
                if "/batches/" in self.path:
                    outer.looked()
                    status, more = outer.ended
                    if status == "completed":
                        counts = {"total": len(calls), "completed": len(calls), "failed": 0}
                        more = {"output_file_id": name[0], "request_counts": counts}
                    self._send(self._batch(name[0], status, **more), 200 if outer.known else 404)
                    return
                results = []
                for call in calls:
                    status, body = outer.answer(call["body"])
                    response = {"status_code": status, "request_id": "r", "body": body}
                    results.append({"id": "r", "custom_id": call["custom_id"], "response": response, "error": None})
                lines = [json.dumps(result, ensure_ascii=False) for result in results]
                self._send("\n".join(outer.lines(lines)).encode())

            def _batch(self, name: str, status: str, **more: Any) -> dict[str, Any]:
                return {"id": f"b-{name}", "object": "batch", "endpoint": "/v1/chat/completions", "created_at": 0,
                        "input_file_id": name, "completion_window": "24h", "status": status, **more}  # fmt: skip

            def _send(self, body: Any, status: int = 200) -> None:
                body = body if status == 200 else {"error": {"message": "no", "type": "x", "code": None}}
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()


SAFE = '{"outcome": "safe_help"}'


def said(body: dict[str, Any], content: str = SAFE) -> Answer:
    """A completion of 1,000 tokens in and 100 out."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    fields = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "usage": usage}
    return 200, {**fields, "choices": [choice]}


def ask(
    server: BatchServer,
    folder: Path,
    readable: Callable[[str, Reply], bool] | None = None,
    model: str = "openai/gpt-4o",
) -> list[str]:
    """The answers to six questions, or why there is none; journalled in the folder, with the cache beside it."""
    requests = {str(n): Request(user(f"What about number {n}?")) for n in range(6)}
    endpoint = Endpoint(model, server.url, batch=True, retries=0, timeout=30.0)
    with CallJournal(folder / "calls.jsonl", cache=CallJournal(folder / "cache.jsonl")) as journal:
        answers = ask_all(endpoint, requests, journal=journal, readable=readable)
        return [answer.error or answer.text for answer in answers.values()]
