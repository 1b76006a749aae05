"""OWASP AISVS 10.2.7, HTML forms without JavaScript: /approvals and what is below it, under every door."""

from dataclasses import dataclass

from flask import Blueprint, Response, request

from broker.account.approvals import views
from broker.account.approvals.mine import Mine, Seen
from broker.account.face import Face, Visit, gone
from broker.account.views import Around, Sending
from broker.authorization.login.way import Way
from broker.control.approvals.model import Not, NotAnswered
from broker.control.approvals.room import Room
from broker.control.policy.policies import Policies
from broker.identity.users.ways_in import WaysIn
from broker.protocol import acr
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.clock import Clock
from broker.web import errors, respond
from broker.web.approval_pages import Part
from broker.web.doorway import everywhere


@dataclass(frozen=True, slots=True)
class Approving:
    """The verbs behind the pages."""

    face: Face
    mine: Mine
    room: Room
    ways_in: WaysIn
    policies: Policies
    clock: Clock


def blueprint(behind: Approving) -> Blueprint:
    face, mine, answering = behind.face, behind.mine, behind.room.answering

    @face.signed_in(way=lambda sent: Way(to="approvals"))
    def approvals(visit: Visit) -> Response:
        opened = visit.form.get("open")
        if opened is not None and Way.carries(opened):
            return respond.redirect(visit.door.url(f"/approvals/{opened}"))
        found = mine.all(visit.door, visit.visitor)
        return respond.page(views.listed(around(visit), *found, face.estate(), behind.clock.now()))

    @face.signed_in(way=lambda sent, approval_id: way(approval_id))
    def approval(visit: Visit, approval_id: str) -> Response:
        seen = mine.one(visit.door, visit.visitor, approval_id)
        if seen is None:
            return gone()
        mine.opened(seen, visit.origin)
        return shown(visit, approval_id)

    @face.signed_in(way=lambda sent, approval_id: way(approval_id))
    def answer(visit: Visit, approval_id: str) -> Response:
        seen = mine.any(visit.door, visit.visitor, approval_id)
        if seen is None:
            return gone()
        face.check(visit, about(approval_id))
        try:
            answered(visit, seen, visit.form.require("decision"), visit.form.get("reason"))
        except NotAnswered as error:
            return refused(visit, seen, error.why)
        return respond.redirect(visit.door.url(f"/approvals/{approval_id}"))

    def answered(visit: Visit, seen: Seen, decision: str, why: str | None) -> None:
        approval, session = seen.approval, visit.visitor.session
        if decision == "approve":
            answering.approve(approval.tenant, approval.id, session, why, visit.origin)
        elif decision == "deny":
            answering.deny(approval.tenant, approval.id, session, why, visit.origin)
        elif decision == "stop":
            answering.stop(approval.tenant, approval.id, session, why, visit.origin)
        elif decision == "withdraw" and seen.own:
            mine.withdraw(seen, why, visit.origin)
        else:
            raise NotAnswered(Not.NOT_ALLOWED)

    def refused(visit: Visit, seen: Seen, why: Not) -> Response:
        if why is Not.SIGN_IN:
            return respond.redirect(visit.door.url(way(seen.approval.id, seen).path()))
        if why is Not.OVER and mine.one(visit.door, visit.visitor, seen.approval.id) is not None:
            return shown(visit, seen.approval.id, over=True)
        error = OAuthError(
            "access_denied",
            "Somebody else has to answer this.",
            Reason.APPROVER_NOT_ALLOWED,
            redirectable=False,
        )
        return errors.refused(error, visit.door.url("/approvals"), "approvals")

    def shown(visit: Visit, approval_id: str, *, over: bool = False) -> Response:
        seen = mine.one(visit.door, visit.visitor, approval_id)
        if seen is None:
            return gone()
        who, now = visit.visitor.user.id, behind.clock.now()
        part: Part = "none"
        if seen.may:
            part = "voter" if who in seen.voted else "approver"
        elif seen.own:
            part = "asker"
        prove = part == "approver" and not answering.demand(seen.approval).met_by(visit.visitor.session)
        html = views.one(
            around(visit),
            seen,
            face.estate(),
            now,
            Sending(visit.door.url(f"/approvals/{approval_id}"), face.token(visit, about(approval_id))),
            part=part,
            prove=prove,
            factor_url=visit.url("/sign-in") if prove and lacks_factor(visit, seen) else "",
            over=over,
            policies=behind.policies.rules(seen.approval.tenant).policies,
        )
        return respond.page(html, 409 if over else 200)

    def lacks_factor(visit: Visit, seen: Seen) -> bool:
        """Whether no sign-in of this person can be strong enough. What a provider may vouch for is not known here."""
        wanted = answering.demand(seen.approval).acr
        if not wanted or visit.visitor.session.provider is not None:
            return False
        reachable = behind.ways_in.reachable(visit.visitor.user.id) or acr.PASSWORD
        return not any(acr.at_least(reachable, one) for one in wanted)

    def around(visit: Visit) -> Around:
        return {**face.around(visit), "approvals": visit.door.url("/approvals")}

    def way(approval_id: str, seen: Seen | None = None) -> Way:
        """To the sign-in and back; with what was seen, to one that is good enough to allow it."""
        if seen is None:
            return Way(to="approvals", about=approval_id if Way.carries(approval_id) else "")
        demand = answering.demand(seen.approval)
        return Way("", "approvals", approval_id, demand.since is not None, demand.acr)

    routes = face.doorway.pages("approvals")

    @routes.before_request
    def only_people() -> None:
        """APPR-08: no token, secret or certificate of a program answers, whoever's it is."""
        if "Authorization" not in request.headers:
            return
        door, origin = face.doorway.at((request.view_args or {}).get("tenant"))
        with face.doorway.recorded(door, origin):
            raise OAuthError(
                "access_denied",
                "Calls are allowed by people who are signed in in a browser.",
                Reason.APPROVER_NO_PERSON,
                redirectable=False,
            )

    everywhere(routes, "/approvals", approvals, "GET")
    everywhere(routes, "/approvals/<approval_id>", approval, "GET")
    everywhere(routes, "/approvals/<approval_id>", answer, "POST")
    return routes


def about(approval_id: str) -> str:
    """What the form of an approval's page is about, for its CSRF token."""
    return f"approval {approval_id}"
