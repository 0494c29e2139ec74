use super::*;
use proptest::prelude::*;
use std::fmt::Write;

fn read_text(text: &str) -> (Option<Node>, Vec<Diagnostic>, Files) {
    let mut files = Files::default();
    let file = files.add("a.yaml", text);
    let mut out = Vec::new();
    let node = read(&files, file, &mut out);
    (node, out, files)
}

fn node(text: &str) -> (Node, Files) {
    let (node, out, files) = read_text(text);
    assert_eq!(out, [], "{text}");
    (node.unwrap(), files)
}

fn json(text: &str) -> serde_json::Value {
    node(text).0.json()
}

/// The codes, each with the text that it points at.
fn said(text: &str) -> Vec<(&'static str, String)> {
    let (_, out, files) = read_text(text);
    out.iter()
        .map(|diagnostic| {
            let span = diagnostic.primary.as_ref().unwrap().span;
            (diagnostic.code, files.slice(span).to_owned())
        })
        .collect()
}

#[test]
fn only_the_core_schema_makes_types() {
    assert_eq!(
        json(
            "[no, on, yes, true, ~, null, 1, -1, +1, 0o17, 0x1F, 1.5, 1e3, .5, '1', 1_000, 0b1, 12:30, 007]"
        ),
        serde_json::json!([
            "no", "on", "yes", true, null, null, 1, -1, 1, 15, 31, 1.5, 1000.0, 0.5, "1", "1_000",
            "0b1", "12:30", 7
        ])
    );
}

#[test]
fn spans_are_exact_in_every_style() {
    let text = "é: plain # x\nb: 'a ${{ n }}'\nc: |\n  one\n  two ${{ n }}\nd: {e: [1, \"q\"]}\n";
    let (node, files) = node(text);
    let slice = |node: &Node| files.slice(node.span).to_owned();
    assert_eq!(slice(node.field("é").unwrap()), "plain");
    assert_eq!(slice(node.field("b").unwrap()), "'a ${{ n }}'");
    assert_eq!(slice(node.field("d").unwrap()), "{e: [1, \"q\"]}");
    for name in ["b", "c"] {
        let value = node.field(name).unwrap();
        let scalar = value.scalar().unwrap();
        let at = scalar.text.find("n }}").unwrap();
        let span = scalar.locate(&files, value.span, at..at + 1);
        assert_eq!(files.slice(span), "n");
        assert_eq!(files.column(span.file, span.start), 11);
        assert_eq!(
            files.line(span.file, span.start),
            if name == "b" { 2 } else { 5 }
        );
    }
}

#[test]
fn a_map_begins_at_its_first_field_and_ends_with_its_last_value() {
    let (node, files) = node("a:\n  b: 1\n  c: 2\n\n# end\nd: 3\n");
    assert_eq!(files.slice(node.field("a").unwrap().span), "b: 1\n  c: 2");
}

#[test]
fn crlf_and_bytes_beyond_ascii_do_not_move_spans() {
    let (node, files) = node("a: ü😀\r\nb: x\r\n");
    assert_eq!(files.slice(node.field("b").unwrap().span), "x");
    assert_eq!(files.slice(node.field("a").unwrap().span), "ü😀");
}

#[test]
fn merge_keys_fill_in_what_the_map_does_not_say() {
    assert_eq!(
        json("x_a: &a {p: 1, q: 2}\nx_b: &b {q: 3, r: 4}\nc:\n  <<: [*a, *b]\n  p: 9\n")["c"],
        serde_json::json!({"p": 9, "q": 2, "r": 4})
    );
}

#[test]
fn a_field_given_twice_names_both_places() {
    let (_, out, files) = read_text("a: 1\nb: 2\na: 3\n");
    assert_eq!(out[0].code, "duplicate-field");
    let line =
        |label: &super::super::diagnostic::Label| files.line(label.span.file, label.span.start);
    assert_eq!(line(out[0].primary.as_ref().unwrap()), 3);
    assert_eq!(line(&out[0].secondary[0]), 1);
}

#[test]
fn integers_that_do_not_fit_are_errors() {
    assert_eq!(
        said("a: 123456789012345678901234567890\n"),
        [("invalid-value", "123456789012345678901234567890".to_owned())]
    );
    assert_eq!(
        json("[18446744073709551615, -9223372036854775808]")[0],
        u64::MAX
    );
}

