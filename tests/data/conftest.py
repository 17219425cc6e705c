import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is slow at times; how long one example takes proves nothing.
hypothesis.settings.register_profile("patient", deadline=None, max_examples=40)
hypothesis.settings.load_profile("patient")

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


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer with a chat template; all that curation needs of a base model."""
    from loray.quickstart.initialise import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(None, 300, 512).save_pretrained(folder)
    return folder
