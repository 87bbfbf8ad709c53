"""Runs a command where a mesh can run: `python tests/istio/mesh/machine.py COMMAND …`, for `make istio`.

Istio's parts listen on fixed ports and keep their files in fixed places. So the command gets namespaces of its own: a
network that is loopback alone, and a `/var/lib` that is empty. What is outside stays untouched, and nothing gets out.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import sys
from pathlib import Path

#: netdevice(7).
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

#: Where the agent keeps the modules that it has fetched; it cannot be told otherwise.
MODULES = Path("/var/lib/istio/data")

#: Says that the namespaces are there.
INSIDE = "--inside"


def main() -> None:
    """Enter the namespaces, set them up, become the command."""
    if sys.argv[1] != INSIDE:
        enter(sys.argv[1:])
    switch_loopback_on()
    mount_empty(MODULES.parents[1])
    MODULES.mkdir(parents=True)
    os.execvp(sys.argv[2], sys.argv[2:])


def enter(command: list[str]) -> None:
    """Begin anew in the namespaces. Who is not root becomes it there, if the machine allows that."""
    if sys.platform != "linux":
        sys.exit("error: the mesh needs Linux: namespaces keep it apart from the machine")
    if shutil.which("unshare") is None:
        sys.exit("error: the mesh needs `unshare`\n  help: it is in Debian's package util-linux")
    spaces = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        spaces.append("--map-root-user")
    status = os.spawnvp(os.P_WAIT, spaces[0], [*spaces, "true"])
    if status != 0:
        sys.exit(
            f"error: `{' '.join(spaces)}` is not allowed here\n"
            "  help: run it as root, or where user namespaces are allowed (a container needs the capability SYS_ADMIN)"
        )
    os.execvp(spaces[0], [*spaces, sys.executable, __file__, INSIDE, *command])


def switch_loopback_on() -> None:
    """A new network has a loopback interface, which is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def mount_empty(directory: Path) -> None:
    """Mount an empty file system over a directory, in this namespace alone."""
    c_library = ctypes.CDLL(None, use_errno=True)
    if c_library.mount(b"tmpfs", str(directory).encode(), b"tmpfs", 0, None) != 0:
        sys.exit(f"error: cannot mount an empty {directory}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
