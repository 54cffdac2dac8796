//! What the codec costs per PDU. Run: `cargo bench --bench codec --no-default-features`.

use std::cell::Cell;

use divan::{Bencher, black_box};
use smscd::base::WallTime;
use smscd::smpp::{
    CommandId, CommandStatus, DateDigits, DeliverSm, EsmClass, FrameStep, InterfaceVersion, MessageState,
    ParsedReceipt, PduBody, ReceiptDateCache, ReceiptText, RegisteredDelivery, SmppTime, SubmitSm,
    SubmitSmResp, TlvTag, TlvWriter, encode_header_only, encode_pdu, format_receipt_date, next_frame,
    validate_submit,
};

fn main() {
    divan::main();
}

const TEXT: &[u8; 60] = b"The quick brown fox jumps over the lazy dog, then naps: 1234";
const NOW: WallTime = WallTime::from_unix_millis(1_795_509_000_000);

fn submit_sm() -> SubmitSm<'static> {
    SubmitSm {
        source_addr_ton: 5,
        source_addr: b"ACME",
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: b"447700900123",
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: TEXT,
        ..SubmitSm::default()
    }
}

fn body_of<'a>(body: &impl PduBody<'a>) -> Vec<u8> {
    let mut out = Vec::new();
    body.encode_body(&mut out);
    out
}

/// Runs `write` into a buffer that is emptied before each round, as a session's out-chunk would be now and then.
fn bench_write(bencher: Bencher<'_, '_>, write: impl Fn(&mut Vec<u8>)) {
    let mut out = Vec::with_capacity(4_096);
    bencher.bench_local(|| {
        out.clear();
        write(black_box(&mut out));
        black_box(out.len())
    });
}

#[divan::bench]
fn submit_sm_decode(bencher: Bencher<'_, '_>) {
    let body = body_of(&submit_sm());
    bencher.bench(|| SubmitSm::decode(black_box(&body)));
}

#[divan::bench]
fn submit_sm_decode_and_validate(bencher: Bencher<'_, '_>) {
    let body = body_of(&submit_sm());
    bencher.bench(|| {
        let sm = SubmitSm::decode(black_box(&body))?;
        validate_submit(&sm, InterfaceVersion::V34).map(|()| sm)
    });
}

#[divan::bench]
fn submit_sm_decode_with_3_tlvs(bencher: Bencher<'_, '_>) {
    let mut buffer = [0; 64];
    let mut writer = TlvWriter::new(&mut buffer);
    writer.push(TlvTag::USER_MESSAGE_REFERENCE, &[1, 2]);
    writer.push(TlvTag::SOURCE_PORT, &[0x23, 0xF0]);
    writer.push(TlvTag::DEST_PORT, &[0x0B, 0x84]);
    let body = body_of(&SubmitSm { tlvs: writer.tlvs(), ..submit_sm() });
    bencher.bench(|| SubmitSm::decode(black_box(&body)));
}

#[divan::bench]
fn submit_sm_encode(bencher: Bencher<'_, '_>) {
    let sm = submit_sm();
    bench_write(bencher, |out| {
        encode_pdu(out, CommandId::SUBMIT_SM, CommandStatus::ESME_ROK, 7, black_box(&sm))
    });
}

#[divan::bench]
fn submit_sm_resp_decode(bencher: Bencher<'_, '_>) {
    let body = b"0000000001A2B3C4\0";
    bencher.bench(|| SubmitSmResp::decode(black_box(body)));
}

#[divan::bench]
fn submit_sm_resp_encode(bencher: Bencher<'_, '_>) {
    let resp = SubmitSmResp { message_id: b"0000000001A2B3C4", ..SubmitSmResp::default() };
    bench_write(bencher, |out| {
        encode_pdu(out, CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_ROK, 7, black_box(&resp));
    });
}

