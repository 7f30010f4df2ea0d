"""Every error the server answers with: what happened, with which value, and what to do."""

from __future__ import annotations

__all__ = [
    "CONTEXT_LENGTH",
    "BodyTimeoutError",
    "CliFailedError",
    "CliMissingError",
    "ClientLeftError",
    "ConflictError",
    "ForbiddenError",
    "HeadTooLargeError",
    "HttpSyntaxError",
    "HttpVersionError",
    "InvalidRequestError",
    "MediaTypeError",
    "NotFoundError",
    "OverloadedError",
    "RateLimitedError",
    "RequestHeadTimeoutError",
    "RequestTimeoutError",
    "SettingsError",
    "ShuttingDownError",
    "TooLargeError",
    "UnauthorizedError",
    "UpstreamError",
    "WrapperError",
]

# Messages repeat what the client sent, and with that whatever it likes: 32 MiB of it, if need be.
LONGEST_MESSAGE = 10_000
KEPT_OF_LONGER = 500


class WrapperError(Exception):
    """An error with an HTTP meaning.

    Attributes:
        message: The sentence for the client.
        http_status: The status of the answer when nothing was sent yet.
        type: OpenAI's error type.
        code: OpenAI's error code, or None.
        param: The request field that is wrong, or None.
        retry_after: Seconds after which another try makes sense, or None.
    """

    http_status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = _bounded(message)
        super().__init__(self.message)
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code


def _bounded(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:KEPT_OF_LONGER]} … {message[-KEPT_OF_LONGER:]}"


# OpenAI's code for a conversation that is too long for the model.
CONTEXT_LENGTH = "context_length_exceeded"


class InvalidRequestError(WrapperError):
    """The request cannot be honoured as it is."""

    http_status = 400
    type = "invalid_request_error"


class UnauthorizedError(WrapperError):
    """The API key is missing or wrong."""

    http_status = 401
    type = "authentication_error"
    code: str | None = "invalid_api_key"


class ForbiddenError(WrapperError):
    """Who asks may not: a page of a foreign origin, or a name that is not the server's."""

    http_status = 403
    type = "permission_error"
    code: str | None = "forbidden"


class MediaTypeError(WrapperError):
    """The body is not declared as JSON."""

    http_status = 415
    type = "invalid_request_error"
    code: str | None = "unsupported_media_type"


class NotFoundError(WrapperError):
    """The model, session or path does not exist."""

    http_status = 404
    type = "invalid_request_error"
    code: str | None = "not_found"


class ConflictError(WrapperError):
    """The session is in the middle of another turn."""

    http_status = 409
    type = "invalid_request_error"
    code: str | None = "session_busy"


class TooLargeError(WrapperError):
    """The request body is larger than the limit."""

    http_status = 413
    type = "invalid_request_error"
    code: str | None = "request_too_large"


class HeadTooLargeError(WrapperError):
    """The head of the request is larger than the limit."""

    http_status = 431
    type = "invalid_request_error"
    code: str | None = "head_too_large"


class HttpVersionError(WrapperError):
    """The request names a version of HTTP that is not spoken here."""

    http_status = 505
    type = "invalid_request_error"
    code: str | None = "http_version"


class HttpSyntaxError(WrapperError):
    """What came is no HTTP/1.1, or a part of it that is not understood here.

    Args:
        message: What is wrong.
        http_status: The status that fits.
    """

    type = "invalid_request_error"

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class OverloadedError(WrapperError):
    """The queue is full."""

    http_status = 429
    type = "rate_limit_error"
    code: str | None = "queue_full"


class RateLimitedError(WrapperError):
    """The key has used up its requests for this minute."""

    http_status = 429
    type = "rate_limit_error"
    code: str | None = "rate_limit_exceeded"


class RequestTimeoutError(WrapperError):
    """The turn took longer than allowed, or fell silent for too long."""

    http_status = 504
    type = "timeout_error"
    code: str | None = "timeout"


class RequestHeadTimeoutError(WrapperError):
    """The head of the request did not come."""

    http_status = 408
    type = "timeout_error"
    code: str | None = "request_timeout"


class BodyTimeoutError(RequestHeadTimeoutError):
    """The body of the request did not come."""


class ShuttingDownError(WrapperError):
    """The server no longer takes turns, or not yet."""

    http_status = 503
    type = "server_error"
    code: str | None = "shutting_down"


class ClientLeftError(WrapperError):
    """The client left; nobody reads this, but the access log shows its status."""

    http_status = 499
    type = "server_error"
    code: str | None = "client_closed_request"


class CliFailedError(WrapperError):
    """The CLI ended, or said something that is not its protocol."""

    http_status = 502
    type = "server_error"
    code: str | None = "cli_failed"


class CliMissingError(WrapperError):
    """No `claude` executable was found."""

    http_status = 503
    type = "server_error"
    code: str | None = "cli_not_found"


class UpstreamError(WrapperError):
    """The Anthropic API refused, and the CLI passed its status on."""

    code: str | None = "upstream_error"

    def __init__(self, message: str, *, http_status: int, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.http_status = http_status
        self.type = UPSTREAM_TYPES.get(http_status, "server_error")


UPSTREAM_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class SettingsError(Exception):
    """A setting has a value that cannot be used; the text says which values can."""
