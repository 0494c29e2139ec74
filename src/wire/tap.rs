//! When the first and the last byte passed, in both directions, and how many they were.
//!
//! The tap sits below TLS, so its instants are those of the bytes on the wire. How many bytes of a message that makes is for those to say who know the message.

use std::time::{Duration, Instant};

/// The start of a run, from which every instant is counted.
///
/// It is handed in, because there is one clock and it is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(Instant);

impl Epoch {
    /// Counts from `start`.
    pub fn new(start: Instant) -> Self {
        Self(start)
    }

    /// Nanoseconds since the start of the run, monotonic.
    pub fn now_ns(self) -> u64 {
        // 584 years fit; the saturation only spares a panic that cannot come.
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant that lies `ns` nanoseconds after the start of the run.
    pub fn instant(self, ns: u64) -> Instant {
        self.0 + Duration::from_nanos(ns)
    }
}

/// Instants of one attempt on one connection, in nanoseconds since the epoch.
///
/// An instant of sending is taken right before the call that sends: on loopback that call runs the receiver's side too, and may return after the answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The connection was asked for; `None` on a connection that existed already.
    pub connect_started: Option<u64>,
    /// TCP was connected.
    pub connected: Option<u64>,
    /// The TLS handshake was over.
    pub tls_done: Option<u64>,
    /// The first byte was handed to the kernel, held back ones not counted.
    pub first_out: Option<u64>,
    /// The last byte was handed to the kernel.
    pub last_out: Option<u64>,
    /// The first byte was read.
    pub first_in: Option<u64>,
    /// The last byte was read.
    pub last_in: Option<u64>,
    /// Bytes handed to the kernel (below TLS).
    pub bytes_out: u64,
    /// Bytes read (below TLS).
    pub bytes_in: u64,
}

impl Marks {
    pub(super) fn sent(&mut self, at: u64, bytes: usize) {
        self.first_out.get_or_insert(at);
        self.last_out = Some(at);
        self.bytes_out += bytes as u64;
    }

    pub(super) fn received(&mut self, at: u64, bytes: usize) {
        self.first_in.get_or_insert(at);
        self.last_in = Some(at);
        self.bytes_in += bytes as u64;
    }
}
