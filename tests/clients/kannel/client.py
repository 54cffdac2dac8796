"""Drives a running smscd with Debian's Kannel as ESME: sendsms over HTTP in, receipts and messages out to URLs.

Kannel is run twice, as transceiver and as transmitter with receiver. It reaches the daemon through a relay here, which
sees the PDUs of the bind and unbind and cuts the connections for the drop.
Usage: client.py SMPP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.
"""

import http.server
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 30
CONFIG = """
group = core
admin-port = {admin}
admin-password = admin
admin-interface = 127.0.0.1
smsbox-port = {box}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 0

{links}
group = smpp-tlv
name = note
tag = 0x1789
type = octetstring
length = 20
smsc-id = smscd

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = 0

group = sendsms-user
username = user
password = pass
user-allow-ip = 127.0.0.1
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{inbox}/mo?text=%b&from=%p&meta=%D"
"""

LINK = """
group = smsc
smsc = smpp
smsc-id = smscd
host = 127.0.0.1
{port}
smsc-username = demo
smsc-password = demo
system-type = test
interface-version = 34
reconnect-delay = 1
enquire-link-interval = 5
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


class Relay:
    """Passes connections on to the daemon; keeps the command_ids that Kannel sent."""

    def __init__(self, smpp):
        host, port = smpp.rsplit(":", 1)
        self.daemon = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.commands, self.open = [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            kannel = self.listener.accept()[0]
            daemon = socket.create_connection(self.daemon)
            self.open += [kannel, daemon]
            threading.Thread(target=self.pass_on, args=(kannel, daemon, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(daemon, kannel, False), daemon=True).start()

    def pass_on(self, source, sink, watched):
        unread = b""
        try:
            while octets := source.recv(65536):
                sink.sendall(octets)
                unread += octets if watched else b""
                while len(unread) >= 16 and len(unread) >= (length := int.from_bytes(unread[:4], "big")):
                    self.commands.append(int.from_bytes(unread[4:8], "big"))
                    unread = unread[length:]
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def drop(self):
        for opened in self.open:
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()


class Inbox(http.server.BaseHTTPRequestHandler):
    """What Kannel reports: receipts to /dlr, messages to /mo."""

    calls = queue.Queue()

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, encoding="latin-1"))
        self.calls.put((url.path, query))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def get(port, path, **query):
    url = f"http://127.0.0.1:{port}/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        return response.read().decode()


def until(what, condition):
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


class Kannel:
    def __init__(self, relay, inbox, mode, folder):
        self.admin, self.box, self.sendsms = free_ports(3)
        self.inbox = inbox
        port = f"port = {relay.port}"
        if mode == "transceiver":
            ports = [f"{port}\ntransceiver-mode = true"]
        else:
            ports = [port, f"receive-{port}"]
        links = "".join(LINK.format(port=port) for port in ports)
        config = pathlib.Path(folder, "kannel.conf")
        config.write_text(
            CONFIG.format(
                admin=self.admin, box=self.box, sendsms=self.sendsms, inbox=inbox, links=links, folder=folder
            )
        )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.bearerbox = subprocess.Popen(["bearerbox", config], **quiet)
        until("bearerbox", lambda: "Kannel" in get(self.admin, "status.txt", password="admin"))
        self.smsbox = subprocess.Popen(["smsbox", config], **quiet)
        self.online(len(ports))

    def online(self, links):
        def is_online():
            status = get(self.admin, "status.txt", password="admin")
            return status.count("(online") == links and "smsbox" in status

        until("Kannel online", is_online)

    def send(self, to, text, **more):
        fields = {"username": "user", "password": "pass", "from": "12345", "to": to, "text": text} | more
        until("smsbox", lambda: get(self.sendsms, "cgi-bin/sendsms", **fields).startswith("0"))

    def send_with_receipt(self, tag):
        url = f"http://127.0.0.1:{self.inbox}/dlr?tag={tag}&type=%d&answer=%A"
        self.send("447012345678", "hello from Kannel", **{"dlr-mask": 31, "dlr-url": url})

    def stop(self):
        for process in (self.smsbox, self.bearerbox):
            process.terminate()
            process.wait(TIMEOUT_S)


def expect_receipts(tags):
    """Of each message: accepted by the SMSC (8), then delivered (1)."""
    missing = {(tag, kind) for tag in tags for kind in ("8", "1")}
    while missing:
        path, query = Inbox.calls.get(timeout=TIMEOUT_S)
        assert path == "/dlr", (path, query)
        missing.remove((query["tag"], query["type"]))
        if query["type"] == "1":
            assert "stat:DELIVRD" in query["answer"], query


def run(mode, smpp, inbox):
    relay = Relay(smpp)
    with tempfile.TemporaryDirectory() as folder:
        kannel = Kannel(relay, inbox, mode, folder)
        binds = {command for command in relay.commands if command in (1, 2, 9)}
        assert binds == ({9} if mode == "transceiver" else {1, 2}), relay.commands
        for tag in range(5):
            kannel.send_with_receipt(tag)
        expect_receipts("01234")
        print(f"kannel: {mode}, receipts ok")

        # 12345 is our own address. Kannel cuts the text into parts and joins what comes back.
        text = "".join(f"part of a long text {n:04}. " for n in range(16))
        kannel.send("12345", text)
        path, query = Inbox.calls.get(timeout=TIMEOUT_S)
        assert (path, query["text"], query["from"]) == ("/mo", text, "12345"), (path, query)
        print(f"kannel: {mode}, multipart both ways ok")

        kannel.send("12345", "vendor", **{"meta-data": "?smpp?note=opaque"})
        path, query = Inbox.calls.get(timeout=TIMEOUT_S)
        assert (path, query["text"]) == ("/mo", "vendor"), (path, query)
        assert "note=opaque" in query["meta"], query
        print(f"kannel: {mode}, unknown TLV ok")

        bound = len(binds)
        before = len(relay.commands)
        relay.drop()
        until("new binds", lambda: sum(c in (1, 2, 9) for c in relay.commands[before:]) >= bound)
        kannel.online(bound)
        kannel.send_with_receipt("after")
        expect_receipts(["after"])
        print(f"kannel: {mode}, reconnect after a drop ok")

        kannel.stop()
        assert relay.commands.count(6) == bound, relay.commands
        print(f"kannel: {mode}, unbind ok")


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for mode in ("transceiver", "transmitter and receiver"):
        run(mode, sys.argv[1], server.server_port)
