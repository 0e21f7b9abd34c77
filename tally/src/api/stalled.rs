//! Connections whose peer takes nothing are ended.
//!
//! A reader of an event stream that stops reading would otherwise hold its socket, its buffers and its place among the
//! readers for as long as it likes: the answer waits for room in the socket and never looks at the time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Instant, Sleep},
};

/// How long a write may wait for a peer unless configured otherwise: a phone that changes its network is back sooner.
pub const STALL_MAX_DEFAULT: Duration = Duration::from_secs(30);

/// A listener whose connections fail once a write has waited for too long; or such a connection.
#[derive(Debug)]
pub struct StallBound<T> {
    inner: T,
    stall_max: Duration,
    /// When the write that waits fails; `None` while none does.
    fails_at: Option<Pin<Box<Sleep>>>,
}

impl<T> StallBound<T> {
    /// Ends connections that take nothing for `stall_max`.
    pub const fn new(inner: T, stall_max: Duration) -> Self {
        Self { inner, stall_max, fails_at: None }
    }

    /// What a write comes to: it may wait, but not for ever.
    fn bounded<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.fails_at = None;
            return written;
        }
        let (stall_max, now) = (self.stall_max, Instant::now());
        let fails_at = self.fails_at.get_or_insert_with(|| Box::pin(time::sleep_until(now + stall_max)));
        ready!(fails_at.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<L: Listener> Listener for StallBound<L> {
    type Io = StallBound<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (connection, address) = self.inner.accept().await;
        (StallBound::new(connection, self.stall_max), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for StallBound<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for StallBound<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        Router,
        body::{Body, Bytes},
        routing::get,
    };
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const STALL_MAX: Duration = Duration::from_millis(300);

    /// A server that answers without end.
    async fn endless() -> SocketAddr {
        let answer = get(async || {
            Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 65_536]))))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", answer);
        tokio::spawn(axum::serve(StallBound::new(listener, STALL_MAX), router).into_future());
        address
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_disconnected_and_one_that_reads_is_not() {
        let address = endless().await;
        let request = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
        let mut reads = TcpStream::connect(address).await.unwrap();
        reads.write_all(request).await.unwrap();
        let mut stalls = TcpStream::connect(address).await.unwrap();
        stalls.write_all(request).await.unwrap();
        let mut bytes = vec![0; 65_536];
        let until = Instant::now() + STALL_MAX * 4;
        while Instant::now() < until {
            // Slowly, but it reads.
            assert!(reads.read(&mut bytes).await.unwrap() > 0, "a reader that reads is served");
            time::sleep(Duration::from_millis(2)).await;
        }
        // What the kernel had taken is still there, and then the connection is over.
        let ended = time::timeout(Duration::from_secs(5), async {
            loop {
                match stalls.read(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        });
        ended.await.expect("a stalled reader is disconnected");
    }
}
