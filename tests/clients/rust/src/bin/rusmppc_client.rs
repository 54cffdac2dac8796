//! Drives a running smscd with the crate rusmppc, which binds as 5.0 and submits with an esm_class of 0x08 unless told
//! otherwise: all three binds, receipts, multipart both ways, an unknown TLV, unbind, reconnect.
//!
//! Usage: rusmppc_client SMPP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.

use std::str::FromStr;

use futures::{Stream, StreamExt, future};
use rusmpp::extra::concatenation::SubmitSmMultipartExt;
use rusmpp::pdus::{BindReceiver, BindTransceiver, BindTransmitter, DeliverSm, DeliverSmResp, SubmitSm};
use rusmpp::tlvs::{MessageSubmissionRequestTlvValue, TlvTag, TlvValue};
use rusmpp::types::{AnyOctetString, COctetString, OctetString};
use rusmpp::values::{GsmFeatures, MessageType, RegisteredDelivery};
use rusmpp::{CommandStatus, Pdu};
use rusmppc::error::Error;
use rusmppc::{Client, ConnectionBuilder, Event};
use smscd_client_tests::{Receipt, TIMEOUT, check_receipts, joined, long_text, run_cases};

/// A bound client and what it is told.
struct Esme {
    client: Client,
    events: Box<dyn Stream<Item = Event> + Unpin>,
}

impl Esme {
    async fn bind(addr: &str, mode: &str, password: &str) -> Result<Self, Error> {
        let connection = ConnectionBuilder::new().response_timeout(TIMEOUT).connect(format!("smpp://{addr}"));
        let (client, events) = connection.await?;
        macro_rules! bind {
            ($Bind:ident, $bind:ident) => {{
                let bind = $Bind::builder().system_id(c_octets("demo")).password(c_octets(password)).build();
                let resp = client.$bind(bind).await?;
                assert_eq!(resp.system_id.as_str(), "smscd");
            }};
        }
        match mode {
            "transmitter" => bind!(BindTransmitter, bind_transmitter),
            "receiver" => bind!(BindReceiver, bind_receiver),
            _ => bind!(BindTransceiver, bind_transceiver),
        }
        Ok(Self { client, events: Box::new(events) })
    }

    async fn submit(&self, sm: SubmitSm) -> String {
        let resp = self.client.submit_sm(sm).await.expect("submit_sm_resp");
        resp.message_id().as_str().to_owned()
    }

    /// Submits so many messages that ask for receipts, all at once; their ids.
    async fn submit_all(&self, text: &str, count: usize) -> Vec<String> {
        future::join_all((0..count).map(|_| {
            let mut sm = to("447012345678", text);
            sm.registered_delivery = RegisteredDelivery::request_all();
            self.submit(sm)
        }))
        .await
    }

    /// The next deliveries, answered.
    async fn deliveries(&mut self, count: usize) -> Vec<DeliverSm> {
        let mut inbox = Vec::new();
        while inbox.len() < count {
            let event = tokio::time::timeout(TIMEOUT, self.events.next()).await.expect("a delivery in time");
            let Some(Event::Incoming(command)) = event else { panic!("{event:?}") };
            let Some(Pdu::DeliverSm(sm)) = command.pdu() else { panic!("{command:?}") };
            let resp = self.client.deliver_sm_resp(command.sequence_number(), DeliverSmResp::default());
            resp.await.expect("deliver_sm_resp sent");
            inbox.push(sm.clone());
        }
        inbox
    }

    async fn receipts(&mut self, count: usize) -> Vec<Receipt> {
        self.deliveries(count).await.iter().map(receipt).collect()
    }

    async fn unbind(self) {
        self.client.unbind().await.expect("unbind_resp");
        // The daemon closes.
        tokio::time::timeout(TIMEOUT, self.client.closed()).await.expect("closed in time");
    }

    async fn drop_connection(self) {
        self.client.close_and_wait().await.expect("closed");
    }
}

