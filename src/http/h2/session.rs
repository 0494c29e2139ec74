//! One connection: what both sides agreed on, the windows, and the frames in both directions.

use std::collections::BTreeMap;

use super::frame::{self, Head, Kind};
use super::hpack::{Decoder, Encoder, Field, TABLE_DEFAULT, Unreadable};
use super::{Code, Message};
use crate::http::{Broken, Limits};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest frame that we take, and the largest that any peer takes unasked.
const FRAME_MAX: usize = 16_384;
/// The window that everybody starts with.
const WINDOW_DEFAULT: u32 = 65_535;
/// The window of a stream and of the connection that we give: far more than any answer may be, so that an answer never waits for us.
const WINDOW_OURS: u32 = 1 << 30;
const WINDOW_MOST: i64 = (1 << 31) - 1;
/// So much may wait to be written while the peer asks for more answers to its settings and pings.
const WAITING_MAX: usize = 1024 * 1024;
/// Where a peer names no limit of streams, this is ours: far beyond a burst.
const STREAMS_UNLIMITED: u32 = 1 << 20;
const STREAM_LAST: u32 = (1 << 31) - 1;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What came on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A head, or trailers.
    Fields {
        /// The stream.
        stream: u32,
        /// The fields, pseudo-header fields included.
        fields: Vec<(String, String)>,
        /// Whether nothing follows.
        end: bool,
        /// Bytes of its frames.
        frames: u64,
    },
    /// A piece of the body.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes, without padding.
        bytes: Vec<u8>,
        /// Whether nothing follows.
        end: bool,
        /// Bytes of its frame.
        frames: u64,
    },
    /// The peer ended the stream.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        code: Code,
    },
    /// The peer takes no more streams: those above `last` it has not touched and will not (RFC 9113 section 6.8).
    GoAway {
        /// The last stream that it may have worked on.
        last: u32,
        /// Why.
        code: Code,
    },
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    encoder: Encoder,
    decoder: Decoder,
    /// The start of a frame that has not come whole.
    input: Vec<u8>,
    /// What is to be written next.
    out: Vec<u8>,
    /// A header block of which more is to come.
    block: Option<Block>,
    /// The peer's settings.
    streams_max: u32,
    stream_window: i64,
    frame_max: usize,
    /// What we may still send on the connection, and on each stream that we send on.
    window: i64,
    windows: BTreeMap<u32, i64>,
    next: u32,
    greeted: bool,
    acknowledged: bool,
    gone: bool,
    /// Bytes that came since the connection's window was last opened.
    taken: u32,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    bytes: Vec<u8>,
    end: bool,
    frames: u64,
}

impl Session {
    /// A connection at its start; the first bytes to write are the preface and our settings.
    pub fn new(limits: Limits) -> Self {
        let mut out = PREFACE.to_vec();
        let list = u32::try_from(limits.head).unwrap_or(u32::MAX);
        frame::settings(
            &mut out,
            &[
                (ENABLE_PUSH, 0),
                (INITIAL_WINDOW_SIZE, WINDOW_OURS),
                (MAX_HEADER_LIST_SIZE, list),
            ],
        );
        frame::window_update(&mut out, 0, WINDOW_OURS - WINDOW_DEFAULT);
        Self {
            limits,
            encoder: Encoder::new(),
            decoder: Decoder::new(),
            input: Vec::new(),
            out,
            block: None,
            streams_max: STREAMS_UNLIMITED,
            stream_window: WINDOW_DEFAULT.into(),
            frame_max: FRAME_MAX,
            window: WINDOW_DEFAULT.into(),
            windows: BTreeMap::new(),
            next: 1,
            greeted: false,
            acknowledged: false,
            gone: false,
            taken: 0,
            broken: None,
        }
    }

    /// Whether the peer has told its settings and taken ours.
    pub fn is_settled(&self) -> bool {
        self.greeted && self.acknowledged
    }

    /// Whether new streams may be opened on the connection.
    pub fn is_usable(&self) -> bool {
        !self.gone && self.broken.is_none() && self.is_settled() && self.next < STREAM_LAST / 2
    }

    /// How many of these bodies, from the first on, can be sent at once, each as a stream: within the peer's limit of streams and both its windows.
    pub fn room_for(&self, bodies: impl IntoIterator<Item = usize>) -> usize {
        let mut window = self.window;
        bodies
            .into_iter()
            .take(self.streams_max as usize)
            .take_while(|body| {
                let body = i64::try_from(*body).unwrap_or(i64::MAX);
                window -= body;
                window >= 0 && body <= self.stream_window
            })
            .count()
    }

    /// How many streams the peer takes at one time.
    pub fn streams_max(&self) -> u32 {
        self.streams_max
    }

    /// Opens a stream with the head of a request. Says its number and how many bytes that is.
    pub fn open(&mut self, message: &Message, end: bool) -> (u32, usize) {
        let stream = self.next;
        self.next += 2;
        self.windows.insert(stream, self.stream_window);
        let before = self.out.len();
        let block = self.encoder.encode(&message.fields);
        frame::headers(&mut self.out, stream, &block, end, self.frame_max);
        (stream, self.out.len() - before)
    }

