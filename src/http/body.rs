//! The body of an answer while it comes: the start is kept, all of it is counted and digested, a content encoding is undone on the way.
//!
//! Memory is bounded whatever the peer sends: by the cap on what is kept, and by a decoder that hands on what it makes.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use sha2::{Digest as _, Sha256};

use super::h1::Limits;
use super::message::Head;

/// So much may be made of little before the ratio is looked at.
const RATIO_FREE: u64 = 1024 * 1024;
/// Above that, more than so many bytes for each one that came is a bomb. Deflate cannot do more than 1032; real text stays far below 200.
const RATIO_MAX: u64 = 200;

/// The body of an answer, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// Its start, up to the cap.
    pub kept: Vec<u8>,
    /// Its length, all of it.
    pub len: u64,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
}

impl Body {
    /// Whether what was kept is all of it.
    pub fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.len
    }
}

/// Why a body was not taken any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    TooLarge,
    Bomb,
    Corrupt,
}

/// Where the bytes of a body go.
#[derive(Debug)]
pub(super) struct Sink {
    coding: Coding,
    came: u64,
}

#[derive(Debug)]
enum Coding {
    Identity(Decoded),
    Gzip(Box<MultiGzDecoder<Decoded>>),
    /// "deflate" is zlib by RFC 9110 section 8.4.1.2, but some servers send it bare. The first byte tells.
    Deflate(Decoded),
    Zlib(Box<ZlibDecoder<Decoded>>),
    Bare(Box<DeflateDecoder<Decoded>>),
    /// Refused before; what had come of it.
    Broken(Decoded),
}

/// The decoded side.
#[derive(Debug, Clone)]
struct Decoded {
    kept: Vec<u8>,
    cap: usize,
    len: u64,
    limit: u64,
    digest: Sha256,
    over_limit: bool,
}

impl Decoded {
    fn finish(self) -> Body {
        Body {
            kept: self.kept,
            len: self.len,
            sha256: self.digest.finalize().into(),
        }
    }
}

impl Write for Decoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len + bytes.len() as u64 > self.limit {
            self.over_limit = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let room = self.cap - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len += bytes.len() as u64;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    /// For a body that is encoded as `content_encoding` says. Encodings that are not known are kept as they come.
    pub(super) fn new(content_encoding: Option<&str>, cap: usize, limit: u64) -> Self {
        let kept = Decoded {
            kept: Vec::new(),
            cap,
            len: 0,
            limit,
            digest: Sha256::new(),
            over_limit: false,
        };
        let coding = match content_encoding.map(str::to_ascii_lowercase).as_deref() {
            Some("gzip" | "x-gzip") => Coding::Gzip(Box::new(MultiGzDecoder::new(kept))),
            Some("deflate") => Coding::Deflate(kept),
            _ => Coding::Identity(kept),
        };
        Self { coding, came: 0 }
    }

    /// For the body of an answer with that head.
    pub(super) fn of(head: &Head, limits: Limits) -> Self {
        let encoding = {
            let mut codings = head.words("content-encoding");
            match (codings.next(), codings.next()) {
                (Some(only), None) => Some(only),
                // Several on top of each other are kept as they are.
                _ => None,
            }
        };
        Self::new(encoding.as_deref(), limits.kept, limits.body)
    }

    fn decoded(&self) -> &Decoded {
        match &self.coding {
            Coding::Identity(kept) | Coding::Deflate(kept) | Coding::Broken(kept) => kept,
            Coding::Gzip(decoder) => decoder.get_ref(),
            Coding::Zlib(decoder) => decoder.get_ref(),
            Coding::Bare(decoder) => decoder.get_ref(),
        }
    }

