"""Everything that an estate file can have wrong is said, with its path, all at once."""

import copy
from pathlib import Path

import pytest

from broker.admin.estate_file import parse, parse_one, read_yaml
from broker.admin.export import export
from broker.admin.load import judged, load
from broker.admin.model import EstateProblems
from broker.estate.model import (
    ApprovalRule,
    Bounds,
    Impact,
    Isolation,
    Limits,
    Recording,
    ResourceKind,
)
from broker.identity.users.model import Membership
from broker.protocol.origin import Origin

ID = "an id is 1 to 127 of a-z, 0-9, dot, underscore and hyphen, and begins with a letter or digit"
BASE = {
    "tenants": [{"id": "acme"}],
    "users": [{"id": "alice", "tenants": [{"id": "acme"}]}],
    "clients": [{"client_id": "app", "type": "public", "redirect_uris": ["https://app.example/cb"]}],
    "resources": [
        {
            "id": "tickets",
            "kind": "mcp",
            "uri": "https://mcp.example/mcp",
            "tenants": ["acme"],
            "client": {"client_id": "tickets-server"},
            "scopes": [{"name": "t:read"}, {"name": "t:write", "implies": ["t:read"]}],
            "tools": [{"name": "search", "scopes": ["t:read"]}],
        },
        {
            "id": "crm",
            "kind": "downstream",
            "uri": "https://crm.example",
            "tenants": ["acme"],
            "scopes": [{"name": "c"}],
        },
    ],
    "edges": [{"from": "tickets", "to": "crm", "scopes": {"t:read": ["c"]}}],
}
DELETE = object()
ORIGIN = Origin("req_test", "cli", "http://127.0.0.1:8400")


def changed(path: str, value: object) -> dict:
    """BASE with one member, `resources.0.uri`, set or taken out."""
    root = copy.deepcopy(BASE)
    here: object = root
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        here = here[step]
    if value is DELETE:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return root


def problems(desk, value: object) -> list[str]:
    try:
        desk.apply.apply(judged(parse(value), Path()), ORIGIN, dry_run=True)
    except EstateProblems as error:
        return [str(problem) for problem in error.problems]
    return []


def test_the_base_of_these_cases_has_nothing_wrong(desk) -> None:
    assert problems(desk, BASE) == []


