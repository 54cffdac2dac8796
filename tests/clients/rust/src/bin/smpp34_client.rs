//! Drives a running smscd with the client of the crate smpp34: all three binds, receipts, multipart both ways, an
//! unknown TLV, unbind, reconnect.
//!
//! Usage: smpp34_client SMPP_ADDR. The daemon has the default configuration. Exits non-zero on any failure.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future;
use smpp34::client::{BIND_TYPE, SMSC, SmppClient, SmppClientListener, SubmitSmBuilder};
use smpp34::{SmppConnectionInformation, deliver_sm, deliver_sm_resp};
use smscd_client_tests::{Receipt, TIMEOUT, check_receipts, joined, long_text, run_cases};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Hands on what the library calls it with.
struct Listener {
    bound: UnboundedSender<Result<SMSC, String>>,
    inbox: UnboundedSender<deliver_sm>,
}

#[async_trait]
impl SmppClientListener for Listener {
    async fn on_smsc_bound(&self, smsc: SMSC, _: &String) {
        let _ = self.bound.send(Ok(smsc));
    }

    async fn on_smsc_unbound(&self, _: &String) {
        let _ = self.bound.send(Err("the session has ended".to_owned()));
    }

    async fn on_connection_failed(&self, error: &str) {
        let _ = self.bound.send(Err(error.to_owned()));
    }

    async fn on_deliver_sm(
        &self,
        sm: deliver_sm,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> deliver_sm_resp {
        let _ = self.inbox.send(sm.clone());
        sm.accept()
    }
}

/// A bound client and what it is told.
struct Esme {
    client: SmppClient,
    smsc: SMSC,
    bound: UnboundedReceiver<Result<SMSC, String>>,
    inbox: UnboundedReceiver<deliver_sm>,
}

impl Esme {
    async fn bind(addr: &str, mode: BIND_TYPE) -> Self {
        let (host, port) = addr.rsplit_once(':').expect("HOST:PORT");
        let (bound_sender, mut bound) = unbounded_channel();
        let (inbox_sender, inbox) = unbounded_channel();
        let listener = Arc::new(Listener { bound: bound_sender, inbox: inbox_sender });
        let mut client = SmppClient::new(
            host.to_owned(),
            port.parse().expect("a port"),
            false,
            mode,
            "demo".to_owned(),
            "demo".to_owned(),
            String::new(),
            0,
            0,
            String::new(),
            listener,
            10,
        );
        client.start().await;
        let smsc = within(bound.recv()).await.expect("a listener").expect("bound");
        Self { client, smsc, bound, inbox }
    }

    fn to(&self, destination_addr: &str, text: impl Into<Vec<u8>>) -> SubmitSmBuilder<'_> {
        self.smsc.submit_sm().source_addr("12345").destination_addr(destination_addr).short_message(text)
    }

    /// Submits so many messages that ask for receipts, all at once; their ids.
    async fn submit_all(&self, text: &str, count: usize) -> Vec<String> {
        let sent = (0..count).map(|_| self.to("447012345678", text).registered_delivery(1).send());
        let responses = future::try_join_all(sent).await.expect("submit_sm_resp");
        responses.into_iter().map(|resp| resp.message_id.expect("a message_id")).collect()
    }

    async fn deliveries(&mut self, count: usize) -> Vec<deliver_sm> {
        let mut inbox = Vec::new();
        while inbox.len() < count {
            inbox.push(within(self.inbox.recv()).await.expect("a listener"));
        }
        inbox
    }

    async fn receipts(&mut self, count: usize) -> Vec<Receipt> {
        self.deliveries(count).await.iter().map(receipt).collect()
    }

    async fn unbind(mut self) {
        self.smsc.send_unbind().await.expect("unbind_resp");
        let ended = within(self.bound.recv()).await.expect("a listener");
        assert_eq!(ended.err().as_deref(), Some("the session has ended"));
        self.client.stop().await;
    }

    async fn drop_connection(mut self) {
        self.client.stop().await;
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("an answer in time")
}

fn receipt(sm: &deliver_sm) -> Receipt {
    assert_eq!(sm.esm_class, 0x04);
    let tlv = |tag| sm.tlvs.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value.clone());
    let id =
        tlv(0x001E).map(|value| String::from_utf8(value).expect("ASCII").trim_end_matches('\0').to_owned());
    (String::from_utf8(sm.short_message.clone()).expect("ASCII"), id, tlv(0x0427).map(|value| value[0]))
}

async fn transceiver(addr: &str) {
    let mut esme = Esme::bind(addr, BIND_TYPE::TRX).await;
    let ids = esme.submit_all("hello from smpp34", 20).await;
    check_receipts(&esme.receipts(20).await, &ids);
    esme.unbind().await;
}

async fn transmitter_and_receiver(addr: &str) {
    let tx = Esme::bind(addr, BIND_TYPE::TX).await;
    let mut rx = Esme::bind(addr, BIND_TYPE::RX).await;
    let ids = tx.submit_all("split binds", 5).await;
    check_receipts(&rx.receipts(5).await, &ids);
    tx.unbind().await;
    rx.unbind().await;
}

/// 12345 is our own address: the parts come back. The library does not cut texts, so that is done here.
async fn multipart(addr: &str) {
    let mut esme = Esme::bind(addr, BIND_TYPE::TRX).await;
    let text = long_text();
    let parts: Vec<&[u8]> = text.as_bytes().chunks(134).collect();
    for (number, part) in (1..).zip(&parts) {
        let octets = [&[5, 0, 3, 42, parts.len() as u8, number], *part].concat();
        esme.to("12345", octets).esm_class(0x40).send().await.expect("submit_sm_resp");
    }
    let back = esme.deliveries(parts.len()).await;
    assert!(back.iter().all(|sm| sm.esm_class == 0x40));
    let back: Vec<Vec<u8>> = back.into_iter().map(|sm| sm.short_message).collect();
    assert_eq!(joined(&back), text);
    esme.unbind().await;
}

async fn unknown_tlv(addr: &str) {
    let mut esme = Esme::bind(addr, BIND_TYPE::TRX).await;
    let sm = esme.to("12345", "with a vendor's TLV").tlv_raw(0x1789, *b"opaque");
    sm.send().await.expect("submit_sm_resp");
    let back = esme.deliveries(1).await;
    assert_eq!(back[0].short_message, b"with a vendor's TLV");
    assert!(back[0].tlvs.iter().any(|tlv| tlv.tag == 0x1789 && tlv.value == b"opaque"), "{back:?}");
    esme.unbind().await;
}

async fn reconnect_after_a_drop(addr: &str) {
    let tx = Esme::bind(addr, BIND_TYPE::TX).await;
    let ids = tx.submit_all("before the drop", 5).await;
    tx.drop_connection().await;
    let mut rx = Esme::bind(addr, BIND_TYPE::TRX).await;
    check_receipts(&rx.receipts(5).await, &ids);
    rx.unbind().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let addr = std::env::args().nth(1).expect("SMPP_ADDR");
    run_cases!(
        "smpp34",
        &addr,
        transceiver,
        transmitter_and_receiver,
        multipart,
        unknown_tlv,
        reconnect_after_a_drop
    );
}
