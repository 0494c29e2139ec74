//! The request of an attempt as a `curl` command that a shell takes as it
//! stands: what is secret, and what only the run knew, is a shell variable.

use crate::history::Redactor;
use crate::plan::{
    Auth, Body, Key, KeyPlace, Method, Operation, Overlay, Part, PartContent, PlannedScenario,
    Template,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// All but RFC 3986's unreserved characters are escaped in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What expressions stand for, as far as it is known after a run.
pub(super) struct Known<'a> {
    pub(super) marker: &'a str,
    pub(super) key: &'a str,
    pub(super) run: &'a str,
    pub(super) trial: u32,
}

/// A text with variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// The first attempt's request as a command.
pub(super) fn curl(
    scenario: &PlannedScenario,
    operation: &Operation,
    with: &Overlay,
    known: &Known<'_>,
    redactor: &Redactor,
) -> String {
    let request = &operation.request;
    let mut headers: Vec<(String, Vec<Piece>)> = Vec::new();
    for (name, value) in scenario
        .target
        .headers
        .iter()
        .chain(&request.headers)
        .chain(&with.headers)
    {
        let value = if redactor.hides_header(name) {
            vec![Piece::Variable(format!(
                "RETRIAL_{}",
                variable(name).to_uppercase()
            ))]
        } else {
            pieces(&value.0, known)
        };
        set(&mut headers, name, value);
    }
    let mut query: Vec<(String, Vec<Piece>)> = Vec::new();
    for (name, value) in request.query.iter().chain(&with.query) {
        set(&mut query, name, pieces(&value.0, known));
    }

    let mut data: Vec<Vec<Piece>> = Vec::new();
    match &request.body {
        Body::None => {}
        Body::Json(template) => {
            let mut value = template.0.clone();
            if let Some(overlay) = &with.json {
                merge(&mut value, &overlay.0);
            }
            redactor.json(&mut value);
            if let KeyPlace::Json(path) = &operation.key.place {
                put(
                    &mut value,
                    path,
                    Value::String(sent_key(&operation.key, known)),
                );
            }
            if !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                set(&mut headers, "Content-Type", text("application/json"));
            }
            let mut body = Vec::new();
            json(&value, known, &mut body);
            data.push(flag("--data-raw", body));
        }
        Body::Form(fields) => data.extend(
            fields
                .iter()
                .map(|(name, value)| flag("--data-urlencode", pair(name, "=", &value.0, known))),
        ),
        Body::Multipart(parts) => data.extend(parts.iter().map(|part| form(part, known))),
        Body::Text(template) => {
            if !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                // curl would call it a form.
                data.push(flag("-H", text("Content-Type:")));
            }
            data.push(flag("--data-raw", pieces(&template.0, known)));
        }
    }
    match &operation.key.place {
        KeyPlace::Header(name) => {
            set(&mut headers, name, text(&sent_key(&operation.key, known)));
        }
        KeyPlace::Query(name) => set(&mut query, name, text(&sent_key(&operation.key, known))),
        KeyPlace::Json(_) | KeyPlace::None => {}
    }

    let mut lines = vec![command(
        request.method,
        !data.is_empty(),
        url(scenario, operation, &query, known),
    )];
    let auth = with
        .auth
        .as_ref()
        .or(request.auth.as_ref())
        .or(scenario.target.auth.as_ref());
    lines.extend(auth.and_then(|auth| credentials(auth, known)));
    lines.extend(headers.into_iter().map(|(name, value)| {
        let mut line = text(&format!("{name}: "));
        line.extend(value);
        flag("-H", line)
    }));
    lines.extend(data);
    let lines: Vec<String> = lines.iter().map(|line| shell(line)).collect();
    redactor.text(&lines.join(" \\\n  ")).into_owned()
}

impl Known<'_> {
    /// The key that an operation was sent with, without the quotes of a
    /// structured field; empty where it has none. Until then `self.key` is the
    /// default key.
    pub(super) fn key_of(&self, operation: &Operation) -> String {
        if operation.key.place == KeyPlace::None {
            return String::new();
        }
        let Some(template) = &operation.key.value else {
            return self.key.to_owned();
        };
        pieces(&template.0, self)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Variable(name) => format!("${name}"),
            })
            .collect()
    }
}

fn sent_key(key: &Key, known: &Known<'_>) -> String {
    if key.quoted {
        format!("\"{}\"", known.key)
    } else {
        known.key.to_owned()
    }
}