CASES = [
    # Shape
    ("tenants/0/colour", "red", "tenants[0].colour: the estate file has no such member"),
    ("tenants/0/id", DELETE, "tenants[0].id: is missing"),
    ("tenants/0/id", 7, "tenants[0].id: write a text (in quotes, if YAML reads something else)"),
    ("tenants/0/root_door", "yes", "tenants[0].root_door: write true or false"),
    ("users", {}, "users: write a list"),
    ("resources/0/token", {"lifetime": "300"}, "resources[0].token.lifetime: write a whole number"),
    ("resources/0/kind", "vault", "resources[0].provider: use one of atlassian, generic, github"),
    ("resources/0/kind", "vault", "resources[0].vault: say what this server is there: client_id,"),
    ("resources/0/kind", "vault", "resources[0].tools: tools are called at servers of ours"),
    ("resources/0/kind", "api", "resources[0].kind: use one of 'mcp', 'downstream', 'vault'"),
    (
        "resources/0/stage",
        "half",
        "resources[0].stage: use one of 'baseline', 'read_only', 'reversible', 'full'",
    ),
    ("resources/0/provider", "github", "resources[0].provider: only a resource of kind vault has it"),
    ("resources/0/tools/0/impact", "none", "resources[0].tools[0].impact: use one of"),
    ("policies", {"cedar": "p.cedar"}, "policies[0].cedar: p.cedar cannot be read"),
    ("policies", {}, "policies[0]: name a file with `cedar`, or write the `text`"),
    ("policies", [{"text": ""}, {"text": ""}], "policies[1].tenant: * is taken by policies[0].tenant"),
    ("policies", [{"tenant": "nowhere", "text": ""}], "policies[0].tenant: there is no tenant nowhere"),
    (
        "policies",
        {"text": '\n@id("z") forbid (principal, action, resource) when { 1 };'},
        "policies[0]: line 2: z: unexpected type: expected Bool but saw Long",
    ),
    ("clients/0/jwks", [], "clients[0].jwks: write a mapping"),
    ("clients/0/jwks", {"keys": []}, "clients[0].jwks: keys are for private_key_jwt"),
    ("clients/0/jwks_uri", "https://a.example", "clients[0].jwks_uri: keys are for private_key_jwt"),
    (
        "resources/0/client",
        {"client_id": "s", "jwks": {"keys": []}},
        "resources[0].client.jwks: keys are for private_key_jwt: write it as token_endpoint_auth_method",
    ),
    (
        "resources/0/client",
        {"client_id": "s", "token_endpoint_auth_method": "private_key_jwt"},
        "resources[0].client.jwks: private_key_jwt needs jwks or jwks_uri",
    ),
    (
        "resources/0/client",
        {
            "client_id": "s",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": "https://a.example/k",
            "client_secret": "x" * 43,
        },
        "resources[0].client.client_secret: a client of private_key_jwt has keys instead of a secret",
    ),
    *(
        (
            "resources/0/client",
            {"client_id": "s", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri},
            "resources[0].client.jwks_uri: an absolute https URL without fragment and user information",
        )
        for uri in (
            "http://a.example/k",
            "http://127.0.0.1/k",
            "https://u@a.example/k",
            "https://a.example/k#x",
            "k",
        )
    ),
    (
        "resources/0/client",
        {
            "client_id": "s",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "HS256",
            "jwks_uri": "https://a.example/k",
        },
        "resources[0].client.token_endpoint_auth_signing_alg: use one of ES256, EdDSA, RS256, PS256",
    ),
    ("clients/0/type", "open", "clients[0].type: use one of 'public', 'confidential'"),
    # Names
    ("tenants/0/id", "Acme", f"tenants[0].id: {ID}"),
    ("users/0/id", "al ice", f"users[0].id: {ID}"),
    ("clients/0/client_id", "-app", f"clients[0].client_id: {ID}"),
    ("resources/0/id", "x" * 128, f"resources[0].id: {ID}"),
    ("tenants/0/name", "a\nb", "tenants[0].name: a name is 1 to 200 printable characters"),
    ("users/0/email", "nowhere", "users[0].email: this is no e-mail address"),
    ("tenants/1", {"id": "acme"}, "tenants[1].id: acme is taken by tenants[0].id"),
    ("users/0/id", "App", "clients[0].client_id: app is taken by users[0].id"),
    (
        "resources/0/client/client_id",
        "alice",
        "resources[0].client.client_id: alice is taken by users[0].id",
    ),
    ("resources/1/id", "tickets", "resources[1].id: tickets is taken by resources[0].id"),
    (
        "resources/1/uri",
        "https://MCP.example:443/mcp/",
        "resources[1].uri: https://mcp.example/mcp is taken by resources[0].uri",
    ),
    (
        "edges/1",
        {"from": "tickets", "to": "crm", "scopes": {}},
        "edges[1]: tickets->crm is taken by edges[0]",
    ),
    ("users/0/tenants/1", {"id": "acme"}, "users[0].tenants[1].id: acme is taken by users[0].tenants[0].id"),
    # Clients
    (
        "clients/0/authorization_details_types",
        ["mcp_tool_call", "payment_initiation"],
        "clients[0].authorization_details_types[1]: use mcp_tool_call",
    ),
    (
        "clients/0/grant_types",
        ["password"],
        "clients[0].grant_types[0]: use one of authorization_code, refresh_token",
    ),
    (
        "clients/0/grant_types",
        ["authorization_code", "client_credentials"],
        "clients[0].grant_types[1]: a public client cannot use client_credentials: it has no secret",
    ),
    (
        "clients/0/grant_types",
        ["refresh_token"],
        "clients[0].grant_types: refresh_token needs authorization_code beside it",
    ),
    ("clients/0/redirect_uris", [], "clients[0].redirect_uris: authorization_code needs at least one"),
    (
        "clients/0/redirect_uris",
        ["http://app.example/cb"],
        "clients[0].redirect_uris[0]: a redirect URI uses https, or http on 127.0.0.1, [::1] or localhost",
    ),
    (
        "clients/0/token_endpoint_auth_method",
        "private_key_jwt",
        "clients[0].token_endpoint_auth_method: none is for public clients, and they have no other",
    ),
    (
        "clients/0/token_endpoint_auth_method",
        "magic",
        "clients[0].token_endpoint_auth_method: use one of none, client_secret_basic, client_secret_post",
    ),
    (
        "clients/0/token_endpoint_auth_method",
        "client_secret_basic",
        "clients[0].token_endpoint_auth_method: none is for public clients, and they have no other",
    ),
    ("clients/0/client_secret", "s3cret", "clients[0].client_secret: a public client has no secret"),
    (
        "resources/0/client",
        {"client_id": "s", "client_secret": " padded "},
        "resources[0].client.client_secret: a secret is text without spaces at its ends",
    ),
    (
        "resources/0/client",
        {"client_id": "s", "client_secret_file": "nowhere"},
        "client s.client_secret_file: nowhere cannot be read",
    ),
    (
        "resources/0/client",
        {"client_id": "s", "client_secret": "a", "client_secret_file": "b"},
        "resources[0].client.client_secret_file: give the secret or its file, not both",
    ),
    # Resources
    ("resources/0/uri", "mcp.example", "resources[0].uri: an absolute http or https URI without fragment"),
    ("resources/0/tenants", ["*", "acme"], 'resources[0].tenants: "*" stands alone'),
    ("resources/0/token", {"lifetime": 601}, "resources[0].token.lifetime: a token lives 1 to 600 seconds"),
    ("resources/0/token", {"lifetime": 0}, "resources[0].token.lifetime: a token lives 1 to 600 seconds"),
    ("resources/0/token", {"alg": "HS256"}, "resources[0].token.alg: use one of ES256, EdDSA, RS256, PS256"),
    (
        "resources/0/scopes/0/name",
        "offline_access",
        "resources[0].scopes[0].name: offline_access is the server's, never a resource's",
    ),
    ("resources/0/scopes/0/name", "a b", "resources[0].scopes[0].name: a scope is one word"),
    ("resources/0/scopes/0/name", 'a"b', "resources[0].scopes[0].name: a scope is one word"),
    (
        "resources/0/scopes/0/name",
        "t:write",
        "resources[0].scopes[1].name: t:write is taken by resources[0].scopes[0].name",
    ),
    (
        "resources/0/scopes/1/implies",
        ["x"],
        "resources[0].scopes[1].implies: x is not a scope of this resource",
    ),
    ("resources/0/tools/0/scopes", ["x"], "resources[0].tools[0].scopes: x is not a scope of this resource"),
    (
        "resources/0/tools/0/name",
        "",
        "resources[0].tools[0].name: a tool's name is 1 to 128 printable characters",
    ),
    ("resources/0/tools/0/cost", -1, "resources[0].tools[0].cost: a cost is a number from 0 on"),
    ("resources/0/tools/1", {"name": "search"}, "resources[0].tools[1].name: search is taken by"),
    *(
        (f"resources/0/tools/0/{member}", value, f"resources[0].tools[0].{text}")
        for member, value, text in (
            ("cost", float("nan"), "cost: a cost is a number from 0 on"),
            ("family", "Pay ments", "family: a family is 1 to 64 of a-z, 0-9"),
            ("undo", "search", "undo: name another tool of this resource"),
            ("undo", "nothing", "undo: name another tool of this resource"),
            ("max_output", 0, "max_output: an output is 1 to 16777216 bytes"),
            ("max_output", 16777217, "max_output: an output is 1 to 16777216 bytes"),
            ("log_arguments", "yes", "log_arguments: write true or false"),
            ("redact", ["$.a", "ssn"], "redact[1]: a path begins with $"),
            ("redact", ["$"], "redact[0]: a path has 1 to 16 steps"),
            ("redact", ["$.a[?@.b]"], "redact[0]: write $.a.b, $['a b'], $.a[*].b or $..x"),
            ("redact", ["$.a[0]"], "redact[0]: write $.a.b, $['a b'], $.a[*].b or $..x"),
            ("redact", ["$..*" + ".a" * 200], "redact[0]: a path begins with $ and has at most 256"),
            ("description", "", "description: a description is 1 to 8192 characters"),
            ("schema", {"type": "string"}, "schema: the arguments of a tool are an object"),
            ("schema", {"type": "object", "required": 1}, "schema: this is no schema that can be judged by"),
            (
                "schema",
                {"type": "object", "$ref": "https://evil.example/schema"},
                "schema: this is no schema that can be judged by",
            ),
            ("schema", {"type": "object", "x": 2**60}, "schema: an integer beyond 2**53 is not exact"),
            ("schema", {"type": "object", 1: 2}, "schema[1].[key]: write a text"),
            ("approval", {}, "approval.by: is missing"),
            ("approval", {"by": []}, "approval.by: name the roles whose holders may allow it, or self"),
            ("approval", {"by": ["a", "a"]}, "approval.by[1]: a role is 1 to 64 printable characters and"),
            ("approval", {"by": ["group:"]}, "approval.by[0]: a role is 1 to 64 printable characters and"),
            ("approval", {"by": [""]}, "approval.by[0]: a role is 1 to 64 printable characters and"),
            ("approval", {"by": ["self"]}, "approval.by: an external_write is allowed by somebody else"),
            ("approval", {"by": ["a"], "quorum": 0}, "approval.quorum: 1 to 5 people allow a call"),
            ("approval", {"by": ["a"], "quorum": 6}, "approval.quorum: 1 to 5 people allow a call"),
            ("approval", {"by": ["a"], "expires": 29}, "approval.expires: an approval waits 30 to 86400"),
            ("approval", {"by": ["a"], "expires": 86401}, "approval.expires: an approval waits 30 to"),
        )
    ),
    (
        "resources/0/tools/0",
        {"name": "close", "impact": "reversible_write", "approval": {"by": ["self"], "quorum": 2}},
        "resources[0].tools[0].approval.quorum: self is one person: name a role beside it",
    ),
    *(
        ("resources/0/limits", value, f"resources[0].limits{text}")
        for value, text in (
            ({"a": 1}, ".a: the estate file has no such member"),
            ({"per_minute": 0}, ".per_minute: a limit is 1 to 10000000: leave it out for none"),
            ({"per_minute": 1.5}, ".per_minute: write a whole number"),
            ({"concurrent": 10_001}, ".concurrent: a limit is 1 to 10000"),
            ({"calls_per_day": -1}, ".calls_per_day: a limit is 1 to"),
            ({"budget_per_day": -1}, ".budget_per_day: a budget is a number from 0 on"),
            ({"per_user": {"per_minute": 0}}, ".per_user.per_minute: a limit is 1 to"),
            ({"per_tool": {"nothing": {}}}, ".per_tool.nothing: there is no such tool of this resource"),
            ({"per_tool": {"search": {"concurrent": 0}}}, ".per_tool.search.concurrent: a limit is 1 to"),
            ({"per_family": {"payments": {}}}, ".per_family.payments: no tool of this resource is of"),
        )
    ),
    *(
        ("resources/0/isolation", value, f"resources[0].isolation.{text}")
        for value, text in (
            ({"network": "none"}, "network: the estate file has no such member"),
            ({"egress": ["https://crm.example"]}, "egress[0]: a host name in lower case is needed"),
            ({"egress": ["crm.example", "a..b"]}, "egress[1]: a host name in lower case is needed"),
            ({"timeout": 0}, "timeout: a call may take 1 to 3600 seconds"),
            ({"timeout": 3601}, "timeout: a call may take 1 to 3600 seconds"),
            ({"concurrent": 0}, "concurrent: 1 to 10000 calls run at once"),
        )
    ),
    ("resources/0/record", "never", "resources[0].record: use one of 'each', 'after'"),
    ("resources/1/record", "after", "resources[1].record: whoever reports calls afterwards needs a client"),
    # References
    ("users/0/tenants/0/id", "globex", "users[0].tenants[0].id: there is no tenant globex"),
    ("resources/0/tenants", ["globex"], "resources[0].tenants: there is no tenant globex"),
    ("clients/0/tenant", "globex", "clients[0].tenant: there is no tenant globex"),
    ("clients/0/resources", ["notes"], "clients[0].resources: there is no resource notes"),
    (
        "clients/0/scopes",
        ["x"],
        "clients[0].scopes: x is not a scope of any resource that this client may ask for",
    ),
    ("edges/0/from", "notes", "edges[0].from: there is no resource notes"),
    ("edges/0/to", "notes", "edges[0].to: there is no resource notes"),
    ("edges/0/to", "tickets", "edges[0].to: an edge leads to another resource"),
    ("edges/0/scopes", {"x": ["c"]}, "edges[0].scopes: x is not a scope of tickets"),
    ("edges/0/scopes", {"t:read": ["x"]}, "edges[0].scopes.t:read: x is not a scope of crm"),
    ("edges/0/lifetime", 3600, "edges[0].lifetime: a token lives 1 to 600 seconds"),
    ("edges/0/depth", 0, "edges[0].depth: a chain has 1 to 16 actors"),
    ("edges/0/consent", "nobody", "edges[0].consent: use one of 'user', 'admin'"),
    ("edges/0/purpose", "", "edges[0].purpose: a purpose is 1 to 200 printable characters"),
    ("edges/0/purpose", "a\nb", "edges[0].purpose: a purpose is 1 to 200 printable characters"),
    ("edges/0/expires", "soon", "edges[0].expires: write a moment with its zone"),
    ("edges/0/expires", "2027-01-31T00:00:00", "edges[0].expires: write a moment with its zone"),
    ("edges/0/expires", 1800000000, "edges[0].expires: write a moment with its zone"),
    ("edges/0/release", True, "edges[0].release: crm is no vault: there is nothing to release"),
    ("users/0/password", "short", "users[0].password: A password has at least 8 characters."),
]


