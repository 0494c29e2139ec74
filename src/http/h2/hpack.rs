//! HPACK (RFC 7541): lists of header fields to bytes and back.
//!
//! What we send is indexed wherever it may be: the copies of a request differ in nothing, so all but the first of them are a few bytes, and more of them fit into one segment. Nothing is Huffman-coded on the way out.

use std::collections::VecDeque;

use super::huffman;

/// A header field.
pub(super) type Field = (String, String);

/// RFC 7541 Appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The size that a dynamic table has before anybody says otherwise.
pub(super) const TABLE_DEFAULT: usize = 4096;
/// What a field costs in a table, and in a list, beside its text.
const OVERHEAD: usize = 32;

/// The dynamic table, the youngest entry first.
#[derive(Debug)]
struct Table {
    entries: VecDeque<Field>,
    size: usize,
    most: usize,
}

fn cost(field: &Field) -> usize {
    field.0.len() + field.1.len() + OVERHEAD
}

impl Table {
    fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            most: TABLE_DEFAULT,
        }
    }

    fn shrink_to(&mut self, most: usize) {
        while self.size > most {
            match self.entries.pop_back() {
                Some(oldest) => self.size -= cost(&oldest),
                None => self.size = 0,
            }
        }
    }

    fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink_to(most);
    }

    fn add(&mut self, field: Field) {
        let cost = cost(&field);
        if cost > self.most {
            // It empties the table (RFC 7541 section 4.4).
            self.entries.clear();
            self.size = 0;
            return;
        }
        self.shrink_to(self.most - cost);
        self.size += cost;
        self.entries.push_front(field);
    }

    /// The entry with an index of the address space of RFC 7541 section 2.3.3.
    fn get(&self, index: usize) -> Option<Field> {
        let at = index.checked_sub(1)?;
        match STATIC.get(at) {
            Some((name, value)) => Some(((*name).to_owned(), (*value).to_owned())),
            None => self.entries.get(at - STATIC.len()).cloned(),
        }
    }

    /// The index of a field, and that of its name.
    fn find(&self, field: &Field) -> (Option<usize>, Option<usize>) {
        let fixed = STATIC.iter().map(|(name, value)| (*name, *value));
        let own = self
            .entries
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let mut named = None;
        for (at, (name, value)) in fixed.chain(own).enumerate() {
            if name == field.0 {
                if value == field.1 {
                    return (Some(at + 1), named);
                }
                named = named.or(Some(at + 1));
            }
        }
        (None, named)
    }
}

/// Turns lists of fields into header blocks; one for each connection.
#[derive(Debug)]
pub(super) struct Encoder {
    table: Table,
    /// The table's size has changed and the peer has to be told.
    announce: bool,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
            announce: false,
        }
    }

    /// The peer takes a table of that size; a larger one than the default is not used.
    pub(super) fn limit(&mut self, most: usize) {
        let most = most.min(TABLE_DEFAULT);
        if most != self.table.most {
            self.table.resize(most);
            self.announce = true;
        }
    }

    /// The header block of a list.
    pub(super) fn encode(&mut self, fields: &[Field]) -> Vec<u8> {
        let mut block = Vec::new();
        if std::mem::take(&mut self.announce) {
            put_integer(&mut block, 0x20, 5, self.table.most);
        }
        for field in fields {
            match self.table.find(field) {
                (Some(index), _) => put_integer(&mut block, 0x80, 7, index),
                (None, named) => {
                    put_integer(&mut block, 0x40, 6, named.unwrap_or(0));
                    if named.is_none() {
                        put_text(&mut block, &field.0);
                    }
                    put_text(&mut block, &field.1);
                    self.table.add(field.clone());
                }
            }
        }
        block
    }
}

/// RFC 7541 section 5.1.
fn put_integer(block: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let most = (1_usize << bits) - 1;
    let low = |value: usize| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    if value < most {
        block.push(pattern | low(value));
        return;
    }
    block.push(pattern | low(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(low(rest % 0x80) | 0x80);
        rest /= 0x80;
    }
    block.push(low(rest));
}

fn put_text(block: &mut Vec<u8>, text: &str) {
    put_integer(block, 0, 7, text.len());
    block.extend_from_slice(text.as_bytes());
}

/// Why a header block could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not HPACK. The connection is of no more use.
    Malformed,
    /// The list is larger than allowed.
    TooLarge,
}

