//! Takes secrets out of captured traffic, before anything is recorded.
//!
//! One redactor serves every output: what it hides at capture can be in no file
//! and no report. It works on what the target said and on what was sent to it,
//! never on our own words: a redactor that guesses eats the evidence, so it
//! knows values, header names and JSONPaths, and nothing else. It must not know
//! where secrets come from.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_json_path::JsonPath;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Values with fewer characters are not hidden: they would be found inside
/// innocent words, and the evidence with them.
pub const SHORTEST: usize = 6;

/// Headers whose values are credentials whatever the scenario says.
const CREDENTIALS: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
];

/// What stands in the place of a value that is hidden for its header or path.
const HIDDEN: &str = "[hidden]";

/// What every URL encoder escapes, however lenient.
const LENIENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?');

/// What RFC 3986 leaves alone: all but the unreserved characters are escaped.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same for `application/x-www-form-urlencoded` and for what JavaScript
/// calls a URI component, which leave some more.
const FORM: &AsciiSet = &COMPONENT.remove(b'*');
const SCRIPT: &AsciiSet = &COMPONENT
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// Replaces secrets in captured traffic by `[secret:NAME]`.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    secrets: Vec<(String, String)>,
    headers: Vec<String>,
    paths: Vec<JsonPath>,
    search: Option<Search>,
}

/// All forms of all secrets, searched for at once.
#[derive(Debug, Clone)]
struct Search {
    forms: AhoCorasick,
    /// What a form is replaced by, in the order of the forms.
    replacements: Vec<String>,
    /// Bytes of the longest form.
    longest: usize,
}

impl Redactor {
    /// A redactor for these secrets (name and value; a pair `user:password` that
    /// is sent as Basic credentials is one more value under the password's
    /// name), these headers, whose values are hidden whole, and these JSONPaths,
    /// whose nodes are.
    pub fn new(
        secrets: impl IntoIterator<Item = (String, String)>,
        headers: impl IntoIterator<Item = String>,
        paths: impl IntoIterator<Item = JsonPath>,
    ) -> Self {
        let mut redactor = Self {
            secrets: secrets.into_iter().collect(),
            headers: headers
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            paths: paths.into_iter().collect(),
            search: None,
        };
        redactor.search = Search::new(&redactor.secrets);
        redactor
    }

