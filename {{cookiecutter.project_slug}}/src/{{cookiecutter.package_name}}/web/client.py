"""The client's address."""

import ipaddress
from collections.abc import Mapping
from typing import Any

IPV6_NETWORK_BITS = 64  # the network of one subscriber


def client_of(scope: Mapping[str, Any]) -> str:
    """The client's address. An IPv4 address that came over IPv6 is written as IPv4."""
    host = str((scope.get("client") or ("",))[0])
    return host.removeprefix("::ffff:") if "." in host else host


def network_of(scope: Mapping[str, Any]) -> str:
    """The client's address or, for IPv6, the network of one subscriber."""
    host = client_of(scope)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
