// Drives a running smscd with the npm package smpp: all three binds, receipts, MO, multipart both ways, an unknown TLV, unbind,
// reconnect.
// Usage: node smpp_client.js SMPP_ADDR HTTP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const smpp = require('smpp');

const RECEIPT = new RegExp(
  '^id:(?<id>[0-9A-F]{16}) sub:001 dlvrd:001 submit date:\\d{10} done date:\\d{10} ' +
    'stat:DELIVRD err:000 text:(?<text>.*)$', 's');

// A TLV that the library does not know unless it is told.
smpp.addTLV('vendor_note', { id: 0x1789, type: smpp.types.tlv.buffer });

/** A bound session that keeps what comes in. */
class Esme {
  static async bind(addr, mode, password = 'demo') {
    const esme = new Esme();
    esme.inbox = [];
    esme.waiting = () => {};
    const [host, port] = addr.split(':');
    esme.session = smpp.connect({ host, port: Number(port) });
    esme.session.on('error', (error) => { if (!esme.dropped) throw error; });
    esme.session.on('deliver_sm', (pdu) => {
      esme.session.send(pdu.response());
      esme.inbox.push(pdu);
      esme.waiting();
    });
    esme.session.on('enquire_link', (pdu) => esme.session.send(pdu.response()));
    await once(esme.session, 'connect');
    esme.bindResp = await esme.request(`bind_${mode}`, { system_id: 'demo', password });
    return esme;
  }

  /** Sends a request; its response. */
  request(command, fields = {}) {
    return new Promise((resolve) => this.session[command](fields, resolve));
  }

  async submit(text, fields = {}) {
    const response = await this.request('submit_sm', {
      source_addr: '12345',
      destination_addr: '447012345678',
      short_message: text,
      registered_delivery: 1,
      ...fields,
    });
    assert.equal(response.command_status, 0);
    return response.message_id;
  }

  async until(count) {
    while (this.inbox.length < count) {
      await new Promise((resolve) => { this.waiting = resolve; });
    }
    return this.inbox.splice(0, count);
  }

  async unbind() {
    const closed = once(this.session, 'close');
    const response = await this.request('unbind');
    assert.deepEqual([response.command, response.command_status], ['unbind_resp', 0]);
    // The daemon closes.
    await closed;
  }

  async drop() {
    this.dropped = true;
    await new Promise((resolve) => this.session.destroy(resolve));
  }
}

/** Each id has exactly one receipt, with the same id in text and TLV. */
function checkReceipts(receipts, ids, text) {
  const seen = receipts.map((pdu) => {
    assert.equal(pdu.esm_class, 0x04);
    const match = RECEIPT.exec(pdu.short_message.message);
    assert(match, JSON.stringify(pdu.short_message.message));
    assert.equal(match.groups.text, text);
    assert.equal(pdu.receipted_message_id, match.groups.id);
    assert.equal(pdu.message_state, 2);
    return match.groups.id;
  });
  assert.deepEqual(seen.sort(), [...ids].sort());
}

async function injectMo(http, source_addr, destination_addr, text) {
  const body = JSON.stringify({ source_addr, destination_addr, text });
  const response = await fetch(`http://${http}/mo`, { method: 'POST', body });
  assert.equal(response.status, 202);
}

const cases = {
  async wrongPassword(addr) {
    const esme = await Esme.bind(addr, 'transceiver', 'wrong');
    assert.equal(esme.bindResp.command_status, smpp.ESME_RBINDFAIL);
    await esme.drop();
  },

  async transceiver(addr, http) {
    const esme = await Esme.bind(addr, 'transceiver');
    assert.deepEqual([esme.bindResp.command_status, esme.bindResp.system_id], [0, 'smscd']);
    const ids = await Promise.all(Array.from({ length: 50 }, () => esme.submit('hello from node')));
    checkReceipts(await esme.until(50), ids, 'hello from node');
    // Outside GSM 7-bit: UCS-2 either way.
    const unicode = await esme.submit('z\u0142oty', { data_coding: 8 });
    checkReceipts(await esme.until(1), [unicode], 'z?oty');
    await injectMo(http, '491701', '12345', 'z\u0142oty');
    const [mo] = await esme.until(1);
    assert.deepEqual([mo.source_addr, mo.destination_addr, mo.short_message.message], ['491701', '12345', 'z\u0142oty']);
    await esme.unbind();
  },

  async transmitterAndReceiver(addr, http) {
    const tx = await Esme.bind(addr, 'transmitter');
    const rx = await Esme.bind(addr, 'receiver');
    const ids = await Promise.all(Array.from({ length: 20 }, () => tx.submit('split binds')));
    checkReceipts(await rx.until(20), ids, 'split binds');
    await injectMo(http, '491702', '12345', 'to the receiver');
    const [mo] = await rx.until(1);
    assert.equal(mo.short_message.message, 'to the receiver');
    await tx.unbind();
    await rx.unbind();
  },

  // 12345 is our own address: the parts come back. The library does not cut texts, so that is done here.
  async multipart(addr) {
    const esme = await Esme.bind(addr, 'transceiver');
    const text = Array.from({ length: 16 }, (_, n) => `part of a long text ${String(n).padStart(4, '0')}. `).join('');
    const parts = text.match(/.{1,134}/g);
    const udhs = parts.map((_, n) => Buffer.from([5, 0, 3, 42, parts.length, n + 1]));
    for (const [n, message] of parts.entries()) {
      const short_message = { udh: udhs[n], message };
      await esme.submit(short_message, { destination_addr: '12345', registered_delivery: 0 });
    }
    const back = await esme.until(parts.length);
    assert.deepEqual(back.map((pdu) => pdu.esm_class), parts.map(() => 0x40));
    // The library leaves out the octet with the length of all elements.
    assert.deepEqual(back.map((pdu) => Buffer.concat(pdu.short_message.udh)), udhs.map((udh) => udh.subarray(1)));
    assert.equal(back.map((pdu) => pdu.short_message.message).join(''), text);
    await esme.unbind();
  },

  async unknownTlv(addr) {
    const esme = await Esme.bind(addr, 'transceiver');
    // 12345 is our own address: the message comes back with its TLV.
    const note = Buffer.from('opaque');
    await esme.submit('with a vendor TLV', { destination_addr: '12345', registered_delivery: 0, vendor_note: note });
    const [pdu] = await esme.until(1);
    assert.equal(pdu.short_message.message, 'with a vendor TLV');
    assert.deepEqual(pdu.vendor_note, note);
    assert.equal((await esme.request('enquire_link')).command_status, 0);
    await esme.unbind();
  },

  async reconnectAfterADrop(addr) {
    const tx = await Esme.bind(addr, 'transmitter');
    const ids = await Promise.all(Array.from({ length: 5 }, () => tx.submit('before the drop')));
    await tx.drop();
    const rx = await Esme.bind(addr, 'transceiver');
    checkReceipts(await rx.until(5), ids, 'before the drop');
    await rx.unbind();
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    await run(...process.argv.slice(2));
    console.log(`smpp: ${name} ok`);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
