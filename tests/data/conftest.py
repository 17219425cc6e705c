import os
from collections.abc import Iterator

import pytest

# Set before any cluster starts, so that Ray's workers have them; a moto server takes any.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3 server on loopback with an empty bucket `lake`."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host = "{}:{}".format(*server.get_host_and_port())
    buckets = S3FileSystem(endpoint_override=host, scheme="http", allow_bucket_creation=True)
    buckets.create_dir("lake")
    yield f"http://{host}"
    server.stop()


@pytest.fixture
def lake(s3_endpoint):
    """The bucket's file system."""
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(endpoint_override=s3_endpoint.removeprefix("http://"), scheme="http")
