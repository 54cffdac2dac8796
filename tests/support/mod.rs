//! What the tests of the running daemon share: the daemon as a child process, a raw SMPP client ([`esme`]) that knows
//! nothing of this crate's codec, and a raw HTTP client ([`http`]).
//!
//! Nothing here sleeps: every wait is for a condition and ends in a panic after [`DEADLINE`].

// Each test binary uses another part of this, and in a test binary nothing can be reached from outside.
#![allow(dead_code, unreachable_pub)]

pub mod esme;
pub mod http;
pub mod tls;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use esme::{Mode, RawEsme};
use http::Response;
use tls::{Endpoint, Version};

/// How long anything may take before a test fails. Far more than is needed, for machines that do much at once.
pub const DEADLINE: Duration = Duration::from_secs(30);

const BINARY: &str = env!("CARGO_BIN_EXE_smscd");

/// How the daemon's threads are laid out, and whether its ESMEs come over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout(pub &'static [&'static str], pub Option<Version>);

impl Layout {
    /// As the machine has it: on few cores each worker shares its thread with a shard.
    pub const AUTOMATIC: Self = Self(&[], None);
    /// One worker, one shard.
    pub const ONE_BY_ONE: Self = Self(&["--workers", "1", "--shards", "1"], None);
    /// Two of each: answers and deliveries cross threads.
    pub const TWO_BY_TWO: Self = Self(&["--workers", "2", "--shards", "2"], None);
    /// Most messages cross threads.
    pub const ONE_BY_THREE: Self = Self(&["--workers", "1", "--shards", "3"], None);
    /// On one thread, over TLS.
    pub const TLS_AUTOMATIC: Self = Self(&[], Some(Version::V13));
    /// Two of each, over the older TLS.
    pub const TLS_TWO_BY_TWO: Self = Self(Self::TWO_BY_TWO.0, Some(Version::V12));

    pub const ALL: [Self; 6] = [
        Self::AUTOMATIC,
        Self::ONE_BY_ONE,
        Self::TWO_BY_TWO,
        Self::ONE_BY_THREE,
        Self::TLS_AUTOMATIC,
        Self::TLS_TWO_BY_TWO,
    ];
    /// All but AUTOMATIC, which shares its threads as TLS_AUTOMATIC does.
    pub const MOST: [Self; 5] =
        [Self::ONE_BY_ONE, Self::TWO_BY_TWO, Self::ONE_BY_THREE, Self::TLS_AUTOMATIC, Self::TLS_TWO_BY_TWO];
    /// For what has nothing to do with how octets travel.
    pub const WITHOUT_TLS: [Self; 3] = [Self::AUTOMATIC, Self::TWO_BY_TWO, Self::ONE_BY_THREE];
}

/// A running daemon. Killed when dropped.
pub struct Daemon {
    child: Child,
    /// Where its ESMEs connect to.
    pub smpp: Endpoint,
    /// The listener without TLS.
    pub plain: SocketAddr,
    /// The TLS listener, if it has one.
    pub tls: Option<SocketAddr>,
    pub http: SocketAddr,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    data_dir: PathBuf,
    /// Follows on every configuration.
    tls_section: String,
    dir: TempDir,
}

impl Daemon {
    /// Starts the daemon on free ports with `config` as its configuration file, and waits until it is ready.
    pub fn start(config: &str, layout: Layout) -> Self {
        Self::start_on(None, config, layout)
    }

    /// As [`Daemon::start`], on a data folder that outlives it; without one, on its own.
    pub fn start_on(data_dir: Option<&Path>, config: &str, layout: Layout) -> Self {
        Self::launch(Command::new(BINARY), data_dir, config, "", layout)
    }

    /// As [`Daemon::start_on`], by a program that becomes the daemon: `program` is it and its arguments in front.
    pub fn start_under(program: &[&str], data_dir: &Path, config: &str, layout: Layout) -> Self {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(BINARY);
        Self::launch(command, Some(data_dir), config, "", layout)
    }

    /// As [`Daemon::start`], on a TLS layout, with these keys in its `[tls]` section.
    pub fn start_tls(config: &str, tls_keys: &str, layout: Layout) -> Self {
        assert!(layout.1.is_some(), "{layout:?} is without TLS");
        Self::launch(Command::new(BINARY), None, config, tls_keys, layout)
    }

