"""Errors of an S3 or IAM API in our words: an outage, refused credentials, or something the store cannot do."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)

from zilliz_operator.api.exceptions import Rejected, Unavailable

BAD_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
THROTTLED = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"})
RECONFIGURED = frozenset({"OperationAborted", "ConcurrentModification", "RequestTimeTooSkewed"})


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def http_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def absent(error: ClientError) -> bool:
    """Whether the thing asked for does not exist. HEAD has no body, so its status counts."""
    return code(error).startswith("NoSuch") or code(error).endswith("NotFoundError") or http_status(error) == 404


def unsupported(error: ClientError) -> bool:
    """Whether the store says that it does not know this call."""
    return http_status(error) == 501 or code(error) in ("NotImplemented", "MethodNotAllowed")


def too_late(error: ClientError) -> bool:
    """Whether a store gives locks to new buckets only."""
    return error.operation_name == "PutObjectLockConfiguration" and code(error) in (
        "InvalidBucketState",
        "InvalidBucket",
    )


def denied(error: ClientError) -> bool:
    """403 in any dress: SeaweedFS' IAM answers it without an error code that botocore would find."""
    return http_status(error) in (401, 403) or code(error) in BAD_CREDENTIALS or "AccessDenied" in code(error)


@contextmanager
def translated(what: str, credentials: str) -> Iterator[None]:
    """Turn errors of botocore into ours. `credentials` names what to correct when they are refused."""
    try:
        yield
    except ClientError as error:
        raise _of_client_error(error, what, credentials) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Rejected(what, f"no credentials to use: provide {credentials}") from error
    except SSLError as error:
        raise Unavailable(
            what, f"no trusted TLS connection: check the endpoint's name and caSecretRef ({error})"
        ) from error
    except BotoCoreError as error:
        raise Unavailable(what, f"{type(error).__name__}: {error}") from error


def _of_client_error(error: ClientError, what: str, credentials: str) -> Exception:
    operation, status = error.operation_name, http_status(error)
    reason = code(error) or f"HTTP {status}"
    if code(error) in RECONFIGURED or code(error) in THROTTLED or status == 429 or status >= 500:
        return Unavailable(what, f"{operation} answers {reason}; it is tried again")
    if code(error) in BAD_CREDENTIALS:
        return Rejected(what, f"refuses our credentials ({reason}): correct {credentials}")
    if denied(error):
        return Rejected(what, f"does not allow {operation} ({reason}): check the rights and values of {credentials}")
    message = error.response.get("Error", {}).get("Message", "")
    return Rejected(what, f"refuses {operation} ({reason}): {message}"[:500])
