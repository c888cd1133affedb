//! Request bodies: read with a deadline, within a limit each and a limit for all together.

use std::time::Duration;

use axum::body::Body;
use belvedere_error_tracking::envelope::{DecodeError, decode_body};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::decode::Encoding;
use crate::state::HttpLimits;

/// Memory is accounted for in units of this many bytes.
const UNIT_BYTES: usize = 1_024;

/// Reserved for a body that does not announce its length; when it turns out larger, the largest is reserved.
const UNANNOUNCED_BYTES: usize = 64 << 10;

/// A compressed body up to this size is first decoded where the request runs, into at most
/// [`SMALL_DECODED_BYTES_MAX`]; that takes about a tenth of a millisecond for a usual event.
const SMALL_BYTES_MAX: usize = 64 << 10;
const SMALL_DECODED_BYTES_MAX: usize = 256 << 10;

/// Why a body was not read or decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("body is larger than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("body did not arrive within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("too many bodies are being received, try again later")]
    Busy,
    #[error("body ended early or is not what its headers say")]
    Broken,
}

/// The memory that bodies may take: so much for those received, and beside it one large one decoded.
///
/// A request that holds of the first may wait for the second, never the other way round, so none waits for another
/// in a circle.
pub(crate) struct Bodies {
    received: Semaphore,
    /// One place, for who decodes a large body.
    large: Semaphore,
    decoded_bytes_max: usize,
    timeout: Duration,
}

/// A body and its share of the memory.
pub(crate) struct HeldBody<'a> {
    pub(crate) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        let decoded = limits.decompressed_bytes_max;
        // At least one largest body must fit, whatever the configuration says.
        let received = limits.bodies_in_memory_bytes_max.saturating_sub(decoded).max(limits.body_bytes_max);
        Self {
            received: Semaphore::new(units(received) as usize),
            large: Semaphore::new(1),
            decoded_bytes_max: decoded,
            timeout: limits.body_timeout,
        }
    }

    /// Reads `body` whole, at most `bytes_max` of it.
    pub(crate) async fn read(&self, body: Body, bytes_max: usize) -> Result<HeldBody<'_>, BodyError> {
        let announced = body.size_hint();
        if announced.lower() > bytes_max as u64 {
            return Err(BodyError::TooLarge(bytes_max));
        }
        let announced = announced.exact().and_then(|length| usize::try_from(length).ok());
        if announced == Some(0) {
            return Ok(HeldBody { bytes: Bytes::new(), _share: None });
        }
        let mut body = body;
        let mut reserved = announced.unwrap_or(UNANNOUNCED_BYTES).min(bytes_max);
        let mut share = self.reserve(reserved).await?;
        let deadline = Instant::now() + self.timeout;
        let first = self.next_data(&mut body, deadline).await?.unwrap_or_default();
        let mut piece = if body.is_end_stream() { None } else { self.next_data(&mut body, deadline).await? };
        if piece.is_none() && first.len() <= reserved {
            // Most bodies come in one piece, which is not copied.
            return Ok(HeldBody { bytes: first, _share: Some(share) });
        }
        let mut whole = BytesMut::with_capacity(reserved.max(first.len()));
        whole.extend_from_slice(&first);
        loop {
            let length = whole.len() + piece.as_ref().map_or(0, Bytes::len);
            if length > bytes_max {
                return Err(BodyError::TooLarge(bytes_max));
            }
            if length > reserved {
                share.merge(self.reserve(bytes_max - reserved).await?);
                reserved = bytes_max;
            }
            let Some(bytes) = piece else { break };
            whole.extend_from_slice(&bytes);
            piece = self.next_data(&mut body, deadline).await?;
        }
        Ok(HeldBody { bytes: whole.freeze(), _share: Some(share) })
    }

    async fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, BodyError> {
        self.share_of(&self.received, bytes).await
    }

    async fn share_of<'a>(&self, pot: &'a Semaphore, bytes: usize) -> Result<SemaphorePermit<'a>, BodyError> {
        if let Ok(share) = pot.try_acquire_many(units(bytes)) {
            return Ok(share);
        }
        let waited = tokio::time::timeout(self.timeout, pot.acquire_many(units(bytes))).await;
        // The inner error would mean that the semaphore was closed, which nobody does.
        waited.ok().and_then(Result::ok).ok_or(BodyError::Busy)
    }

    /// The next piece of data; trailers are passed over.
    async fn next_data(&self, body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = tokio::time::timeout_at(deadline, body.frame()).await;
            let Some(frame) = frame.map_err(|_| BodyError::Timeout(self.timeout))? else { return Ok(None) };
            if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Checks that `body` decodes within the limit, and hands the start of the result to `look`, with whether that is
    /// all; if `look` gives `None` for a start, it gets the whole.
    ///
    /// Large results are made one at a time, off the runtime's threads.
    pub(crate) async fn decode<T, F>(
        &self,
        encoding: Option<Encoding>,
        body: &Bytes,
        look: F,
    ) -> Result<T, BodyError>
    where
        T: Send + 'static,
        F: Fn(&[u8], bool) -> Option<T> + Send + 'static,
    {
        let limit = self.decoded_bytes_max;
        let Some(encoding) = encoding else {
            if body.len() > limit {
                return Err(DecodeError::TooLarge { limit }.into());
            }
            if body.len() <= SMALL_DECODED_BYTES_MAX {
                return look(body, true).ok_or(BodyError::Broken);
            }
            let body = body.clone();
            return off_thread(move || look(&body, true).ok_or(BodyError::Broken)).await;
        };
        if body.len() <= SMALL_BYTES_MAX {
            match encoding.decode_start(body, SMALL_DECODED_BYTES_MAX, SMALL_DECODED_BYTES_MAX.min(limit)) {
                Ok(start) => return look(&start.bytes, true).ok_or(BodyError::Broken),
                Err(DecodeError::TooLarge { limit: small }) if small < limit => {}
                Err(error) => return Err(error.into()),
            }
        }
        let turn = self.share_of(&self.large, 1).await?;
        let body = body.clone();
        let looked = off_thread(move || {
            let start = encoding.decode_start(&body, SMALL_DECODED_BYTES_MAX, limit)?;
            if let Some(looked) = look(&start.bytes, start.is_whole) {
                return Ok(looked);
            }
            look(&decode_body(Some(encoding.as_str()), &body, limit)?, true).ok_or(BodyError::Broken)
        });
        let looked = looked.await;
        drop(turn);
        looked
    }

    /// Reads `body` to its end and forgets it, so that the connection can be used again.
    pub(crate) async fn discard(&self, mut body: Body, bytes_max: usize) -> Result<(), BodyError> {
        let deadline = Instant::now() + self.timeout;
        let mut length = 0;
        while let Some(bytes) = self.next_data(&mut body, deadline).await? {
            length += bytes.len();
            if length > bytes_max {
                return Err(BodyError::TooLarge(bytes_max));
            }
        }
        Ok(())
    }
}

