"""RFC 6890: which addresses are of the public internet; a pure rule."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Nothing outside it is an address of the internet: not what is mapped, compatible, translated, local or multicast.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15"),
        *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
        # Protocol assignments with Teredo, documentation, 6to4, AS112.
        *("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16", "2620:4f:8000::/48"),
    )
)
# RFC 5214 section 6.1: what stands before the IPv4 address in the id of an interface.
_ISATAP = (0x00005EFE, 0x02005EFE)


def public(address: Address) -> bool:
    """Whether an address is of the public internet, and carries no other address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None or address not in _GLOBAL_UNICAST:
            return False
        if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or not address.is_global
    )
    return not special and not any(
        address in network for network in _REFUSED if network.version == address.version
    )