#[test]
fn aliases_are_counted_before_they_are_followed() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    assert_eq!(said(&bomb)[0].0, "too-many-nodes");
}

#[test]
fn depth_has_a_limit_however_it_comes_about() {
    for text in [
        "[".repeat(100_000),
        format!("{}{}", "[".repeat(65), "]".repeat(65)),
        format!(
            "a: &a {}1{}\nb: {}*a{}",
            "[".repeat(40),
            "]".repeat(40),
            "[".repeat(40),
            "]".repeat(40)
        ),
    ] {
        assert_eq!(said(&text)[0].0, "too-deep");
    }
    assert!(said(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_empty());
}

#[test]
fn an_alias_inside_its_own_anchor_is_an_error() {
    assert!(!said("a: &a [1, *a]\n").is_empty());
}

#[test]
fn the_usual_mistakes_get_their_own_words() {
    let one = |text: &str| said(text).remove(0);
    assert_eq!(
        one("a:\n  json: { sku: ABC, qty: ${{ n }} }\n"),
        ("unquoted-braces", "${{ n }}".to_owned())
    );
    assert_eq!(
        one("a: [x, rt-${{ n }}/${{ m }}, y]\n"),
        ("unquoted-braces", "rt-${{ n }}/${{ m }}".to_owned())
    );
    assert_eq!(one("a:\n\tb: 1\n"), ("tab-indent", "\t".to_owned()));
    assert_eq!(
        one("operation:\n  request:POST /orders\n  json:\n    a: 1\n"),
        ("invalid-yaml", ":".to_owned())
    );
    assert_eq!(one("a: b: c\n"), ("invalid-yaml", ":".to_owned()));
    assert_eq!(
        one("a:\n    b: 1\n  c: 2\n"),
        ("invalid-yaml", "c: 2".to_owned())
    );
    assert_eq!(one("a: 1\n---\nb: 2\n").0, "invalid-yaml");
    assert_eq!(one("a: !include x.yaml\n").0, "invalid-yaml");
    assert_eq!(one("a: 'x\n").0, "invalid-yaml");
}

#[test]
fn a_mistake_that_can_be_undone_does_not_hide_the_others() {
    let (node, out, _) = read_text("a: {n: ${{ n }}}\nb: 1\nb: 2\n");
    let codes: Vec<_> = out.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, ["unquoted-braces", "duplicate-field"]);
    assert!(node.is_some());
}

#[test]
fn an_empty_file_is_told_apart() {
    for text in ["", "\n\n", "# only a comment\n"] {
        assert_eq!(said(text)[0].0, "empty-file");
    }
}

fn arbitrary_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9f64).prop_map(Into::into),
        "[ -~]{0,12}".prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        prop::sample::select(vec![
            "no",
            "yes",
            "~",
            "null",
            "true",
            "1",
            "1.5",
            "0x1",
            "${{ a }}",
            "- x",
            "a: b",
            "#x",
            "|\n x",
            "two\nlines\n",
            "\ttab",
            " lead",
            "trail ",
            "'q'",
            "\"d\"",
            "é😀",
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            prop::collection::vec(("[a-z ]{1,6}|\\PC{1,4}", inner), 0..5).prop_map(|members| {
                serde_json::Value::Object(
                    members
                        .into_iter()
                        .filter(|(name, _)| name != "<<")
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_the_writer_writes_reads_back_equal(value in arbitrary_value()) {
        let text = serde_yaml::to_string(&value).unwrap();
        // The writer breaks lines at these two as YAML 1.1 does, and indents what
        // follows; to YAML 1.2, which is what we read, they are letters.
        prop_assume!(!text.contains(['\u{2028}', '\u{2029}']));
        let (node, out, _) = read_text(&text);
        prop_assert_eq!(&out, &[], "{}", text);
        prop_assert_eq!(node.unwrap().json(), value, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-c:\\-\\[\\]{}'\"&*!|>%@`,#\\n\\t ${}é]{0,60}") {
        let (node, out, files) = read_text(&text);
        prop_assert!(node.is_some() || !out.is_empty());
        for diagnostic in &out {
            super::super::diagnostic::render(&files, diagnostic, super::super::diagnostic::Style::default());
        }
    }
}