fn command(method: Method, has_data: bool, url: Vec<Piece>) -> Vec<Piece> {
    let mut line = vec![raw("curl ")];
    match (method, has_data) {
        (Method::Get, false) => {}
        (Method::Head, false) => line.push(raw("--head ")),
        (method, _) => line.push(raw(&format!("-X {} ", method.word()))),
    }
    let globs = url
        .iter()
        .any(|piece| matches!(piece, Piece::Text(text) if text.contains(['[', ']', '{', '}'])));
    if globs {
        line.push(raw("--globoff "));
    }
    line.extend(url);
    line
}

fn url(
    scenario: &PlannedScenario,
    operation: &Operation,
    query: &[(String, Vec<Piece>)],
    known: &Known<'_>,
) -> Vec<Piece> {
    let path = operation.request.path.0.as_str();
    let whole = ["http://", "https://", "${{"]
        .iter()
        .any(|start| path.starts_with(start));
    let mut url = Vec::new();
    if !whole {
        let target = without_credentials(&scenario.target.url);
        url.extend(text(target.trim_end_matches('/')));
    }
    url.extend(pieces(path, known));
    let mut separator = if path.contains('?') { "&" } else { "?" };
    for (name, value) in query {
        let name = utf8_percent_encode(name, QUERY);
        url.push(Piece::Text(format!("{separator}{name}=")));
        url.extend(value.iter().map(|piece| match piece {
            Piece::Text(text) => Piece::Text(utf8_percent_encode(text, QUERY).to_string()),
            Piece::Variable(name) => Piece::Variable(name.clone()),
        }));
        separator = "&";
    }
    url
}

/// Whatever the templates of credentials render to is a secret, so a text that
/// is not one expression is not shown at all.
fn credentials(auth: &Auth, known: &Known<'_>) -> Option<Vec<Piece>> {
    let secret = |template: &Template, otherwise: &str| match pieces(&template.0, known).as_slice()
    {
        [Piece::Variable(name)] => Piece::Variable(name.clone()),
        _ => Piece::Variable(otherwise.to_owned()),
    };
    Some(match auth {
        Auth::None => return None,
        Auth::Bearer(token) => flag(
            "-H",
            vec![
                Piece::Text("Authorization: Bearer ".to_owned()),
                secret(token, "RETRIAL_TOKEN"),
            ],
        ),
        Auth::Basic { user, password } => flag(
            "--user",
            vec![
                secret(user, "RETRIAL_USER"),
                Piece::Text(":".to_owned()),
                secret(password, "RETRIAL_PASSWORD"),
            ],
        ),
        Auth::Header { name, value } => flag(
            "-H",
            vec![
                Piece::Text(format!("{name}: ")),
                secret(value, "RETRIAL_CREDENTIAL"),
            ],
        ),
    })
}

fn form(part: &Part, known: &Known<'_>) -> Vec<Piece> {
    let mut field = Vec::new();
    let plain = part.filename.is_none() && part.content_type.is_none();
    match &part.content {
        // A text that begins with @ or < would be taken for a file.
        PartContent::Text(template) if plain => {
            return flag("--form-string", pair(&part.name, "=", &template.0, known));
        }
        PartContent::Text(template) => field.extend(pair(&part.name, "=", &template.0, known)),
        PartContent::File(path) => field.extend(text(&format!("{}=@{path}", part.name))),
    }
    if let Some(name) = &part.filename {
        field.extend(text(&format!(";filename={name}")));
    }
    if let Some(content_type) = &part.content_type {
        field.extend(text(&format!(";type={content_type}")));
    }
    flag("--form", field)
}

/// A text as the shell takes it for one word; what starts with [`raw`] is the
/// command's own.
fn shell(pieces: &[Piece]) -> String {
    let mut line = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, line: &mut String| {
        if !word.is_empty() {
            line.push_str(&quoted(word));
            word.clear();
        }
    };
    for piece in pieces {
        match piece {
            Piece::Text(text) => match text.strip_prefix(RAW) {
                Some(own) => {
                    flush(&mut word, &mut line);
                    line.push_str(own);
                }
                None => word.push_str(text),
            },
            Piece::Variable(name) => {
                flush(&mut word, &mut line);
                line.push_str("\"$");
                line.push_str(name);
                line.push('"');
            }
        }
    }
    flush(&mut word, &mut line);
    line
}

