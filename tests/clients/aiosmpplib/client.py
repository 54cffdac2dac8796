"""Drives a running smscd with Python's aiosmpplib: all three binds, receipts, multipart, an unknown TLV, unbind, reconnect.

Usage: client.py SMPP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.
"""

import asyncio
import logging
import sys

from aiosmpplib import ESME, AbstractHook, BindMode, OptionalParam, PhoneNumber, SubmitSm, SubmitSmResp
from aiosmpplib.protocol import BindTransceiverResp, DeliverSm, Unbind

TIMEOUT_S = 30


class Inbox(AbstractHook):
    """Keeps what comes in."""

    def __init__(self):
        self.accepted, self.delivered, self.octets = [], [], []
        self.binds = 0
        self.unbind_sent, self.changed = False, asyncio.Event()

    async def sending(self, smpp_message, pdu, client_id):
        # The library stops without handing on the answer to this one.
        self.unbind_sent |= isinstance(smpp_message, Unbind)

    async def received(self, smpp_message, pdu, client_id):
        if isinstance(smpp_message, DeliverSm):
            self.delivered.append(smpp_message)
            self.octets.append(pdu)
        elif isinstance(smpp_message, SubmitSmResp):
            assert smpp_message.command_status == 0, smpp_message
            self.accepted.append(smpp_message.message_id)
        elif isinstance(smpp_message, BindTransceiverResp):
            self.binds += 1
        self.changed.set()

    async def send_error(self, smpp_message, error, client_id):
        raise error

    async def until(self, accepted=0, delivered=0, binds=0):
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.accepted) < accepted or len(self.delivered) < delivered or self.binds < binds:
                self.changed.clear()
                await self.changed.wait()

    def check_receipts(self, ids):
        found = [pdu.parse_receipt() for pdu in self.delivered]
        assert all(receipt["stat"] == "DELIVRD" for receipt in found), found
        assert sorted(str(receipt["id"]) for receipt in found) == sorted(ids), (found, ids)


class Session:
    def __init__(self, addr, mode):
        host, port = addr.rsplit(":", 1)
        self.inbox = Inbox()
        self.esme = ESME(host, int(port), "demo", "demo", bind_mode=mode, hook=self.inbox, log_level=logging.ERROR)
        self.task = asyncio.create_task(self.esme.start())

    async def submit(self, text, to="447012345678", **more):
        await self.esme.broker.enqueue(
            SubmitSm(
                short_message=text,
                source=PhoneNumber("12345"),
                destination=PhoneNumber(to),
                log_id=f"{to} {text}",
                **more,
            )
        )

    async def unbind(self):
        await self.esme.stop()
        assert self.inbox.unbind_sent
        await asyncio.wait_for(self.task, TIMEOUT_S)


async def transceiver(addr):
    session = Session(addr, BindMode.TRANSCEIVER)
    for n in range(20):
        await session.submit(f"hello {n}")
    await session.inbox.until(20, 20)
    session.inbox.check_receipts(session.inbox.accepted)
    await session.unbind()


async def transmitter_and_receiver(addr):
    tx, rx = Session(addr, BindMode.TRANSMITTER), Session(addr, BindMode.RECEIVER)
    for n in range(5):
        await tx.submit(f"split {n}")
    await tx.inbox.until(accepted=5)
    await rx.inbox.until(delivered=5)
    rx.inbox.check_receipts(tx.inbox.accepted)
    await tx.unbind()
    await rx.unbind()


async def multipart(addr):
    """12345 is our own address: the parts come back. The library cuts and joins."""
    session = Session(addr, BindMode.TRANSCEIVER)
    text = "".join(f"part of a long text {n:04}. " for n in range(16))
    await session.submit(text, to="12345", registered_delivery=0, esm_class=0x40, auto_message_payload=False)
    await session.inbox.until(delivered=1)
    assert session.inbox.delivered[0].short_message == text, session.inbox.delivered
    assert b"\x05\x00\x03" in session.inbox.octets[0], session.inbox.octets
    await session.unbind()


async def payload_and_unknown_tlv(addr):
    """12345 is our own address: what is sent comes back."""
    session = Session(addr, BindMode.TRANSCEIVER)
    text = "".join(f"part of a long text {n:04}. " for n in range(16))
    await session.submit(text, to="12345", registered_delivery=0, auto_message_payload=True)
    await session.inbox.until(delivered=1)
    assert text.encode() in session.inbox.octets[0]
    await session.submit("vendor", to="12345", registered_delivery=0, optional_params=[OptionalParam(0x1789, "opaque")])
    await session.inbox.until(delivered=2)
    assert b"\x17\x89" in session.inbox.octets[1] and b"opaque" in session.inbox.octets[1], session.inbox.octets[1]
    await session.unbind()


async def reconnect_after_a_drop(addr):
    session = Session(addr, BindMode.TRANSCEIVER)
    await session.submit("before the drop")
    await session.inbox.until(1, 1)
    before = session.inbox.binds
    session.esme._writer.transport.abort()
    # What it sends before it has seen the end of the connection is lost.
    await session.inbox.until(binds=before + 1)
    await session.submit("after the drop")
    await session.inbox.until(2, 2)
    session.inbox.check_receipts(session.inbox.accepted)
    await session.unbind()


if __name__ == "__main__":
    for case in [transceiver, transmitter_and_receiver, multipart, payload_and_unknown_tlv, reconnect_after_a_drop]:
        asyncio.run(asyncio.wait_for(case(sys.argv[1]), 60))
        print(f"aiosmpplib: {case.__name__} ok")