    /// This redactor and some more secrets: those that a trial captured.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut redactor = self.clone();
        let known = redactor.secrets.len();
        for secret in more {
            if !redactor.secrets.contains(&secret) {
                redactor.secrets.push(secret);
            }
        }
        if redactor.secrets.len() > known {
            redactor.search = Search::new(&redactor.secrets);
        }
        redactor
    }

    /// Names of the secrets that are too short to be hidden, for the warning
    /// `short-secret`. An empty value hides nothing and is not worth a warning.
    pub fn too_short(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .secrets
            .iter()
            .filter(|(_, value)| !value.is_empty() && !is_hidden(value))
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The text without the secrets in it.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.search {
            Some(search) if search.forms.is_match(text) => {
                Cow::Owned(search.forms.replace_all(text, &search.replacements))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Whether the values of this header are hidden whole.
    pub fn hides_header(&self, name: &str) -> bool {
        CREDENTIALS
            .iter()
            .any(|hidden| name.eq_ignore_ascii_case(hidden))
            || self
                .headers
                .iter()
                .any(|hidden| name.eq_ignore_ascii_case(hidden))
    }

    /// The value of a header, to be recorded.
    pub fn header<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.hides_header(name) {
            Cow::Borrowed(HIDDEN)
        } else {
            self.text(value)
        }
    }

    /// Hides the nodes that the JSONPaths select, and secrets in strings and in
    /// names of members.
    pub fn json(&self, value: &mut Value) {
        self.hide_paths(value);
        self.hide_in_strings(value);
    }

    /// The first `cap` bytes of a body as text, to be recorded. Secrets are
    /// hidden before the cut, so that none is cut in two. Where paths are hidden
    /// and what came is JSON that does not parse (it was cut, for instance),
    /// nothing is kept, for nobody can say where they are in it.
    pub fn body(&self, bytes: &[u8], cap: usize) -> String {
        if !self.paths.is_empty() && looks_like_json(bytes) {
            let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
                return "[not kept: fields of it are to be hidden, and it does not parse]"
                    .to_owned();
            };
            if self.hide_paths(&mut value) {
                return self.beginning(&value.to_string(), cap);
            }
        }
        let margin = self.search.as_ref().map_or(0, |search| search.longest);
        let enough = bytes.len().min(cap.saturating_add(margin));
        self.beginning(&String::from_utf8_lossy(&bytes[..enough]), cap)
    }

    /// The first `cap` bytes of a text without secrets. Only what stands before
    /// the cap in the text itself is used: a text that shrinks would otherwise
    /// pull in its end, where a secret may be cut.
    fn beginning(&self, text: &str, cap: usize) -> String {
        let mut kept = String::new();
        let mut at = 0;
        if let Some(search) = &self.search {
            for found in search.forms.find_iter(text) {
                if found.start() >= cap {
                    break;
                }
                kept.push_str(&text[at..found.start()]);
                kept.push_str(&search.replacements[found.pattern().as_usize()]);
                at = found.end();
            }
        }
        kept.push_str(
            text[at..]
                .get(..text.floor_char_boundary(cap).saturating_sub(at))
                .unwrap_or_default(),
        );
        kept.truncate(kept.floor_char_boundary(cap));
        kept
    }

    /// The value of an identity field, to be recorded and compared: what is
    /// secret in it is replaced by a digest, so that two differing values still
    /// differ. `path` is the header or the JSONPath that it was found by.
    pub fn identity(&self, header: Option<&str>, value: &str) -> String {
        let secret = header.is_some_and(|name| self.hides_header(name))
            || matches!(self.text(value), Cow::Owned(_));
        if secret {
            digest(value)
        } else {
            value.to_owned()
        }
    }

    /// The same for a node found in a body: `node` is hidden if a hidden
    /// JSONPath selects it in `body`.
    pub fn identity_in(&self, body: &Value, node: &Value, value: &str) -> String {
        let hidden = self.paths.iter().any(|path| {
            path.query(body)
                .iter()
                .any(|found| std::ptr::eq(*found, node))
        });
        if hidden {
            digest(value)
        } else {
            self.identity(None, value)
        }
    }

    /// Whether a path selected anything.
    fn hide_paths(&self, value: &mut Value) -> bool {
        let pointers: Vec<String> = self
            .paths
            .iter()
            .flat_map(|path| path.query_located(value))
            .map(|node| node.location().to_json_pointer())
            .collect();
        for pointer in &pointers {
            // A node inside a node that is hidden already is gone.
            if let Some(node) = value.pointer_mut(pointer) {
                *node = Value::String(HIDDEN.to_owned());
            }
        }
        !pointers.is_empty()
    }

    fn hide_in_strings(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            // A secret may be all digits, and then JSON may hold it as a number.
            Value::Number(number) => {
                if let Cow::Owned(hidden) = self.text(&number.to_string()) {
                    *value = Value::String(hidden);
                }
            }
            Value::String(text) => {
                if let Cow::Owned(hidden) = self.text(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in_strings(item)),
            Value::Object(members) => {
                let renamed = members
                    .keys()
                    .any(|name| matches!(self.text(name), Cow::Owned(_)));
                if renamed {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(name, member)| (self.text(&name).into_owned(), member))
                        .collect();
                }
                members
                    .values_mut()
                    .for_each(|member| self.hide_in_strings(member));
            }
        }
    }
}

impl Search {
    /// `None` where there is nothing to search for.
    fn new(secrets: &[(String, String)]) -> Option<Self> {
        // One form of two secrets belongs to the first of them.
        let mut by_form: BTreeMap<String, &str> = BTreeMap::new();
        for (name, value) in secrets.iter().filter(|(_, value)| is_hidden(value)) {
            for form in forms(value) {
                by_form.entry(form).or_insert(name);
            }
        }
        let longest = by_form.keys().map(String::len).max()?;
        let forms = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(by_form.keys())
            .expect("a few kilobytes of patterns are below the limits of the automaton");
        Some(Self {
            forms,
            replacements: by_form
                .values()
                .map(|name| format!("[secret:{name}]"))
                .collect(),
            longest,
        })
    }
}

fn is_hidden(value: &str) -> bool {
    value.chars().count() >= SHORTEST
}

