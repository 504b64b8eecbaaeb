"""A server of the S3 protocol on this machine, for tests and benchmarks."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from unittest.mock import patch

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server() -> Generator[dict[str, str]]:
    """A store that lives while the block does; yields the environment in which programs find it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    try:
        with patch.dict(os.environ, told):
            yield told
    finally:
        server.stop()
