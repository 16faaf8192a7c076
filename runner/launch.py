"""Becomes another program that dies with its parent: ``python -I -S launch.py OPTIONS PROGRAM ARGUMENT...``

OPTIONS is a JSON object: ``parent`` (the pid that must still be the parent), ``death_signal`` (sent by the
kernel when the thread that started us ends), ``uid`` (whom to become), ``namespace`` (the uid to be in a user
namespace of our own); null for the last two: nothing.

It stands between fork and exec as a program of its own because the order matters (the kernel forgets the
death signal when the uid changes) and because code between fork and exec is not safe where threads run.
"""

import ctypes
import json
import os
import signal
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CLONE_NEWUSER = 0x10000000
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITIES_V3 = 0x20080522
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent(parent: int, death_signal: int) -> None:
    """Ask the kernel for `death_signal` when the parent ends; exits at once if it has ended already."""
    if sys.platform == "linux":
        _must(_libc().prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        sys.exit(f"the process that started this one ({parent}) has gone")


def enter_user_namespace(inside: int) -> None:
    """Be uid `inside` to ourselves and who we were to everybody else: root's files stay root's."""
    uid, gid = os.geteuid(), os.getegid()
    _must(_libc().unshare(CLONE_NEWUSER), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {uid} 1"),
        ("gid_map", f"{inside} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become(uid: int) -> None:
    """Drop root for `uid`, keeping only the right to pass folders that others cannot read.

    The clone, and with it .venv and .data, may lie below a home with mode 0700.
    """
    libc = _libc()
    _must(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    for capabilities in ([CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH], [CAP_DAC_OVERRIDE], []):
        header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITIES_V3, 0))
        bits = sum(1 << one for one in capabilities)
        sets = ctypes.create_string_buffer(struct.pack("=6I", bits, bits, bits, 0, 0, 0))
        if libc.syscall(SYS_CAPSET[os.uname().machine], header, sets) == 0:
            for capability in capabilities:  # ambient: what survives exec
                libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
            return


def main() -> None:
    options = json.loads(sys.argv[1])
    program = sys.argv[2:]
    try:
        if options["namespace"] is not None:
            enter_user_namespace(options["namespace"])
        if options["uid"] is not None:
            become(options["uid"])
        die_with_parent(options["parent"], options["death_signal"])
        # Python ignores these two; the programs that we become expect the default.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        sys.exit(f"{program[0]}: {error}")


if __name__ == "__main__":
    main()
