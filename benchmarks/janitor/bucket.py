"""An S3 server with a bucket full of objects that nobody had to upload: they are put into its store, and read from it over HTTP."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCESS_KEY = SECRET_KEY = "bench-only"


@contextmanager
def full_bucket(name: str, keys: Iterable[str], body: bytes) -> Iterator[str]:
    """Serves the bucket from a thread of this process while the block runs; yields its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    with _listing_once():
        server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        try:
            boto3.client(
                "s3", endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION
            ).create_bucket(Bucket=name)
            store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
            for key in keys:
                store.put_object(name, key, body)
            yield url
        finally:
            server.stop()


@contextmanager
def _listing_once() -> Iterator[None]:
    """The server finds and sorts all keys for every page of a list, and writes a page more slowly than what is measured here reads it; so
    it remembers both until the number of keys changes. What is measured is whoever asks a second time."""
    search, answer = S3Backend.list_objects, S3Response.list_objects_v2
    found: dict[tuple[Any, ...], Any] = {}
    pages: dict[tuple[Any, ...], Any] = {}

    def list_objects(self: S3Backend, bucket: Any, prefix: Any, delimiter: Any, marker: Any, max_keys: Any) -> Any:
        asked = (bucket.name, len(bucket.keys), prefix, delimiter, marker, max_keys)
        if asked not in found:
            found.clear()
            found[asked] = search(self, bucket, prefix, delimiter, marker, max_keys)
        keys, *rest = found[asked]
        return (list(keys), *rest)  # whoever asks sorts folders in

    def list_objects_v2(self: S3Response) -> Any:
        keys = len(self.backend.get_bucket(self.bucket_name).keys)
        asked = (self.bucket_name, keys, *sorted((name, *values) for name, values in self.querystring.items()))
        if asked not in pages:
            pages[asked] = answer(self)
        return pages[asked]

    with patch.object(S3Backend, "list_objects", list_objects), patch.object(S3Response, "list_objects_v2", list_objects_v2):
        yield
