//! Seeds, salts and named streams: the only source of randomness.
//!
//! A stream is named by what it is for, so that removing a trial does not move
//! the others. It must not know the time or the operating system's randomness:
//! a random seed is drawn by whoever starts the run and handed in.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// What a plan is made from, beside the scenarios. Printed as hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

/// What makes the keys and markers of one run its own: 8 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt(pub u32);

/// A text that is not a seed or a salt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not 1 to {1} hex digits")]
pub struct NotHex(String, usize);

impl fmt::Display for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:x}", self.0))
    }
}

impl FromStr for Seed {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        hex_digits(text, 16).map(Self)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:08x}", self.0))
    }
}

impl FromStr for Salt {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let value = hex_digits(text, 8)?;
        u32::try_from(value)
            .map(Self)
            .map_err(|_| NotHex(text.to_owned(), 8))
    }
}

fn hex_digits(text: &str, most: usize) -> Result<u64, NotHex> {
    if text.is_empty() || text.len() > most || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(NotHex(text.to_owned(), most));
    }
    u64::from_str_radix(text, 16).map_err(|_| NotHex(text.to_owned(), most))
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Seed {
    /// The stream of random numbers for one purpose, e.g. `["case-id", "7", "offsets"]`.
    pub fn stream(self, purpose: &[&str]) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(digest(&self.to_string(), purpose))
    }

    /// 14 hex digits that are this purpose's own.
    pub fn part(self, purpose: &[&str]) -> String {
        hex(&digest(&self.to_string(), purpose)[..7])
    }
}

/// The marker of an instance: `rt-`, salt, part; lower case letters, digits and
/// hyphens, 26 characters, so that none is part of another.
pub fn marker(salt: Salt, part: &str) -> String {
    format!("rt-{salt}-{part}")
}

/// The default key of one operation of an instance: a version 4 UUID made of
/// salt, part and the operation's name.
pub fn key(salt: Salt, part: &str, operation: &str) -> String {
    let mut bytes = digest(&salt.to_string(), &[part, operation]);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex(&bytes[..16]);
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

/// The trace id of a trial: 32 hex digits, the same for all its attempts.
pub fn trace_id(salt: Salt, part: &str) -> String {
    hex(&digest(&salt.to_string(), &["trace", part])[..16])
}

fn digest(first: &str, rest: &[&str]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for word in std::iter::once(&first).chain(rest) {
        // The length goes first, so that ["a", "bc"] and ["ab", "c"] differ.
        sha.update((word.len() as u64).to_le_bytes());
        sha.update(word.as_bytes());
    }
    sha.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reads_back_what_it_prints() {
        for seed in [Seed(0), Seed(1), Seed(0x7f3a_9c21), Seed(u64::MAX)] {
            assert_eq!(seed.to_string().parse(), Ok(seed));
        }
    }

    #[test]
    fn seventeen_digits_are_no_seed() {
        assert!("12345678123456781".parse::<Seed>().is_err());
        assert!("".parse::<Seed>().is_err());
        assert!("0x1".parse::<Seed>().is_err());
        assert!("+1".parse::<Seed>().is_err());
    }

    #[test]
    fn markers_have_one_width_and_keys_are_version_4_uuids() {
        let part = Seed(1).part(&["case", "0"]);
        assert_eq!(marker(Salt(0xb41c), &part).len(), 26);
        let key = key(Salt(0xb41c), &part, "order");
        assert_eq!(key.len(), 36);
        assert_eq!(&key[14..15], "4");
        assert!("89ab".contains(&key[19..20]));
    }

    #[test]
    fn a_salt_changes_every_key_and_marker() {
        let part = Seed(1).part(&["case", "0"]);
        assert_ne!(marker(Salt(1), &part), marker(Salt(2), &part));
        assert_ne!(key(Salt(1), &part, "o"), key(Salt(2), &part, "o"));
    }
}
