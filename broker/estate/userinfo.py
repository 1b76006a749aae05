"""OpenID Connect Core section 5.3: what each door tells a client about its user, as a resource of the server itself."""

from broker.estate.model import Resource, ResourceKind, Scope
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol.names import IDENTITY_SCOPES, OPENID

PATH = "/userinfo"
"""Its address below the door, and its id: no id of the estate file has a slash."""


def resource(doors: Doors, door: Door) -> Resource:
    return Resource(
        id=PATH,
        kind=ResourceKind.DOWNSTREAM,
        uri=door.url(PATH),
        name=PATH.removeprefix("/"),
        tenants=tuple(tenant for tenant in doors.tenants if doors.serves(door, tenant)),
        scopes=tuple(Scope(name, name, default=name == OPENID) for name in IDENTITY_SCOPES),
        publish=False,
        door=door.issuer,
    )
