"""RFC 9110 section 10.1.5: which browser a User-Agent means, in words that its owner recognizes; pure, a guess."""

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
"""From the particular to the general: browsers name their ancestors too."""


def browser(agent: str) -> str | None:
    return next((name for mark, name in _BROWSERS if mark in agent), None)


def system(agent: str) -> str | None:
    return next((name for mark, name in _SYSTEMS if mark in agent), None)
