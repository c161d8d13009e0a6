"""S3, or what speaks its protocol: a client, and what its answers ask for."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.session import get_session
from botocore.utils import parse_timestamp

from contracts.errors import Invalid, PipelineError, Unavailable
from runtime.sections import S3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FIXES: Mapping[str, str] = {
    "NoSuchBucket": "make the bucket, or set s3.bucket",
    "InvalidBucketName": "set s3.bucket to the bucket's name",
    "InvalidToken": "mend the credentials of the environment",
    "NotImplemented": "this server lacks what S3 has, so no batch is safe there: choose another",
    "MethodNotAllowed": "this server lacks what S3 has, so no batch is safe there: choose another",
    "InvalidAccessKeyId": "set s3.access_key_id, or mend the credentials of the environment",
    "SignatureDoesNotMatch": "set s3.secret_access_key, or mend the credentials of the environment",
    "PermanentRedirect": "set s3.region to the bucket's region",
    "AuthorizationHeaderMalformed": "set s3.region to the bucket's region",
    "EntityTooLarge": "lower batch.bytes",
}
"""Answers that stay the same until a person acts."""

_HINTS: Mapping[str, str] = {
    "400": ", and no more; are s3.region and the credentials right?",
    "RequestTimeTooSkewed": ": set this host's clock",
}
_REFUSED = ("AccessDenied", "AllAccessDisabled")
_SIGNING_IN = ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetSessionToken", "GetRoleCredentials", "CreateToken")
"""Operations by which a client gets its credentials before it asks S3 anything."""
_EXPIRED = "refreshed credentials are still expired"

FAILED = (ClientError, BotoCoreError, RuntimeError)
"""What a client raises: a plain RuntimeError where the credentials it was given anew were no longer good. Any other is a bug, and
`understood` raises it."""


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


def answered(error: ClientError | BotoCoreError | RuntimeError) -> str:
    """S3's code, empty where S3 gave no answer: none came, or it is of who gives out credentials. The answer to a HEAD has no body, so its
    code is the bare status."""
    if not isinstance(error, ClientError) or error.operation_name in _SIGNING_IN:
        return ""
    code = _told(error, "Code")
    return {"412": "PreconditionFailed", "403": "AccessDenied", "301": "PermanentRedirect"}.get(code, code)


def _told(error: ClientError, what: str) -> str:
    answer: Mapping[str, Any] = error.response
    return str(answer.get("Error", {}).get(what, ""))


def understood(error: ClientError | BotoCoreError | RuntimeError, where: str, rights: str) -> PipelineError:
    """What S3's answer asks for, or that there is none: Invalid when a setting or a right has to be another, else Unavailable: throttling,
    a conflict with a write under way, a body damaged on the way, a token that has just expired. `rights`: what to allow. Raises an error
    that is none of S3's."""
    if isinstance(error, ClientError):
        code, said = answered(error), _told(error, "Message")
        if error.operation_name in _SIGNING_IN:
            code = _told(error, "Code")
            kind = Invalid if code in (*_REFUSED, "InvalidIdentityToken") else Unavailable
            return kind(f"{where}: no credentials: {error.operation_name} answers {code}: {said}", code=code)
        if code in _REFUSED:
            return Invalid(f"{where}: S3 answers {code}: allow {rights}{f' ({said})' if said else ''}", code=code)
        if fix := _FIXES.get(code):
            return Invalid(f"{where}: S3 answers {code}: {fix}", code=code)
        return Unavailable(f"{where}: S3 answers {code}{_HINTS.get(code, '')}", code=code)
    if isinstance(error, RuntimeError):
        if _EXPIRED not in str(error):
            raise error
        return Unavailable(f"{where}: no credentials: {error} Is this host's clock right?")
    if isinstance(error, ParamValidationError):
        return Invalid(f"{where}: {error}: set s3.bucket to the bucket's name")
    if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
        return Invalid(f"{where}: {error}: set s3.access_key_id, s3.secret_access_key and s3.region, or the environment's")
    return Unavailable(f"{where}: {type(error).__name__}: {error}; is s3.endpoint_url right?")


def _moment(text: str) -> datetime:
    """S3's lists hold one for each object, and the general way to read one takes two thirds of reading the list."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)