@pytest.mark.parametrize(("path", "value", "expected"), CASES)
def test_what_is_wrong_is_said_with_its_path(desk, path: str, value: object, expected: str) -> None:
    found = problems(desk, changed(path, value))
    assert any(text.startswith(expected) for text in found), found


def test_everything_is_said_at_once(desk) -> None:
    found = problems(
        desk,
        {
            "tenants": [{"id": "ACME"}],
            "users": [{"id": "alice", "password": "short", "tenants": [{"id": "globex"}]}],
            "resources": [
                {
                    "id": "a",
                    "kind": "mcp",
                    "uri": "x",
                    "tenants": [],
                    "tools": [{"name": "t", "scopes": ["s"]}],
                }
            ],
        },
    )
    paths = {text.split(": ")[0] for text in found}
    assert paths == {
        "tenants[0].id",
        "users[0].password",
        "users[0].tenants[0].id",
        "resources[0].uri",
        "resources[0].tools[0].scopes",
    }


def test_two_defaults_for_one_tenant_are_refused_and_one_each_is_fine(desk) -> None:
    value = changed("resources/0/default", True)
    assert problems(desk, value) == []
    value["resources"][1]["default"] = True
    assert problems(desk, value) == ["resources[1].default: tickets is the default for the same tenant"]
    value["tenants"].append({"id": "globex"})
    value["resources"][1]["tenants"] = ["globex"]
    assert problems(desk, value) == []


