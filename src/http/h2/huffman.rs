//! The Huffman code of RFC 7541 Appendix B, decoding only: what we send stays plain, so that a length is a length.
//!
//! The code is canonical, so the length of each symbol's code says all of it.

/// Bits of each octet's code; the end of the string (30 bits, all ones) is the symbol after them.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];

const LONGEST: usize = 30;
const END: u16 = 256;

/// For each length the first code of it, and the symbols in the order of their codes.
struct Code {
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    offset: [u32; LONGEST + 1],
    symbols: [u16; 257],
}

const CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        symbols: [0; 257],
    };
    let mut next = 0_u32;
    let mut placed = 0_u32;
    let mut length = 1;
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.offset[length] = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                #[expect(clippy::cast_possible_truncation, reason = "there are 257 symbols")]
                let number = symbol as u16;
                code.symbols[placed as usize] = number;
                placed += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.count[length] = placed - code.offset[length];
        length += 1;
    }
    code
}

/// The octets that `bytes` stand for; `None` where they are no code (RFC 7541 section 5.2), or stand for more than `limit` octets.
pub(super) fn decode(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity((bytes.len() * 2).min(limit));
    let mut bits = 0_u32;
    let mut length = 0_usize;
    for byte in bytes {
        for place in (0..8).rev() {
            bits = (bits << 1) | u32::from(byte >> place & 1);
            length += 1;
            let among = bits.wrapping_sub(CODE.first[length]);
            if bits >= CODE.first[length] && among < CODE.count[length] {
                let symbol = CODE.symbols[(CODE.offset[length] + among) as usize];
                if symbol == END || octets.len() == limit {
                    return None;
                }
                octets.push(u8::try_from(symbol).ok()?);
                (bits, length) = (0, 0);
            } else if length == LONGEST {
                return None;
            }
        }
    }
    // What is left is padding: fewer than 8 bits of the end's code, which is all ones.
    (length < 8 && bits == (1 << length) - 1).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_complete() {
        let used: u64 = LENGTHS
            .iter()
            .map(|length| 1_u64 << (LONGEST - usize::from(*length)))
            .sum();
        assert_eq!(used, 1 << LONGEST);
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541 C.4 and C.6.
        for (bytes, text) in [
            (&b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..], "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (b"\x64\x02", "302"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ] {
            assert_eq!(decode(bytes, 100).unwrap(), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        // Padding of zeros, of a whole octet, the end inside, more than allowed.
        assert_eq!(decode(b"\x18", 100), None);
        assert_eq!(decode(b"\x64\x02\xff", 100), None);
        assert_eq!(decode(b"\xff\xff\xff\xff", 100), None);
        assert_eq!(decode(b"\x64\x02", 2), None);
        assert_eq!(decode(b"", 100), Some(Vec::new()));
    }
}
