"""OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.7: clients are told that a sign-in ended, until they know.

A notice is stored with the end that it tells of, and delivered afterwards: whether its client is there changes nothing
for the person. Its token is signed when it is sent.
"""

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.authorization.grants import Grants
from broker.authorization.logout import store, token
from broker.authorization.logout.model import Notice
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.tenants.keys import DoorKeys
from broker.protocol.errors import Reason
from broker.protocol.names import DEFAULT_ALGORITHM, OPENID, TYP_LOGOUT_TOKEN
from broker.runtime.database import Transaction
from broker.runtime.deliveries import MOST_AT_ONCE, deliver
from broker.runtime.egress import Egress, EgressFailed, EgressRefused
from broker.runtime.world import World

WAITS = (10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds between one attempt and the next: there is one attempt more than waits."""
_LARGEST, _SECONDS = 16 * 1024, 5.0


class LogoutNotices:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        clients: Clients,
        grants: Grants,
        keys: DoorKeys,
        egress: Egress,
    ) -> None:
        self._world, self._recorder, self._clients = world, recorder, clients
        self._grants, self._keys, self.egress = grants, keys, egress

    def queue(self, tx: Transaction, user_id: str, sid: str) -> None:
        """Within `tx`, which ends a sign-in: every client that learned of it there and wants to know is to be told."""
        now = self._world.clock.now()
        told: set[tuple[str, str]] = set()
        for grant in self._grants.of_session(tx, user_id, sid):
            client = self._clients.within(tx, grant.client_id)
            whom = (grant.door, grant.client_id)
            if OPENID not in grant.identity or client is None or client.logout_uri is None or whom in told:
                continue
            told.add(whom)
            identifier = self._world.entropy.identifier("out", now)
            notice = Notice(
                identifier, grant.tenant, grant.door, grant.client_id, user_id, sid, attempts=0, next_at=now
            )
            store.add(tx, notice)

    def deliver(self) -> None:
        """The background duty: try what is due, a few of each client. One that does not answer puts off its own."""
        now = self._world.clock.now()
        due = self._world.database.read(lambda tx: store.due(tx, now, MOST_AT_ONCE))
        deliver(self._world.clock, due, lambda notice: notice.client_id, self._tried, self._put_off)

    def _put_off(self, client_id: str, now: float) -> None:
        self._world.database.write(lambda tx: store.put_off(tx, client_id, now, now + WAITS[0]))

    def _tried(self, notice: Notice) -> bool:
        """False when the client could not be told now."""
        if notice.attempts > len(WAITS):  # whoever made the last attempt did not live to say so
            self._over(notice, "no answer")
            return True
        wait = WAITS[min(notice.attempts, len(WAITS) - 1)]
        again_at = self._world.clock.now() + wait

        def begin(tx: Transaction) -> tuple[bool, Client | None]:
            return store.attempt(tx, notice, again_at), self._clients.within(tx, notice.client_id)

        mine, client = self._world.database.write(begin)
        if not mine:
            return True
        if client is None or client.logout_uri is None:
            self._over(notice, "the client takes no notice any more")
            return True
        failed, last = self._failed(notice, client, client.logout_uri), notice.attempts == len(WAITS)
        if failed is None:
            self._over(notice, None)
        elif last or failed.hopeless:
            self._over(notice, failed.why)
        return failed is None

    def _failed(self, notice: Notice, client: Client, address: str) -> "_Failure | None":
        now = self._world.clock.now()
        said = token.claims(notice, self._world.entropy.identifier("lgt", now), now)
        algorithm = client.id_token_alg or DEFAULT_ALGORITHM
        form = {"logout_token": self._keys.statement(notice.door, algorithm, TYP_LOGOUT_TOKEN, said)}
        try:
            answer = self.egress.post(address, form, largest=_LARGEST, seconds=_SECONDS)
        except EgressRefused as error:
            return _Failure(str(error), hopeless=True)
        except EgressFailed as error:
            return _Failure(str(error))
        return None if 200 <= answer.status < 300 else _Failure(f"status {answer.status}")

    def _over(self, notice: Notice, failed: str | None) -> None:
        fact = Fact(
            "logout.delivered" if failed is None else "logout.failed",
            Outcome.ALLOWED if failed is None else Outcome.DENIED,
            None if failed is None else Reason.LOGOUT_UNDELIVERED,
            detail=failed,
            tenant=notice.tenant,
            subject=notice.user_id,
            client=notice.client_id,
            issuer=notice.door,
            change={"sid": notice.sid},
        )

        def unit(tx: Transaction) -> None:
            if store.drop(tx, notice.id):
                self._recorder.record(tx, fact, None)

        self._world.database.write(unit)


class _Failure:
    """Why an attempt came to nothing; `hopeless`: no other will come to more."""

    def __init__(self, why: str, *, hopeless: bool = False) -> None:
        self.why, self.hopeless = why, hopeless
