//! From a planned fault to what the wire is told: the only place that knows both.
//!
//! | fault | sent | read | what happens by itself |
//! | --- | --- | --- | --- |
//! | none, `drop_response` | all | all | nothing |
//! | `cut_request`, connect | nothing, and nothing is connected | nothing | the client is through at once |
//! | `cut_request` | up to the cut | nothing | the ending right after the last byte |
//! | `cut_response` | all | up to the cut | the ending at the cut |
//! | `cut_response`, whole | all | all | the ending right after the last byte came |
//! | `reset`, after a time | all | what comes before | the ending, so long after the last byte |
//! | `reset`, answered | all | one byte | the ending there |
//! | `timeout`, close | all | what comes before | FIN, so long after the last byte |
//! | `timeout`, keep open | all | all | the client stops waiting, the reading goes on |
//!
//! An ending in silence is made at the same place: from there on nothing is sent or read until the attempt's time is over.

use std::time::Duration;

use crate::http::{Encoded, HoldPoint, Reader};
use crate::plan::{self, AnswerPoint, CutPoint, Fault, ResetPoint, Then};
use crate::wire::{Ending, FollowUp, FollowUpAction};

/// What is done with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// How many bytes of the message are sent.
    pub send: usize,
    /// How far the answer is read.
    pub read: ReadUntil,
    /// What happens where reading stops short of the whole answer.
    pub at_stop: Ending,
    /// What happens where the whole answer was read.
    pub at_end: Option<Ending>,
    /// What happens at an instant, whatever was read.
    pub follow_up: Option<FollowUp>,
}

/// How far an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadUntil {
    /// To its end.
    Whole,
    /// To its first byte.
    FirstByte,
    /// To this place.
    Cut(AnswerPoint),
}

/// Translates a fault for one message; `h` is what shares of H stand for.
pub fn script(fault: Fault, h: Duration, message: &Encoded) -> Script {
    let whole = Script {
        send: message.bytes.len(),
        read: ReadUntil::Whole,
        at_stop: Ending::Fin,
        at_end: None,
        follow_up: None,
    };
    let timed = |after, action| Script {
        follow_up: Some(FollowUp { after, action }),
        ..whole
    };
    match fault {
        Fault::None | Fault::DropResponse => whole,
        Fault::CutRequest { at, end } => Script {
            send: cut_request(message, at),
            ..timed(Duration::ZERO, FollowUpAction::End(ending(end)))
        },
        Fault::CutResponse {
            at: AnswerPoint::Whole,
            end,
        } => Script {
            at_end: Some(ending(end)),
            ..whole
        },
        Fault::CutResponse { at, end } => Script {
            read: ReadUntil::Cut(at),
            at_stop: ending(end),
            ..whole
        },
        Fault::Reset {
            after: ResetPoint::RequestSent(moment),
            end,
        } => timed(moment.resolve(h), FollowUpAction::End(ending(end))),
        Fault::Reset {
            after: ResetPoint::Answered,
            end,
        } => Script {
            read: ReadUntil::FirstByte,
            at_stop: ending(end),
            ..whole
        },
        Fault::Timeout {
            after,
            then: Then::Close,
        } => timed(after.resolve(h), FollowUpAction::End(Ending::Fin)),
        Fault::Timeout {
            after,
            then: Then::KeepOpen,
        } => timed(after.resolve(h), FollowUpAction::StopWaiting),
    }
}

impl Script {
    /// How many bytes go before the hold: at least one of those that are sent, if any is, stays behind it.
    pub fn hold_at(&self, point: plan::HoldPoint, message: &Encoded) -> usize {
        let point = match point {
            plan::HoldPoint::Head => HoldPoint::Head,
            plan::HoldPoint::LastByte => HoldPoint::LastByte,
            plan::HoldPoint::All => HoldPoint::All,
        };
        message.hold_at(point).min(self.send.saturating_sub(1))
    }
}

