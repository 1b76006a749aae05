"""RFC 9470 sections 3 and 4: what a scope takes of the sign-in behind a token, and whether a token has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.protocol import acr


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in of class `acr` (one of `protocol.acr.ORDER`) or stronger, at most `max_age` seconds ago; None: any."""

    acr: str | None = None
    max_age: int | None = None

    def __post_init__(self) -> None:
        if self.acr is not None and self.acr not in acr.ORDER:
            raise ValueError(f"acr is one of {', '.join(acr.ORDER)}")

    def met_by(self, claims: Mapping[str, object], now: float) -> bool:
        """Whether a token with these claims tells of such a sign-in; one that tells of none does not."""
        held, since = claims.get("acr"), claims.get("auth_time")
        if self.acr is not None and not (isinstance(held, str) and acr.at_least(held, self.acr)):
            return False
        if self.max_age is None:
            return True
        return isinstance(since, (int, float)) and now - since <= self.max_age


def lacking(
    claims: Mapping[str, object], needed: Iterable[str], demands: Mapping[str, SignIn], now: float
) -> SignIn | None:
    """None when the sign-in does for all needed scopes, else the one sign-in that would."""
    wanted = [demands[scope] for scope in needed if scope in demands]
    if all(demand.met_by(claims, now) for demand in wanted):
        return None
    classes = [demand.acr for demand in wanted if demand.acr is not None]
    ages = [demand.max_age for demand in wanted if demand.max_age is not None]
    return SignIn(acr.strongest(classes) if classes else None, min(ages) if ages else None)
