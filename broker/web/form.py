"""RFC 6749 sections 3.1 and 3.2: the body or the query of a request as `Parameters`, never both."""

from collections.abc import Iterable

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from broker.protocol import parameters
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.parameters import Parameters

FORM = "application/x-www-form-urlencoded"


def body(request: Request, repeatable: Iterable[str] = parameters.REPEATABLE) -> Parameters:
    """The form in the body; the query string is ignored."""
    if request.mimetype != FORM:
        raise OAuthError("invalid_request", f"Send the parameters as {FORM}.", Reason.MALFORMED)
    return parameters.parse(content(request), repeatable=repeatable)


def content(request: Request) -> bytes:
    """The body, within the limit of the server; OAuthError 413 past it."""
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise OAuthError(
            "invalid_request", "The request is too large.", Reason.TOO_LARGE, status=413
        ) from None


def query(request: Request) -> Parameters:
    return parameters.parse(request.query_string)
