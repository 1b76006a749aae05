"""RFC 6749 section 4.1, RFC 7636, RFC 9700 section 4.7: to a provider and back; whoever finishes is who began."""

from broker.identity.sessions.model import Session
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.vault.model import Connected


def callback(door: Door, resource_id: str) -> str:
    """The redirect URI of one resource at one door: an answer that comes elsewhere is none."""
    return door.url(f"/connections/{resource_id}/callback")


class Visits:
    def begin(
        self,
        door: Door,
        tenant: str,
        resource_id: str,
        scopes: tuple[str, ...],
        browser: str,
        session: Session,
        origin: Origin,
        onward: str | None = None,
    ) -> str:
        """The address at the provider. `scopes` empty: the resource's defaults. OAuthError, recorded."""
        raise NotImplementedError

    def finish(
        self,
        door: Door,
        resource_id: str,
        parameters: Parameters,
        browser: str | None,
        session: Session | None,
        origin: Origin,
    ) -> Connected:
        """Take the visit back, once, and keep what the provider gives. OAuthError, recorded."""
        raise NotImplementedError
