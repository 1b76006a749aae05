"""RFC 6749 sections 3.1, 3.2 and appendix B: request parameters, read strictly and only once each.

A body or query becomes `Parameters`, or is refused: bytes that are not UTF-8, NUL, too many or too long
values and repeated names (except `resource` and `audience`, RFC 8707 and RFC 8693) never reach a rule.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlencode

from broker.protocol.errors import OAuthError, Reason

REPEATABLE = frozenset({"resource", "audience"})
MAX_BYTES = 64 * 1024
MAX_FIELDS = 64
MAX_VALUE = 8 * 1024
MAX_TOKEN_VALUE = 16 * 1024
TOKEN_FIELDS = frozenset({"subject_token", "actor_token", "assertion", "client_assertion", "token"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """An immutable multi-map; empty values count as absent (RFC 6749 section 3.1), `blank` names them."""

    values: Mapping[str, tuple[str, ...]]
    blank: frozenset[str] = frozenset()

    def get(self, name: str) -> str | None:
        """The single value of `name`, or None."""
        found = self.values.get(name)
        return found[0] if found else None

    def all(self, name: str) -> tuple[str, ...]:
        return self.values.get(name, ())

    def only(self, names: Iterable[str]) -> "Parameters":
        """What is left when every parameter not named is dropped."""
        return Parameters({name: self.values[name] for name in names if name in self.values})

    def encoded(self) -> str:
        """The same, as a query string."""
        return urlencode([(name, value) for name, found in self.values.items() for value in found])

    def require(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise OAuthError("invalid_request", f"The parameter {name} is missing.", Reason.PARAMETER_MISSING)
        return value


def parse(raw: bytes, repeatable: Iterable[str] = REPEATABLE) -> Parameters:
    """Read an application/x-www-form-urlencoded body or query string; raises OAuthError."""
    if len(raw) > MAX_BYTES:
        raise OAuthError(
            "invalid_request", f"The request is longer than {MAX_BYTES} bytes.", Reason.TOO_LARGE, status=413
        )
    pieces = [piece for piece in raw.split(b"&") if piece]
    if len(pieces) > MAX_FIELDS:
        raise OAuthError(
            "invalid_request", f"The request has more than {MAX_FIELDS} parameters.", Reason.TOO_LARGE
        )
    values: dict[str, tuple[str, ...]] = {}
    repeated = []
    for piece in pieces:
        encoded_name, _, encoded_value = piece.partition(b"=")
        name, value = _decode(encoded_name), _decode(encoded_value)
        if name in values and name not in repeatable:
            repeated.append(name)
        limit = MAX_TOKEN_VALUE if name in TOKEN_FIELDS else MAX_VALUE
        if len(value) > limit or len(name) > 128:
            raise OAuthError(
                "invalid_request", f"A value is longer than {limit} characters.", Reason.TOO_LARGE
            )
        values[name] = (*values.get(name, ()), value)
    present = {name: kept for name, found in values.items() if (kept := tuple(v for v in found if v))}
    parameters = Parameters(present, frozenset(values) - frozenset(present))
    if repeated:
        raise RepeatedParameter(frozenset(repeated), parameters)
    return parameters


class RepeatedParameter(OAuthError):
    """A name given twice; the front channel needs to know which, to decide whether it may redirect."""

    def __init__(self, names: frozenset[str], parameters: Parameters) -> None:
        super().__init__("invalid_request", "A parameter is given more than once.", Reason.REPEATED_PARAMETER)
        self.names = names
        self.parameters = parameters


def _decode(encoded: bytes) -> str:
    try:
        text = unquote_to_bytes(encoded.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "The request is not valid UTF-8.", Reason.MALFORMED) from None
    if "\0" in text:
        raise OAuthError("invalid_request", "The request contains a NUL character.", Reason.MALFORMED)
    return text
