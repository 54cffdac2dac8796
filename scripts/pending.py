"""The figures of a store in which much is pending: what a message costs in memory and CPU time, recovery, restart, disk.

Part of scripts/figures, which runs it with --pending.
"""

import json
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path

MIB = 1 << 20
SAMPLE_S = 0.05
SETTLED_AFTER_S, SETTLED_TIMEOUT_S = 5, 60
# Nobody answers, and nothing is tried again before the measurement is over.
ABSENT = """
[store]
messages_max = 12000000
[retry.absent]
first_ms = 3600000
max_ms = 3600000
[[network.profile]]
prefix = ""
delay = { distribution = "fixed", mean_ms = 0, max_ms = 0 }
delivered_per_mille = DELIVERED
absent_per_mille = ABSENT
absent_ms = 86400000
"""


# Of the loads below, who else waits: nobody, those in line behind others of the same subscriber, or those for an ESME that never binds.
EACH, IN_LINE, FOR_ESME = "one to each subscriber", "ten to each subscriber", "for an ESME that is not bound"
NEVER_BOUND = """
[[account]]
system_id = "demo"
password = "demo"
[[account]]
system_id = "never"
password = "never"
prefixes = ["4477"]
"""


def stats(server):
    with urllib.request.urlopen(f"http://{server.http_address}/stats", timeout=30) as answer:
        return json.load(answer)


def status_bytes(server, field):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def folder_bytes(folder):
    """Octets that the files take on disk."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def settled_bytes(folder):
    """The same once it has stayed for a while: an idle store gives files back."""
    last, since = folder_bytes(folder), time.monotonic()
    give_up = since + SETTLED_TIMEOUT_S
    while time.monotonic() < min(since + SETTLED_AFTER_S, give_up):
        time.sleep(SAMPLE_S)
        if (now := folder_bytes(folder)) != last:
            last, since = now, time.monotonic()
    return last


def forget(folder):
    """Has the kernel forget the files' content, so that the next read goes to the disk."""
    for path, _, files in os.walk(folder):
        for name in files:
            file = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


class Sampler(threading.Thread):
    """Looks at a running server again and again: messages accepted so far, its CPU time, and disk use."""

    def __init__(self, server, folder):
        super().__init__(daemon=True)
        self.server, self.folder = server, folder
        self.samples = []
        self.is_over = threading.Event()
        self.look()
        self.start()

    def run(self):
        while not self.is_over.wait(SAMPLE_S):
            self.look()

    def look(self):
        self.samples.append((stats(self.server)["messages"]["accepted"], self.server.cpu_s(), folder_bytes(self.folder)))

    def finish(self):
        self.is_over.set()
        self.join()
        self.look()
        return self.samples

    @staticmethod
    def cpu_us(samples, first, last):
        """CPU time of the messages from the number `first` to `last`, as near as there are samples, in microseconds each."""
        a, cpu_a, _ = max((sample for sample in samples if sample[0] <= first), default=samples[0])
        b, cpu_b, _ = min((sample for sample in samples if sample[0] >= last and sample[0] > a), default=samples[-1])
        return (cpu_b - cpu_a) * 1e6 / (b - a)


def timed_start(bench, config, data):
    started = time.monotonic()
    server = bench.smscd("sync", config, data)
    return server, time.monotonic() - started


def fill(bench, count, waits=EACH):
    """Fills a fresh store with messages that wait, and starts it again after a kill and after an orderly stop."""
    config = ABSENT.replace("DELIVERED", "0").replace("ABSENT", "1000", 1) + (NEVER_BOUND if waits == FOR_ESME else "")
    destinations = count // 10 if waits == IN_LINE else count
    data = bench.folder / f"pending-{count}"
    server, _ = timed_start(bench, config, data)
    empty_bytes = server.resident_bytes()
    sampler = Sampler(server, data)
    flags = ["--window", "500", "--count", str(count), "--destinations", str(destinations)]
    bench.load(f"{count:,} pending, {waits}", server, flags)
    samples = sampler.finish()
    pending = stats(server)["messages"]["pending"]
    if pending != count:
        raise RuntimeError(f"{pending} of {count} messages are pending")
    found = {
        "filled_bytes": server.resident_bytes(),
        "bytes_each": (server.resident_bytes() - empty_bytes) / count,
        "cpu_first": Sampler.cpu_us(samples, 0, count / 10),
        "cpu_last": Sampler.cpu_us(samples, count * 0.9, count),
        "disk_bytes": folder_bytes(data),
    }
    server.process.kill()
    server.process.wait()
    forget(data)
    server, found["recovery_s"] = timed_start(bench, config, data)
    found["store_s"] = stats(server)["store"]["recovery"]["seconds"]
    found["recovered_bytes"], found["recovered_peak"] = server.resident_bytes(), status_bytes(server, "VmHWM")
    if (pending := stats(server)["messages"]["pending"]) != count:
        raise RuntimeError(f"{pending} of {count} messages are pending after a kill")
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    found["stop_s"] = time.monotonic() - started
    forget(data)
    server, found["restart_s"] = timed_start(bench, config, data)
    found["restarted_bytes"], found["restarted_peak"] = server.resident_bytes(), status_bytes(server, "VmHWM")
    if (pending := stats(server)["messages"]["pending"]) != count:
        raise RuntimeError(f"{pending} of {count} messages are pending after a stop")
    server.process.kill()
    server.process.wait()
    bench.remove(data)
    bench.say(f"{count:,} pending, {waits}: " + ", ".join(f"{name} {value:,.2f}" for name, value in found.items()))
    return found


