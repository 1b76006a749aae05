"""The person at the browser, as a script: fills in each page's primary form, and follows redirects."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

import httpx2

_SECOND_THOUGHTS = {"withdraw", "deny"}


@dataclass
class Page(HTMLParser):
    """A page's heading, what it says in words, and the fields of its primary form as a browser sends them."""

    html: str
    heading: str = ""
    words: list[str] = field(default_factory=list)
    action: str | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)
    offers: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._in_heading = self._in_words = self._in_form = False
        self.feed(self.html)

    @property
    def answered(self) -> bool:
        """Whether it asks for nothing, but for second thoughts."""
        return self.action is None or (bool(self.offers) and self.offers <= _SECOND_THOUGHTS)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name, value, kind = found.get("name"), found.get("value") or "", found.get("type")
        if tag == "h1":
            self._in_heading = True
        elif tag == "span" and found.get("class") == "words":
            self._in_words = True
            self.words.append("")
        elif tag == "form" and found.get("id") == "primary":
            self._in_form, self.action = True, found.get("action") or ""
        elif tag == "input" and self._in_form and name and (kind != "checkbox" or "checked" in found):
            self.fields.append((name, value))
        elif tag == "button" and self._in_form and name == "decision":
            self.offers.add(value)

    def handle_endtag(self, tag: str) -> None:
        self._in_heading = self._in_heading and tag != "h1"
        self._in_words = self._in_words and tag != "span"
        self._in_form = self._in_form and tag != "form"

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.heading += data
        elif self._in_words:
            self.words[-1] += data


class Browser:
    """Keeps its cookies from visit to visit, as browsers do. `seen` tells what the person saw and did."""

    def __init__(self, username: str, password: str) -> None:
        self._answers = {"username": username, "password": password}
        self._http = httpx2.Client(trust_env=False, timeout=10)
        self.seen: list[str] = []

    def visit(self, url: str, until: str) -> None:
        """Open `url`, sign in, allow what is asked, until the browser is sent to an address below `until`."""
        answer = self._http.get(url)
        for _ in range(12):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                answer = self._http.get(target)
                if target.startswith(until):
                    return
            else:
                answer = self._fill(answer)
        raise RuntimeError(f"the browser went in circles: {self.seen}")

    def approve(self, url: str) -> None:
        """Open the page of one exact act, sign in, read, approve."""
        answer = self._http.get(url)
        for _ in range(8):
            if answer.is_redirect:
                answer = self._http.get(urljoin(str(answer.url), answer.headers["location"]))
            elif answer.status_code == 200 and Page(answer.text).answered:
                self.seen.append(f"[{Page(answer.text).heading}]")
                return
            else:
                answer = self._fill(answer, "approve")
        raise RuntimeError(f"the browser went in circles: {self.seen}")

    def _fill(self, answer: httpx2.Response, decision: str = "allow") -> httpx2.Response:
        page = Page(answer.text)
        if answer.status_code != 200 or page.action is None:
            raise RuntimeError(
                f"{answer.status_code} {answer.url.path}: [{page.heading}], a page without a form"
            )
        names = {name for name, _ in page.fields}
        fields = [(name, self._answers.get(name, value)) for name, value in page.fields]
        if "password" in names:
            self.seen.append(f"[{page.heading}] → {self._answers['username']} and the password")
        else:
            fields.append(("decision", decision))
            said = f": {', '.join(page.words)}" if page.words else ""
            self.seen.append(f"[{page.heading}{said}] → {decision}")
        target = urljoin(str(answer.url), page.action)
        origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
        return self._http.post(target, content=urlencode(fields), headers=headers)

    def close(self) -> None:
        self._http.close()
