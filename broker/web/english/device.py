"""The texts of the page where the code of a device is typed, and of the consent page about the device."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "device.page": "Connect a device",
    "device.page_error": "Error: connect a device",
    "device.heading": "Connect a device to {door}",
    "device.lead": "Type the code that the device or program in front of you shows.",
    "device.error": "This did not work",
    "device.error.wrong": "This code is not known here. Look again at the device; if it shows another code by now, "
    "type that one.",
    "device.code": "Code",
    "device.code.hint": "Ten letters, like those on the device.",
    "device.submit": "Continue",
    "device.foot": "Nothing is connected yet: on the next page you see what would be, and decide. "
    "If somebody sent you a code, close this page.",
    "device.destination": "a device that shows this code",
    "device.compare": "Is this the code on the device in front of you, and did you start this yourself, just now?",
    "device.warning": "If the code differs, or if somebody sent you a link or a code, refuse: whoever holds that "
    "device would act in your name.",
    "device.begun": "Started",
    "device.source": "From the address",
    "device.agent": "By a program that calls itself",
    "done.connected.title": "The device is connected",
    "done.connected.what": "It goes on by itself in a few seconds. You can close this window.",
    "done.refused.title": "The device is not connected",
    "done.refused.what": "It was told that you refused. You can close this window.",
    "problem.user_code.title": "This code is not known here",
    "problem.user_code.what": "It has expired, was used before, or is not one that your account can answer. "
    "Nothing was changed.",
    "problem.user_code.fix": "Look again at the device, and type the code that it shows now.",
}