    /// How many bytes of a body may be sent on a stream now.
    pub fn window(&self, stream: u32) -> usize {
        let own = self.windows.get(&stream).copied().unwrap_or(0);
        usize::try_from(own.min(self.window)).unwrap_or(0)
    }

    /// Sends a piece of a body, no larger than [`Session::window`]. Says how many bytes that is.
    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) -> usize {
        let before = self.out.len();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.window -= length;
        if let Some(window) = self.windows.get_mut(&stream) {
            *window -= length;
        }
        frame::data(&mut self.out, stream, bytes, end, self.frame_max);
        self.out.len() - before
    }

    /// Ends a stream at once. Says how many bytes that is.
    pub fn reset(&mut self, stream: u32, code: Code) -> usize {
        let before = self.out.len();
        frame::reset(&mut self.out, stream, code.0);
        self.forget(stream);
        self.out.len() - before
    }

    /// Takes back so many of the bytes that were laid out last: what is left is part of a frame, and nothing may follow it.
    pub fn cut_short(&mut self, bytes: usize) {
        self.out.truncate(self.out.len().saturating_sub(bytes));
    }

    /// Nothing more is sent on a stream.
    pub fn forget(&mut self, stream: u32) {
        self.windows.remove(&stream);
    }

    /// What is to be written next.
    pub fn waiting(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes of it were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.out.drain(..bytes.min(self.out.len()));
    }

    /// Takes the next bytes. After an error it takes no more.
    ///
    /// # Errors
    ///
    /// When what came breaks the protocol, or is more than the limits allow: the connection is of no more use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let mut events = Vec::new();
        let read = self.read(bytes, &mut events);
        if let Err(broken) = read {
            self.broken = Some(broken);
            return Err(broken);
        }
        Ok(events)
    }

    fn read(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut rest = input.as_slice();
        if !self.greeted && rest.starts_with(b"HTTP/1") {
            return Err(Broken::Http2("the peer answers with HTTP/1"));
        }
        while let Some(head) = Head::read(rest) {
            if !self.greeted && (head.kind != Kind::Settings || head.has(frame::ACK)) {
                return Err(Broken::Http2("the first frame is not SETTINGS"));
            }
            if head.length > FRAME_MAX {
                return Err(Broken::Http2("a frame larger than allowed"));
            }
            let whole = frame::HEAD + head.length;
            if rest.len() < whole {
                break;
            }
            self.take(head, &rest[frame::HEAD..whole], events)?;
            rest = &rest[whole..];
        }
        self.input = rest.to_vec();
        Ok(())
    }

    fn take(&mut self, head: Head, payload: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let expected = self.block.as_ref().map(|block| block.stream);
        match (expected, head.kind) {
            (Some(stream), Kind::Continuation) if stream == head.stream => {}
            (None, Kind::Continuation) | (Some(_), _) => {
                return Err(Broken::Http2("a header block is not continued"));
            }
            (None, _) => {}
        }
        match head.kind {
            Kind::Data => self.take_data(head, payload, events),
            Kind::Headers => self.take_headers(head, payload, events),
            Kind::Continuation => self.continue_headers(head, payload, events),
            Kind::Reset => {
                self.check_known(head.stream)?;
                let code = Code(number(payload)?);
                self.forget(head.stream);
                events.push(Event::Reset {
                    stream: head.stream,
                    code,
                });
                Ok(())
            }
            Kind::Settings => self.take_settings(head, payload),
            Kind::Ping => {
                if payload.len() != 8 || head.stream != 0 {
                    return Err(Broken::Http2("a malformed PING"));
                }
                if !head.has(frame::ACK) {
                    self.check_flood()?;
                    frame::ping_ack(&mut self.out, payload);
                }
                Ok(())
            }
            Kind::GoAway => {
                let (Some(last), Some(code)) = (payload.get(..4), payload.get(4..8)) else {
                    return Err(Broken::Http2("a malformed GOAWAY"));
                };
                self.gone = true;
                events.push(Event::GoAway {
                    last: number(last)? & STREAM_LAST,
                    code: Code(number(code)?),
                });
                Ok(())
            }
            Kind::WindowUpdate => self.take_window(head, payload),
            Kind::PushPromise => Err(Broken::Http2("a push that was not allowed")),
            Kind::Priority | Kind::Other => Ok(()),
        }
    }

    /// Frames may come on streams that we opened, and on no other.
    fn check_known(&self, stream: u32) -> Result<(), Broken> {
        if stream % 2 == 1 && stream < self.next {
            Ok(())
        } else {
            Err(Broken::Http2("a frame on a stream that is not open"))
        }
    }

    fn check_flood(&self) -> Result<(), Broken> {
        if self.out.len() > WAITING_MAX {
            return Err(Broken::Http2(
                "the peer sends settings or pings and takes no answers",
            ));
        }
        Ok(())
    }

    fn take_data(
        &mut self,
        head: Head,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.check_known(head.stream)?;
        // Padding counts too.
        self.taken += u32::try_from(payload.len()).expect("no frame is larger than 16 KiB");
        if self.taken > WINDOW_OURS / 2 {
            frame::window_update(&mut self.out, 0, self.taken);
            self.taken = 0;
        }
        events.push(Event::Data {
            stream: head.stream,
            bytes: unpadded(head, payload)?.to_vec(),
            end: head.has(frame::END_STREAM),
            frames: (frame::HEAD + payload.len()) as u64,
        });
        Ok(())
    }

    fn take_headers(
        &mut self,
        head: Head,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.check_known(head.stream)?;
        let mut block = unpadded(head, payload)?;
        if head.has(frame::PRIORITY) {
            block = block.get(5..).ok_or(Broken::Http2("malformed HEADERS"))?;
        }
        self.block = Some(Block {
            stream: head.stream,
            bytes: Vec::new(),
            end: head.has(frame::END_STREAM),
            frames: 0,
        });
        self.gather(head, block, payload.len(), events)
    }

    fn continue_headers(
        &mut self,
        head: Head,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        self.gather(head, payload, payload.len(), events)
    }

    fn gather(
        &mut self,
        head: Head,
        piece: &[u8],
        length: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let Some(mut block) = self.block.take() else {
            return Ok(());
        };
        block.bytes.extend_from_slice(piece);
        block.frames += (frame::HEAD + length) as u64;
        // Empty continuations count as well: they cost their heads.
        if block.frames > 2 * self.limits.head as u64 {
            return Err(Broken::HeadTooLarge);
        }
        if !head.has(frame::END_HEADERS) {
            self.block = Some(block);
            return Ok(());
        }
        let fields: Vec<Field> = self
            .decoder
            .decode(&block.bytes, self.limits.head)
            .map_err(|why| match why {
                Unreadable::Malformed => Broken::Http2("a header block that is not HPACK"),
                Unreadable::TooLarge => Broken::HeadTooLarge,
            })?;
        events.push(Event::Fields {
            stream: block.stream,
            fields,
            end: block.end,
            frames: block.frames,
        });
        Ok(())
    }

    fn take_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        const MALFORMED: Broken = Broken::Http2("malformed SETTINGS");
        if head.stream != 0 || !payload.len().is_multiple_of(6) {
            return Err(MALFORMED);
        }
        if head.has(frame::ACK) {
            self.acknowledged = true;
            return if payload.is_empty() {
                Ok(())
            } else {
                Err(MALFORMED)
            };
        }
        for setting in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = number(&setting[2..])?;
            match name {
                HEADER_TABLE_SIZE => {
                    let size = usize::try_from(value).unwrap_or(TABLE_DEFAULT);
                    self.encoder.limit(size);
                }
                MAX_CONCURRENT_STREAMS => self.streams_max = value.min(STREAMS_UNLIMITED),
                INITIAL_WINDOW_SIZE => {
                    let window = i64::from(value);
                    if window > WINDOW_MOST {
                        return Err(MALFORMED);
                    }
                    // RFC 9113 section 6.9.2: open streams get the difference, which may be negative.
                    let by = window - self.stream_window;
                    self.stream_window = window;
                    for window in self.windows.values_mut() {
                        *window += by;
                    }
                    if self.windows.values().any(|window| *window > WINDOW_MOST) {
                        return Err(Broken::Http2("a window larger than allowed"));
                    }
                }
                MAX_FRAME_SIZE => {
                    let size = usize::try_from(value).unwrap_or(usize::MAX);
                    if !(FRAME_MAX..1 << 24).contains(&size) {
                        return Err(MALFORMED);
                    }
                    self.frame_max = size;
                }
                _ => {}
            }
        }
        self.greeted = true;
        self.check_flood()?;
        frame::settings_ack(&mut self.out);
        Ok(())
    }

    fn take_window(&mut self, head: Head, payload: &[u8]) -> Result<(), Broken> {
        let by = i64::from(number(payload)? & STREAM_LAST);
        if by == 0 {
            return Err(Broken::Http2("a window opened by nothing"));
        }
        let window = if head.stream == 0 {
            Some(&mut self.window)
        } else {
            self.check_known(head.stream)?;
            // On a stream that is through it means nothing any more.
            self.windows.get_mut(&head.stream)
        };
        if let Some(window) = window {
            *window += by;
            if *window > WINDOW_MOST {
                return Err(Broken::Http2("a window larger than allowed"));
            }
        }
        Ok(())
    }
}

fn number(payload: &[u8]) -> Result<u32, Broken> {
    let bytes: [u8; 4] = payload
        .try_into()
        .map_err(|_| Broken::Http2("a frame of the wrong length"))?;
    Ok(u32::from_be_bytes(bytes))
}

fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Broken> {
    if !head.has(frame::PADDED) {
        return Ok(payload);
    }
    let malformed = Broken::Http2("more padding than frame");
    let (padding, rest) = payload.split_first().ok_or(malformed)?;
    let length = rest
        .len()
        .checked_sub(usize::from(*padding))
        .ok_or(malformed)?;
    Ok(&rest[..length])
}
