"""RFC 8628 sections 3.3 and 5.4: where the code of a device is typed, and what the consent page says of the device."""

from dataclasses import dataclass

from broker.web.page import Page, render


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView(Page):
    """`door_name`: tenant or server. `user_code`: as it was typed."""

    door_name: str
    action: str
    csrf: str
    user_code: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceNotice:
    """What to compare: the code on the device, when (epoch seconds) and from where it began.

    `agent` is what its program calls itself, empty when it does not.
    """

    user_code: str
    begun_at: float
    source: str
    agent: str = ""


def device(view: DeviceView) -> str:
    return render("device.html", view)