/// Turns header blocks into lists of fields; one for each connection.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
        }
    }

    /// The list of a block. Texts that are not UTF-8 are replaced.
    pub(super) fn decode(&mut self, block: &[u8], limit: usize) -> Result<Vec<Field>, Unreadable> {
        let mut input = Input { rest: block, limit };
        let mut fields = Vec::new();
        let mut size = 0;
        while let Some(first) = input.rest.first().copied() {
            let field = if first & 0x80 != 0 {
                let index = input.integer(7)?;
                self.table.get(index).ok_or(Unreadable::Malformed)?
            } else if first & 0xc0 == 0x40 {
                let field = self.literal(&mut input, 6)?;
                self.table.add(field.clone());
                field
            } else if first & 0xe0 == 0x20 {
                let most = input.integer(5)?;
                // Only before the first field, and no larger than what we allow.
                if !fields.is_empty() || most > TABLE_DEFAULT {
                    return Err(Unreadable::Malformed);
                }
                self.table.resize(most);
                continue;
            } else {
                self.literal(&mut input, 4)?
            };
            size += cost(&field);
            if size > limit {
                return Err(Unreadable::TooLarge);
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn literal(&self, input: &mut Input<'_>, bits: u32) -> Result<Field, Unreadable> {
        let name = match input.integer(bits)? {
            0 => input.text()?,
            index => self.table.get(index).ok_or(Unreadable::Malformed)?.0,
        };
        Ok((name, input.text()?))
    }
}

struct Input<'a> {
    rest: &'a [u8],
    limit: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.rest.split_first().ok_or(Unreadable::Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn integer(&mut self, bits: u32) -> Result<usize, Unreadable> {
        let most = (1_usize << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        // Four more bytes say more than any index or length here can be.
        for place in 0..4 {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Malformed)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        if length > self.rest.len() {
            return Err(Unreadable::Malformed);
        }
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        let decoded;
        let bytes = if coded {
            // The shortest code has 5 bits, so no text can be longer than this; one above the limit is told below.
            decoded =
                huffman::decode(bytes, bytes.len() * 8 / 5 + 1).ok_or(Unreadable::Malformed)?;
            &decoded
        } else {
            bytes
        };
        if bytes.len() > self.limit {
            return Err(Unreadable::TooLarge);
        }
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap();
        let byte = |pair: &[u8]| u8::try_from(value(pair[0]) * 16 + value(pair[1])).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// RFC 7541 C.3 and C.4: the same three requests, plain and Huffman-coded.
    #[test]
    fn the_requests_of_the_rfc_are_read() {
        let first = fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ]);
        let mut second = first.clone();
        second.extend(fields(&[("cache-control", "no-cache")]));
        let third = fields(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]);
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::new();
            for (block, list) in blocks.iter().zip([&first, &second, &third]) {
                assert_eq!(decoder.decode(&bytes(block), 4096).as_ref(), Ok(list));
            }
        }
    }

    #[test]
    fn a_copy_is_a_few_bytes_and_reads_the_same() {
        let list = fields(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/orders?x=1"),
            (":authority", "127.0.0.1:8443"),
            ("idempotency-key", "0b7cf0de-6f6d-4a5b-9a07-9d2f4ad7c111"),
            ("authorization", "Bearer of good news"),
        ]);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let (first, copy) = (encoder.encode(&list), encoder.encode(&list));
        assert_eq!(copy.len(), list.len());
        for block in [first, copy] {
            assert_eq!(decoder.decode(&block, 4096).as_ref(), Ok(&list));
        }
    }

    #[test]
    fn a_smaller_table_is_announced_and_kept_to() {
        let list = fields(&[("a", &"x".repeat(60)), ("b", &"y".repeat(60))]);
        for size in [0, 100, 4096] {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            encoder.encode(&[]);
            encoder.limit(size);
            for _ in 0..3 {
                let block = encoder.encode(&list);
                assert_eq!(decoder.decode(&block, 4096).as_ref(), Ok(&list), "{size}");
                assert!(encoder.table.size <= size);
                assert_eq!(encoder.table.entries, decoder.table.entries);
            }
        }
    }

    #[test]
    fn whole_numbers_of_the_rfc_are_written_and_read() {
        let mut block = Vec::new();
        put_integer(&mut block, 0, 5, 10);
        put_integer(&mut block, 0, 5, 1337);
        put_integer(&mut block, 0, 7, 127);
        assert_eq!(block, [10, 0x1f, 0x9a, 0x0a, 0x7f, 0]);
        let mut input = Input {
            rest: &block,
            limit: 0,
        };
        let read = [5, 5, 7].map(|bits| input.integer(bits));
        assert_eq!(read, [Ok(10), Ok(1337), Ok(127)]);
    }

    #[test]
    fn what_is_no_header_block_is_refused() {
        for (block, why) in [
            ("80", Unreadable::Malformed),             // index 0
            ("ff00", Unreadable::Malformed),           // an index that nothing has
            ("0085", Unreadable::Malformed),           // a text that is cut off
            ("40", Unreadable::Malformed),             // a name that is cut off
            ("ffffffffffffff", Unreadable::Malformed), // a number without end
            ("823fe21f", Unreadable::Malformed),       // a new size after a field
            ("3fe29f01", Unreadable::Malformed),       // a larger table than allowed
            ("82828282", Unreadable::TooLarge),
        ] {
            assert_eq!(
                Decoder::new().decode(&bytes(block), 100),
                Err(why),
                "{block}"
            );
        }
    }
}
