"""The figures that `figures --fair` and `figures --binds` take: what one ESME notices of the others.

Latencies are those of a light ESME that sends by the clock. Its generator runs at real-time priority where that is allowed,
because a flooding generator on the same cores would else be measured instead of the daemon.
"""

import contextlib
import functools
import json
import os
import pathlib
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time

LIGHT_PER_S, TRAFFIC_PER_S = 1_000, 5_000
SETTLE_S, WARMUP_S = 0.7, 0.5
# Above the target of 200, and what the p99 beside it is measured at: a storm as fast as can be is also a load of its own.
BINDS_PER_S = 250
# A cost at which every bind may pay for argon2id on few cores.
CHEAP = ("--memory-kib", "2048", "--passes", "1")
# Of the light ESME's generator; of what floods, where the daemon is at real-time priority too.
LIGHT_PRIORITY, FLOOD_PRIORITY = 60, 2
# Under real-time priority the kernel takes a core away for a whole 50 ms where nothing else has had it; a flood that
# pauses as long leaves that to nobody to notice.
FLOOD_S, PAUSE_S = 0.4, 0.06
STORM_DEADLINE_S = 60

BIND_TRANSCEIVER, SUBMIT_SM = 0x09, 0x04
ESME_RTHROTTLED = 0x58

FAIR = """
[[account]]
system_id = "light"
password = "light"
[[account]]
system_id = "flood"
password = "flood"
[[account]]
system_id = "deaf"
password = "deaf"
"""

# So many messages pending, for so long: what is taken in a second.
QUEUE, QUEUE_MS = 100_000, 500
QUEUED = FAIR + f"""
[store]
messages_max = {QUEUE}
[[network.profile]]
prefix = ""
delay = {{ distribution = "fixed", mean_ms = {QUEUE_MS}, max_ms = {QUEUE_MS} }}
"""


def pdu(command_id, sequence_number, body):
    return struct.pack(">IIII", 16 + len(body), command_id, 0, sequence_number) + body


def bind_pdu(name):
    name = name.encode() + b"\0"
    return pdu(BIND_TRANSCEIVER, 1, name + name + b"\0\x34\0\0\0")


def endpoint(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def be_real_time(priority):
    """In the child, before it becomes the generator; without the right to, it stays as it is."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


def is_real_time():
    return os.sched_getscheduler(0) == os.SCHED_FIFO


@contextlib.contextmanager
def below_the_daemon():
    """At real-time priority the storm's own work would else hold up a daemon of the same one."""
    before = os.sched_getparam(0)
    if is_real_time():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FLOOD_PRIORITY))
    try:
        yield
    finally:
        if is_real_time():
            os.sched_setscheduler(0, os.SCHED_FIFO, before)


def restrain_authenticators(server):
    """At real-time priority no niceness counts: the authenticators of a daemon that was started at it go below all else."""
    if not is_real_time():
        return
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("smscd-auth"):
            os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))


class Generator:
    """A run of the load generator beside others."""

    def __init__(self, bench, name, server, flags, light=False):
        self.result = bench.folder / f"{name.replace(' ', '-')}.json"
        self.result.unlink(missing_ok=True)
        command = [bench.args.loadgen, *flags, *bench.args.generator_flags]
        bench.note(name, [*command, "--target", "ADDR"])
        self.name = name
        if light or is_real_time():
            become = functools.partial(be_real_time, LIGHT_PRIORITY if light else FLOOD_PRIORITY)
        else:
            become = None
        self.process = subprocess.Popen(
            [*command, "--target", server.address, "--json", str(self.result)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=become)

    def finish(self):
        _, error = self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"{self.name}: exit code {self.process.returncode}\n{error}")
        return json.loads(self.result.read_text())


