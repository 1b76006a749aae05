"""ASVS V16.2.5: people are told that a call waits for them, with a link and little else."""

from broker.audit.record import Recorder
from broker.control.approvals import store as approvals
from broker.control.approvals.binding import form_url
from broker.control.approvals.eligible import Eligible
from broker.control.approvals.evidence import fact
from broker.control.approvals.model import Approval
from broker.control.approvals.notices import store
from broker.control.approvals.notices.model import Letter
from broker.control.webhooks.model import APPROVALS
from broker.control.webhooks.rules import Data
from broker.control.webhooks.webhooks import Webhooks
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from broker.runtime.deliveries import MOST_AT_ONCE, deliver
from broker.runtime.mail import Mail, MailFailed, MailRefused
from broker.runtime.world import World
from broker.web import texts
from broker.web.display import display_name

WAITS = (10.0, 60.0, 300.0)
"""Seconds between one attempt and the next: there is one attempt more than waits."""
_HOUR, _MOST_AN_HOUR = 3600.0, 60
"""Mails that one person is sent within an hour; of what comes beyond that they see on their page."""
_MOST_TOLD = 20
"""People who are sent a mail about one approval."""


class Notices:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        people: People,
        eligible: Eligible,
        mail: Mail,
        webhooks: Webhooks,
    ) -> None:
        self._world, self._recorder, self._people, self._eligible = world, recorder, people, eligible
        self._mail, self._webhooks = mail, webhooks

    def queue(self, tx: Transaction, approval: Approval) -> None:
        """Within `tx`, in which it is requested."""
        now = self._world.clock.now()
        if self._mail.offered:
            for person in self._eligible.approvers(tx, approval, now, _MOST_TOLD):
                identifier = self._world.entropy.identifier("ltr", now)
                store.add(tx, Letter(identifier, approval.tenant, approval.id, person.id, next_at=now))
        data: Data = {
            "approval": approval.id,
            "resource": approval.question.resource_id,
            "tool": approval.question.tool,
            "url": form_url(approval),
            "expires_at": int(approval.expires_at),
        }
        self._webhooks.queue(tx, approval.tenant, "approval.requested", data, now, APPROVALS)

    def deliver(self) -> None:
        """The background duty: try what is due. Somebody who cannot be reached puts off their own."""
        now = self._world.clock.now()
        due = self._world.database.read(lambda tx: store.due(tx, now, MOST_AT_ONCE))
        deliver(self._world.clock, due, lambda letter: letter.user_id, self._tried, self._put_off)

    def _put_off(self, user_id: str, now: float) -> None:
        self._world.database.write(lambda tx: store.put_off(tx, user_id, now, now + WAITS[0]))

    def _tried(self, letter: Letter) -> bool:
        """False when the person could not be told now."""
        now = self._world.clock.now()
        again_at = now + WAITS[min(letter.attempts, len(WAITS) - 1)]

        def begin(tx: Transaction) -> tuple[bool, Approval | None, User | None]:
            mine = store.attempt(tx, letter, again_at)
            approval = approvals.get(tx, letter.approval_id)
            return mine, approval, self._people.within(tx, letter.user_id)

        mine, approval, person = self._world.database.write(begin, letter.tenant)
        if not mine:
            return True
        if approval is None or person is None or not person.email or not approval.waits(now):
            self._world.database.write(lambda tx: store.drop(tx, letter.id), letter.tenant)
            return True
        if letter.attempts > len(WAITS):  # whoever made the last attempt did not live to say so
            self._over(letter, approval, "no answer")
            return True
        if letter.attempts == 0 and self._too_many(letter, now):
            self._over(letter, approval, "too many within an hour")
            return True
        try:
            self._mail.send(person.email, *written(approval), letter.id, now)
        except MailRefused as error:
            self._over(letter, approval, str(error))
            return True
        except MailFailed as error:
            if letter.attempts == len(WAITS):
                self._over(letter, approval, str(error))
            return False
        self._over(letter, approval, None)
        return True

    def _too_many(self, letter: Letter, now: float) -> bool:
        return self._world.ephemeral.hit("letters", letter.user_id, _HOUR, now).count > _MOST_AN_HOUR

    def _over(self, letter: Letter, approval: Approval, failed: str | None) -> None:
        reason = None if failed is None else Reason.NOTICE_UNDELIVERED
        told = fact("approval.notified", approval, approver=letter.user_id, reason=reason, detail=failed)

        def unit(tx: Transaction) -> None:
            if store.drop(tx, letter.id):
                self._recorder.record(tx, told, None)

        self._world.database.write(unit, letter.tenant)


def written(approval: Approval) -> tuple[str, str]:
    """Subject and text of the mail. The names in it are the administrator's; what a client says is left out."""
    tool, resource = display_name(approval.question.tool), display_name(approval.question.resource_id)
    subject = texts.say("approvals.mail.subject").format(tool=tool, resource=resource)
    text = texts.say("approvals.mail.text").format(
        tool=tool, resource=resource, id=approval.id, url=form_url(approval)
    )
    return subject, text
