//! The HTTP listener with its bounds: so many connections at once, and none that takes long over a request or an answer, or
//! sends more than any request has.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::api::BODY_BYTES_MAX;

/// Connections served at once; further ones wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 256;
/// A connection that has not sent its next request whole, or not taken the whole answer, after this long is closed, however
/// busy it looks meanwhile.
const PHASE_MAX: Duration = Duration::from_secs(30);

/// A connection that has sent so many octets without being answered is closed: no head with no body is that long.
const REQUEST_BYTES_MAX: usize = BODY_BYTES_MAX + 64 * 1024;

/// A listener that admits a bounded number of connections.
pub(super) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    phase_max: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)), phase_max: PHASE_MAX }
    }
}

impl Listener for Bounded {
    type Io = Admitted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Admitted, SocketAddr) {
        // The semaphore is never closed; were it, the connection would go unbounded rather than unserved.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // tokio's own implementation waits and retries when the process is out of file descriptors.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let over = Box::pin(sleep(self.phase_max));
        let (phase, phase_max) = (Phase::Request, self.phase_max);
        (Admitted { stream, phase, over, received: 0, phase_max, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its peer sends a request, or is about to.
    Request,
    /// It sends an answer, or has sent it.
    Answer,
}

/// A connection that counts against the bound and whose phases are timed.
pub(super) struct Admitted {
    stream: TcpStream,
    phase: Phase,
    /// Fires when the phase has lasted too long.
    over: Pin<Box<Sleep>>,
    /// Octets since the last answer.
    received: usize,
    phase_max: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Admitted {
    /// Lets `result`, which belongs to `phase`, through; or ends the connection when its phase has lasted too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        phase: Phase,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() && self.phase != phase {
            self.phase = phase;
            self.received = 0;
            let until = Instant::now() + self.phase_max;
            self.over.as_mut().reset(until);
        }
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => result,
        }
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let result = self.watch(cx, Phase::Request, result);
        self.received += buf.filled().len() - before;
        if self.received > REQUEST_BYTES_MAX {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        result
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, Phase::Answer, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, Phase::Answer, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use std::io::{Read, Write};

    #[test]
    fn a_request_without_an_end_is_not_read_to_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bounded = Bounded::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            let addr = bounded.local_addr().unwrap();
            let sender = std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(addr).unwrap();
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            });
            let (mut admitted, _) = bounded.accept().await;
            let mut octets = [0; 4096];
            let mut total = 0;
            let error = loop {
                let mut buf = ReadBuf::new(&mut octets);
                let read = std::future::poll_fn(|cx| Pin::new(&mut admitted).poll_read(cx, &mut buf));
                match read.await {
                    Ok(()) => total += buf.filled().len(),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!((REQUEST_BYTES_MAX - 4096..=REQUEST_BYTES_MAX).contains(&total), "{total}");
            drop(admitted);
            sender.join().unwrap();
        });
    }

    #[test]
    fn slow_connections_are_closed_and_make_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let bounded =
            Bounded { listener, permits: Arc::new(Semaphore::new(1)), phase_max: Duration::from_millis(200) };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            runtime.block_on(async {
                let router = Router::new().route("/", get(async || "here"));
                tokio::select! {
                    _ = axum::serve(bounded, router).into_future() => {}
                    _ = stopped => {}
                }
            });
        });
        let connect = |sent: &[u8]| {
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(sent).unwrap();
            stream
        };
        // The only place is taken by one that says nothing, then by one that stops in the middle, then by one that sends
        // a little all the time.
        let mut silent = connect(b"");
        let mut stuck = connect(b"GET / HT");
        let mut dribbling = connect(b"GET / HTTP/1.1\r\nx: ");
        dribbling.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let dribbler = std::thread::spawn(move || {
            let mut answer = [0; 64];
            // Every wait for an answer is 10 ms, so this is never silent, and ends only by being closed.
            while dribbling.write_all(b"x").is_ok() {
                match dribbling.read(&mut answer) {
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    closed => return closed.is_err() || closed.is_ok_and(|len| len == 0),
                }
            }
            true
        });
        let mut good = connect(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        good.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        assert!(dribbler.join().unwrap(), "it got an answer");
        for stream in [&mut silent, &mut stuck] {
            // Closed, with or without an answer before.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
        stop.send(()).unwrap();
        server.join().unwrap();
    }
}
