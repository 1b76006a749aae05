"""CIMD section 5: the row of a client that is known by its document, made as good as the document before it is used."""

from collections.abc import Callable
from dataclasses import replace

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.audit.refusals import source_key
from broker.audit.unknown import unknown
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents import address, read, rules
from broker.identity.clients.documents.address import Here
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door, Trust
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.runtime.database import Conflict, Transaction
from broker.runtime.egress import Egress, EgressFailed, EgressRefused
from broker.runtime.fetcher import Bounds, Fetched, Fetcher, Unusable
from broker.runtime.log import note
from broker.runtime.world import World

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
BOUNDS = Bounds(largest=5 * 1024, seconds=5.0, shortest=300.0, longest=_DAY, stale=_DAY, pause=60.0)


class Documents:
    """`trust` is the server's, `doors` knows the tenants'. `unused`: seconds that a client is kept which never got
    anything. `per_minute`: how many unknown documents one source may have us fetch. Not `offered`, no URL is a client.
    """

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        clients: Clients,
        egress: Egress,
        here: Here,
        trust: Trust,
        doors: Callable[[], Doors],
        *,
        offered: bool,
        per_minute: int,
        unused: float,
    ) -> None:
        self._world, self._recorder, self._clients = world, recorder, clients
        self._here, self._trust, self._doors, self._offered = here, trust, doors, offered
        self._per_minute, self._unused = per_minute, unused
        self._fetcher: Fetcher[Client] = Fetcher(
            egress, world.clock, BOUNDS, lambda url, answer: read.client(url, answer, here)
        )

    def freshen(self, door: Door, client_id: str, origin: Origin) -> None:
        """Outside of any transaction. OAuthError, never redirectable, when the id is a URL that is no client here.

        Whom an administrator registered, removed or switched off under a URL stays that: nothing is fetched.
        """
        if not address.looks_like_one(client_id):
            return
        if self._everything_off(door, client_id):
            return  # nothing is fetched; what a client may still do, it does as what it is known as
        known = self._world.database.read(lambda tx: self._known(tx, client_id))
        if known is not None and known.registered is not Registered.DOCUMENT:
            return
        if not self._offered:
            raise _refused(Reason.CLIENT_UNKNOWN, "Clients are not known by documents here.", client_id)
        if wrong := address.refused(client_id, self._here):
            raise _refused(Reason.CLIENT_DOCUMENT_ADDRESS, f"The client_id is a URL, and {wrong}.", client_id)
        self._require_trust(door, client_id)
        if known is not None and known.fetched_at is not None:
            self._fetcher.seed(client_id, _bare(known), known.fetched_at)
        if self._fetcher.fresh(client_id) is None:
            self._admit(origin)
        found = self._fetched(client_id, known, source_key(origin.source))
        self._require_trust(door, *rules.urls(found.value))
        if known is None or _bare(known) != found.value or _older(known, found) or self._ending(known):
            self._keep(door, found, origin)

    def _everything_off(self, door: Door, client_id: str) -> bool:
        """OAuthError when the client itself is off."""
        target, now = Target(Kind.CLIENT, client_id), self._world.clock.now()
        off = self._world.database.read(lambda tx: live.first_off(tx, [target], now), door.tenant)
        if off is not None and off.kind is Kind.CLIENT:
            raise _refused(Reason.CLIENT_OFF, "The client is switched off.", client_id)
        return off is not None

    def _known(self, tx: Transaction, client_id: str) -> Client | None:
        """Before all walls: what an administrator made for one tenant is no other tenant's to find in a document."""
        client = self._clients.within(tx, client_id)
        if client is None and self._clients.ever(tx, client_id):
            raise _refused(Reason.CLIENT_OFF, "The client was removed.", client_id)
        return client

    def _ending(self, known: Client) -> bool:
        """Whether its row would be forgotten before a sign-in that begins now is over."""
        return known.unused_until is not None and known.unused_until < self._world.clock.now() + _HOUR

    def _require_trust(self, door: Door, *urls: str) -> None:
        tenant = self._doors().tenants.get(door.tenant) if door.tenant else None
        policies = (self._trust, *([tenant.documents] if tenant else []))
        for url in urls:
            if not all(trust.admits(address.host_of(url)) for trust in policies):
                text = "The host of the client_id, or of its keys, is not trusted here."
                raise _refused(Reason.CLIENT_DOCUMENT_DISTRUSTED, text, url)

    def _admit(self, origin: Origin) -> None:
        now = self._world.clock.now()
        hits = self._world.ephemeral.hit("client-documents", source_key(origin.source), _MINUTE, now)
        if hits.count > self._per_minute:
            raise too_many(
                "Too many unknown clients were named from your address. Wait, then try again.", hits.ends_in
            )

    def _fetched(self, url: str, known: Client | None, source: str) -> Fetched[Client]:
        try:
            return self._fetcher.get(url, source)
        except read.NoCommonMethod as error:
            raise _refused(Reason.CLIENT_METHOD_MISMATCH, str(error), url, "unauthorized_client") from error
        except Unusable as error:
            text = f"The document at the client_id cannot be used: {error}."
            raise _refused(Reason.CLIENT_DOCUMENT_INVALID, text, url) from error
        except (EgressRefused, EgressFailed) as error:
            # Which of them it was stays here: a stranger does not learn what our resolver knows.
            note(document=str(error))
            text = "The document at the client_id cannot be fetched."
            away = known is not None and isinstance(error, EgressFailed)
            code = "temporarily_unavailable" if away else "invalid_request"
            raise _refused(Reason.CLIENT_DOCUMENT_UNREACHABLE, text, url, code, str(error)) from error

    def _keep(self, door: Door, found: Fetched[Client], origin: Origin) -> None:
        try:
            self._world.database.write(lambda tx: self._put(tx, door, found, origin))
        except Conflict:  # another process was faster: what it wrote is changed
            self._world.database.write(lambda tx: self._put(tx, door, found, origin))

    def _put(self, tx: Transaction, door: Door, found: Fetched[Client], origin: Origin) -> None:
        url, until = found.value.client_id, self._world.clock.now() + self._unused
        known = self._known(tx, url)
        if known is not None and known.registered is not Registered.DOCUMENT:
            return
        created_at = self._world.clock.now() if known is None else known.created_at
        client = replace(found.value, created_at=created_at, unused_until=until, fetched_at=found.fetched_at)
        self._clients.put(tx, client)
        if known is not None:
            self._clients.spare(tx, known, until)
        if known is None or _bare(known) != found.value:
            said: dict[str, object] = {
                "name": client.name,
                "redirect_uris": list(client.redirect_uris),
                "methods": list(client.methods),
                "jwks_uri": client.jwks_uri,
                "digest": rules.digest(client),
            }
            fact = Fact("client.fetched", tenant=door.tenant, client=url, change=said)
            self._recorder.record(tx, fact, origin)


def _bare(client: Client) -> Client:
    """What its document says of a client, without what this server adds."""
    return replace(client, created_at=0.0, unused_until=None, fetched_at=None, fingerprint=None)


def _older(known: Client, found: Fetched[Client]) -> bool:
    return known.fetched_at is None or known.fetched_at + BOUNDS.shortest <= found.fetched_at


def _refused(
    reason: Reason, description: str, url: str, error: str = "invalid_request", why: str = ""
) -> OAuthError:
    return OAuthError(error, description, reason, detail=f"{unknown(url)} {why}".rstrip(), redirectable=False)
