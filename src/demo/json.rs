//! JSON beyond parsing: the canonical text of a value, and (for a flaw) the
//! guess at what a body that ends early was going to say.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of a value that does not depend on member order, white space or
/// how a number was spelt (the idea of RFC 8785, for our own use only).
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    append(value, &mut text);
    text
}

fn append(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (position, (name, member)) in sorted.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                append(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                append(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => match number.as_f64() {
            // Whole numbers read the same as `1`, `1.0` and `1e0`. Integers
            // keep their own digits: a double would merge large ones.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                write!(text, "{float:.0}").expect("writing to a text cannot fail");
            }
            _ => text.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

/// How many bytes of a broken end the guess gives up before it gives up
/// itself.
const CRUMBS: usize = 256;

/// The value that a text would hold if what was opened were closed where it
/// ends: missing quotes and brackets are added, a member without a value is
/// dropped. Some "partial JSON" parsers made for streams do this.
pub(super) fn close_what_is_open(bytes: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(bytes);
    let ends = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .rev()
        .take(CRUMBS);
    ends.map(|end| &text[..end])
        .find_map(|kept| serde_json::from_str(&format!("{kept}{}", closers(kept))).ok())
}

/// The quote and brackets that are open at the end of the text.
fn closers(text: &str) -> String {
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' if !in_string => open.push('}'),
            '[' if !in_string => open.push(']'),
            '}' | ']' if !in_string => {
                open.pop();
            }
            _ => {}
        }
    }
    let quote = in_string.then_some('"');
    quote.into_iter().chain(open.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn same(one: &str, other: &str) -> bool {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        canonical(&parse(one)) == canonical(&parse(other))
    }

    #[test]
    fn member_order_white_space_and_spelling_do_not_matter() {
        assert!(same(
            r#"{"a":1,"b":[1,2]}"#,
            "{ \"b\": [1.0, 2e0],\n\"a\": 1 }"
        ));
        assert!(same(r#""\u00e9""#, "\"é\""));
    }

    #[test]
    fn meaning_matters() {
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":null}"#, "{}"),
            (r#""1""#, "1"),
            ("9007199254740993", "9007199254740992"),
            ("1.5", "1.25"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_cut_text_is_closed_where_it_ends() {
        let whole = br#"{"sku":"A","quantity":1,"reference":"r-1"}"#;
        let cut = |end: usize| close_what_is_open(&whole[..end]);
        assert_eq!(
            cut(whole.len() - 1),
            Some(json!({"sku": "A", "quantity": 1, "reference": "r-1"}))
        );
        assert_eq!(
            cut(whole.len() - 3),
            Some(json!({"sku": "A", "quantity": 1, "reference": "r-"}))
        );
        assert_eq!(cut(15), Some(json!({"sku": "A"})));
        assert_eq!(cut(1), Some(json!({})));
        assert_eq!(cut(0), None);
    }
}