impl ReadUntil {
    /// How many bytes may be read next without going too far; `None`: the place is reached.
    ///
    /// Where only the end tells the length of a body (chunked, or until close), a share of it cannot be known beforehand: the place is then its first byte.
    pub fn next(self, reader: &Reader, came: u64) -> Option<usize> {
        const ONE: Option<usize> = Some(1);
        match self {
            Self::Whole | Self::Cut(AnswerPoint::Whole) => Some(usize::MAX),
            Self::FirstByte => {
                if came == 0 {
                    ONE
                } else {
                    None
                }
            }
            Self::Cut(AnswerPoint::Bytes(bytes)) => {
                let left = u64::from(bytes).saturating_sub(came);
                usize::try_from(left).ok().filter(|left| *left > 0)
            }
            Self::Cut(AnswerPoint::StatusLine) if reader.has_status_line() => None,
            // The end of a line or head shows only when it is there, so it is approached byte by byte.
            Self::Cut(_) if reader.head().is_none() => ONE,
            Self::Cut(AnswerPoint::StatusLine | AnswerPoint::Headers) => None,
            Self::Cut(at) => match reader.announced_length() {
                Some(length) => {
                    let left = place(at, length).saturating_sub(reader.body_bytes());
                    usize::try_from(left).ok().filter(|left| *left > 0)
                }
                None if reader.body_bytes() == 0 => ONE,
                None => None,
            },
        }
    }
}

/// Where in a body of that length an answer is cut; never at its end.
pub(super) fn place(at: AnswerPoint, length: u64) -> u64 {
    let place = match at {
        AnswerPoint::Bytes(_) | AnswerPoint::StatusLine | AnswerPoint::Headers => 0,
        AnswerPoint::Percent(share) => {
            let place = u128::from(length) * u128::from(share) / 100;
            u64::try_from(place).unwrap_or(u64::MAX)
        }
        AnswerPoint::BeforeEnd(bytes) => length.saturating_sub(u64::from(bytes)),
        AnswerPoint::Whole => length,
    };
    place.min(length.saturating_sub(1))
}

/// How many bytes of the request are sent, never all; of those inside it at least one.
fn cut_request(message: &Encoded, at: CutPoint) -> usize {
    let (head, all) = (message.head_end, message.bytes.len());
    let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    let cut = match at {
        CutPoint::Connect | CutPoint::FirstByte => return 0,
        CutPoint::Head(share) => (head * usize::from(share) / 100).clamp(1, head - 1),
        CutPoint::Headers => head,
        CutPoint::Percent(share) => head + message.body_len() * usize::from(share) / 100,
        CutPoint::Body(count) => head.saturating_add(bytes(count)),
        CutPoint::Bytes(count) => bytes(count),
        CutPoint::BeforeEnd(count) => all.saturating_sub(bytes(count)),
    };
    cut.clamp(1, all - 1)
}

