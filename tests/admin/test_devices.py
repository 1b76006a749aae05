"""Devices, as an administrator allows them: off until a tenant and a client say so, with scopes listed one by one."""

import pytest

from broker.admin.export import export
from broker.protocol.names import DEVICE_CODE
from tests.admin.conftest import Desk

SERVER = '{id: tickets, kind: mcp, uri: "https://t.example/mcp", tenants: [acme], scopes: [{name: "t:read"}]}'


def estate(client: str, tenant: str = "device: true") -> str:
    return (
        f"tenants: [{{id: acme, {tenant}}}]\nresources: [{SERVER}]\n"
        f'clients: [{{client_id: tv, type: public, grant_types: ["{DEVICE_CODE}"], {client}}}]'
    )


def test_a_tenant_and_a_client_for_devices_come_back_as_written(desk: Desk) -> None:
    desk.put(estate('scopes: ["t:read"]'))
    held = desk.apply.holdings()
    assert held.tenants["acme"].device and held.clients["tv"].grant_types == (DEVICE_CODE,)
    exported = export(held)
    assert desk.put(exported) == [] and "device: true" in exported
    assert [change.members for change in desk.put("tenants: [{id: acme}]")] == [["device"]]
    assert not desk.apply.holdings().tenants["acme"].device


@pytest.mark.attack("DEVICE-18")
def test_a_tenant_that_says_nothing_has_no_devices(desk: Desk) -> None:
    desk.put("tenants: [{id: acme}]")
    assert not desk.apply.holdings().tenants["acme"].device
    assert "device" not in export(desk.apply.holdings())


@pytest.mark.attack("DEVICE-18")
def test_a_client_for_devices_lists_what_it_may_ask_for(desk: Desk) -> None:
    listed = "clients[0].scopes: list the scopes that the client may ask for from a device"
    assert desk.problems(estate("name: TV")) == [listed]
    assert desk.problems(estate('scopes: ["t:read"]')) == []


@pytest.mark.parametrize(
    ("grant_types", "said"),
    [
        (f'["{DEVICE_CODE}", refresh_token]', []),
        ("[refresh_token]", ["clients[0].grant_types: refresh_token needs authorization_code beside it"]),
        ("[device_code]", ["clients[0].grant_types[0]: use one of "]),
    ],
)
def test_a_device_may_stay_connected(desk: Desk, grant_types: str, said: list[str]) -> None:
    file = estate('scopes: ["t:read"]').replace(f'["{DEVICE_CODE}"]', grant_types)
    found = desk.problems(file)
    assert len(found) == len(said)
    assert all(one.startswith(wanted) for one, wanted in zip(found, said, strict=True))
