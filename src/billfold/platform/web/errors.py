"""What HTTP itself can get wrong, before any context is asked.

BillfoldError
├── Invalid
│   ├── BadRequest, RouteNotFound, MethodNotAllowed, UnsupportedMediaType, UnsupportedContentEncoding
│   ├── BodyTooLarge, MalformedJson, NestingTooDeep
│   ├── UnknownField, MissingField, WrongType, InvalidValue
│   ├── UnknownQueryParameter, InvalidQueryParameter
│   └── UpgradeRequired
├── Denied         Unauthorized, CsrfTokenWrong, CrossSite
├── TooOften       TooManyRequests
│   └── TooManyWrongCredentials
└── Unavailable    ShuttingDown, RequestTimeout
"""

from __future__ import annotations

from billfold.kernel import errors
from billfold.platform.limiting.exceeded import Exceeded


class BadRequest(errors.Invalid):
    """The request is not one that HTTP allows."""

    code = "bad_request"


class RouteNotFound(errors.Invalid):
    """There is nothing at this path; /docs lists what there is."""

    code = "route_not_found"


class MethodNotAllowed(errors.Invalid):
    """This path does not take this method; the Allow header names those it takes."""

    code = "method_not_allowed"


class UnsupportedMediaType(errors.Invalid):
    """Send the body as JSON in UTF-8, with Content-Type: application/json."""

    code = "unsupported_media_type"


class UnsupportedContentEncoding(errors.Invalid):
    """Send the body as it is, without a Content-Encoding."""

    code = "unsupported_content_encoding"


class BodyTooLarge(errors.Invalid):
    """The body is larger than this operation takes."""

    code = "body_too_large"


class MalformedJson(errors.Invalid):
    """The body is not JSON."""

    code = "malformed_json"


class NestingTooDeep(errors.Invalid):
    """The body nests objects and arrays too deeply."""

    code = "nesting_too_deep"


class UnknownField(errors.Invalid):
    """A field is not known here; leave it out, or check how it is spelt."""

    code = "unknown_field"


class MissingField(errors.Invalid):
    """A required field is missing."""

    code = "missing_field"


class WrongType(errors.Invalid):
    """A field has the wrong JSON type."""

    code = "wrong_type"


class InvalidValue(errors.Invalid):
    """A field has a value outside of what is allowed for it."""

    code = "invalid_value"


class UnknownQueryParameter(errors.Invalid):
    """A query parameter is not known here; leave it out, or check how it is spelt."""

    code = "unknown_query_parameter"


class InvalidQueryParameter(errors.Invalid):
    """A query parameter has a value that is not allowed, or is given more than once."""

    code = "invalid_query_parameter"


class UpgradeRequired(errors.Invalid):
    """This path speaks WebSocket alone (RFC 6455, version 13): connect with a WebSocket client."""

    code = "upgrade_required"


class Unauthorized(errors.Unauthenticated):
    """Send a valid API key or access token in the header Authorization, after the word Bearer."""

    code = "unauthorized"


class CsrfTokenWrong(errors.Denied):
    """Your browser is logged in, but this request lacks the X-CSRF-Token that its login answered with."""

    code = "csrf_token_wrong"


class CrossSite(errors.Denied):
    """A page of another site can't do this with your login."""

    code = "cross_site"


class TooManyRequests(errors.TooOften):
    """You have sent more requests than may be sent in that time; try again after the seconds that Retry-After says."""

    code = "too_many_requests"

    #: Which limit it was, and how long to wait.
    exceeded: Exceeded | None = None


class TooManyWrongCredentials(TooManyRequests):
    """Too many wrong credentials have come from your address; valid ones are served all the same."""

    code = "too_many_wrong_credentials"


class ShuttingDown(errors.Unavailable):
    """This server is stopping before it could answer; try again with the same idempotency key."""

    code = "shutting_down"


class RequestTimeout(errors.Unavailable):
    """The body did not come in time; try again with the same idempotency key."""

    code = "request_timeout"
