"""RFC 8414, RFC 9728, RFC 7517: the documents that doors and resources are found by, made once per change."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from broker.estate import rules
from broker.estate.estate import Estate
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol import acr, details, dpop
from broker.protocol.names import (
    DEVICE_CODE,
    ID_JAG_PROFILE,
    ID_JAG_TOKEN_TYPE,
    IDENTITY_SCOPES,
    JWT_BEARER,
    NONE,
    OFFLINE_ACCESS,
    PRIVATE_KEY_JWT,
    SIGNING_ALGORITHMS,
    TOKEN_EXCHANGE,
    TYP_RESOURCE_METADATA,
)
from broker.runtime.clock import Clock
from keys.ring import Keyring
from wellknown import authorization_server, authzen, openid, protected_resource
from wellknown.authorization_server import ServerMetadata
from wellknown.document import Document
from wellknown.protected_resource import ResourceMetadata


@dataclass(frozen=True, slots=True)
class Offer:
    """What the registries of this server offer: discovery says exactly this."""

    grant_types: Collection[str]
    authentication_methods: Collection[str]
    prompts: Collection[str]
    registration: bool
    documents: bool
    claims: Collection[str]
    certificates: bool = False
    mtls_origin: str | None = None
    response_modes: Collection[str] = ("query",)
    ui_locales: Collection[str] = ()


class Published:
    """The `Source` of `wellknown`; documents live as long as the estate and the keys that they were made from."""

    def __init__(
        self, estate: Callable[[], Estate], keys: DoorKeys, clock: Clock, offer: Offer, max_age: int
    ) -> None:
        self._estate, self._keys, self._clock = estate, keys, clock
        self._offer, self._max_age = offer, max_age
        self._made: tuple[Estate, Keyring, dict[tuple[str, str], Document | None]] | None = None

    def authorization_server(self, door_path: str) -> Document | None:
        return self._document(
            "server", door_path, lambda door: authorization_server.document(self._metadata(door))
        )

    def openid(self, door_path: str) -> Document | None:
        return self._document("openid", door_path, lambda door: openid.document(self._metadata(door)))

    def authzen(self, door_path: str) -> Document | None:
        return self._document("authzen", door_path, lambda door: authzen.document(door.issuer))

    def jwks(self, door_path: str) -> Document | None:
        return self._document("jwks", door_path, lambda door: dict(self._keys.ring().jwks(door.issuer)))

    def protected_resource(self, resource_id: str) -> Document | None:
        """The metadata of a published resource, signed by the door that its clients are sent to."""
        return self._once("resource", resource_id, lambda: self._resource(resource_id))

    def _document(
        self, kind: str, door_path: str, make: Callable[[Door], dict[str, object]]
    ) -> Document | None:
        def render() -> Document | None:
            door = self._estate().doors.at_path(door_path.removeprefix("/t/") or None)
            return None if door is None else Document.of(make(door), self._max_age)

        return self._once(kind, door_path, render)

    def _once(self, kind: str, name: str, make: Callable[[], Document | None]) -> Document | None:
        estate, ring = self._estate(), self._keys.ring()
        made = self._made
        if made is None or made[0] is not estate or made[1] is not ring:
            made = self._made = (estate, ring, {})
        if (kind, name) not in made[2]:
            document = make()
            if document is None:  # strangers choose the names that are not known
                return None
            made[2][(kind, name)] = document
        return made[2][(kind, name)]

    def _metadata(self, door: Door) -> ServerMetadata:
        scopes = {
            scope: None for resource in self._estate().published_at(door) for scope in rules.offered(resource)
        }
        methods = tuple(self._offer.authentication_methods)
        devices = self._estate().doors.devices_at(door)
        profiles = (ID_JAG_PROFILE,) if JWT_BEARER in self._offer.grant_types else ()
        chained = (ID_JAG_TOKEN_TYPE,) if TOKEN_EXCHANGE in self._offer.grant_types else ()
        return ServerMetadata(
            issuer=door.issuer,
            scopes_supported=tuple(dict.fromkeys((*scopes, *IDENTITY_SCOPES, OFFLINE_ACCESS))),
            grant_types_supported=tuple(
                name for name in self._offer.grant_types if name != DEVICE_CODE or devices
            ),
            token_endpoint_auth_methods_supported=methods,
            introspection_endpoint_auth_methods_supported=tuple(m for m in methods if m != NONE),
            revocation_endpoint_auth_methods_supported=methods,
            auth_signing_alg_values_supported=SIGNING_ALGORITHMS if PRIVATE_KEY_JWT in methods else (),
            id_token_signing_alg_values_supported=SIGNING_ALGORITHMS,
            introspection_signing_alg_values_supported=SIGNING_ALGORITHMS,
            dpop_signing_alg_values_supported=dpop.ALGORITHMS,
            prompt_values_supported=tuple(self._offer.prompts),
            response_modes_supported=tuple(self._offer.response_modes),
            ui_locales_supported=tuple(self._offer.ui_locales),
            require_pushed_authorization_requests=self._estate().doors.pushed_only_at(door),
            authorization_grant_profiles_supported=profiles,
            identity_chaining_requested_token_types_supported=chained,
            devices=devices,
            registration=self._offer.registration,
            client_id_metadata_document_supported=self._offer.documents and self._trusts_anybody(door),
            claims_supported=tuple(self._offer.claims),
            acr_values_supported=acr.ORDER,
            authorization_details_types_supported=details.TYPES,
            tls_client_certificate_bound_access_tokens=self._offer.certificates,
            mtls_base=f"{self._offer.mtls_origin}{door.path}" if self._offer.mtls_origin else None,
        )

    def _trusts_anybody(self, door: Door) -> bool:
        return door.tenant is None or self._estate().doors.tenants[door.tenant].documents.allow != ()

    def _resource(self, resource_id: str) -> Document | None:
        resource = self._estate().resources.get(resource_id)
        if resource is None or not resource.publish:
            return None
        door = self._estate().door_of(resource)
        described = ResourceMetadata(
            resource=resource.uri,
            authorization_servers=(door.issuer,),
            scopes_supported=rules.offered(resource),
            resource_name=resource.name,
            authorization_details_types_supported=details.TYPES if resource.tools else (),
        )
        members = protected_resource.document(
            described,
            issuer=door.issuer,
            now=int(self._clock.now()),
            sign=lambda claims: self._keys.statement(
                door.issuer, resource.algorithm, TYP_RESOURCE_METADATA, claims
            ),
        )
        return Document.of(members, self._max_age)