fn receipt(sm: &DeliverSm) -> Receipt {
    assert_eq!(sm.esm_class.message_type, MessageType::ShortMessageContainsMCDeliveryReceipt);
    let (mut id, mut state) = (None, None);
    for tlv in sm.tlvs() {
        match tlv.value() {
            Some(TlvValue::ReceiptedMessageId(value)) => id = Some(value.as_str().to_owned()),
            Some(TlvValue::MessageState(value)) => state = Some(u8::from(*value)),
            _ => {}
        }
    }
    (sm.short_message().to_str().expect("ASCII").to_owned(), id, state)
}

fn c_octets<const MIN: usize, const MAX: usize>(text: &str) -> COctetString<MIN, MAX> {
    COctetString::from_str(text).expect("fits")
}

fn to(destination_addr: &str, text: &str) -> SubmitSm {
    SubmitSm::builder()
        .source_addr(c_octets("12345"))
        .destination_addr(c_octets(destination_addr))
        .short_message(OctetString::from_str(text).expect("fits"))
        .build()
}

async fn wrong_password(addr: &str) {
    match Esme::bind(addr, "transceiver", "wrong").await.err() {
        Some(Error::UnexpectedResponse { response }) => {
            assert_eq!(response.status(), CommandStatus::EsmeRbindfail);
        }
        other => panic!("{other:?}"),
    }
}

async fn transceiver(addr: &str) {
    let mut esme = Esme::bind(addr, "transceiver", "demo").await.expect("bound");
    let ids = esme.submit_all("hello from rusmppc", 20).await;
    check_receipts(&esme.receipts(20).await, &ids);
    esme.unbind().await;
}

async fn transmitter_and_receiver(addr: &str) {
    let tx = Esme::bind(addr, "transmitter", "demo").await.expect("bound");
    let mut rx = Esme::bind(addr, "receiver", "demo").await.expect("bound");
    let ids = tx.submit_all("split binds", 5).await;
    check_receipts(&rx.receipts(5).await, &ids);
    tx.unbind().await;
    rx.unbind().await;
}

/// 12345 is our own address: the parts come back.
async fn multipart(addr: &str) {
    let mut esme = Esme::bind(addr, "transceiver", "demo").await.expect("bound");
    let text = long_text();
    let parts = to("12345", "").multipart(&text).reference_u8(42).gsm7bit_unpacked().build().expect("parts");
    let count = parts.len();
    for part in parts {
        esme.submit(part).await;
    }
    let back = esme.deliveries(count).await;
    assert!(back.iter().all(|sm| sm.esm_class.gsm_features == GsmFeatures::UdhiIndicator));
    let back: Vec<Vec<u8>> = back.iter().map(|sm| sm.short_message().as_ref().to_vec()).collect();
    assert_eq!(joined(&back), text);
    esme.unbind().await;
}

async fn unknown_tlv(addr: &str) {
    let mut esme = Esme::bind(addr, "transceiver", "demo").await.expect("bound");
    let (tag, note) = (TlvTag::Other(0x1789), AnyOctetString::from_static_slice(b"opaque"));
    let mut sm = to("12345", "with a vendor's TLV");
    sm.push_tlv(MessageSubmissionRequestTlvValue::Other { tag, value: note.clone() });
    esme.submit(sm).await;
    let back = esme.deliveries(1).await;
    assert_eq!(back[0].short_message().as_ref(), b"with a vendor's TLV");
    let sent = TlvValue::Other { tag, value: note };
    assert!(back[0].tlvs().iter().any(|tlv| tlv.value() == Some(&sent)), "{back:?}");
    esme.client.enquire_link().await.expect("enquire_link_resp");
    esme.unbind().await;
}

async fn reconnect_after_a_drop(addr: &str) {
    let tx = Esme::bind(addr, "transmitter", "demo").await.expect("bound");
    let ids = tx.submit_all("before the drop", 5).await;
    tx.drop_connection().await;
    let mut rx = Esme::bind(addr, "transceiver", "demo").await.expect("bound");
    check_receipts(&rx.receipts(5).await, &ids);
    rx.unbind().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let addr = std::env::args().nth(1).expect("SMPP_ADDR");
    run_cases!(
        "rusmppc",
        &addr,
        wrong_password,
        transceiver,
        transmitter_and_receiver,
        multipart,
        unknown_tlv,
        reconnect_after_a_drop
    );
}