def through(bench, count):
    """Disk use while messages go through of which one in a hundred stays, and after."""
    config = ABSENT.replace("DELIVERED", "990").replace("ABSENT", "10", 1)
    data = bench.folder / "through"
    server, _ = timed_start(bench, config, data)
    sampler = Sampler(server, data)
    bench.load("1 % kept", server, ["--window", "500", "--count", str(count), "--destinations", "10000000"])
    samples = sampler.finish()
    found = max(sample[2] for sample in samples), settled_bytes(data)
    server.process.kill()
    server.process.wait()
    bench.remove(data)
    bench.say(f"disk use: at most {found[0] / MIB:,.0f} MiB, then {found[1] / MIB:,.0f} MiB")
    return found


def measure(bench, row):
    small = [fill(bench, 1_000_000) for _ in range(bench.args.runs)]
    large = [fill(bench, 10_000_000) for _ in range(bench.args.runs)]
    others = [(waits, [fill(bench, 10_000_000, waits) for _ in range(bench.args.runs)]) for waits in (IN_LINE, FOR_ESME)]
    disk = [through(bench, bench.args.messages) for _ in range(bench.args.runs)]

    def column(found, name, unit=1.0):
        return [one[name] / unit for one in found]

    def any_value(_):
        return True

    return [
        row("1 million pending: cold recovery, start to ready", "<= 1.5 s", lambda x: x <= 1.5, " s",
            column(small, "recovery_s"), 2),
        row("the same after a clean stop", "below it", lambda x: x < min(column(small, "recovery_s")), " s",
            column(small, "restart_s"), 2),
        row("10 million pending: cold recovery, start to ready", "<= 5 s", lambda x: x <= 5, " s",
            column(large, "recovery_s"), 2),
        row("the same after a clean stop", "below it", lambda x: x < min(column(large, "recovery_s")), " s",
            column(large, "restart_s"), 2),
        row("the clean stop itself", "", any_value, " s", column(large, "stop_s"), 2),
        row("10 million pending: resident after recovery", "<= 1,024 MiB", lambda x: x <= 1024, " MiB",
            column(large, "recovered_bytes", MIB)),
        row("the same: its highest on the way", "", any_value, " MiB", column(large, "recovered_peak", MIB)),
        row("10 million pending: resident after they were taken in", "<= 1,024 MiB", lambda x: x <= 1024, " MiB",
            column(large, "filled_bytes", MIB)),
        row("the same for each message, all that had grown since the start", "", any_value, " octets",
            column(large, "bytes_each")),
        *(line for waits, found in others for line in (
            row(f"10 million pending, {waits}: resident after they were taken in", "<= 1,024 MiB", lambda x: x <= 1024, " MiB",
                column(found, "filled_bytes", MIB)),
            row("the same after recovery", "<= 1,024 MiB", lambda x: x <= 1024, " MiB", column(found, "recovered_bytes", MIB)),
            row("the same: cold recovery, start to ready", "", any_value, " s", column(found, "recovery_s"), 2),
        )),
        row("CPU time for each of the first million", "", any_value, " µs", column(large, "cpu_first"), 2),
        row("CPU time for each of the tenth million", "", any_value, " µs", column(large, "cpu_last"), 2),
        row("10 million pending: disk", "", any_value, " MiB", column(large, "disk_bytes", MIB)),
        row(f"{bench.args.messages:,} messages, 1 % kept: most disk used", "< 1,024 MiB", lambda x: x < 1024, " MiB",
            [most / MIB for most, _ in disk]),
        row("the same once the store is idle", "", any_value, " MiB", [after / MIB for _, after in disk]),
    ]
