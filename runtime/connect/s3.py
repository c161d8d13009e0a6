"""S3, or what speaks its protocol."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from runtime.sections import S3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def client(settings: S3) -> "S3Client":
    """A client that backs off when S3 asks for it, and notices a dead connection. Keys from the settings, else AWS's default chain; with
    keys given the machine's metadata service is never asked."""
    key, secret = settings.access_key_id, settings.secret_access_key
    return boto3.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            retries={"mode": "adaptive", "total_max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            # A server of one's own has no names of the form bucket.host.
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        ),
    )