/// A word as a POSIX shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let safe =
        |character: char| character.is_ascii_alphanumeric() || "_./:@%+=,-".contains(character);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Marks a piece that is the command's own and not quoted. No template can hold
/// it, for templates are made into pieces by [`text`] and [`pieces`].
const RAW: char = '\u{0}';

fn raw(own: &str) -> Piece {
    Piece::Text(format!("{RAW}{own}"))
}

fn flag(name: &str, value: Vec<Piece>) -> Vec<Piece> {
    let mut line = vec![raw(&format!("{name} "))];
    line.extend(value);
    line
}

fn text(text: &str) -> Vec<Piece> {
    vec![Piece::Text(text.replace(RAW, ""))]
}

fn pair(name: &str, between: &str, value: &str, known: &Known<'_>) -> Vec<Piece> {
    let mut pair = text(&format!("{name}{between}"));
    pair.extend(pieces(value, known));
    pair
}

/// A template as texts and variables.
fn pieces(template: &str, known: &Known<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("${{") {
        let Some(length) = expression_end(&rest[start + 3..]) else {
            break;
        };
        pieces.extend(text(&rest[..start]));
        pieces.push(expression(
            rest[start + 3..start + 3 + length].trim(),
            known,
        ));
        rest = &rest[start + 3 + length + 2..];
    }
    pieces.extend(text(rest));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

/// Where the closing braces stand, those inside quotes left out.
fn expression_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

fn expression(expression: &str, known: &Known<'_>) -> Piece {
    match expression {
        "marker" => Piece::Text(known.marker.to_owned()),
        "key" => Piece::Text(known.key.to_owned()),
        "attempt" => Piece::Text("1".to_owned()),
        "run" => Piece::Text(known.run.to_owned()),
        "trial" => Piece::Text(known.trial.to_string()),
        other => Piece::Variable(match other.strip_prefix("secrets.") {
            Some(name) => format!("RETRIAL_SECRET_{}", variable(name)),
            None => variable(other.strip_prefix("env.").unwrap_or(other)),
        }),
    }
}

/// The name of a shell variable for an expression.
fn variable(expression: &str) -> String {
    let words: Vec<&str> = expression
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let name = words.join("_");
    if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
        format!("_{name}")
    } else {
        name
    }
}

/// JSON with variables inside its strings. What a captured value is, number or
/// string, only the run knew: it is taken for a string.
fn json(value: &Value, known: &Known<'_>, into: &mut Vec<Piece>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => into.extend(text(&value.to_string())),
        Value::String(template) => {
            let inner = pieces(template, known);
            if template
                .trim_start_matches("${{")
                .trim_end_matches("}}")
                .trim()
                == "attempt"
            {
                into.extend(inner);
                return;
            }
            into.extend(text("\""));
            into.extend(inner.into_iter().map(|piece| match piece {
                Piece::Text(text) => {
                    let quoted = Value::String(text).to_string();
                    Piece::Text(quoted[1..quoted.len() - 1].to_owned())
                }
                Piece::Variable(name) => Piece::Variable(name),
            }));
            into.extend(text("\""));
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                into.extend(text(if position == 0 { "[" } else { "," }));
                json(item, known, into);
            }
            into.extend(text(if items.is_empty() { "[]" } else { "]" }));
        }
        Value::Object(members) => {
            for (position, (name, member)) in members.iter().enumerate() {
                into.extend(text(if position == 0 { "{" } else { "," }));
                json(&Value::String(name.clone()), known, into);
                into.extend(text(":"));
                json(member, known, into);
            }
            into.extend(text(if members.is_empty() { "{}" } else { "}" }));
        }
    }
}

