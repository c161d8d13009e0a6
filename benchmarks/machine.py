"""What the kernel counts: CPU seconds, peak memory; and what machine and commit the figures are of. Linux only."""

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SELF = "self"


def cpu_s(pid: int | str = SELF) -> float:
    """User and system time a process has used, in ticks of usually 10 ms; its ended children not counted.
    Source: proc(5), /proc/[pid]/stat fields 14 and 15; the command name in field 2 may hold spaces and brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def family_cpu_s(pid: int) -> float:
    """User and system time of a process, its descendants, and all of those that have ended and been waited for: of a server that starts
    a process a connection. Source: proc(5), /proc/[pid]/stat fields 4 and 14 to 17."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for fields, found in _stats():
        parents[found] = int(fields[1])
        used[found] = sum(int(field) for field in fields[11:15])
    return sum(ticks for found, ticks in used.items() if _descends(found, pid, parents)) / TICKS_PER_S


def children(pid: int, name: str) -> list[int]:
    """The processes that a process has started and that are called `name`."""
    return [
        found for fields, found in _stats() if int(fields[1]) == pid and Path(f"/proc/{found}/comm").read_text().strip().startswith(name)
    ]


def _stats() -> Iterator[tuple[list[str], int]]:
    """Every process: the fields of its stat from the third on, and its pid."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                yield Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split(), int(entry)


def _descends(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid != ancestor and pid in parents:
        pid = parents[pid]
    return pid == ancestor


def age_s() -> float:
    """How long ago this process was started. Source: proc(5), /proc/[pid]/stat field 22."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    now_s = float(Path("/proc/uptime").read_text().split()[0])
    return now_s - int(fields[19]) / TICKS_PER_S


def busy_s() -> float:
    """CPU time of the whole machine since boot, all cores together; what a hypervisor took from it counts as busy.
    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def peak_rss_bytes(pid: int | str = SELF) -> int:
    """The most memory a process has had resident (VmHWM). Source: proc(5), /proc/[pid]/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status has no VmHWM: the process has ended")


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0))


def parse_pids(text: str) -> Mapping[str, int]:
    """From `mysql=12,kafka=34`."""
    return {name: int(pid) for name, _, pid in (item.partition("=") for item in text.split(",") if item)}


def format_pids(pids: Mapping[str, int]) -> str:
    return ",".join(f"{name}={pid}" for name, pid in pids.items())


def describe() -> str:
    """One line: cores, processor, memory, system."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{cores()} cores of {model}, {memory_gb:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def commit() -> str:
    """The checked-out commit, with `+` when files differ from it; `unknown` outside a git checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return "unknown"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
    return head.stdout.strip() + ("+" if changed.strip() else "")
