"""An S3 server on this machine, which speaks the protocol and keeps objects in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer


class Bucket:
    """A bucket, as another client than the one under test sees it.

    Attributes:
        url: of a store in it.
        server: that has it.
        take: asked before each object that is put, by its name below `url`: where it says False, that is not kept.
    """

    def __init__(self, server: ThreadedMotoServer, address: str) -> None:
        self.take: Callable[[str], bool] = lambda name: True
        inner = server._server.app  # type: ignore[union-attr]

        def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            name = environ["PATH_INFO"].partition("/studies/")[2]
            if environ["REQUEST_METHOD"] == "PUT" and name and not self.take(name):
                start("503 Service Unavailable", [("Content-Length", "0")])
                return []
            return inner(environ, start)  # type: ignore[no-any-return]

        server._server.app = app  # type: ignore[union-attr]
        self.server, self._name = server, f"prism-{uuid4()}"  # the servers of a process share what they keep
        self.url = f"s3://{self._name}/studies"
        self._client = boto3.client("s3", endpoint_url=address)
        self._client.create_bucket(Bucket=self._name)

    def objects(self) -> dict[str, bytes]:
        """Name -> what it holds."""
        found = self._client.list_objects_v2(Bucket=self._name).get("Contents", [])
        return {one["Key"]: self._client.get_object(Bucket=self._name, Key=one["Key"])["Body"].read() for one in found}

    def unfinished(self) -> int:
        """How many uploads in parts were begun and neither completed nor given up."""
        return len(self._client.list_multipart_uploads(Bucket=self._name).get("Uploads", []))

    def put(self, name: str, content: bytes) -> None:
        """In place of what is there."""
        self._client.put_object(Bucket=self._name, Key=name, Body=content)

    def refuse(self, *, no_more: bool = False) -> None:
        """Take no objects, or take them again."""
        if no_more:
            self._client.delete_bucket_policy(Bucket=self._name)
        else:
            what = {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{self._name}/*",
            }
            self._client.put_bucket_policy(Bucket=self._name, Policy=json.dumps({"Statement": [what]}))

    def remove(self, name: str) -> None:
        """One object."""
        self._client.delete_object(Bucket=self._name, Key=name)


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty one, which the environment leads to."""
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # they hold the address of a server that was
    try:
        yield Bucket(server, address)
    finally:
        server.stop()
        S3FileSystem.clear_instance_cache()
