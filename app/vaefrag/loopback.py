"""Which addresses can be reached from where."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether an address, with or without brackets, can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
