"""What is sealed in a farewell: a token, and all that is needed to give it back once its resource is gone from here."""

import json
from dataclasses import dataclass, field, replace

from broker.estate.model import Registration, Resource, ResourceKind
from broker.vault import reach
from broker.vault.model import Reach


@dataclass(frozen=True, slots=True)
class Errand:
    """`secret`: this server's own at the provider, None without one."""

    token: str = field(repr=False)
    provider: str
    client_id: str
    method: str
    token_endpoint: str
    revocation_endpoint: str
    secret: str | None = field(repr=False)

    @classmethod
    def to(cls, aim: Reach, secret: str | None, token: str) -> "Errand":
        assert aim.revocation_endpoint is not None
        return cls(
            token,
            aim.provider.name,
            aim.client_id,
            aim.method,
            aim.token_endpoint,
            aim.revocation_endpoint,
            secret,
        )

    @classmethod
    def read(cls, text: str) -> "Errand":
        return cls(**json.loads(text))

    def written(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def aim(self, resource_id: str) -> Reach | None:
        """None when this release does not know the provider."""
        registration = Registration(
            self.provider,
            self.client_id,
            authorization_endpoint=self.token_endpoint,  # nobody is sent there
            token_endpoint=self.token_endpoint,
            revocation_endpoint=self.revocation_endpoint,
            method=self.method,
        )
        gone = Resource(resource_id, ResourceKind.VAULT, self.token_endpoint, resource_id, ())
        return reach.of(replace(gone, vault=registration))