/// Runs `work` where it may take long. The other error is a panic in a decoder, of which the panic hook has told.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BodyError> + Send + 'static,
) -> Result<T, BodyError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| BodyError::Broken)?
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use belvedere_storage::testing::run;
    use http_body::Frame;

    use super::*;
    use crate::tests::codecs::{CODECS, zeroes};

    /// A body of unannounced length, which ends or never does.
    struct Pieces(VecDeque<&'static [u8]>, bool);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece))))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn pieces(pieces: &[&'static [u8]]) -> Body {
        Body::new(Pieces(pieces.iter().copied().collect(), true))
    }

    fn bodies() -> Bodies {
        Bodies::new(&HttpLimits {
            body_bytes_max: 1 << 20,
            decompressed_bytes_max: 4 << 20,
            bodies_in_memory_bytes_max: 5 << 20,
            body_timeout: Duration::from_millis(200),
        })
    }

    #[test]
    fn bodies_arrive_whole_whether_announced_or_not() {
        run(async {
            let bodies = bodies();
            static LARGE: [u8; 50_000] = [b'x'; 50_000];
            for (body, length) in [
                (Body::empty(), 0),
                (Body::from("hello"), 5),
                (pieces(&[]), 0),
                (pieces(&[b"hello"]), 5),
                (pieces(&[b"he", b"l", b"", b"lo"]), 5),
                (pieces(&[&LARGE, &LARGE, &LARGE]), 150_000),
            ] {
                assert_eq!(bodies.read(body, 150_000).await.unwrap().bytes.len(), length);
            }
            for body in [Body::from(vec![b'x'; 150_001]), pieces(&[&LARGE, &LARGE, &LARGE, b"x"])] {
                let refused = bodies.read(body, 150_000).await.err();
                assert!(matches!(refused, Some(BodyError::TooLarge(150_000))), "{refused:?}");
            }
        });
    }

    #[test]
    fn a_body_that_does_not_arrive_is_given_up() {
        run(async {
            let stalled = Body::new(Pieces(VecDeque::from([&b"he"[..]]), false));
            let refused = bodies().read(stalled, 100).await.err();
            assert!(matches!(refused, Some(BodyError::Timeout(_))), "{refused:?}");
        });
    }

    #[test]
    fn bodies_wait_for_memory_and_get_it_back() {
        run(async {
            let bodies = bodies();
            let held = bodies.read(Body::from(vec![0; 1 << 20]), 1 << 20).await.unwrap();
            let refused = bodies.read(Body::from("small"), 1 << 20).await.err();
            assert!(matches!(refused, Some(BodyError::Busy)), "{refused:?}");
            drop(held);
            assert_eq!(bodies.read(Body::from("small"), 1 << 20).await.unwrap().bytes, "small");
        });
    }

    #[test]
    fn a_bomb_of_each_codec_is_refused_and_what_fits_is_not() {
        run(async {
            let bodies = bodies();
            let lengths = |start: &[u8], is_whole: bool| Some((start.len(), is_whole));
            let whole = |start: &[u8], is_whole: bool| is_whole.then_some(start.len());
            for (token, encode) in CODECS {
                let encoding = Encoding::parse(token);
                let bomb = Bytes::from(encode(&mut zeroes(200 << 20)));
                let refused = bodies.decode(encoding, &bomb, lengths).await;
                let expected =
                    matches!(refused, Err(BodyError::Decode(DecodeError::TooLarge { limit: 4_194_304 })));
                assert!(expected, "{token}: {refused:?}");
                for size in [100, 262_144, 4 << 20] {
                    let body = Bytes::from(encode(&mut zeroes(size)));
                    let start = bodies.decode(encoding, &body, lengths).await.unwrap();
                    assert_eq!(start, ((size as usize).min(262_144), size <= 262_144), "{token}");
                    assert_eq!(bodies.decode(encoding, &body, whole).await.unwrap() as u64, size, "{token}");
                }
                let damaged = bodies.decode(encoding, &Bytes::from_static(b"no such thing"), lengths).await;
                assert!(
                    matches!(damaged, Err(BodyError::Decode(DecodeError::Corrupt { .. }))),
                    "{token}: {damaged:?}"
                );
            }
            let plain = Bytes::from(vec![b'x'; 300 << 10]);
            assert_eq!(bodies.decode(None, &plain, lengths).await.unwrap(), (307_200, true));
        });
    }
}