    /// Takes more of the body.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if let (Coding::Deflate(kept), Some(first)) = (&self.coding, bytes.first()) {
            let kept = kept.clone();
            self.coding = if first & 0x0f == 8 {
                Coding::Zlib(Box::new(ZlibDecoder::new(kept)))
            } else {
                Coding::Bare(Box::new(DeflateDecoder::new(kept)))
            };
        }
        // Small pieces, so that a bomb is noticed before much was made of it, and at the same place however the bytes were split.
        for byte_range in Pieces::new(self.came, bytes) {
            self.came += byte_range.len() as u64;
            let written = match &mut self.coding {
                Coding::Identity(kept) | Coding::Deflate(kept) => kept.write_all(byte_range),
                Coding::Gzip(decoder) => decoder.write_all(byte_range),
                Coding::Zlib(decoder) => decoder.write_all(byte_range),
                Coding::Bare(decoder) => decoder.write_all(byte_range),
                Coding::Broken(_) => Err(io::ErrorKind::InvalidData.into()),
            };
            if written.is_err() {
                let refused = if self.decoded().over_limit {
                    Refused::TooLarge
                } else {
                    Refused::Corrupt
                };
                return Err(self.refuse(refused));
            }
            self.check_ratio()?;
        }
        Ok(())
    }

    fn check_ratio(&mut self) -> Result<(), Refused> {
        let made = self.decoded().len;
        if made > RATIO_FREE && made > self.came.saturating_mul(RATIO_MAX) {
            return Err(self.refuse(Refused::Bomb));
        }
        Ok(())
    }

    fn refuse(&mut self, why: Refused) -> Refused {
        // The decoder is dropped here: asked to finish after an error it would only fail again.
        self.coding = Coding::Broken(self.decoded().clone());
        why
    }

    /// The encoded body is complete.
    pub(super) fn end(&mut self) -> Result<(), Refused> {
        if self.came == 0 {
            // An empty body is empty, whatever encoding was announced.
            return Ok(());
        }
        let finished = match &mut self.coding {
            Coding::Identity(_) | Coding::Deflate(_) | Coding::Broken(_) => Ok(()),
            Coding::Gzip(decoder) => decoder.try_finish(),
            Coding::Zlib(decoder) => decoder.try_finish(),
            Coding::Bare(decoder) => decoder.try_finish(),
        };
        if finished.is_err() {
            let refused = if self.decoded().over_limit {
                Refused::TooLarge
            } else {
                Refused::Corrupt
            };
            return Err(self.refuse(refused));
        }
        self.check_ratio()
    }

    /// What came.
    pub(super) fn into_body(self) -> Body {
        match self.coding {
            Coding::Identity(kept) | Coding::Deflate(kept) | Coding::Broken(kept) => kept.finish(),
            Coding::Gzip(decoder) => decoder.get_ref().clone().finish(),
            Coding::Zlib(decoder) => decoder.get_ref().clone().finish(),
            Coding::Bare(decoder) => decoder.get_ref().clone().finish(),
        }
    }
}

/// Cuts a slice at multiples of a fixed size, counted from the start of the body.
struct Pieces<'a> {
    position: u64,
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    const SIZE: u64 = 1024;

    fn new(position: u64, rest: &'a [u8]) -> Self {
        Self { position, rest }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let to_boundary = Self::SIZE - self.position % Self::SIZE;
        let length = usize::try_from(to_boundary)
            .unwrap_or(usize::MAX)
            .min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.position += length as u64;
        self.rest = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    const CAP: usize = 100;
    const LIMIT: u64 = 2 * 1024 * 1024;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn read(encoding: Option<&str>, bytes: &[u8]) -> Result<Body, Refused> {
        let mut sink = Sink::new(encoding, CAP, LIMIT);
        sink.take(bytes)?;
        sink.end()?;
        Ok(sink.into_body())
    }

    #[test]
    fn the_start_is_kept_and_the_whole_is_digested() {
        let plain = vec![7_u8; 1000];
        let body = read(None, &plain).unwrap();
        assert_eq!(body.kept, plain[..CAP]);
        assert_eq!(body.len, 1000);
        assert_eq!(body.sha256, <[u8; 32]>::from(Sha256::digest(&plain)));
        assert!(!body.is_whole());
    }

    #[test]
    fn known_encodings_are_undone() {
        let plain = b"{\"id\": 1}".as_slice();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(plain).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(plain).unwrap();
        for (encoding, bytes) in [
            ("gzip", gzip(plain)),
            ("X-GZIP", gzip(plain)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
            ("br", plain.to_vec()),
        ] {
            assert_eq!(
                read(Some(encoding), &bytes).unwrap().kept,
                plain,
                "{encoding}"
            );
        }
    }

    #[test]
    fn an_empty_body_of_any_encoding_is_empty() {
        for encoding in ["gzip", "deflate"] {
            assert_eq!(read(Some(encoding), b"").unwrap().len, 0);
        }
    }

    #[test]
    fn a_bomb_is_noticed_by_its_ratio_and_by_its_size() {
        let zeros = gzip(&vec![0_u8; 2 * 1024 * 1024]);
        assert_eq!(read(Some("gzip"), &zeros), Err(Refused::Bomb));
        let mut noise = Vec::new();
        let mut state = 1_u32;
        for _ in 0..5 * 1024 * 1024 / 8 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.extend_from_slice(&state.to_le_bytes());
        }
        assert_eq!(read(Some("gzip"), &gzip(&noise)), Err(Refused::TooLarge));
        assert_eq!(read(None, &noise), Err(Refused::TooLarge));
    }

    #[test]
    fn what_does_not_decode_is_corrupt() {
        assert_eq!(
            read(Some("gzip"), b"not gzip at all"),
            Err(Refused::Corrupt)
        );
        let whole = gzip(b"some text that is long enough to be cut");
        assert_eq!(
            read(Some("gzip"), &whole[..whole.len() - 6]),
            Err(Refused::Corrupt)
        );
    }
}
