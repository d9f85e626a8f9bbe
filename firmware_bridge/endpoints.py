"""Addresses of a bridge's two sockets, as zmq writes them. Pure."""

from __future__ import annotations

import ipaddress

IPC, TCP = "ipc://", "tcp://"
ANY = "*"  # a port that the system chooses
EVERYWHERE = ("*", "0.0.0.0", "::")


def split(endpoint: str) -> tuple[str, str]:
    """(host, port) of tcp://HOST:PORT, an IPv6 host without its brackets. Raises ValueError."""
    host, colon, port = endpoint.removeprefix(TCP).rpartition(":")
    if not (endpoint.startswith(TCP) and colon and host and (port == ANY or port.isdecimal())):
        raise ValueError(endpoint)
    if port != ANY and not 0 < int(port) < 65535:  # the statuses need the port after it
        raise ValueError(endpoint)
    return host.removeprefix("[").removesuffix("]"), port


def join(host: str, port: str | int) -> str:
    return f"{TCP}[{host}]:{port}" if ":" in host else f"{TCP}{host}:{port}"


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost is taken as reachable from elsewhere."""
    if endpoint.startswith(IPC):
        return True
    host, _ = split(endpoint)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def status_endpoint(endpoint: str) -> str:
    """Where the statuses go: beside an ipc path; on the same interface, one port up."""
    if endpoint.startswith(IPC):
        return f"{endpoint}.status"
    host, port = split(endpoint)
    return join(host, ANY if port == ANY else int(port) + 1)


def reachable(status: str, endpoint: str) -> str:
    """The bridge's `status` endpoint as a client reaches it that came by `endpoint`."""
    if not (status.startswith(TCP) and endpoint.startswith(TCP)):
        return status
    host, port = split(status)
    return join(split(endpoint)[0], port) if host in EVERYWHERE else status