def test_what_is_on_the_server_already_can_be_referred_to(desk) -> None:
    desk.put("tenants: [{id: acme}]")
    person = "users: [{id: alice, tenants: [{id: acme}]}]"
    assert desk.problems(person) == []
    assert desk.problems(person, prune=True) == ["users[0].tenants[0].id: there is no tenant acme"]


def test_a_change_that_breaks_what_the_file_does_not_name_is_refused(desk, estate) -> None:
    desk.put(estate)
    uri = "https://crm.internal.example"
    crm = f"resources: [{{id: crm, kind: downstream, uri: '{uri}', tenants: '*', scopes: [{{name: '%s'}}]}}]"
    assert desk.problems(crm % "crm:write") == [
        "edge tickets->crm.scopes.tickets:read: crm:read is not a scope of crm"
    ]
    assert desk.problems(crm % "crm:read") == []


def test_a_name_that_somebody_on_the_server_has_is_refused(desk, estate) -> None:
    desk.put(estate)
    app = "clients: [{client_id: %s, type: public, redirect_uris: ['https://a.example/cb']}]"
    assert "users and clients share one namespace" in desk.problems(app % "alice")[0]
    assert "tickets-server is a client of its own already" in desk.problems(app % "tickets-server")[0]
    assert desk.problems(app % "another") == []
    second = (
        "resources: [{id: b, kind: mcp, uri: 'https://b.example', tenants: [acme], client: {client_id: %s}}]"
    )
    assert "is the identity of resource" in desk.problems(second % "tickets-server")[0]
    assert desk.problems(second % "b-server") == []
    taken = "resources: [{id: b, kind: mcp, uri: 'http://127.0.0.1:9999/mcp/', tenants: [acme]}]"
    assert "is the URI of resource tickets" in desk.problems(taken)[0]


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(EstateProblems, match="line 2: 'tenants' stands there twice"):
        read_yaml("tenants: []\ntenants: []\n")
    with pytest.raises(EstateProblems, match="'id' stands there twice"):
        read_yaml("tenants: [{id: a, id: b}]")
    assert read_yaml("tenants: [{id: a}, {id: b}]") == {"tenants": [{"id": "a"}, {"id": "b"}]}


