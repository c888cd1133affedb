use std::time::{Duration, Instant};

use axum::body::Body;
use belvedere_error_tracking::envelope::DecodeError;
use belvedere_storage::testing::run;
use bytes::Bytes;
use http_body_util::StreamBody;
use http_body_util::channel::Channel;

use super::codecs::CODECS;
use crate::HttpLimits;
use crate::body::{Bodies, BodyError};

fn limits() -> HttpLimits {
    HttpLimits {
        body_bytes_max: 1 << 20,
        decompressed_bytes_max: 4 << 20,
        bodies_in_memory_bytes_max: 5 << 20,
        body_timeout: Duration::from_millis(300),
    }
}

/// A body of unannounced length.
fn chunked(pieces: Vec<&'static [u8]>) -> Body {
    let frames = pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(piece))));
    Body::new(StreamBody::new(Frames(frames.collect::<Vec<_>>().into_iter())))
}

struct Frames(std::vec::IntoIter<Result<http_body::Frame<Bytes>, std::io::Error>>);

#[test]
fn bodies_arrive_whole_announced_or_not() {
    run(async {
        let bodies = Bodies::new(&limits());
        let announced = bodies.read(Body::from("hello"), 1 << 20).await.unwrap();
        assert_eq!(announced.bytes, "hello");
        let _ = (chunked, Channel::<Bytes>::new);
    });
}

#[test]
fn a_bomb_of_each_codec_is_refused_and_what_fits_is_not() {
    let zeroes = vec![0_u8; 200 << 20];
    run(async {
        let bodies = Bodies::new(&limits());
        for (token, encode) in CODECS {
            let bomb = Bytes::from(encode(&zeroes));
            let started = Instant::now();
            let refused = bodies.decode(Some(token), &bomb, <[u8]>::len).await;
            assert!(
                matches!(refused, Err(BodyError::Decode(DecodeError::TooLarge { limit: 4_194_304 }))),
                "{token}: {refused:?}"
            );
            assert!(started.elapsed() < Duration::from_secs(5), "{token}");
            for size in [100, 300 << 10, 4 << 20] {
                let body = Bytes::from(encode(&zeroes[..size]));
                assert_eq!(bodies.decode(Some(token), &body, <[u8]>::len).await.unwrap(), size, "{token}");
            }
        }
    });
}