def by_the_clock(bench, name, server, rate, seconds=None):
    """An ESME with one session that sends so many messages a second, started."""
    flags = ["--system-id", "light", "--password", "light", "--sessions", "1", "--rate", str(rate),
             "--warmup", f"{WARMUP_S}s", "--duration", f"{seconds or bench.args.seconds}s"]
    return Generator(bench, name, server, flags, light=True)


@contextlib.contextmanager
def flood(bench, name, server, flags):
    """As much as the windows allow, for as long as the body runs and somewhat longer; yields a list that gets its result."""
    seconds = bench.args.seconds + 4
    generator = Generator(
        bench, name, server, ["--system-id", "flood", "--password", "flood", *flags, "--duration", f"{seconds}s"])
    over, results = threading.Event(), []

    def pauses():
        while not over.wait(FLOOD_S):
            generator.process.send_signal(signal.SIGSTOP)
            over.wait(PAUSE_S)
            generator.process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=pauses if is_real_time() else lambda: None)
    thread.start()
    time.sleep(SETTLE_S)
    try:
        yield results
    finally:
        over.set()
        thread.join()
        results.append(generator.finish())


@contextlib.contextmanager
def deaf_peer(server):
    """Binds, submits with receipts and never reads, as long as the body runs."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(endpoint(server.address))
    peer.sendall(bind_pdu("deaf"))
    peer.settimeout(0.2)
    over = threading.Event()

    def submit(number):
        addresses = b"\1\1" + b"12345\0" + b"\1\1" + b"4479%08d\0" % number
        return pdu(SUBMIT_SM, number, b"\0" + addresses + b"\0\0\0\0\0\1\0\0\0" + b"\5hello")

    def run():
        number = 2
        while not over.is_set():
            # Once nothing is read from it, no write ends; what is left of one would be no PDU any more.
            with contextlib.suppress(TimeoutError):
                peer.sendall(submit(number))
                number += 1
                continue
            over.wait()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        peer.close()


def p99(report):
    return report["submit_resp"]["p99_us"]


def fair(bench):
    """A light ESME alone, and beside one that floods and one that never reads."""
    shapes = {"1 session, window 1,000": ["--sessions", "1", "--window", "1000"],
              "8 sessions, window 200": ["--sessions", "8", "--window", "200"]}
    found = {shape: [] for shape in shapes}
    for run in range(bench.args.runs):
        for shape, flags in shapes.items():
            with bench.smscd(config=FAIR) as smscd:
                alone = by_the_clock(bench, "light", smscd, LIGHT_PER_S).finish()
                with deaf_peer(smscd), flood(bench, f"flood, {shape}", smscd, flags) as flooded:
                    beside = by_the_clock(bench, "light", smscd, LIGHT_PER_S).finish()
            found[shape].append((p99(alone), p99(beside), flooded[0]["accepted_per_s"]))
            bench.say(f"{run + 1}/{bench.args.runs}: flood of {shape}: p99 {p99(alone):,.0f} µs alone, "
                      f"{p99(beside):,.0f} µs beside {flooded[0]['accepted_per_s']:,.0f}/s")
    for shape, runs in found.items():
        yield (f"a light ESME alone ({LIGHT_PER_S:,}/s): p99", "", None, " µs", [run[0] for run in runs])
        yield (f"the same beside a flood ({shape}) and one that never reads", "", None, " µs", [run[1] for run in runs])
        yield ("ratio", "<= 3", lambda x: x <= 3, "", [run[1] / run[0] for run in runs], 2)
        yield ("the flood: messages", "", None, "/s", [run[2] for run in runs])


def overload(bench):
    """Three times as much as can be done: by the processor, and by the bound of what may be pending."""
    seconds = ["--warmup", "1s", "--duration", f"{bench.args.seconds}s"]
    multi = ["--multi", "254", "--window", "20"]
    cpu, queue = [], []
    for run in range(bench.args.runs):
        with bench.smscd() as smscd:
            capacity = bench.load("submit_multi, closed loop", smscd, [*multi, *seconds])["accepted_per_s"]
            # Without a warm-up: what fell due in it would be done in the time that is measured.
            offered = ["--rate", f"{3 * capacity:.0f}", *seconds[2:]]
            loaded = bench.load("submit_multi, three times that", smscd, [*multi, *offered])
        cpu.append((254 * capacity, loaded["accepted_per_s"] / capacity))
        capacity = QUEUE * 1000 / QUEUE_MS
        with bench.smscd(config=QUEUED) as smscd:
            flags = ["--system-id", "flood", "--password", "flood", "--rate", f"{3 * capacity:.0f}", *seconds]
            loaded = bench.load("submit_sm, three times what may be pending", smscd, flags)
            after = by_the_clock(bench, "light", smscd, LIGHT_PER_S).finish()
        refused = loaded["errors"]
        if any(not status.startswith("ESME_RMSGQFUL") for status in refused):
            raise RuntimeError(f"refused otherwise than ESME_RMSGQFUL: {refused}")
        queue.append((loaded["accepted_per_s"] / capacity, after["refused"], p99(after)))
        bench.say(f"{run + 1}/{bench.args.runs}: overload: {cpu[-1][1]:.2f} of the processor's capacity, "
                  f"{queue[-1][0]:.2f} of the queue's, then {queue[-1][1]} refused")
    yield ("destinations of submit_multi, closed loop", "", None, "/s", [run[0] for run in cpu])
    yield ("three times that offered: part of it done", ">= 0.9", lambda x: x >= 0.9, "", [run[1] for run in cpu], 2)
    yield (f"600,000/s offered where {QUEUE:,} may be pending for {QUEUE_MS} ms each: part of 200,000/s done", ">= 0.9",
           lambda x: x >= 0.9, "", [run[0] for run in queue], 2)
    yield ("refused to a light ESME right after that", "0", lambda x: x == 0, "", [run[1] for run in queue])
    yield ("the same: p99", "", None, " µs", [run[2] for run in queue])


class Storm:
    """So many sessions of each account, all binding at once."""

    def __init__(self, server, accounts, sessions):
        self.address = endpoint(server.address)
        self.names = [name for name in accounts for _ in range(sessions)]
        self.open = []

    def drop(self):
        for peer in self.open:
            peer.close()
        self.open = []

    def bind(self, per_s=None):
        """Seconds until every one of them is bound; all connect at once, or so many a second."""
        selector, start = selectors.DefaultSelector(), time.monotonic()
        begun = 0
        while len(self.open) < len(self.names):
            due = len(self.names) if per_s is None else min(len(self.names), int((time.monotonic() - start) * per_s) + 1)
            for name in self.names[begun:due]:
                self.connect(selector, name)
            begun = due
            if time.monotonic() - start > STORM_DEADLINE_S:
                raise RuntimeError(f"{len(self.names) - len(self.open)} of {len(self.names)} sessions could not bind")
            for key, _ in selector.select(1 if begun == len(self.names) else 1 / per_s):
                selector.unregister(key.fileobj)
                answer = key.fileobj.recv(4096)
                status = int.from_bytes(answer[8:12], "big") if len(answer) >= 16 else None
                if status == 0:
                    self.open.append(key.fileobj)
                    continue
                key.fileobj.close()
                if status != ESME_RTHROTTLED:
                    raise RuntimeError(f"{key.data}: bind refused with {status}")
                self.connect(selector, key.data)
        selector.close()
        return time.monotonic() - start

    def connect(self, selector, name):
        peer = socket.create_connection(self.address)
        # It goes with a reset, so that no port stays behind.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sendall(bind_pdu(name))
        selector.register(peer, selectors.EVENT_READ, name)


def accounts_config(bench, count, head="", cost=()):
    """So many accounts whose password is their name, hashed as smscd does it by default, or at this cost."""
    if not hasattr(bench, "hashes"):
        bench.hashes = {}
    parts = [head, '[[account]]\nsystem_id = "light"\npassword = "light"\n']
    names = [f"esme{number}" for number in range(count)]
    for name in names:
        if (name, cost) not in bench.hashes:
            done = subprocess.run([bench.args.smscd, "hash-password", *cost], input=name, capture_output=True, text=True, check=True)
            bench.hashes[name, cost] = done.stdout.strip()
        parts.append(f'[[account]]\nsystem_id = "{name}"\npassword_hash = "{bench.hashes[name, cost]}"\nsessions_max = 1000\n')
    return "".join(parts), names


def binds(bench):
    """Storms of binds beside traffic."""
    many, sessions = 100, 10
    remembered, names = accounts_config(bench, many)
    hashed, few = accounts_config(bench, 10, "[limits]\nremember_passwords = false\n")
    cheaply, _ = accounts_config(bench, 10, "[limits]\nremember_passwords = false\n", CHEAP)
    kinds = {
        "first": (remembered, names, f"{many} accounts' {many * sessions:,} sessions bind after a start, each password verified once"),
        "again": (remembered, names, "the same sessions after a broken link, again and again"),
        "cheap": (cheaply, few, f"each bind pays for argon2id (`remember_passwords = false`) at `hash-password {' '.join(CHEAP)}`"),
        "cold": (hashed, few, "each bind pays for argon2id at the recommended cost"),
    }
    found = {kind: [] for kind in kinds}
    for run in range(bench.args.runs):
        for kind, (config, accounts, _) in kinds.items():
            rates, p99s = [], []
            for per_s in (None, BINDS_PER_S):
                with bench.smscd(config=config) as smscd:
                    restrain_authenticators(smscd)
                    storm = Storm(smscd, accounts, sessions)
                    if kind == "again":
                        storm.bind()
                        storm.drop()
                    alone = None if per_s is None else by_the_clock(bench, "traffic", smscd, TRAFFIC_PER_S).finish()
                    traffic = None if per_s is None else by_the_clock(bench, "traffic", smscd, TRAFFIC_PER_S)
                    if traffic is not None:
                        time.sleep(WARMUP_S)
                    made, took, until = 0, 0.0, time.monotonic() + bench.args.seconds
                    with below_the_daemon():
                        while time.monotonic() < until if kind != "first" else not made:
                            took += storm.bind(per_s)
                            made += len(storm.names)
                            storm.drop()
                    rates.append(made / took)
                    if traffic is not None:
                        p99s = [p99(alone), p99(traffic.finish())]
            found[kind].append((*rates, *p99s))
            bench.say(f"{run + 1}/{bench.args.runs}: {kind}: {rates[0]:,.0f} binds/s at most; at {rates[1]:,.0f}/s the "
                      f"traffic's p99 {p99s[1]:,.0f} µs, alone {p99s[0]:,.0f} µs")
    for kind, (_, _, title) in kinds.items():
        runs = found[kind]
        yield (f"{title}: binds", ">= 200/s", lambda x: x >= 200, "/s", [run[0] for run in runs])
        yield (f"at most {BINDS_PER_S} of these a second: binds", "", None, "/s", [run[1] for run in runs])
        yield (f"traffic of {TRAFFIC_PER_S:,}/s beside that: p99", "", None, " µs", [run[3] for run in runs])
        yield ("ratio to the p99 without it", "<= 2", lambda x: x <= 2, "", [run[3] / run[2] for run in runs], 2)


def described(kind):
    """What stands above the table."""
    if kind == "binds":
        return ("1,000 sessions bind at once beside one session that sends by the clock, `--durability none`; first each account pays "
                "for one check of argon2id and is remembered, as by default, then each bind pays for one.")
    flood = " The flood pauses for 60 ms of every 460 (real-time priority)." if is_real_time() else ""
    return f"one light session by the clock, 60-character text, `--durability none`.{flood}"