/// Every form in which a value may travel.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    for encoding in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(encoding.encode(value));
    }
    for offset in 0..3 {
        let core = base64_core(value.as_bytes(), offset);
        forms.push(core.replace('+', "-").replace('/', "_"));
        forms.push(core);
    }
    for set in [LENIENT, COMPONENT, FORM, SCRIPT, NON_ALPHANUMERIC] {
        let encoded = utf8_percent_encode(value, set).to_string();
        forms.push(encoded.replace("%20", "+"));
        forms.push(lower_escapes(&encoded));
        forms.push(encoded);
    }
    let json = json_escaped(value);
    for escaped in [json.replace('/', "\\/"), ascii_escaped(&json), json] {
        // JSON is often told inside JSON: the body of a request in an error, for
        // instance.
        forms.push(json_escaped(&escaped));
        forms.push(escaped);
    }
    forms.push(
        value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
    );
    // Escaping only adds characters, but the core of a base64 text is shorter.
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The characters of a base64 text that follow from the value alone where it
/// begins `offset` bytes after a group of three: what a value is inside a longer
/// text that was encoded whole. At both ends a character that holds bits of the
/// neighbours is left out.
fn base64_core(value: &[u8], offset: usize) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let first = (offset * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    STANDARD_NO_PAD.encode(&bytes)[first..last].to_owned()
}

/// Percent escapes with small letters: `%3d` for `%3D`.
fn lower_escapes(encoded: &str) -> String {
    let mut lower = String::with_capacity(encoded.len());
    let mut digits = 0;
    for character in encoded.chars() {
        if digits > 0 {
            digits -= 1;
            lower.push(character.to_ascii_lowercase());
        } else {
            if character == '%' {
                digits = 2;
            }
            lower.push(character);
        }
    }
    lower
}