/// Members are merged deeply, `null` removes, lists are replaced (RFC 7396).
fn merge(value: &mut Value, overlay: &Value) {
    let Value::Object(changes) = overlay else {
        *value = overlay.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(members) = value {
        for (name, change) in changes {
            if change.is_null() {
                members.shift_remove(name);
            } else {
                merge(members.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

/// Puts a value at a path of plain members: `$.a.b`.
fn put(value: &mut Value, path: &str, new: Value) {
    let mut at = value;
    for name in path
        .trim_start_matches('$')
        .split('.')
        .filter(|name| !name.is_empty())
    {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = &mut at[name];
    }
    *at = new;
}

/// Sets a value in place of one of the same name, without regard to case.
fn set(list: &mut Vec<(String, Vec<Piece>)>, name: &str, value: Vec<Piece>) {
    match list
        .iter_mut()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        Some(entry) => entry.1 = value,
        None => list.push((name.to_owned(), value)),
    }
}

/// A URL without `user:password@`.
pub(super) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::plan::JsonTemplate;
    use serde_json::json;

    const KNOWN: Known<'static> = Known {
        marker: "rt-1",
        key: "KEY",
        run: "run",
        trial: 3,
    };

    fn told(operation: &Operation, with: &Overlay, redactor: &Redactor) -> String {
        curl(&sample::scenario(), operation, with, &KNOWN, redactor)
    }

    fn template(text: &str) -> Template {
        Template(text.to_owned())
    }

    #[test]
    fn a_shell_reads_back_the_words_that_went_in() {
        for (word, shown) in [
            ("plain-1.0", "plain-1.0"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("$HOME `x` \\ \"", "'$HOME `x` \\ \"'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }

    #[test]
    fn an_overlay_changes_the_body_and_a_key_may_stand_in_it() {
        let mut operation = sample::operation();
        operation.key.place = KeyPlace::Json("$.meta.request_id".to_owned());
        let with = Overlay {
            json: Some(JsonTemplate(
                json!({ "sku": null, "note": { "n": "${{ attempt }}" } }),
            )),
            headers: vec![("X-Fault".to_owned(), template("after ${{ trial }}"))],
            query: vec![("mode".to_owned(), template("a&b"))],
            auth: Some(Auth::None),
        };
        insta::assert_snapshot!(told(&operation, &with, &Redactor::default()), @r#"
        curl -X POST 'http://127.0.0.1:8080/orders?mode=a%26b' \
          -H 'X-Fault: after 3' \
          -H 'Content-Type: application/json' \
          --data-raw '{"note":{"n":1},"reference":"rt-1","meta":{"request_id":"KEY"}}'
        "#);
    }

    #[test]
    fn credentials_and_hidden_headers_are_variables_and_secrets_are_hidden() {
        let mut operation = sample::operation();
        operation.request.method = Method::Put;
        operation.request.path = template("/orders/${{ order_id }}[0]");
        operation.request.headers = vec![
            ("Cookie".to_owned(), template("sid=literal")),
            ("X-Note".to_owned(), template("hunter22")),
        ];
        operation.request.auth = Some(Auth::Basic {
            user: template("${{ secrets.user }}"),
            password: template("literal-password"),
        });
        operation.request.body = Body::Form(vec![("a b".to_owned(), template("${{ key }} x"))]);
        operation.key.quoted = true;
        let redactor = Redactor::new([("pw".to_owned(), "hunter22".to_owned())], [], []);
        insta::assert_snapshot!(told(&operation, &Overlay::default(), &redactor), @r#"
        curl -X PUT --globoff http://127.0.0.1:8080/orders/"$order_id"'[0]' \
          --user "$RETRIAL_SECRET_user":"$RETRIAL_PASSWORD" \
          -H 'Cookie: '"$RETRIAL_COOKIE" \
          -H 'X-Note: [secret:pw]' \
          -H 'Idempotency-Key: "KEY"' \
          --data-urlencode 'a b=KEY x'
        "#);
    }

    #[test]
    fn files_and_plain_texts_are_sent_as_they_are() {
        let mut operation = sample::operation();
        operation.key.place = KeyPlace::None;
        operation.request.auth = Some(Auth::None);
        operation.request.body = Body::Multipart(vec![
            Part {
                name: "note".to_owned(),
                content: PartContent::Text(template("@not a file")),
                filename: None,
                content_type: None,
            },
            Part {
                name: "scan".to_owned(),
                content: PartContent::File("files/a.png".to_owned()),
                filename: Some("b.png".to_owned()),
                content_type: Some("image/png".to_owned()),
            },
        ]);
        insta::assert_snapshot!(told(&operation, &Overlay::default(), &Redactor::default()), @r"
        curl -X POST http://127.0.0.1:8080/orders \
          --form-string 'note=@not a file' \
          --form 'scan=@files/a.png;filename=b.png;type=image/png'
        ");
        operation.request.body = Body::Text(template("<x>${{ '}}' | upper }}</x>"));
        insta::assert_snapshot!(told(&operation, &Overlay::default(), &Redactor::default()), @r#"
        curl -X POST http://127.0.0.1:8080/orders \
          -H Content-Type: \
          --data-raw '<x>'"$upper"'</x>'
        "#);
    }
}
