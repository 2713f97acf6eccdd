"""Numbers of the system calls that a confined parser needs or that confine it, on x86_64 and aarch64."""

import os
import sys
from dataclasses import dataclass

_TABLE = """
read 0 63          write 1 64           readv 19 65          writev 20 66        pread64 17 67
preadv 295 69      lseek 8 62           close 3 57           dup 32 23           fadvise64 221 223
fstat 5 80         newfstatat 262 79    statx 332 291        stat 4 -            lstat 6 -
access 21 -        faccessat 269 48     faccessat2 439 439   readlink 89 -       readlinkat 267 78
getcwd 79 17       getdents64 217 61    poll 7 -             ppoll 271 73        select 23 -
pselect6 270 72    recvmsg 47 212       fcntl 72 25          ioctl 16 29         open 2 -
openat 257 56      openat2 437 437      mmap 9 222           mprotect 10 226     munmap 11 215
mremap 25 216      brk 12 214           madvise 28 233       futex 202 98        membarrier 324 283
rt_sigaction 13 134  rt_sigprocmask 14 135  rt_sigreturn 15 139  sigaltstack 131 132  restart_syscall 219 128
set_robust_list 273 99  rseq 334 293    set_tid_address 218 96  clone 56 220     clone3 435 435
exit 60 93         exit_group 231 94    tgkill 234 131       prctl 157 167       prlimit64 302 261
getrlimit 97 163   getrusage 98 165     sysinfo 99 179       uname 63 160        getrandom 318 278
getpid 39 172      getppid 110 173      gettid 186 178       getuid 102 174      geteuid 107 175
getgid 104 176     getegid 108 177      getresuid 118 148    getresgid 120 150   getcpu 309 168
sched_yield 24 124  sched_getaffinity 204 123  sched_getparam 143 121  sched_getscheduler 145 120
sched_get_priority_max 146 125  sched_get_priority_min 147 126
clock_gettime 228 113  clock_getres 229 114  clock_nanosleep 230 115  nanosleep 35 101  gettimeofday 96 169
time 201 -         times 100 153        capset 126 91
landlock_create_ruleset 444 444  landlock_add_rule 445 445  landlock_restrict_self 446 446
"""


@dataclass(frozen=True)
class Machine:
    """A processor family whose system calls are known."""

    name: str
    audit_mark: int
    """What the kernel puts into `seccomp_data.arch` for a call of this family."""
    numbers: dict[str, int]
    """Calls that the family does not have are left out."""


def _numbers(column: int) -> dict[str, int]:
    words = _TABLE.split()
    entries = [words[start : start + 3] for start in range(0, len(words), 3)]
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}


MACHINES = {
    "x86_64": Machine("x86_64", 0xC000003E, _numbers(1)),
    "aarch64": Machine("aarch64", 0xC00000B7, _numbers(2)),
}


def this_machine() -> Machine | None:
    """The processor family of this process; None where the numbers are not known."""
    # A 32-bit interpreter on a 64-bit kernel makes other calls than the kernel's own family.
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    return MACHINES.get(os.uname().machine)
