# SPDX-License-Identifier: Apache-2.0
"""Starting what is measured and reading what it costs, out of /proc: the kernel's own account, the same for ours and
for the peers'."""
import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads, in nanoseconds where the kernel has them: clock ticks are too coarse for what is small."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return sum(int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) for thread in threads) / 1e9
    except OSError:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int, field: str = "VmRSS") -> float:
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field} of process {pid}")


@contextlib.contextmanager
def running(command: list[str], log_path: str, **options):
    """The process, until the block ends; a process that ended before is an error that names its log."""
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended early with {process.returncode}, see {log_path}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_http(url: str, seconds: float = 20, log_path: str = "", every: float = 0.1) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError as problem:
            if time.monotonic() > end:
                raise RuntimeError(f"{url} did not answer in {seconds:.0f} s ({problem}); see {log_path}") from problem
        time.sleep(every)


def cost(processes: dict[str, int], seconds: float) -> dict[str, dict[str, float]]:
    """CPU seconds and the highest resident size of each process over the time, sampled twice a second."""
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    highest = {name: 0.0 for name in processes}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, pid in processes.items():
            highest[name] = max(highest[name], resident_mib(pid))
        time.sleep(0.5)
    return {name: {"cpu": cpu_seconds(pid) - before[name], "resident": highest[name]} for name, pid in processes.items()}
