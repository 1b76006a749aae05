"""Acts as people describe them, to try policies on (docs/policy.md): who calls which tool, and what is expected.

They are judged by the same code as a decision; scopes are those that the tool takes, and the definition is as reviewed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from broker.admin.model import EstateProblems, Holdings, Problem
from broker.control.model import Act, Person, Verdict
from broker.control.policy.policies import Explained, Sets, explained
from broker.estate.model import Resource

PERMIT, DENY, APPROVAL = "permit", "deny", "approval"


class Call(BaseModel):
    """Without `user` it is the client's own work. `auth_age`: seconds since the sign-in."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    tenant: str
    client: str
    resource: str
    tool: str
    user: str | None = None
    arguments: dict[str, object] = {}
    acr: str | None = None
    auth_age: int | None = None


class Case(Call):
    """`because`: ids of policies that have to be among those that said so."""

    expected: Literal["permit", "deny", "approval"]
    because: list[str] = []


_CASES = TypeAdapter(list[Case])


@dataclass(frozen=True, slots=True)
class Tried:
    case: Case
    found: str
    explained: Explained

    @property
    def passed(self) -> bool:
        said = {policy.id for policy in self.explained.policies}
        return self.found == self.case.expected and said.issuperset(self.case.because)


def parse(value: object) -> list[Case]:
    """The cases of a file; EstateProblems."""
    try:
        return _CASES.validate_python(value)
    except ValidationError as error:
        raise EstateProblems(
            [
                Problem(f"[{'].['.join(map(str, item['loc']))}]", item["msg"])
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def tried(
    cases: list[Case],
    sets: Sets,
    holdings: Holdings,
    resources: Mapping[str, Resource],
    now: float,
) -> list[Tried]:
    """Each case, by the rules of its tenant."""
    found = []
    for i, case in enumerate(cases):
        said = explained(sets.of(case.tenant), act(case, holdings, resources, now, f"[{i}]"), now)
        found.append(Tried(case, outcome(said.verdict), said))
    return found


def outcome(verdict: Verdict) -> str:
    if not verdict.permit:
        return DENY
    return PERMIT if verdict.demand is None else APPROVAL


def act(call: Call, holdings: Holdings, resources: Mapping[str, Resource], now: float, path: str = "") -> Act:
    """The act that is meant, `resources` with what is kept of their tools; EstateProblems where one is not there."""
    resource, tenant = resources.get(call.resource), holdings.tenants.get(call.tenant)
    user = holdings.users.get(call.user) if call.user is not None else None
    tool = next((one for one in resource.tools if one.name == call.tool), None) if resource else None
    missing = [
        Problem(path, f"there is no {noun} {name}")
        for noun, name, there in (
            ("tenant", call.tenant, tenant),
            ("resource", call.resource, resource),
            ("tool", call.tool, tool),
            ("user", call.user, user or call.user is None),
        )
        if not there
    ]
    if resource is None or tool is None or missing:
        raise EstateProblems(missing)
    subject = Person(call.client, False)
    if user is not None:
        mine = [one for one in user.memberships if one.tenant == call.tenant]
        subject = Person(user.id, True, mine[0].roles, mine[0].attributes) if mine else Person(user.id, True)
    return Act(
        digest="",
        issuer="",
        tenant=call.tenant,
        subject=subject,
        client_id=call.client,
        actors=(),
        confirmation=None,
        resource=resource,
        tool=tool,
        schema_digest=tool.digest,
        arguments=call.arguments,
        scopes=frozenset(tool.scopes),
        jti="",
        txn=None,
        grant_id=None,
        expires_at=now,
        acr=call.acr,
        auth_time=None if call.auth_age is None else now - call.auth_age,
    )
