"""Who is at the other end."""

import ipaddress
from collections.abc import Mapping
from typing import Any

IPV6_NETWORK_BITS = 64  # what one subscriber gets


def client_of(scope: Mapping[str, Any]) -> str:
    """The client's address. One of IPv4 is written as one, also where it came by IPv6."""
    host = str((scope.get("client") or ("",))[0])
    return host.removeprefix("::ffff:") if "." in host else host


def network_of(scope: Mapping[str, Any]) -> str:
    """Whence somebody asks: an address or, of IPv6, the network that one subscriber gets."""
    host = client_of(scope)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
