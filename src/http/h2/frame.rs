//! Frames (RFC 9113 sections 4 and 6): their heads, and those that we send.

/// What a frame is; others are skipped (RFC 9113 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Other,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// On SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// On DATA and HEADERS.
pub(super) const END_STREAM: u8 = 0x1;
/// On HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 0x4;
/// On DATA and HEADERS.
pub(super) const PADDED: u8 = 0x8;
/// On HEADERS.
pub(super) const PRIORITY: u8 = 0x20;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// The head that `bytes` start with, once there is enough of them.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: match kind {
                DATA => Kind::Data,
                HEADERS => Kind::Headers,
                2 => Kind::Priority,
                RST_STREAM => Kind::Reset,
                SETTINGS => Kind::Settings,
                5 => Kind::PushPromise,
                PING => Kind::Ping,
                7 => Kind::GoAway,
                WINDOW_UPDATE => Kind::WindowUpdate,
                CONTINUATION => Kind::Continuation,
                _ => Kind::Other,
            },
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are cut to the peer's frame size");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// HEADERS, with CONTINUATION where the block is longer than a frame may be.
pub(super) fn headers(out: &mut Vec<u8>, stream: u32, block: &[u8], end: bool, most: usize) {
    let mut flags = if end { END_STREAM } else { 0 };
    let mut kind = HEADERS;
    let mut rest = block;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(most));
        rest = after;
        if rest.is_empty() {
            put(out, kind, flags | END_HEADERS, stream, piece);
            return;
        }
        put(out, kind, flags, stream, piece);
        (kind, flags) = (CONTINUATION, 0);
    }
}

/// DATA, in as many frames as it takes; an empty one where there are no bytes.
pub(super) fn data(out: &mut Vec<u8>, stream: u32, bytes: &[u8], end: bool, most: usize) {
    let mut rest = bytes;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(most));
        rest = after;
        let flags = if end && rest.is_empty() {
            END_STREAM
        } else {
            0
        };
        put(out, DATA, flags, stream, piece);
        if rest.is_empty() {
            return;
        }
    }
}

pub(super) fn reset(out: &mut Vec<u8>, stream: u32, code: u32) {
    put(out, RST_STREAM, 0, stream, &code.to_be_bytes());
}

pub(super) fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let mut payload = Vec::with_capacity(6 * settings.len());
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    put(out, SETTINGS, 0, 0, &payload);
}

pub(super) fn settings_ack(out: &mut Vec<u8>) {
    put(out, SETTINGS, ACK, 0, &[]);
}

pub(super) fn ping_ack(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, PING, ACK, 0, payload);
}

pub(super) fn window_update(out: &mut Vec<u8>, stream: u32, by: u32) {
    put(out, WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
}