/// What the wire calls an ending.
pub(super) fn ending(ending: plan::Ending) -> Ending {
    match ending {
        plan::Ending::Rst => Ending::Rst,
        plan::Ending::Fin => Ending::Fin,
        plan::Ending::HalfClose => Ending::HalfClose,
        plan::Ending::Silence => Ending::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, Progress, Request, encode};
    use crate::plan::Moment;

    fn message(body: &[u8]) -> Encoded {
        let request = Request {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
        };
        encode(&request, "h").unwrap()
    }

    #[test]
    fn a_request_is_cut_inside_itself() {
        let with_body = message(&[b'x'; 10]);
        let bare = message(b"");
        let (head, all) = (with_body.head_end, with_body.bytes.len());
        let only_head = bare.bytes.len();
        for (message, at, send) in [
            (&with_body, CutPoint::Headers, head),
            (&with_body, CutPoint::Percent(0), head),
            (&with_body, CutPoint::Percent(50), head + 5),
            (&with_body, CutPoint::Percent(100), all - 1),
            (&with_body, CutPoint::BeforeEnd(1), all - 1),
            (&with_body, CutPoint::BeforeEnd(0), all - 1),
            (&with_body, CutPoint::BeforeEnd(9999), 1),
            (&bare, CutPoint::Headers, only_head - 1),
            (&bare, CutPoint::Percent(50), only_head - 1),
            (&with_body, CutPoint::Connect, 0),
            (&with_body, CutPoint::FirstByte, 0),
            (&with_body, CutPoint::Head(0), 1),
            (&with_body, CutPoint::Head(50), head / 2),
            (&with_body, CutPoint::Head(99), head - 1),
            (&bare, CutPoint::Head(99), only_head - 1),
            (&with_body, CutPoint::Body(3), head + 3),
            (&with_body, CutPoint::Body(10), all - 1),
            (&with_body, CutPoint::Bytes(7), 7),
            (&with_body, CutPoint::Bytes(u32::MAX), all - 1),
        ] {
            for (end, ending) in [
                (plan::Ending::Fin, Ending::Fin),
                (plan::Ending::Rst, Ending::Rst),
                (plan::Ending::HalfClose, Ending::HalfClose),
                (plan::Ending::Silence, Ending::Silence),
            ] {
                let script = script(Fault::CutRequest { at, end }, Duration::ZERO, message);
                assert_eq!(script.send, send, "{at:?}");
                let follow_up = FollowUp {
                    after: Duration::ZERO,
                    action: FollowUpAction::End(ending),
                };
                assert_eq!(script.follow_up, Some(follow_up));
            }
        }
    }

    #[test]
    fn something_always_stays_behind_the_hold() {
        let message = message(b"{}");
        for fault in [
            Fault::None,
            Fault::CutRequest {
                at: CutPoint::Headers,
                end: plan::Ending::Fin,
            },
            Fault::CutRequest {
                at: CutPoint::BeforeEnd(9999),
                end: plan::Ending::Fin,
            },
        ] {
            let script = script(fault, Duration::ZERO, &message);
            for point in [
                plan::HoldPoint::Head,
                plan::HoldPoint::LastByte,
                plan::HoldPoint::All,
            ] {
                assert!(
                    script.hold_at(point, &message) < script.send,
                    "{fault:?} {point:?}"
                );
            }
        }
    }

    #[test]
    fn shares_of_h_become_times() {
        let fault = Fault::Reset {
            after: ResetPoint::RequestSent(Moment::PpmOfH(350_000)),
            end: plan::Ending::Rst,
        };
        let script = script(fault, Duration::from_millis(20), &message(b""));
        let after = Duration::from_millis(7);
        let action = FollowUpAction::End(Ending::Rst);
        assert_eq!(script.follow_up, Some(FollowUp { after, action }));
    }

    /// Feeds an answer as far as it may be read, and says how far that was.
    fn read_until(until: ReadUntil, answer: &[u8]) -> (usize, bool) {
        let mut reader = Reader::new(false, Limits::default());
        let mut came = 0;
        while came < answer.len() {
            let Some(step) = until.next(&reader, came as u64) else {
                return (came, false);
            };
            let end = came.saturating_add(step).min(answer.len());
            let progress = reader.feed(&answer[came..end]).unwrap();
            came = end;
            if matches!(progress, Progress::Complete { .. }) {
                return (came, true);
            }
        }
        (came, false)
    }

    #[test]
    fn an_answer_is_read_to_the_byte() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
        let sized = [head.as_slice(), b"0123456789"].concat();
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        let chunked_head = chunked.len() - 11;
        let interim = [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &sized].concat();
        for (until, answer, place) in [
            (ReadUntil::FirstByte, sized.as_slice(), 1),
            (ReadUntil::Cut(AnswerPoint::Headers), &sized, head.len()),
            (ReadUntil::Cut(AnswerPoint::Percent(0)), &sized, head.len()),
            (
                ReadUntil::Cut(AnswerPoint::Percent(50)),
                &sized,
                head.len() + 5,
            ),
            (
                ReadUntil::Cut(AnswerPoint::Percent(100)),
                &sized,
                head.len() + 9,
            ),
            (
                ReadUntil::Cut(AnswerPoint::BeforeEnd(1)),
                &sized,
                head.len() + 9,
            ),
            (
                ReadUntil::Cut(AnswerPoint::BeforeEnd(99)),
                &sized,
                head.len(),
            ),
            (ReadUntil::Cut(AnswerPoint::Bytes(1)), &sized, 1),
            (ReadUntil::Cut(AnswerPoint::Bytes(20)), &sized, 20),
            (ReadUntil::Cut(AnswerPoint::StatusLine), &sized, 17),
            (ReadUntil::Cut(AnswerPoint::StatusLine), &interim, 25 + 17),
            (
                ReadUntil::Cut(AnswerPoint::Headers),
                &interim,
                25 + head.len(),
            ),
            (ReadUntil::Cut(AnswerPoint::Headers), chunked, chunked_head),
            (
                ReadUntil::Cut(AnswerPoint::Percent(50)),
                chunked,
                chunked_head + 1,
            ),
        ] {
            assert_eq!(read_until(until, answer), (place, false), "{until:?}");
        }
        assert_eq!(read_until(ReadUntil::Whole, &sized), (sized.len(), true));
        let all = ReadUntil::Cut(AnswerPoint::Whole);
        assert_eq!(read_until(all, &sized), (sized.len(), true));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(
            read_until(ReadUntil::Cut(AnswerPoint::Headers), empty),
            (empty.len(), true)
        );
    }
}
