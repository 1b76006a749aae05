"""Trusted issuers, workloads and recipients for the tests of stores."""

from broker.identity.federation.model import Accounts, Claims, Rule, Worth
from broker.identity.federation.trusted.model import (
    Bearer,
    Place,
    Reading,
    Recipient,
    TrustedIssuer,
    Use,
    Workload,
)


def issuer(mark: str, tenant: str | None = "acme") -> TrustedIssuer:
    return TrustedIssuer(
        f"issuer-{mark}",
        f"https://{mark}.example",
        tenant,
        ("acme",),
        (Use.ID_JAG, Use.WORKLOAD),
        ("ES256",),
        jwks=f'{{"keys": "{mark}"}}',
        upstream_tenants=("a",),
        longest=600,
        reusable=True,
        accounts=Accounts.CREATE,
        mapping=Claims(Rule("preferred_username"), roles=(Rule("groups", {f"g-{mark}": "member"}),)),
        mfa=Worth(("gold",), ("otp",)),
        reading=Reading("scp", "azp", {f"{mark}.Read": ("read", "list")}, ("app",)),
    )


def workload(mark: str, tenant: str | None = "acme") -> Workload:
    return Workload(
        f"workload-{mark}", tenant, f"issuer-{mark}", f"client-{mark}", {"sub": (f"repo:{mark}", "ü")}
    )


def recipient(mark: str, tenant: str | None = "acme") -> Recipient:
    return Recipient(
        f"recipient-{mark}",
        f"https://{mark}.example",
        tenant,
        ("acme",),
        (Place(f"https://{mark}.example/mcp", ("read", "write")),),
        (Bearer(f"client-{mark}", f"there {mark}", ("read",)), Bearer("other", "other")),
        acr="gold",
        max_age=60,
        lifetime=120,
    )
