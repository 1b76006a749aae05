"""What a person does who signs in at a provider, step by step; and the estate in which that is possible."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import yaml
from werkzeug.test import TestResponse

from broker.runtime.egress import Egress
from tests.documents import Authority, Names, outside
from tests.federation.scripted import CLIENT, SECRET, Scripted
from tests.lab import ISSUER, Browser, Lab

Changes = dict[str, object]


@dataclass
class Setting:
    """`lab` reaches `idp` over TLS; `other` is a second provider, somebody else's."""

    lab: Lab
    idp: Scripted
    other: Scripted

    def provider(self, named: str = "corp", **changes: object) -> Changes:
        """An entry of the estate file: of the server, unless `tenant` says otherwise."""
        entry: Changes = {
            "id": named,
            "name": "Corporate account",
            "issuer": self.idp.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            **changes,
        }
        return {member: value for member, value in entry.items() if value is not None}

    def apply(self, *providers: Changes, accepting: tuple[str, ...] = ("acme",)) -> None:
        """Make these the providers; the tenants of `accepting` accept all that are the server's."""
        wide = [entry["id"] for entry in providers if "tenant" not in entry]
        names = {"acme": "Acme", "globex": "Globex", "initech": "Initech"}
        tenants = [
            {
                "id": tenant,
                "name": name,
                "root_door": tenant != "initech",
                "identity_providers": wide if tenant in accepting else [],
            }
            for tenant, name in names.items()
        ]
        self.lab.apply(yaml.safe_dump({"tenants": tenants, "identity_providers": list(providers)}))

    def page(self, browser: Browser, door: str = "", **changes: str | None) -> TestResponse:
        """The page to sign in, on the way to a consent."""
        return browser.get(self.lab.authorize_url(door=door, **changes))

    def begin(self, browser: Browser, door: str = "", by: str = "corp", **changes: str | None) -> str:
        """From a client's request to the provider: the address there."""
        return self.out(browser, self.page(browser, door, **changes), by)

    def out(self, browser: Browser, page: TestResponse, by: str = "corp") -> str:
        response = browser.get(address(page, by).removeprefix(ISSUER))
        assert response.status_code == 303, response.get_data(as_text=True)
        return response.headers["Location"]

    def back(self, browser: Browser, came: dict[str, str], door: str = "", by: str = "corp") -> TestResponse:
        """Back from the provider with these parameters."""
        return browser.get(f"{door}/login/upstream/{by}/callback?{urlencode(came)}")

    def sign_in(
        self,
        browser: Browser | None = None,
        subject: str = "s-1",
        door: str = "",
        by: str = "corp",
        wishes: dict[str, str | None] | None = None,
        **claims: object,
    ) -> TestResponse:
        """All the way: the page behind the sign-in, or the refusal."""
        browser = browser or self.lab.browser()
        url = self.begin(browser, door, by, **(wishes or {}))
        return self.back(browser, self.idp.visit(url, subject, **claims), door, by)

    def link(
        self, browser: Browser, user: str = "alice", subject: str = "s-1", door: str = "", by: str = "corp"
    ) -> TestResponse:
        """Signed in here, link the account to whom the provider vouches for; the answer to the return."""
        self.lab.consent_page(user, browser, door=door)
        answer = self.back(browser, self.idp.visit(self.link_out(browser, door, by), subject), door, by)
        assert answer.status_code < 500, answer.get_data(as_text=True)
        return answer

    def link_out(self, browser: Browser, door: str = "", by: str = "corp") -> str:
        cookie = browser.http.get_cookie("__Host-broker", domain="as.example")
        assert cookie is not None
        token = self.lab.broker.manners.csrf.token(cookie.value, f"link {by}")
        response = browser.get(f"{door}/login/upstream/{by}/link?{urlencode({'csrf': token})}")
        assert response.status_code == 303, response.get_data(as_text=True)
        return response.headers["Location"]

    def user(self, user_id: str) -> object:
        return self.lab.broker.people.get(user_id)


def address(page: TestResponse, by: str = "corp") -> str:
    """Where the page's link to a provider leads."""
    found = re.search(rf'href="([^"]*/login/upstream/{by}\?[^"]*)"', page.get_data(as_text=True))
    assert found is not None, page.get_data(as_text=True)[:4000]
    return html.unescape(found[1])


@contextmanager
def setting(lab: Lab, authority: Authority) -> Iterator[Setting]:
    names = Names(**{"idp.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]})
    idp, other = Scripted(authority, lab.clock), Scripted(authority, lab.clock, "other.example")
    try:
        with outside(lab, Egress(True, lab.clock, names, authority.file)) as reached:
            yield Setting(reached, idp, other)
    finally:
        idp.close()
        other.close()