/// The value inside a JSON string, without its quotes.
fn json_escaped(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same as writers of pure ASCII put it: `\u00e9` for `é`.
fn ascii_escaped(json: &str) -> String {
    use std::fmt::Write as _;
    json.chars().fold(String::new(), |mut text, character| {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    })
}

fn looks_like_json(bytes: &[u8]) -> bool {
    matches!(
        bytes.iter().find(|byte| !byte.is_ascii_whitespace()),
        Some(b'{' | b'[')
    )
}

fn digest(value: &str) -> String {
    let sha = Sha256::digest(value.as_bytes());
    let start = u64::from_be_bytes(sha[..8].try_into().expect("SHA-256 has 32 bytes"));
    format!("[hidden:{start:016x}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "s3cr\"et/+ é&=?";

    fn redactor(value: &str) -> Redactor {
        Redactor::new([("token".to_owned(), value.to_owned())], [], [])
    }

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap()
    }

    #[test]
    fn no_form_of_a_secret_is_left() {
        let redactor = redactor(SECRET);
        let encoded = STANDARD.encode(SECRET);
        for text in [
            SECRET.to_owned(),
            json!({ "a": SECRET }).to_string(),
            json!({ "a": SECRET }).to_string().replace('/', "\\/"),
            json!({ "a": SECRET }).to_string().replace('é', "\\u00e9"),
            json!({ "told": json!({ "a": SECRET }).to_string() }).to_string(),
            format!(
                "/search?q={}",
                utf8_percent_encode(SECRET, NON_ALPHANUMERIC)
            ),
            format!(
                "q={}",
                utf8_percent_encode(SECRET, COMPONENT)
                    .to_string()
                    .to_lowercase()
            ),
            format!("Bearer {encoded}"),
            format!("Bearer {}", URL_SAFE_NO_PAD.encode(SECRET)),
            "<p>s3cr&quot;et/+ é&amp;=?</p>".to_owned(),
        ] {
            let hidden = redactor.text(&text);
            assert!(hidden.contains("[secret:token]"), "{text} -> {hidden}");
            assert!(!hidden.contains("s3cr"), "{text} -> {hidden}");
            assert!(!hidden.contains(&encoded[..12]), "{text} -> {hidden}");
        }
    }

    #[test]
    fn a_secret_inside_a_longer_base64_text_is_hidden_at_every_alignment() {
        let redactor = redactor("hunter22");
        for before in ["", "u", "us", "user:", "user:x", "user:xy"] {
            for after in ["", ".", "..", "...and so on"] {
                let blob = STANDARD.encode(format!("{before}hunter22{after}"));
                let hidden = redactor.text(&blob);
                assert!(
                    hidden.contains("[secret:token]"),
                    "{before}|{after}: {hidden}"
                );
                // At most a character at either end holds some of its bits.
                let left = hidden.replace("[secret:token]", "");
                let spare = STANDARD.encode(format!("{before}{after}")).len();
                assert!(left.len() <= spare + 4, "{before}|{after}: {hidden}");
            }
        }
    }

    #[test]
    fn a_short_secret_is_told_and_not_hidden() {
        let redactor = Redactor::new(
            [
                ("pin".to_owned(), "sse".to_owned()),
                ("empty".to_owned(), String::new()),
                ("token".to_owned(), "abcdef".to_owned()),
            ],
            [],
            [],
        );
        assert_eq!(
            redactor.text("passed, sse abcdef"),
            "passed, sse [secret:token]"
        );
        assert_eq!(redactor.too_short(), ["pin"]);
    }

    #[test]
    fn the_longer_of_two_secrets_wins_where_both_begin() {
        let redactor = Redactor::new(
            [
                ("short".to_owned(), "abcdef".to_owned()),
                ("long".to_owned(), "abcdefgh".to_owned()),
            ],
            [],
            [],
        );
        assert_eq!(
            redactor.text("abcdefgh abcdefx"),
            "[secret:long] [secret:short]x"
        );
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        assert!(matches!(
            redactor("abcdef").text("nothing here"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(
            Redactor::default().text("abcdef"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn a_captured_secret_is_hidden_like_the_others() {
        let before = redactor("abcdef");
        let after = before.and([("session".to_owned(), "uvwxyz".to_owned())]);
        assert_eq!(before.text("uvwxyz"), "uvwxyz");
        assert_eq!(
            after.text("abcdef uvwxyz"),
            "[secret:token] [secret:session]"
        );
    }

    #[test]
    fn credentials_and_listed_headers_are_hidden_whole() {
        let redactor = Redactor::new([], ["X-Customer-Email".to_owned()], []);
        assert_eq!(redactor.header("x-customer-email", "a@b"), "[hidden]");
        assert_eq!(redactor.header("Set-Cookie", "sid=1"), "[hidden]");
        assert_eq!(redactor.header("Location", "/orders/1"), "/orders/1");
    }

    #[test]
    fn listed_nodes_are_hidden_in_a_body_and_nothing_is_kept_of_a_cut_one() {
        let redactor = Redactor::new([], [], [path("$..card_number")]);
        let body = br#"{"id":1,"card":{"card_number":"4111"}}"#;
        assert_eq!(
            redactor.body(body, 4096),
            r#"{"id":1,"card":{"card_number":"[hidden]"}}"#
        );
        assert!(!redactor.body(&body[..30], 4096).contains("card"));
        assert_eq!(redactor.body(b"{\"id\": 1}", 4096), "{\"id\": 1}");
        assert_eq!(redactor.body(b"not json", 4096), "not json");
    }

    #[test]
    fn a_secret_across_the_cap_is_hidden_before_the_cut() {
        let kept = redactor("abcdefgh").body(b"xxxxabcdefgh", 8);
        assert_eq!(kept, "xxxx[sec");
        assert_eq!(redactor("abcdefgh").body("ää".as_bytes(), 3), "ä");
        // Texts that shrink must not pull in the cut end of what was looked at.
        let long = "x".repeat(40);
        let kept = redactor(&long).body(long.repeat(9).as_bytes(), 100);
        assert_eq!(kept, "[secret:token]".repeat(3));
    }

    #[test]
    fn a_json_value_loses_secrets_in_strings_numbers_and_names() {
        let redactor = redactor("12345678");
        let mut value = json!({ "12345678": [12_345_678, "x12345678"], "n": 1 });
        redactor.json(&mut value);
        assert_eq!(
            value,
            json!({ "[secret:token]": ["[secret:token]", "x[secret:token]"], "n": 1 })
        );
    }

    #[test]
    fn hidden_identities_still_differ() {
        let redactor = Redactor::new([], ["x-id".to_owned()], [path("$.id")]);
        let body = json!({ "id": "a", "other": "a" });
        let hidden = redactor.identity_in(&body, &body["id"], "a");
        assert!(hidden.starts_with("[hidden:"), "{hidden}");
        assert_ne!(hidden, redactor.identity_in(&body, &body["id"], "b"));
        assert_eq!(redactor.identity_in(&body, &body["other"], "a"), "a");
        assert!(redactor.identity(Some("X-Id"), "a").starts_with("[hidden:"));
        assert_eq!(redactor.identity(Some("Location"), "/a"), "/a");
    }
}