@pytest.mark.parametrize(
    "text", ["tenants: [", "\t- a", "!!python/object/apply:os.system ['true']", "a: b: c", "[" * 2000]
)
def test_what_is_no_yaml_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(EstateProblems):
        read_yaml(text)


def test_an_empty_file_and_a_list_are_told_apart() -> None:
    assert parse(read_yaml("")).tenants == []
    with pytest.raises(EstateProblems, match="write a mapping"):
        parse(read_yaml("- a"))


def test_defaults_are_filled_in(desk, estate) -> None:
    desk.put(estate)
    held = desk.apply.holdings()
    assert held.users["bob"].name == "bob" and held.tenants["globex"].name == "globex"
    assert held.users["alice"].memberships == (
        Membership("acme", ("member",), {"department": "support", "level": 3}),
    )
    assert held.clients["desk-app"].application_type == "native" and held.clients["desk-app"].method == "none"
    assert held.clients["nightly"].method == "client_secret_post"
    crm = held.resources["crm"]
    assert (crm.kind, crm.publish, crm.name, crm.tenants) == (ResourceKind.DOWNSTREAM, False, "crm", ("*",))
    assert crm.scopes[0].description == "crm:read"
    tickets = held.resources["tickets"]
    search, refund = tickets.tools
    assert (search.redact, search.cost, search.approval, search.max_output) == (("$.ssn",), 5, None, None)
    assert refund.approval == ApprovalRule(("approver",), expires=900, quorum=1)
    assert (refund.impact, refund.family, refund.log_arguments) == (Impact.EXTERNAL_WRITE, None, None)
    assert tickets.limits == Limits(per_minute=120, per_user=Bounds(per_minute=30))
    assert tickets.isolation == Isolation(("crm.internal.example",), timeout=30)
    assert (tickets.record, crm.limits, crm.isolation) == (Recording.EACH, Limits(), Isolation())


