"""Addresses that only this machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether an address, with or without brackets, can be reached from this machine only.

    Example:
        >>> is_loopback("127.8.8.8"), is_loopback("[::1]"), is_loopback("lab.example")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
