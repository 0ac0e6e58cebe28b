//! Frames on a byte stream: what is cut, what is refused, what is held.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use odeon_protocol::{FRAME_HEADER, FrameDecoder, FrameError, encode_frame, encode_frame_with};
use proptest::prelude::*;

const MAX: usize = 1 << 20;

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(&mut out, MAX, payload).unwrap();
    out
}

/// All frames of a stream that arrives in these pieces.
fn frames<'a>(
    decoder: &mut FrameDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut found = Vec::new();
    for mut piece in pieces {
        while let Some(payload) = decoder.next_frame(&mut piece)? {
            found.push(payload.to_vec());
        }
        assert!(
            piece.is_empty(),
            "what was not part of a frame stays with the decoder"
        );
    }
    Ok(found)
}

#[test]
fn a_frame_is_its_length_in_four_little_endian_bytes_and_its_payload() {
    assert_eq!(frame(b"abc"), [3, 0, 0, 0, b'a', b'b', b'c']);
}

#[test]
fn a_frame_that_arrives_whole_is_borrowed_and_one_in_pieces_is_not() {
    let stream = [frame(b"one"), frame(b"two")].concat();
    let mut decoder = FrameDecoder::new(MAX);
    assert_eq!(frames(&mut decoder, [&stream[..]]).unwrap(), [b"one", b"two"]);
    assert_eq!(decoder.held(), 0, "nothing was copied");

    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(frames(&mut decoder, bytes).unwrap(), [b"one", b"two"]);
    decoder.finish().unwrap();
}

#[test]
fn an_empty_frame_is_refused_and_stays_refused() {
    let mut decoder = FrameDecoder::new(MAX);
    assert_eq!(frames(&mut decoder, [&[0, 0, 0, 0][..]]), Err(FrameError::Empty));
    assert_eq!(
        frames(&mut decoder, [&frame(b"fine")[..]]),
        Err(FrameError::Empty)
    );
    assert_eq!(decoder.finish(), Err(FrameError::Empty));
    assert_eq!(encode_frame(&mut Vec::new(), MAX, b""), Err(FrameError::Empty));
}

/// Enforced by `frame::checked`.
#[test]
fn a_frame_ends_at_its_limit() {
    let at = vec![7; 1000];
    let over = vec![7; 1001];
    let error = Err(FrameError::TooLong {
        length: 1001,
        max: 1000,
    });

    let mut out = b"before".to_vec();
    assert_eq!(encode_frame(&mut out, 1000, &over), error);
    assert_eq!(
        encode_frame_with(&mut out, 1000, |out| out.extend_from_slice(&over)),
        error
    );
    assert_eq!(encode_frame_with(&mut out, 1000, |_| ()), Err(FrameError::Empty));
    assert_eq!(out, b"before", "a refused frame leaves nothing behind");
    encode_frame_with(&mut out, 1000, |out| out.extend_from_slice(&at)).unwrap();
    assert_eq!(out[b"before".len()..], frame(&at));

    for pieces in [1, 3, 4, 5, 2000] {
        let mut decoder = FrameDecoder::new(1000);
        assert_eq!(
            frames(&mut decoder, frame(&at).chunks(pieces)).unwrap(),
            std::slice::from_ref(&at)
        );
        let mut decoder = FrameDecoder::new(1000);
        assert_eq!(
            frames(&mut decoder, frame(&over).chunks(pieces)),
            error.map(|()| vec![])
        );
        assert_eq!(decoder.held(), 0, "nothing of it is kept");
    }
}

#[test]
fn memory_is_taken_for_what_arrived_and_not_for_what_was_announced() {
    let mut decoder = FrameDecoder::new(usize::MAX);
    let announced = u32::MAX.to_le_bytes();
    assert_eq!(
        frames(&mut decoder, [&announced[..]]).unwrap(),
        Vec::<Vec<u8>>::new()
    );
    assert!(decoder.held() <= 16, "{}", decoder.held());
    let mut received = FRAME_HEADER;
    for _ in 0..200 {
        frames(&mut decoder, [&[1; 500][..]]).unwrap();
        received += 500;
        assert!(
            decoder.held() <= 2 * received,
            "{} for {received}",
            decoder.held()
        );
    }
    assert_eq!(
        decoder.finish(),
        Err(FrameError::Truncated {
            missing: u32::MAX as usize - received + 4
        })
    );
}

#[test]
fn the_memory_of_a_large_frame_is_given_back() {
    let large = frame(&vec![1; 900_000]);
    let mut decoder = FrameDecoder::new(MAX);
    let mut count = 0;
    for mut piece in large.chunks(60_000) {
        while decoder.next_frame(&mut piece).unwrap().is_some() {
            count += 1;
        }
    }
    assert_eq!(count, 1);
    assert!(decoder.next_frame(&mut &b""[..]).unwrap().is_none());
    assert!(decoder.held() <= 64 * 1024, "{}", decoder.held());
}

#[test]
fn the_end_of_the_stream_inside_a_frame_is_told() {
    for (bytes, missing) in [
        (&[][..], 0),
        (&[5, 0][..], 2),
        (&[5, 0, 0, 0][..], 5),
        (&[5, 0, 0, 0, 1][..], 4),
    ] {
        let mut decoder = FrameDecoder::new(MAX);
        frames(&mut decoder, [bytes]).unwrap();
        let expected = if missing == 0 {
            Ok(())
        } else {
            Err(FrameError::Truncated { missing })
        };
        assert_eq!(decoder.finish(), expected, "{bytes:?}");
    }
}

#[test]
fn what_arrives_is_known_by_its_length_and_given_back_when_it_was_taken() {
    let stream = frame(&[7; MAX]);
    let mut decoder = FrameDecoder::new(MAX);
    assert_eq!(decoder.arriving(), None);
    for (from, upto, arriving) in [(0, 2, FRAME_HEADER), (2, 10, FRAME_HEADER + MAX)] {
        let mut piece = &stream[from..upto];
        assert_eq!(decoder.next_frame(&mut piece), Ok(None));
        assert_eq!(decoder.arriving(), Some(arriving));
    }
    let mut rest = &stream[10..];
    assert_eq!(decoder.next_frame(&mut rest).unwrap().map(<[u8]>::len), Some(MAX));
    assert_eq!(decoder.arriving(), None);
    decoder.release();
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn the_limit_can_be_raised_between_frames() {
    let mut decoder = FrameDecoder::new(4);
    assert_eq!(frames(&mut decoder, [&frame(&[1; 4])[..]]).unwrap().len(), 1);
    decoder.set_max_len(5);
    assert_eq!(frames(&mut decoder, [&frame(&[1; 5])[..]]).unwrap().len(), 1);
    assert_eq!(
        frames(&mut decoder, [&frame(&[1; 6])[..]]),
        Err(FrameError::TooLong { length: 6, max: 5 })
    );
}

proptest! {
    #[test]
    fn however_the_stream_is_cut_the_frames_are_the_same(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
        cuts in prop::collection::vec(1_usize..100, 1..50),
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload)).collect();
        let mut rest = &stream[..];
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let mut decoder = FrameDecoder::new(MAX);
        prop_assert_eq!(frames(&mut decoder, pieces).unwrap(), payloads);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }
}