def test_everything_that_a_tool_can_say_is_written_back_as_it_was_read(desk) -> None:
    value = copy.deepcopy(BASE)
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    value["resources"][0] |= {
        "tools": [
            {
                "name": "search",
                "scopes": ["t:read"],
                "impact": "read",
                "description": "Searches the tickets.",
            },
            {
                "name": "pay",
                "scopes": ["t:write"],
                "impact": "external_write",
                "family": "payments",
                "cost": 2.5,
                "undo": "search",
                "approval": {"by": ["approver", "finance"], "expires": 60, "quorum": 2},
                "redact": ["$.card.number", "$..iban", "$.lines[*]['unit price']"],
                "max_output": 1024,
                "log_arguments": False,
                "description": "Pays somebody.",
                "schema": schema,
            },
        ],
        "limits": {
            "per_minute": 120,
            "budget_per_day": 500.0,
            "per_client": {"concurrent": 2},
            "per_family": {"payments": {"calls_per_day": 3}},
            "per_tool": {"pay": {"per_minute": 1}},
        },
        "isolation": {"egress": ["crm.example:8443", "[2001:db8::1]"], "concurrent": 4},
        "record": "after",
    }
    desk.apply.apply(judged(parse(value), Path()), ORIGIN)
    written = parse(read_yaml(export(desk.apply.holdings()))).resources[1].model_dump(by_alias=True)
    expected = parse(value).resources[0].model_dump(by_alias=True)
    for member in ("tools", "limits", "isolation", "record"):
        assert written[member] == expected[member]
    assert desk.apply.apply(judged(parse(value), Path()), ORIGIN, dry_run=True) == []


def test_secrets_come_from_files_beside_the_estate(tmp_path: Path) -> None:
    (tmp_path / "job.secret").write_text("from-a-file\n")
    estate = tmp_path / "estate.yaml"
    estate.write_text(
        "clients: [{client_id: job, type: confidential, client_secret_file: job.secret,"
        " grant_types: [client_credentials]}]"
    )
    found = load(estate)
    assert found.secrets == {"job": "from-a-file"} and found.problems == ()
    assert "from-a-file" not in repr(found)


def test_one_object_has_the_shape_that_it_has_in_the_file() -> None:
    assert parse_one("tenant", {"id": "acme"}).tenants[0].id == "acme"
    with pytest.raises(EstateProblems, match=r"edges\[0\].to: is missing"):
        parse_one("edge", {"from": "a", "scopes": {}})