#[divan::bench]
fn header_only_encode(bencher: Bencher<'_, '_>) {
    bench_write(bencher, |out| {
        encode_header_only(out, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK, black_box(7));
    });
}

/// All of it: dates, text, TLVs, PDU.
#[divan::bench]
fn deliver_sm_receipt_encode(bencher: Bencher<'_, '_>) {
    let id = b"0000000001A2B3C4";
    let dates = Cell::new(ReceiptDateCache::new(DateDigits::Ten));
    bench_write(bencher, |out| {
        let mut cache = dates.get();
        let date = cache.format(black_box(NOW));
        dates.set(cache);
        let receipt = ReceiptText {
            id,
            sub: 1,
            dlvrd: 1,
            submit_date: date,
            done_date: date,
            stat: MessageState::Delivered,
            err: 0,
            text: &TEXT[..20],
        };
        let mut text = [0; 255];
        let mut room = &mut text[..];
        receipt.encode(&mut room);
        let unused = room.len();
        let mut tlvs = [0; 64];
        let mut writer = TlvWriter::new(&mut tlvs);
        writer.push_c_octets(TlvTag::RECEIPTED_MESSAGE_ID, id);
        writer.push(TlvTag::MESSAGE_STATE, &[MessageState::Delivered.octet()]);
        let sm = DeliverSm {
            source_addr_ton: 1,
            source_addr_npi: 1,
            source_addr: b"447700900123",
            dest_addr_ton: 5,
            destination_addr: b"ACME",
            esm_class: EsmClass::RECEIPT,
            short_message: &text[..255 - unused],
            tlvs: writer.tlvs(),
            ..DeliverSm::default()
        };
        encode_pdu(out, CommandId::DELIVER_SM, CommandStatus::ESME_ROK, 7, &sm);
    });
}

#[divan::bench]
fn receipt_text_encode(bencher: Bencher<'_, '_>) {
    let date = format_receipt_date(NOW, DateDigits::Ten);
    let receipt = ReceiptText {
        id: b"0000000001A2B3C4",
        sub: 1,
        dlvrd: 1,
        submit_date: date,
        done_date: date,
        stat: MessageState::Delivered,
        err: 0,
        text: &TEXT[..20],
    };
    bench_write(bencher, |out| black_box(&receipt).encode(out));
}

#[divan::bench]
fn receipt_text_parse(bencher: Bencher<'_, '_>) {
    let text = b"id:0000000001A2B3C4 sub:001 dlvrd:001 submit date:2611240830 done date:2611240831 stat:DELIVRD err:000 text:Hello";
    bencher.bench(|| ParsedReceipt::parse(black_box(text)));
}

#[divan::bench]
fn frame_scan_of_100(bencher: Bencher<'_, '_>) {
    let mut stream = Vec::new();
    for sequence_number in 1..=100 {
        encode_pdu(&mut stream, CommandId::SUBMIT_SM, CommandStatus::ESME_ROK, sequence_number, &submit_sm());
    }
    bencher.bench(|| {
        let mut rest = black_box(stream.as_slice());
        let mut frames = 0;
        while let Ok(FrameStep::Complete { frame, consumed }) = next_frame(rest, 70_000) {
            black_box(frame);
            frames += 1;
            rest = &rest[consumed..];
        }
        frames
    });
}

#[divan::bench]
fn receipt_date_format(bencher: Bencher<'_, '_>) {
    bencher.bench(|| format_receipt_date(black_box(NOW), DateDigits::Ten));
}

#[divan::bench]
fn receipt_date_format_cached(bencher: Bencher<'_, '_>) {
    let mut cache = ReceiptDateCache::new(DateDigits::Ten);
    bencher.bench_local(|| cache.format(black_box(NOW)));
}

#[divan::bench]
fn time_parse_and_resolve(bencher: Bencher<'_, '_>) {
    bencher.bench(|| SmppTime::parse(black_box(b"000002000000000R")).map(|time| time.resolve(NOW)));
}
