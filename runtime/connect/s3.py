"""S3, or what speaks its protocol."""

from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.session import get_session
from botocore.utils import parse_timestamp

from runtime.sections import S3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def client(settings: S3) -> "S3Client":
    """A client that backs off when S3 asks for it, and notices a dead connection. Keys from the settings, else AWS's default chain; with
    keys given the machine's metadata service is never asked."""
    key, secret = settings.access_key_id, settings.secret_access_key
    session = get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return boto3.session.Session(botocore_session=session).client(
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


def _moment(text: str) -> datetime:
    """S3's lists hold one for each object, and the general way to read one takes two thirds of reading the list."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)
