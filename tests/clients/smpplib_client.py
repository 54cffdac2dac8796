"""Drives a running smscd with Python's smpplib: all three binds, receipts, MO, multipart both ways, an unknown TLV, unbind,
reconnect.

Usage: smpplib_client.py SMPP_ADDR HTTP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.
"""

import json
import re
import struct
import sys
import urllib.request

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp

TIMEOUT_S = 20
RECEIPT = re.compile(
    r"id:(?P<id>[0-9A-F]{16}) sub:001 dlvrd:001 submit date:\d{10} done date:\d{10} "
    r"stat:DELIVRD err:000 text:(?P<text>.*)\Z",
    re.DOTALL,
)


class Esme:
    """A bound client that keeps what comes in."""

    def __init__(self, addr, mode, password="demo"):
        host, port = addr.rsplit(":", 1)
        self.client = smpplib.client.Client(host, port, timeout=TIMEOUT_S, allow_unknown_opt_params=True)
        self.ids, self.inbox = [], []
        self.client.set_message_sent_handler(lambda pdu: self.ids.append(pdu.message_id.decode()))
        self.client.set_message_received_handler(lambda pdu: self.inbox.append(pdu))
        self.client.connect()
        bind = getattr(self.client, "bind_" + mode)
        try:
            self.bind_resp = bind(system_id="demo", password=password)
        except smpplib.exceptions.PDUError:
            self.drop()
            raise

    def submit(self, text, destination="447012345678", **more):
        fields = {"short_message": text.encode(), "registered_delivery": True} | more
        return self.client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_INTL,
            source_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            source_addr="12345",
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            destination_addr=destination,
            **fields,
        )

    def submit_with_tlv(self, text, destination, tag, value):
        """smpplib sends no TLV that it does not know, so this one is put behind what it encodes."""
        pdu = smpplib.smpp.make_pdu(
            "submit_sm", client=self.client, source_addr="12345", destination_addr=destination, short_message=text
        )
        octets = pdu.generate() + struct.pack(">HH", tag, len(value)) + value
        self.client._socket.sendall(struct.pack(">I", len(octets)) + octets[4:])

    def until(self, condition):
        while not condition():
            self.client.read_once(auto_send_enquire_link=False)

    def unbind(self):
        response = self.client.unbind()
        assert response.command == "unbind_resp" and not response.is_error(), response
        self.client.disconnect()

    def drop(self):
        self.client._socket.close()
        self.client._socket = None


def check_receipts(receipts, ids, text):
    """Each id has exactly one receipt, with the same id in text and TLV."""
    assert len(ids) == len(set(ids)), ids
    seen = []
    for pdu in receipts:
        assert pdu.esm_class == 0x04, pdu.esm_class
        match = RECEIPT.match(pdu.short_message.decode())
        assert match, pdu.short_message
        assert match["text"] == text, match["text"]
        assert pdu.receipted_message_id.rstrip(b"\0").decode() == match["id"], pdu.receipted_message_id
        assert pdu.message_state == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED, pdu.message_state
        seen.append(match["id"])
    assert sorted(seen) == sorted(ids), (seen, ids)


def inject_mo(http, source, destination, text):
    body = json.dumps({"source_addr": source, "destination_addr": destination, "text": text}).encode()
    with urllib.request.urlopen(f"http://{http}/mo", body, TIMEOUT_S) as response:
        assert response.status == 202, response.status


def wrong_password(smpp, _http):
    try:
        Esme(smpp, "transceiver", password="wrong")
    except smpplib.exceptions.PDUError as error:
        assert error.args[1] == smpplib.consts.SMPP_ESME_RBINDFAIL, error.args
    else:
        raise AssertionError("bound with a wrong password")


def transceiver(smpp, http):
    esme = Esme(smpp, "transceiver")
    assert esme.bind_resp.system_id == b"smscd", esme.bind_resp.system_id
    for _ in range(50):
        esme.submit("hello from smpplib")
    esme.until(lambda: len(esme.ids) == 50 and len(esme.inbox) == 50)
    check_receipts(esme.inbox, esme.ids, "hello from smpplib")
    esme.inbox.clear()
    inject_mo(http, "491701", "12345", "an answer")
    esme.until(lambda: esme.inbox)
    mo = esme.inbox.pop()
    assert (mo.source_addr, mo.destination_addr, mo.short_message) == (b"491701", b"12345", b"an answer"), mo
    esme.unbind()


def transmitter_and_receiver(smpp, http):
    tx, rx = Esme(smpp, "transmitter"), Esme(smpp, "receiver")
    for _ in range(20):
        tx.submit("split binds")
    tx.until(lambda: len(tx.ids) == 20)
    rx.until(lambda: len(rx.inbox) == 20)
    check_receipts(rx.inbox, tx.ids, "split binds")
    rx.inbox.clear()
    inject_mo(http, "491702", "12345", "to the receiver")
    rx.until(lambda: rx.inbox)
    assert rx.inbox[0].short_message == b"to the receiver", rx.inbox[0].short_message
    tx.unbind()
    rx.unbind()


def multipart(smpp, _http):
    """12345 is our own address: the parts come back."""
    esme = Esme(smpp, "transceiver")
    text = "".join(f"part of a long text {n:04}. " for n in range(16))
    parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
    assert (len(parts), esm_class) == (3, 0x40), (parts, esm_class)
    for part in parts:
        esme.submit(
            "", "12345", short_message=part, data_coding=data_coding, esm_class=esm_class, registered_delivery=False
        )
    esme.until(lambda: len(esme.ids) == 3 and len(esme.inbox) == 3)
    assert [pdu.esm_class for pdu in esme.inbox] == [0x40] * 3, esme.inbox
    assert [pdu.short_message for pdu in esme.inbox] == parts, esme.inbox
    esme.unbind()


def unknown_tlv(smpp, _http):
    esme = Esme(smpp, "transceiver")
    # 12345 is our own address: the message comes back, with the TLV that no table has.
    esme.submit_with_tlv(b"with a vendor's TLV", "12345", 0x1789, b"opaque")
    esme.until(lambda: esme.ids and esme.inbox)
    assert esme.inbox[0].short_message == b"with a vendor's TLV", esme.inbox[0].short_message
    esme.client.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=esme.client))
    assert esme.client.read_pdu().command == "enquire_link_resp"
    esme.unbind()


def reconnect_after_a_drop(smpp, _http):
    tx = Esme(smpp, "transmitter")
    for _ in range(5):
        tx.submit("before the drop")
    tx.until(lambda: len(tx.ids) == 5)
    tx.drop()
    rx = Esme(smpp, "transceiver")
    rx.until(lambda: len(rx.inbox) == 5)
    check_receipts(rx.inbox, tx.ids, "before the drop")
    rx.unbind()


if __name__ == "__main__":
    for case in [
        wrong_password,
        transceiver,
        transmitter_and_receiver,
        multipart,
        unknown_tlv,
        reconnect_after_a_drop,
    ]:
        case(*sys.argv[1:])
        print(f"smpplib: {case.__name__} ok")
