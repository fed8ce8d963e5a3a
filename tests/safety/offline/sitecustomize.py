"""Loaded by every Python with this folder on its path: what reaches for the network fails, and is noted."""

import os
import sys

_FORBIDDEN = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.sendto",
    "socket.sendmsg",
    "urllib.Request",
    "http.client.connect",
    "ftplib.connect",
    "smtplib.connect",
}


def _forbid(event: str, arguments: tuple) -> None:
    if event not in _FORBIDDEN:
        return
    address = arguments[1] if event.startswith("socket.") and len(arguments) > 1 else arguments
    if isinstance(address, (str, bytes)) and event == "socket.connect":
        return  # a socket of this machine's file system
    with open(os.environ["COORDLABEL_TEST_NETWORK_LOG"], "a") as log:  # noqa: PTH123
        log.write(f"{sys.argv[:2]} {event} {arguments!r}\n")
    raise PermissionError(f"{event} {arguments!r}: no network was asked for")


sys.addaudithook(_forbid)
