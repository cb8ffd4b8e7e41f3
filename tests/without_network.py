"""Run a Python module as a program that is killed when it creates an internet socket.

The kernel enforces it (seccomp), also for native libraries. Linux on x86-64 and 64-bit Arm only.
"""

from __future__ import annotations

import ctypes
import platform
import runpy
import struct
import sys

# Number of the system call `socket` by architecture.
SOCKET = {"x86_64": 41, "aarch64": 198}
SUPPORTED = sys.platform == "linux" and platform.machine() in SOCKET

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2
_LOAD, _IS, _RETURN = 0x20, 0x15, 0x06  # instructions of the Berkeley Packet Filter
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_AF_INET, _AF_INET6 = 2, 10


def forbid() -> None:
    """Let the kernel kill this process when it creates an IPv4 or IPv6 socket."""
    program = (
        (_LOAD, 0, 0, _NUMBER),
        (_IS, 0, 4, SOCKET[platform.machine()]),  # else allow
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IS, 1, 0, _AF_INET),  # then kill
        (_IS, 0, 1, _AF_INET6),  # else allow
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    described = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )
    process = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, described)):
        if process.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the kernel takes no filter")


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose packages shadow modules of the standard library
    sys.argv = sys.argv[1:]
    forbid()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