    fn launch(
        mut command: Command,
        data_dir: Option<&Path>,
        config: &str,
        tls_keys: &str,
        layout: Layout,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("smscd.toml");
        let data_dir = data_dir.map_or_else(|| dir.path().join("data"), Path::to_path_buf);
        let tls_section = layout.1.map(|_| tls::section(dir.path(), tls_keys)).unwrap_or_default();
        std::fs::write(&file, config.to_owned() + &tls_section).expect("written");
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-pin", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(&data_dir)
            .args(layout.0)
            .env("RUST_BACKTRACE", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let sink = Arc::clone(&stderr);
        readers.push(std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let mut sink = sink.lock().expect("no reader panics");
                sink.push_str(&line);
                sink.push('\n');
            }
        }));
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, ready) = std::sync::mpsc::channel();
        readers.push(std::thread::spawn(move || {
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = sender.send(line);
            // Whatever else comes is of no interest, but must not block the daemon.
            let _ = stdout.read_to_end(&mut Vec::new());
        }));
        let line = ready.recv_timeout(DEADLINE).unwrap_or_default();
        let Some((smpp, http, tls)) = addresses(&line) else {
            let _ = child.kill();
            let status = child.wait();
            for reader in readers {
                let _ = reader.join();
            }
            let stderr = stderr.lock().expect("no reader panics");
            panic!("not ready: {line:?}, {status:?}, stderr:\n{stderr}");
        };
        let plain = smpp;
        let smpp = match (tls, layout.1) {
            (Some(addr), version @ Some(_)) => Endpoint { addr, tls: version },
            _ => plain.into(),
        };
        Self { child, smpp, plain, tls, http, stderr, readers, data_dir, tls_section, dir }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the daemon has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of its configuration file.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Replaces the text of its configuration file.
    pub fn rewrite_config(&self, config: &str) {
        let text = config.to_owned() + &self.tls_section;
        std::fs::write(self.dir.path().join("smscd.toml"), text).expect("written");
    }

    /// Appends to its configuration file.
    pub fn append_config(&self, text: &str) {
        self.edit_config(|config| config + text);
    }

    /// Replaces a text in its configuration file.
    pub fn replace_in_config(&self, old: &str, new: &str) {
        self.edit_config(|config| config.replace(old, new));
    }

    fn edit_config(&self, edit: impl FnOnce(String) -> String) {
        let file = self.dir.path().join("smscd.toml");
        let config = std::fs::read_to_string(&file).expect("readable");
        std::fs::write(&file, edit(config)).expect("written");
    }

    /// POST over HTTP.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http::request(self.http, "POST", path, headers, body.as_bytes())
    }

    /// Replaces the text of its configuration file and reloads it; the answer.
    pub fn reload(&self, config: &str) -> Value {
        self.rewrite_config(config);
        let response = self.post("/reload", &[], "");
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// Waits until the log has this text.
    pub fn await_log(&self, text: &str) {
        let start = Instant::now();
        while !self.stderr().contains(text) {
            assert!(start.elapsed() < DEADLINE, "no {text:?} in the log:\n{}", self.stderr());
            std::thread::yield_now();
        }
    }

    /// GET over HTTP.
    pub fn get(&self, path: &str) -> Response {
        http::request(self.http, "GET", path, &[], b"")
    }

    /// POST /mo with this text; the id that the message was accepted under.
    pub fn inject_mo(&self, source_addr: &str, destination_addr: &str, text: &str) -> String {
        let body = serde_json::json!({
            "source_addr": source_addr, "destination_addr": destination_addr, "text": text
        });
        let response = http::request(self.http, "POST", "/mo", &[], body.to_string().as_bytes());
        assert_eq!(response.status, 202, "{response:?}");
        response.json()["message_id"].as_str().expect("an id").to_owned()
    }

    /// `/stats`.
    pub fn stats(&self) -> Value {
        let response = self.get("/stats");
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// One number of `/stats`, by JSON pointer.
    pub fn stat(&self, pointer: &str) -> u64 {
        let stats = self.stats();
        stats.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {stats}"))
    }

    /// Waits until every number of `/stats` named here has the value beside it.
    pub fn await_stats(&self, expected: &[(&str, u64)]) {
        let start = Instant::now();
        loop {
            let stats = self.stats();
            let found = |pointer| stats.pointer(pointer).and_then(Value::as_u64);
            if expected.iter().all(|&(pointer, value)| found(pointer) == Some(value)) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "expected {expected:?}, stats are {stats:#}");
        }
    }

    /// A bound session of account demo.
    pub fn bind(&self, mode: Mode) -> RawEsme {
        RawEsme::bind(self.smpp, mode, "demo", "demo")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("the daemon runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Starts the daemon on a data folder and kills it, with -9, after `within`, ready or not.
    pub fn start_and_kill(data_dir: &Path, config: &str, within: Duration) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("smscd.toml");
        std::fs::write(&file, config).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_smscd"))
            .args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-pin", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let start = Instant::now();
        while start.elapsed() < within {
            std::thread::yield_now();
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the daemon runs");
    }

    /// Waits for the end of a daemon that has been told to stop.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the daemon does not end, stderr:\n{}", self.stderr());
            std::thread::yield_now();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let stderr = self.stderr();
        if std::thread::panicking() {
            eprintln!("the daemon's stderr:\n{stderr}");
        } else {
            assert!(!stderr.contains("panicked"), "a thread of the daemon has panicked:\n{stderr}");
        }
    }
}

/// The addresses of the ready line: SMPP, HTTP, and SMPP over TLS if there is that.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr, Option<SocketAddr>)> {
    let (smpp, rest) = line.trim_end().strip_prefix("smscd ready smpp=")?.split_once(" http=")?;
    let (http, tls) = rest.split_once(" tls=").map_or((rest, None), |(http, tls)| (http, Some(tls)));
    Some((smpp.parse().ok()?, http.parse().ok()?, tls.map(str::parse).transpose().ok()?))
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_smscd"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
