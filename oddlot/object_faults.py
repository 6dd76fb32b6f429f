"""What the errors of an object store mean: for one object, for all of them, or for this moment only."""

import asyncio
import re

import aiohttp
from botocore import exceptions
from botocore.parsers import ResponseParserError

from oddlot.errors import ObjectTrouble, StoreError

CHANGED = "the file changed after it was listed; the next run inspects it"
GONE = "the file is not there any more"

OF_THE_ACCOUNT = frozenset({
    "AccountProblem", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity",
    "InvalidToken", "NotSignedUp", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
    "TokenRefreshRequired", "PermanentRedirect", "IllegalLocationConstraintException",
})  # fmt: skip
"""Codes with which every object would be answered."""
OF_THE_MOMENT = frozenset({
    "BandwidthLimitExceeded", "InternalError", "PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled",
    "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequestsException", "TransactionInProgressException",
})  # fmt: skip

_REQUEST = re.compile(r'( (on|from|to the) endpoint URL)?: "https?://[^"]*"\.?')


class Passing(Exception):  # noqa: N818 - it may pass
    """What another attempt may mend."""


def of(error: Exception, where: str) -> Exception:
    """The error to raise in place of that one of s3fs, botocore or aiohttp; what is none of theirs stays itself."""
    match error:
        case exceptions.ClientError():
            return _answered(error, where)
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return StoreError(
                f"there are no credentials for the object store at {where}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or write a shared credentials file"
            )
        case exceptions.SSLError():
            return StoreError(f"the object store at {where} is not trusted (ODDLOT_S3_CA names its CA): {_line(error)}")
        case exceptions.ParamValidationError():
            return ObjectTrouble(f"the store takes no such name: {_line(error)}")
        case exceptions.HTTPClientError() | exceptions.ConnectionError() | exceptions.IncompleteReadError():
            return Passing(_line(error))
        case exceptions.BotoCoreError():
            return StoreError(f"the object store at {where} cannot be asked: {_line(error)}")
        case aiohttp.ClientError() | asyncio.TimeoutError() | OSError() | ResponseParserError():
            return Passing(_line(error))
        case _:
            return error


def _answered(error: exceptions.ClientError, where: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in OF_THE_ACCOUNT or status in (301, 307, 401):
        return StoreError(f"the object store at {where} lets nobody in: {code} ({status})")
    if code in OF_THE_MOMENT or status >= 500 or status in (408, 429):
        return Passing(f"{code or 'an error'} ({status})")
    if code == "NoSuchBucket":
        return ObjectTrouble("the bucket is not there", missing=True)
    if status == 404:
        return ObjectTrouble(GONE, missing=True)
    if status == 412:
        return ObjectTrouble(CHANGED)
    if code == "InvalidObjectState":
        return ObjectTrouble("the file is archived, and must be restored before it can be read")
    if status == 403:
        return ObjectTrouble(f"cannot be opened: access is denied ({code})")
    return ObjectTrouble(f"cannot be opened: the store answers {code} ({status})")


def _line(error: BaseException) -> str:
    """The first line of an error, without the address of the one request that met it."""
    lines = _REQUEST.sub("", str(error)).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
