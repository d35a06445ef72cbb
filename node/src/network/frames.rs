//! Frames on a stream: a length of four bytes, big-endian, and that many bytes. A length is checked
//! against the channel's limit before memory is taken, and memory is taken as bytes arrive.
//! An empty frame carries nothing: it shows that the sender is there.

use std::io;
use std::time::Duration;

use futures::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};
use tokio::time::timeout;

use super::limits::{READ_BYTES, WRITE_BYTES};

/// Bytes of a frame's length.
const HEAD: usize = 4;

/// Why a frame was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the stream ended")]
    Ended,
    #[error("{got} bytes, at most {max} are allowed")]
    TooLong { max: usize, got: usize },
    #[error("the other side takes nothing")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the length of the next frame.
pub(crate) async fn read_head<R: AsyncRead + Unpin>(
    source: &mut R,
    max: usize,
) -> Result<usize, FrameError> {
    let mut head = [0; HEAD];
    source.read_exact(&mut head).await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Ended,
        _ => error.into(),
    })?;
    let got = u32::from_be_bytes(head) as usize;
    if got > max {
        return Err(FrameError::TooLong { max, got });
    }
    Ok(got)
}

/// Reads the `length` bytes of a frame; `progress` is called as they come.
pub(crate) async fn read_body<R: AsyncBufRead + Unpin>(
    source: &mut R,
    length: usize,
    progress: impl Fn(),
) -> Result<Vec<u8>, FrameError> {
    let mut body = Vec::with_capacity(length.min(READ_BYTES));
    while body.len() < length {
        let available = source.fill_buf().await?;
        if available.is_empty() {
            return Err(FrameError::Ended);
        }
        let taken = available.len().min(length - body.len());
        body.extend_from_slice(&available[..taken]);
        source.consume_unpin(taken);
        progress();
    }
    Ok(body)
}

/// Reads one frame from a stream that carries few; `stall` is the longest time without a byte.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(
    source: &mut R,
    max: usize,
    stall: Duration,
) -> Result<Vec<u8>, FrameError> {
    let stalled = |_| FrameError::Stalled;
    let length = timeout(stall, read_head(source, max)).await.map_err(stalled)??;
    let mut body = Vec::with_capacity(length.min(READ_BYTES));
    while body.len() < length {
        let chunk = (length - body.len()).min(READ_BYTES) as u64;
        let mut part = source.take(chunk);
        let read = timeout(stall, part.read_to_end(&mut body)).await.map_err(stalled)??;
        if read == 0 {
            return Err(FrameError::Ended);
        }
    }
    Ok(body)
}

/// Writes frames, small ones together.
pub(super) struct FrameWriter<W> {
    sink: W,
    buffer: Vec<u8>,
    /// The longest time for which the other side may take nothing.
    stall: Duration,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(sink: W, stall: Duration) -> Self {
        Self { sink, buffer: Vec::with_capacity(WRITE_BYTES), stall }
    }

    /// Adds a frame; it is on its way after [`FrameWriter::flush`].
    ///
    /// # Panics
    /// When it is longer than 4 GiB.
    pub(super) async fn write(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        let length = u32::try_from(frame.len()).expect("frames are far below 4 GiB");
        if self.buffer.len() + HEAD + frame.len() > WRITE_BYTES {
            self.write_buffer().await?;
        }
        self.buffer.extend_from_slice(&length.to_be_bytes());
        if frame.len() + HEAD > WRITE_BYTES {
            self.write_buffer().await?;
            return write_all(&mut self.sink, frame, self.stall).await;
        }
        self.buffer.extend_from_slice(frame);
        Ok(())
    }

    /// Sends what was added on its way.
    pub(super) async fn flush(&mut self) -> Result<(), FrameError> {
        self.write_buffer().await?;
        Ok(timeout(self.stall, self.sink.flush()).await.map_err(|_| FrameError::Stalled)??)
    }

    /// Ends the stream in this direction.
    pub(super) async fn close(&mut self) -> Result<(), FrameError> {
        Ok(timeout(self.stall, self.sink.close()).await.map_err(|_| FrameError::Stalled)??)
    }

    async fn write_buffer(&mut self) -> Result<(), FrameError> {
        let written = write_all(&mut self.sink, &self.buffer, self.stall).await;
        self.buffer.clear();
        written
    }
}

