//! What the end-to-end tests run the generator against: its own floor, and an SMSC that misbehaves on purpose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

const BIN: &str = env!("CARGO_BIN_EXE_smsc-loadgen");

/// A floor that ends with the test.
pub struct Floor {
    child: Child,
    pub address: String,
}

impl Floor {
    pub fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(BIN)
            .args(["floor", "--listen", "127.0.0.1:0", "--max-seconds", "60"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("floor ready smpp=").expect("the ready line").to_owned();
        Self { child, address }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the generator to its end.
pub fn loadgen(target: &str, flags: &[&str]) -> Output {
    Command::new(BIN).args(["--target", target, "--drain-timeout", "1s"]).args(flags).output().unwrap()
}

/// Runs the generator to its end. Exit code, the JSON result, and what it printed.
pub fn run(target: &str, flags: &[&str]) -> (i32, serde_json::Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("result.json");
    let output = loadgen(target, &[flags, &["--json", json.to_str().unwrap()]].concat());
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let value = std::fs::read(&json).unwrap_or_else(|error| panic!("no result ({error}): {text}"));
    (output.status.code().unwrap(), serde_json::from_slice(&value).unwrap(), text)
}

/// How the SMSC treats the message of one sequence_number. Everything else is answered as it should be.
#[derive(Clone, Copy, Default)]
pub struct Script {
    pub no_response: Option<u32>,
    pub second_response: Option<u32>,
    /// A response to a sequence_number that was never used follows this one.
    pub stray_response: Option<u32>,
    /// The message gets the id of its predecessor.
    pub same_id: Option<u32>,
    pub no_receipt: Option<u32>,
    pub second_receipt: Option<u32>,
    pub unknown_receipt: Option<u32>,
    /// The message ends the session with unbind.
    pub unbind: Option<u32>,
    /// Messages whose sequence_number this divides are answered with ESME_RTHROTTLED.
    pub throttle_every: Option<u32>,
    /// Each message brings an MO message and an enquire_link with it.
    pub chatty: bool,
    /// Receipts go to the latest receiver, and before the response.
    pub receipts_first_to_receiver: bool,
    /// Binds are refused with this status.
    pub refuse_bind: Option<u32>,
}

/// What the clients of an SMSC answered to it.
#[derive(Debug, Default)]
pub struct Answers {
    pub deliver_sm_resp: u32,
    pub enquire_link_resp: u32,
    pub unbind: u32,
}

/// Starts an SMSC on a free port; its threads end with the test's process.
pub fn smsc(script: Script) -> (SocketAddr, Arc<Mutex<Answers>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(Mutex::new(Answers::default()));
    let receiver = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&answers);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let session = Session {
                stream: stream.unwrap(),
                number: number as u32,
                script,
                answers: Arc::clone(&shared),
                receiver: Arc::clone(&receiver),
            };
            thread::spawn(move || session.serve());
        }
    });
    (address, answers)
}

/// Answers every connection with these octets and closes it.
pub fn not_an_smsc(octets: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(octets);
        }
    });
    address
}

struct Session {
    stream: TcpStream,
    number: u32,
    script: Script,
    answers: Arc<Mutex<Answers>>,
    receiver: Arc<Mutex<Option<TcpStream>>>,
}

impl Session {
    fn serve(mut self) {
        let mut header = [0; 16];
        while self.stream.read_exact(&mut header).is_ok() {
            let field = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            let (length, command_id, sequence) = (field(0) as usize, field(4), field(12));
            let mut body = vec![0; length - 16];
            if self.stream.read_exact(&mut body).is_err() {
                return;
            }
            let out = self.answer(command_id, sequence);
            if self.stream.write_all(&out).is_err() {
                return;
            }
        }
    }

    fn answer(&self, command_id: u32, sequence: u32) -> Vec<u8> {
        match command_id {
            1 | 2 | 9 => {
                if let Some(status) = self.script.refuse_bind {
                    return pdu(command_id | 0x8000_0000, status, sequence, b"");
                }
                if command_id == 1 {
                    *self.receiver.lock().unwrap() = Some(self.stream.try_clone().unwrap());
                }
                pdu(command_id | 0x8000_0000, 0, sequence, b"test\0")
            }
            4 => self.submit(sequence),
            6 => {
                self.answers.lock().unwrap().unbind += 1;
                pdu(0x8000_0006, 0, sequence, b"")
            }
            0x8000_0005 => {
                self.answers.lock().unwrap().deliver_sm_resp += 1;
                Vec::new()
            }
            0x8000_0015 => {
                self.answers.lock().unwrap().enquire_link_resp += 1;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn submit(&self, sequence: u32) -> Vec<u8> {
        let script = &self.script;
        let is = |chosen: Option<u32>| chosen == Some(sequence);
        let id = |sequence: u32| format!("{}-{sequence}", self.number);
        let mut out = Vec::new();
        if script.chatty {
            out.extend(pdu(5, 0, sequence, &deliver(0, "hello")));
            out.extend(pdu(0x15, 0, sequence, b""));
        }
        if is(script.unbind) {
            out.extend(pdu(6, 0, 77, b""));
            return out;
        }
        if is(script.no_response) {
            return out;
        }
        if script.throttle_every.is_some_and(|every| sequence.is_multiple_of(every)) {
            out.extend(pdu(0x8000_0004, 0x58, sequence, b""));
            return out;
        }
        let own = if is(script.same_id) { id(sequence - 1) } else { id(sequence) };
        let response = pdu(0x8000_0004, 0, sequence, format!("{own}\0").as_bytes());
        let receipt = |id: &str| pdu(5, 0, sequence, &deliver(4, &format!("id:{id} stat:DELIVRD err:000")));
        if script.receipts_first_to_receiver {
            let mut receiver = self.receiver.lock().unwrap();
            receiver.as_mut().unwrap().write_all(&receipt(&own)).unwrap();
            return response;
        }
        out.extend(&response);
        if is(script.second_response) {
            out.extend(&response);
        }
        if is(script.stray_response) {
            out.extend(pdu(0x8000_0004, 0, 0x0700_0000, b"stray\0"));
        }
        if !is(script.no_receipt) {
            out.extend(receipt(&own));
        }
        if is(script.second_receipt) {
            out.extend(receipt(&own));
        }
        if is(script.unknown_receipt) {
            out.extend(receipt("nobody"));
        }
        out
    }
}

fn deliver(esm_class: u8, text: &str) -> Vec<u8> {
    let mut body = b"\0\x01\x01447700900123\0\x03\x0112345\0".to_vec();
    body.extend([esm_class, 0, 0, 0, 0, 0, 0, 0, 0, text.len() as u8]);
    body.extend(text.as_bytes());
    body
}

fn pdu(command_id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [16 + body.len() as u32, command_id, status, sequence] {
        out.extend(field.to_be_bytes());
    }
    out.extend(body);
    out
}
