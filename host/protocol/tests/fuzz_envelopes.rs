//! Bytes that a peer made up: a bounded fuzz of everything that reads them.
//!
//! Each target is run for a fixed number of inputs, so that it is a test like
//! any other; run under a fuzzing engine it goes on for as long as it is let.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use odeon_protocol::{
    AdminRequest, Envelope, FRAME_HEADER, Fingerprint, FrameDecoder, Hello, MAX_ADMIN_REQUEST, MemberPath,
    MessageKind, MethodPath, ProgressReport, Serial,
};

const ITERATIONS: usize = 20_000;
const MAX_FRAME: usize = 4096;

#[test]
fn frames_are_cut_from_anything() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .for_each(|stream: &[u8]| {
            let mut decoder = FrameDecoder::new(MAX_FRAME);
            let mut received = 0;
            let mut taken = 0;
            for mut piece in stream.chunks(7) {
                received += piece.len();
                loop {
                    match decoder.next_frame(&mut piece) {
                        Ok(Some(payload)) => taken += payload.len() + FRAME_HEADER,
                        Ok(None) => break,
                        Err(error) => {
                            assert_eq!(decoder.next_frame(&mut piece), Err(error));
                            assert_eq!(decoder.held(), 0);
                            return;
                        }
                    }
                }
                assert!(
                    decoder.held() <= 2 * received + 16,
                    "{} held for {received}",
                    decoder.held()
                );
            }
            assert!(taken <= stream.len());
            assert_eq!(decoder.finish().is_ok(), taken == stream.len());
        });
}

/// Nothing that is read allocates: every text and body lies in the input.
fn within(input: &[u8], part: &[u8]) -> bool {
    part.is_empty() || input.as_ptr_range().contains(&part.as_ptr())
}

#[test]
fn envelopes_are_read_from_anything() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .for_each(|bytes: &[u8]| {
            read(bytes);
        });
}

#[test]
fn envelopes_are_read_from_almost_envelopes() {
    let mut whole = Vec::new();
    let envelope = Envelope {
        target: Some("calc/math.add"),
        fingerprint: Some(Fingerprint::from_bytes([7; 16])),
        deadline: Some(1_700_000_000_000),
        user_data: Some("{\"a\":1}"),
        body: &[1, 2, 3],
        progress: Some(ProgressReport {
            completed: 1,
            total: Some(2),
            details: "half",
        }),
        statuses: true,
        ..Envelope::new(MessageKind::Call, Serial::from_bytes([3; 16]))
    };
    envelope.encode(&mut whole).unwrap();
    let taken = AtomicUsize::new(0);
    bolero::check!()
        .with_type::<(u16, [u8; 3], u8)>()
        .with_iterations(ITERATIONS)
        .for_each(|(at, bytes, cut)| {
            let mut changed = whole.clone();
            let at = usize::from(*at) % changed.len();
            for (place, byte) in changed.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
            changed.truncate(changed.len() - usize::from(*cut) % 4);
            taken.fetch_add(usize::from(read(&changed)), Ordering::Relaxed);
        });
    assert!(
        taken.into_inner() > 0,
        "some changes leave an envelope: the target reaches what it is for"
    );
}

/// Whether an envelope was read.
fn read(bytes: &[u8]) -> bool {
    if let Ok(hello) = Hello::decode(bytes) {
        assert!(within(bytes, hello.software.as_bytes()));
    }
    let Ok(envelope) = Envelope::decode(bytes) else {
        return false;
    };
    assert!(within(bytes, envelope.body));
    for text in [
        envelope.target,
        envelope.user_data,
        envelope.principal,
        envelope.fault,
    ] {
        assert!(within(bytes, text.unwrap_or_default().as_bytes()));
    }
    // What is taken can be sent on, and is then the same.
    let mut again = Vec::new();
    envelope.encode(&mut again).unwrap();
    assert_eq!(Envelope::decode(&again).unwrap(), envelope);
    true
}

#[test]
fn requests_of_operators_are_read_from_anything() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .for_each(|bytes: &[u8]| operator(bytes));
}

#[test]
fn requests_of_operators_are_read_from_almost_requests() {
    const WHOLE: &[&[u8]] = &[
        br#"{"op":"load","path":"/c.wasm","grants":["","",""],"limits":{"memory":"1MiB"}}"#,
        br#"{"op":"logs","name":"calc","follow":true,"tail":100}"#,
        br#"{"op":"cancel","serial":"01890a5d-ac96-774b-bcce-b302099a8057"}"#,
    ];
    bolero::check!()
        .with_type::<(u8, u16, [u8; 2])>()
        .with_iterations(ITERATIONS)
        .for_each(|(which, at, bytes)| {
            let mut changed = WHOLE[usize::from(*which) % WHOLE.len()].to_vec();
            let at = usize::from(*at) % changed.len();
            for (place, byte) in changed.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
            operator(&changed);
        });
}

fn operator(bytes: &[u8]) {
    if let Ok(request) = AdminRequest::from_json(bytes) {
        // The texts of a request are no longer than what was sent.
        if let AdminRequest::Load(load) = &request {
            let texts = load.path.len() + load.grants.iter().map(String::len).sum::<usize>();
            assert!(texts <= bytes.len() && bytes.len() <= MAX_ADMIN_REQUEST);
        }
        assert_eq!(
            AdminRequest::from_json(&request.to_json().unwrap()).unwrap(),
            request
        );
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(path) = text.parse::<MethodPath>() {
            assert_eq!(path.to_string(), text);
        }
        if let Ok(path) = text.parse::<MemberPath>() {
            assert_eq!(path.to_string(), text);
        }
    }
}