/// Writes all of `bytes`; the time limit is on each piece that the stream takes, so that a slow
/// peer gets a large frame while one that takes nothing is found out.
async fn write_all<W: AsyncWrite + Unpin>(
    sink: &mut W,
    mut bytes: &[u8],
    stall: Duration,
) -> Result<(), FrameError> {
    while !bytes.is_empty() {
        let written =
            timeout(stall, sink.write(bytes)).await.map_err(|_| FrameError::Stalled)??;
        if written == 0 {
            return Err(FrameError::Ended);
        }
        bytes = &bytes[written..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::io::{BufReader, Cursor};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    async fn written(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = FrameWriter::new(Cursor::new(Vec::new()), STALL);
        for frame in frames {
            writer.write(frame).await.unwrap();
        }
        writer.flush().await.unwrap();
        writer.sink.into_inner()
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let sizes =
            [0, 1, 10, WRITE_BYTES - HEAD, WRITE_BYTES, READ_BYTES, 3 * READ_BYTES + 1, 0, 5];
        let frames: Vec<Vec<u8>> = (0u8..).zip(sizes).map(|(i, size)| vec![i; size]).collect();
        let bytes = written(&frames).await;
        let mut buffered = BufReader::new(&bytes[..]);
        let mut plain = &bytes[..];
        for frame in &frames {
            let length = read_head(&mut buffered, usize::MAX).await.unwrap();
            let calls = Cell::new(0);
            let progress = || calls.set(calls.get() + 1);
            assert_eq!(&read_body(&mut buffered, length, progress).await.unwrap(), frame);
            assert_eq!(calls.get() > 0, length > 0);
            assert_eq!(&read_frame(&mut plain, usize::MAX, STALL).await.unwrap(), frame);
        }
        assert!(matches!(read_head(&mut buffered, 1).await, Err(FrameError::Ended)));
        assert!(matches!(read_frame(&mut plain, 1, STALL).await, Err(FrameError::Ended)));
    }

    #[tokio::test]
    async fn golden_bytes() {
        let frames = [Vec::new(), vec![0xab], vec![0xcd; 0x0001_0203]];
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 1, 0xab, 0, 1, 2, 3];
        expected.extend(&frames[2]);
        assert_eq!(written(&frames).await, expected);
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_memory_is_taken() {
        let claim = u32::MAX.to_be_bytes();
        let head = read_head(&mut &claim[..], 100).await;
        assert!(matches!(head, Err(FrameError::TooLong { max: 100, got: 0xffff_ffff })));
        let bytes = written(&[vec![7; 101]]).await;
        let frame = read_frame(&mut &bytes[..], 100, STALL).await;
        assert!(matches!(frame, Err(FrameError::TooLong { max: 100, got: 101 })));
        assert_eq!(read_frame(&mut &bytes[..], 101, STALL).await.unwrap().len(), 101);
    }

    #[tokio::test]
    async fn a_frame_that_is_cut_is_no_frame() {
        let bytes = written(&[vec![7; 100]]).await;
        for length in [1, HEAD, HEAD + 99] {
            let frame = read_frame(&mut &bytes[..length], 100, STALL).await;
            assert!(matches!(frame, Err(FrameError::Ended)), "{length}");
        }
        let mut cut = BufReader::new(&bytes[HEAD..HEAD + 99]);
        assert!(matches!(read_body(&mut cut, 100, || ()).await, Err(FrameError::Ended)));
    }

    #[tokio::test]
    async fn a_peer_that_takes_or_sends_nothing_is_found_out() {
        const SHORT: Duration = Duration::from_millis(10);
        let (near, _far) = tokio::io::duplex(64);
        let near = Both(near);
        let mut writer = FrameWriter::new(near, SHORT);
        writer.write(&[0; 1000]).await.unwrap();
        assert!(matches!(writer.flush().await, Err(FrameError::Stalled)));
        let read = read_frame(&mut writer.sink, 100, SHORT).await;
        assert!(matches!(read, Err(FrameError::Stalled)));
    }

    /// A pipe of tokio's with the traits of libp2p's streams.
    struct Both(tokio::io::DuplexStream);

    impl AsyncRead for Both {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let mut buffer = tokio::io::ReadBuf::new(buffer);
            let polled =
                tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut buffer);
            polled.map_ok(|()| buffer.filled().len())
        }
    }

    impl AsyncWrite for Both {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), cx, bytes)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), cx)
        }

        fn poll_close(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), cx)
        }
    }

    proptest! {
        /// Both readers find the same frames in any stream, and in one that was written what was
        /// written; what they take ahead of the bytes is bounded.
        #[test]
        fn any_stream_is_read_alike(
            frames in vec(vec(any::<u8>(), 0..60), 0..5),
            rest in vec(any::<u8>(), 0..30),
            max in 40..60_usize,
            piece in 1..20_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.unwrap();
            let bytes = [runtime.block_on(written(&frames)), rest].concat();
            let mut plain = &bytes[..];
            let mut buffered = BufReader::with_capacity(piece, &bytes[..]);
            let expected = frames.iter().take_while(|frame| frame.len() <= max);
            let mut read = Vec::new();
            loop {
                let frame = runtime.block_on(read_frame(&mut plain, max, STALL));
                let same = runtime.block_on(async {
                    let length = read_head(&mut buffered, max).await?;
                    read_body(&mut buffered, length, || ()).await
                });
                prop_assert_eq!(frame.is_ok(), same.is_ok());
                let (Ok(frame), Ok(same)) = (frame, same) else { break };
                prop_assert!(frame.len() <= max && frame.capacity() <= READ_BYTES.max(2 * max));
                prop_assert_eq!(&same, &frame);
                read.push(frame);
            }
            prop_assert!(read.iter().zip(expected.clone()).all(|(read, frame)| read == frame));
            prop_assert!(read.len() >= expected.count());
        }
    }
}
