//! The scenario language through its public door: the gallery of the
//! documentation, the error messages word for word, and hostile files.

use retrial::scenario::diagnostic::{Files, Style, probe_span};
use retrial::scenario::{
    Diagnostic, Diagnostics, Loaded, SchemaKind, Settings, SourceFile, Sources, load, schema, uses,
};
use std::collections::BTreeMap;

fn file(name: &str, text: impl AsRef<[u8]>) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text: Ok(text.as_ref().to_vec()),
    }
}

fn sources(files: &[(&str, &str)]) -> Sources {
    Sources {
        scenarios: files.iter().map(|(name, text)| file(name, text)).collect(),
        ..Sources::default()
    }
}

fn ok(sources: &Sources) -> Loaded {
    load(sources).unwrap_or_else(|said| panic!("{}", said.render(Style::default())))
}

fn wrong(sources: &Sources) -> Diagnostics {
    load(sources).expect_err("the files are wrong")
}

/// Everything that is said about one file, as on a terminal without colour.
fn said(text: &str) -> String {
    match load(&sources(&[("scenarios/a.yaml", text)])) {
        Ok(loaded) => loaded.warnings.render(Style::default()),
        Err(said) => said.render(Style::default()),
    }
}

fn codes(diagnostics: &Diagnostics) -> Vec<&'static str> {
    diagnostics.list.iter().map(|said| said.code).collect()
}

const FIRST: &str = include_str!("language/first.yaml");
const GALLERY: [(&str, &str); 7] = [
    ("checkout", include_str!("language/checkout.yaml")),
    ("psp-webhook", include_str!("language/psp-webhook.yaml")),
    (
        "invoice-consumer",
        include_str!("language/invoice-consumer.yaml"),
    ),
    (
        "address-put-delete",
        include_str!("language/address-put-delete.yaml"),
    ),
    ("key-retention", include_str!("language/key-retention.yaml")),
    (
        "partial-effects",
        include_str!("language/partial-effects.yaml"),
    ),
    (
        "behind-a-retrying-gateway",
        include_str!("language/behind-a-retrying-gateway.yaml"),
    ),
];

#[test]
fn the_first_scenario_means_what_it_says() {
    let loaded = ok(&sources(&[("scenarios/first.yaml", FIRST)]));
    assert!(loaded.warnings.is_empty());
    insta::assert_debug_snapshot!("first_scenario", loaded.scenarios[0]);
}

#[test]
fn the_gallery_loads_or_is_known_and_not_built() {
    for (name, text) in GALLERY {
        let mut given = sources(&[(name, text)]);
        given.project = Some(file("retrial.yaml", "auth:\n  shop_api: { bearer: x }\n"));
        given.used.insert(
            "common/auth.yaml".to_owned(),
            file("common/auth.yaml", "x_a: 1\n"),
        );
        let said = match load(&given) {
            Ok(loaded) => loaded.warnings,
            Err(said) => said,
        };
        let others: Vec<_> = codes(&said)
            .into_iter()
            .filter(|code| !matches!(*code, "not-supported-yet" | "unset-environment-variable"))
            .collect();
        assert!(
            others.is_empty(),
            "{name}: {}",
            said.render(Style::default())
        );
        assert!(said.errors() > 0, "{name} uses something that is not built");
    }
}

#[test]
fn the_project_file_of_the_gallery_is_known_and_not_built() {
    let mut given = sources(&[("a.yaml", FIRST)]);
    given.project = Some(file("retrial.yaml", include_str!("language/project.yaml")));
    given.settings.environment = Some("staging".to_owned());
    let said = wrong(&given);
    insta::assert_snapshot!("gallery_project", said.render(Style::default()));
}

fn first_with(change: impl FnOnce(String) -> String) -> String {
    // The documentation numbers the lines without the comment for the editor.
    change(
        FIRST
            .lines()
            .skip(1)
            .fold(String::new(), |text, line| text + line + "\n"),
    )
}

#[test]
fn e1_a_misspelt_field() {
    let text = first_with(|text| text.replace("operation:", "patern: [replay, burst]\noperation:"));
    insta::assert_snapshot!("e1", said(&text));
}

#[test]
fn e2_a_pattern_from_another_tool() {
    let text = first_with(|text| text + "patterns:\n  - duplicate: 5\n");
    insta::assert_snapshot!("e2", said(&text));
}

#[test]
fn e3_an_undefined_value() {
    let text = "\
scenario: checkout
target: http://localhost:8080
setup:
  - request: POST /customers
    json: { email: \"${{ marker }}\" }
    capture:
      customer_id: $.id
      session: { json: $.session_token, secret: true }
operations:
  order:
    request: POST /orders
    json:
      reference: ${{ marker }}
    capture:
      orderid: $.id
  payment:
    request: POST /orders/${{ order_id }}/payments
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
";
    insta::assert_snapshot!("e3", said(text));
}

#[test]
fn e4_an_effect_that_cannot_tell_trials_apart() {
    let text = first_with(|text| text.replace("/orders?reference=${{ marker }}", "/orders"));
    insta::assert_snapshot!("e4", said(&text));
}

#[test]
fn e5_an_expression_inside_braces() {
    let text = "\
scenario: create-order
target: http://localhost:8080
vars: { n: 1 }
operation:
  request: POST /orders
  json: { sku: ABC, qty: ${{ n }} }
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
";
    insta::assert_snapshot!("e5", said(text));
}

#[test]
fn e6_two_errors_in_two_files() {
    let refund =
        "scenario: refund\ntarget: http://localhost:8080\noperation:\n  request: POST /refunds\n";
    let orders = first_with(|text| text.replace("$[*]", "$.items[?@.id = '7']"));
    insta::assert_snapshot!(
        "e6",
        wrong(&sources(&[
            ("scenarios/refund.yaml", refund),
            ("scenarios/orders.yaml", &orders),
            (
                "scenarios/first.yaml",
                &FIRST.replace("create-order", "first")
            ),
        ]))
        .render(Style::default())
    );
}

#[test]
fn e7_the_refusal_of_a_host() {
    let said = Diagnostics::new(
        Files::default(),
        vec![Diagnostic::host_not_allowed("api.example.com", None)],
    );
    insta::assert_snapshot!("e7", said.render(Style::default()));
}

#[test]
fn e8_a_probe_that_cannot_be_read() {
    let mut files = Files::default();
    let id = files.add("scenarios/first.yaml", FIRST);
    let loaded = ok(&sources(&[("scenarios/first.yaml", FIRST)]));
    let effect = &loaded.scenarios[0].rows[0].effects[0];
    let span = probe_span(&files, id, effect.probe_line);
    let error = Diagnostic::probe_unreadable(
        &effect.name,
        span,
        "answered 403 Forbidden, not retried",
        41,
    );
    insta::assert_snapshot!(
        "e8",
        Diagnostics::new(files, vec![error]).render(Style::default())
    );
}

#[test]
fn seven_mistakes_are_seven_errors() {
    let text = "\
scenario: seven
target: ftp://localhost
owners: me
operation:
  request: POTS /orders
  json:
    reference: ${{ markr }}
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $.items[?@.id = 7]
    within: [5s]
patterns: [replay, brust]
";
    let said = wrong(&sources(&[("scenarios/seven.yaml", text)]));
    insta::assert_snapshot!("seven", said.render(Style::default()));
    assert_eq!(said.errors(), 7);
    let rendered = said.render(Style::default());
    assert_eq!(
        rendered
            .lines()
            .filter(|line| line.starts_with("error["))
            .count(),
        7
    );
}

/// What an editor would say about a file.
fn editor(of: SchemaKind, text: &str) -> Vec<String> {
    let schema = schema(of);
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .expect("the schema is one");
    let value: serde_json::Value = serde_yaml::from_str(text).expect("the text is YAML");
    validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

const FULL: &str = include_str!("language/full.yaml");
const FULL_PROJECT: &str = include_str!("language/full-project.yaml");

#[test]
fn the_schema_takes_what_the_reader_takes() {
    for text in [FIRST, FULL] {
        assert_eq!(editor(SchemaKind::Scenario, text), Vec::<String>::new());
    }
    assert_eq!(
        editor(SchemaKind::Project, FULL_PROJECT),
        Vec::<String>::new()
    );
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for (good, bad) in [
        ("effects:", "effekts:"),
        ("operation:", "operatoin:"),
        ("    count:", "    cuont:"),
        ("  json:", "  jsno:"),
        ("target: http", "tarquet: http"),
        ("request: POST", "request: POTS"),
    ] {
        let text = FIRST.replace(good, bad);
        assert_ne!(text, FIRST, "{good}");
        assert!(!editor(SchemaKind::Scenario, &text).is_empty(), "{bad}");
        assert!(load(&sources(&[("a.yaml", &text)])).is_err(), "{bad}");
    }
    let text = FIRST.to_owned() + "patterns: [{burst: {atempts: 3}}]\n";
    assert!(!editor(SchemaKind::Scenario, &text).is_empty());
    assert!(!editor(SchemaKind::Project, "limts: {}\n").is_empty());
}

fn full() -> Sources {
    let mut given = sources(&[("scenarios/full.yaml", FULL)]);
    given.project = Some(file("retrial.yaml", FULL_PROJECT));
    given.settings.environment = Some("staging".to_owned());
    given.environment = BTreeMap::from([
        ("SHOP_URL".to_owned(), "http://localhost:8080/".to_owned()),
        ("API_TOKEN".to_owned(), "do not store me".to_owned()),
    ]);
    given.used.insert(
        "scenarios/common/base.yaml".to_owned(),
        file(
            "scenarios/common/base.yaml",
            include_str!("language/base.yaml"),
        ),
    );
    given
}

#[test]
fn everything_that_works_loads() {
    let loaded = ok(&full());
    assert_eq!(loaded.warnings.render(Style::default()), "");
    insta::assert_debug_snapshot!("full", (&loaded.scenarios, &loaded.project));
}

#[test]
fn credentials_never_enter_a_scenario() {
    let text = format!("{:?}", ok(&full()).scenarios);
    assert!(!text.contains("do not store me"));
    assert!(text.contains("${{ env.API_TOKEN }}"));
}

#[test]
fn used_files_are_named_before_they_are_read() {
    assert_eq!(
        uses(&file("scenarios/full.yaml", FULL)),
        ["scenarios/common/base.yaml"]
    );
}

#[test]
fn flags_go_above_everything() {
    let mut given = full();
    given.settings = Settings {
        environment: Some("staging".to_owned()),
        target: Some("http://127.0.0.1:9/".to_owned()),
        vars: BTreeMap::from([("amount".to_owned(), retrial::scenario::flag_value("7"))]),
        insecure: true,
        profile: Some(retrial::scenario::Profile::Quick),
        ..Settings::default()
    };
    let loaded = ok(&given);
    let row = &loaded.scenarios[0].rows[0];
    assert_eq!(row.target.url, "http://127.0.0.1:9");
    assert!(row.target.tls.insecure);
    assert!(format!("{:?}", row.operations[0].request.body).contains("\"amount\": Number(7)"));
    assert!(
        loaded.scenarios[0]
            .patterns
            .iter()
            .all(|pattern| pattern.profile == retrial::scenario::Profile::Quick)
    );
}

#[test]
fn a_pattern_takes_the_values_of_its_row() {
    let loaded = ok(&full());
    let scenario = &loaded.scenarios[0];
    let pattern = scenario
        .patterns
        .iter()
        .find(|pattern| pattern.name.as_deref() == Some("armed"))
        .unwrap();
    let bodies: Vec<_> = scenario
        .rows
        .iter()
        .map(|row| pattern.for_row(&row.row).with.json.unwrap().0["currency"].clone())
        .collect();
    assert_eq!(bodies, ["EUR", "USD"]);
}

#[test]
fn faults_strike_at_every_point_and_end_in_every_way() {
    use retrial::plan::{AnswerPoint, CutPoint, Ending};
    use retrial::scenario::{PatternKind, ResetAfter};
    let request = |at: &[CutPoint], end| PatternKind::CutRequest {
        at: at.to_vec(),
        end,
    };
    let answer = |at: &[AnswerPoint], end| PatternKind::CutResponse {
        at: at.to_vec(),
        end,
    };
    for (written, kind) in [
        (
            "cut_request: connect",
            request(&[CutPoint::Connect], Ending::Fin),
        ),
        (
            "cut_request: [first_byte, head, head 25%, headers]",
            request(
                &[
                    CutPoint::FirstByte,
                    CutPoint::Head(50),
                    CutPoint::Head(25),
                    CutPoint::Headers,
                ],
                Ending::Fin,
            ),
        ),
        (
            "cut_request: {at: [50%, body 20B, 1KiB, -1], end: half_close}",
            request(
                &[
                    CutPoint::Percent(50),
                    CutPoint::Body(20),
                    CutPoint::Bytes(1024),
                    CutPoint::BeforeEnd(1),
                ],
                Ending::HalfClose,
            ),
        ),
        (
            "cut_request: {end: silence}",
            request(
                &[
                    CutPoint::Headers,
                    CutPoint::Percent(50),
                    CutPoint::BeforeEnd(1),
                ],
                Ending::Silence,
            ),
        ),
        (
            "cut_response: [20B, status_line, whole]",
            answer(
                &[
                    AnswerPoint::Bytes(20),
                    AnswerPoint::StatusLine,
                    AnswerPoint::Whole,
                ],
                Ending::Fin,
            ),
        ),
        (
            "cut_response: {end: rst}",
            answer(&[AnswerPoint::Headers], Ending::Rst),
        ),
        (
            "reset: {after: request_sent, end: silence}",
            PatternKind::Reset {
                after: ResetAfter::RequestSent,
                end: Ending::Silence,
            },
        ),
    ] {
        let text = format!("{FIRST}patterns: [{written}]\n");
        let loaded = ok(&sources(&[("a.yaml", &text)]));
        assert_eq!(loaded.scenarios[0].patterns[0].kind, kind, "{written}");
    }
}

/// Makes a mistake in the first scenario by replacing a text; exactly one thing
/// must be said, with this code and this text under the carets.
fn one_mistake(from: &str, to: &str, code: &str, slice: &str) -> Result<(), String> {
    let text = FIRST.replace(from, to);
    assert_ne!(text, FIRST, "{from}");
    let said = match load(&sources(&[("a.yaml", &text)])) {
        Ok(loaded) => loaded.warnings,
        Err(said) => said,
    };
    if let [only] = said.list.as_slice()
        && let Some(label) = &only.primary
        && only.code == code
        && said.files.slice(label.span) == slice
    {
        return Ok(());
    }
    let rendered = said.render(Style::default());
    Err(format!(
        "{to}\nexpected {code} at `{slice}`, not\n{rendered}"
    ))
}

#[test]
fn each_mistake_is_said_where_it_stands() {
    let target = "target: http://localhost:8080";
    let path = "/orders?reference=${{ marker }}";
    let end = "    count: $[*]\n";
    let mut others = Vec::new();
    let pattern = |pattern: &str| format!("{end}patterns: [{pattern}]\n");
    let operation = |line: &str| format!("request: POST /orders\n  {line}");
    for (from, to, code, slice) in [
        // Values of the wrong kind.
        (
            end,
            &*format!("{end}    within: [5s]\n"),
            "wrong-type",
            "[5s]",
        ),
        (
            end,
            &format!("{end}    within: 5\n"),
            "invalid-duration",
            "5",
        ),
        (
            end,
            &format!("{end}    within: 5 parsecs\n"),
            "invalid-duration",
            "5 parsecs",
        ),
        (
            end,
            &format!("{end}    every: 0s\n"),
            "invalid-duration",
            "0s",
        ),
        (
            end,
            &format!("{end}    stable_for: 9s\n"),
            "invalid-value",
            "9s",
        ),
        (end, &format!("{end}    delta: yes\n"), "wrong-type", "yes"),
        (
            end,
            &format!("{end}    expect: twice\n"),
            "invalid-value",
            "twice",
        ),
        (
            end,
            &format!("{end}    expect: {{ at_least: 2, at_most: 1 }}\n"),
            "invalid-value",
            "{ at_least: 2, at_most: 1 }",
        ),
        (
            end,
            &format!("{end}    expect: {{ matches: '(' }}\n"),
            "invalid-regex",
            "'('",
        ),
        (
            end,
            &format!("{end}    at: oder\n"),
            "unknown-operation",
            "oder",
        ),
        ("count: $[*]", "value: $.state", "missing-field", "orders"),
        (
            "count: $[*]",
            "value: $.state\n    expect: PAID",
            "invalid-value",
            "PAID",
        ),
        (
            "count: $[*]",
            "count: $[*]\n    sum: $[*].n",
            "conflicting-fields",
            "sum",
        ),
        ("    count: $[*]\n", "", "missing-field", "orders"),
        ("count: $[*]", "count: items", "invalid-jsonpath", "i"),
        ("count: $[*]", "count: $.items[*", "invalid-jsonpath", "["),
        (
            "count: $[*]",
            "count: $[?@.a == ${{ marker }}]",
            "invalid-jsonpath",
            "${{ marker }}",
        ),
        (
            "count: $[*]",
            "count: |\n      $.items[?@.a == 1\n        && @.id = '7']",
            "invalid-jsonpath",
            "=",
        ),
        ("count: $[*]", "sql: select 1", "not-supported-yet", "sql"),
        // Requests.
        ("POST /orders", "post /orders", "unknown-method", "post"),
        ("POST /orders", "POST", "invalid-url", "POST"),
        ("POST /orders", "/orders", "unknown-method", "/orders"),
        ("POST /orders", "POST orders", "invalid-url", "orders"),
        ("POST /orders", "POST /a b", "invalid-url", "/a b"),
        (
            "POST /orders",
            "POST http://other.test/x",
            "invalid-url",
            "http://other.test/x",
        ),
        (
            "request: POST /orders",
            &operation("form: {a: 1}"),
            "conflicting-fields",
            "form",
        ),
        (
            "request: POST /orders",
            &operation("headers: {'a b': 1}"),
            "invalid-name",
            "'a b'",
        ),
        (
            "request: POST /orders",
            &operation("key: {json: '$.a[0]'}"),
            "invalid-jsonpath",
            "'$.a[0]'",
        ),
        (
            "request: POST /orders",
            &operation("key: {query: rid, quoted: true}"),
            "conflicting-fields",
            "quoted",
        ),
        (
            "request: POST /orders",
            &operation("key: {header: A, query: b}"),
            "conflicting-fields",
            "query",
        ),
        (
            "request: POST /orders",
            &operation("expect: {status: 99}"),
            "invalid-value",
            "99",
        ),
        (
            "request: POST /orders",
            &operation("retry: {backoff: 3s..1s}"),
            "invalid-duration",
            "3s..1s",
        ),
        (
            "request: POST /orders",
            &operation("capture: {marker: $.id}"),
            "reserved-name",
            "marker",
        ),
        (
            "request: POST /orders",
            &operation("capture: {a-b: $.id}"),
            "invalid-name",
            "a-b",
        ),
        (
            "request: POST /orders",
            &operation("capture: {id: {from: body, json: $.id}}"),
            "conflicting-fields",
            "from",
        ),
        (
            "request: POST /orders",
            &operation("auth: nobody"),
            "unknown-auth",
            "nobody",
        ),
        (
            "request: POST /orders",
            &operation("auth: {oauth2: {}}"),
            "not-supported-yet",
            "oauth2",
        ),
        (
            "request: POST /orders",
            &operation("via: gateway"),
            "not-supported-yet",
            "via",
        ),
        (
            "quantity: 1",
            "quantity: 123456789012345678901",
            "invalid-value",
            "123456789012345678901",
        ),
        ("quantity: 1", "sku: B", "duplicate-field", "sku"),
        // Expressions.
        (
            "quantity: 1",
            "quantity: ${{ }}",
            "invalid-expression",
            "${{ }}",
        ),
        (
            "quantity: 1",
            "quantity: ${{ 1 + }}",
            "invalid-expression",
            "1 +",
        ),
        (
            "quantity: 1",
            "quantity: ${{ vars.n }}",
            "undefined-value",
            "vars.n",
        ),
        (
            "quantity: 1",
            "quantity: ${{ secrets.n }}",
            "undefined-value",
            "secrets.n",
        ),
        (
            "quantity: 1",
            "quantity: ${{ env.N }}",
            "unset-environment-variable",
            "env.N",
        ),
        (
            "quantity: 1",
            "quantity: ${{ marker | nofilter }}",
            "invalid-expression",
            "marker | nofilter",
        ),
        (
            "quantity: 1",
            "'${{ marker }}': 1",
            "invalid-name",
            "'${{ marker }}'",
        ),
        (
            path,
            "/orders?n=${{ attempt }}&m=${{ marker }}",
            "undefined-value",
            "attempt",
        ),
        // The target.
        (
            target,
            "target: localhost:8080",
            "invalid-url",
            "localhost:8080",
        ),
        (
            target,
            "target: http://u:p@localhost",
            "invalid-url",
            "http://u:p@localhost",
        ),
        (
            target,
            "target: http://localhost?a=b",
            "invalid-url",
            "http://localhost?a=b",
        ),
        (
            target,
            "target: ${{ marker }}",
            "undefined-value",
            "${{ marker }}",
        ),
        (
            target,
            "target: {url: http://localhost, http: 3}",
            "invalid-value",
            "3",
        ),
        (
            target,
            "target: {url: http://localhost, tls: {cert: a.pem}}",
            "not-supported-yet",
            "cert",
        ),
        (
            target,
            "target: {url: http://localhost, timeout: soon}",
            "invalid-duration",
            "soon",
        ),
        // The scenario.
        (
            "scenario: create-order",
            "scenario: Create Order",
            "invalid-name",
            "Create Order",
        ),
        (
            end,
            &format!("{end}sinks: {{}}\n"),
            "not-supported-yet",
            "sinks",
        ),
        (
            end,
            &format!("{end}contract: stripe\n"),
            "not-supported-yet",
            "stripe",
        ),
        (
            end,
            &format!("{end}contract: strype\n"),
            "unknown-contract",
            "strype",
        ),
        (
            end,
            &format!("{end}contract: {{like: ietf}}\n"),
            "not-supported-yet",
            "ietf",
        ),
        (
            end,
            &format!("{end}contract: {{replay: same}}\n"),
            "invalid-value",
            "same",
        ),
        (
            end,
            &format!("{end}contract: {{mismatch: never}}\n"),
            "invalid-value",
            "never",
        ),
        (
            end,
            &format!("{end}contract: {{in_flight: [409, waite]}}\n"),
            "invalid-value",
            "waite",
        ),
        (
            end,
            &format!("{end}together: [orders, mails]\n"),
            "unknown-effect",
            "mails",
        ),
        (
            end,
            &format!("{end}invariants: [orders == maisl]\n"),
            "unknown-effect",
            "maisl",
        ),
        (
            end,
            &format!("{end}invariants: ['orders == ']\n"),
            "invalid-expression",
            "'orders == '",
        ),
        (
            end,
            &format!("{end}latency: {{first: {{p42: 1s}}}}\n"),
            "unknown-field",
            "p42",
        ),
        (
            end,
            &format!("{end}budget: {{rate: 50}}\n"),
            "invalid-value",
            "50",
        ),
        (
            end,
            &format!("{end}vars: {{key: 1}}\n"),
            "reserved-name",
            "key",
        ),
        (
            end,
            &format!("{end}vars: {{a: '${{{{ vars.b }}}}'}}\n"),
            "undefined-value",
            "vars.b",
        ),
        (
            end,
            &format!("{end}vars: {{a: '${{{{ marker }}}}'}}\n"),
            "undefined-value",
            "marker",
        ),
        (
            end,
            &format!("{end}secrets: {{a: {{env: A, file: b}}}}\n"),
            "conflicting-fields",
            "file",
        ),
        (
            end,
            &format!("{end}secrets: {{a: hunter2}}\n"),
            "wrong-type",
            "hunter2",
        ),
        (
            end,
            &format!("{end}matrix: {{a: [1, 1]}}\n"),
            "invalid-value",
            "1",
        ),
        (
            end,
            &format!("{end}matrix: {{a: []}}\n"),
            "invalid-value",
            "[]",
        ),
        (
            end,
            &format!("{end}use: nowhere.yaml\n"),
            "unreadable-file",
            "nowhere.yaml",
        ),
        (
            end,
            &format!("{end}setup: {{request: GET /}}\n"),
            "wrong-type",
            "{request: GET /}",
        ),
        (
            end,
            &format!("{end}cleanup: [{{request: GET /, each: day}}]\n"),
            "invalid-value",
            "day",
        ),
        // Patterns.
        (end, &pattern("burst: 1"), "invalid-value", "1"),
        (end, &pattern("burst: many"), "wrong-type", "many"),
        (
            end,
            &pattern("burst: {attempts: 1}"),
            "invalid-value",
            "{attempts: 1}",
        ),
        (
            end,
            &pattern("burst: {connections: 4}"),
            "invalid-value",
            "4",
        ),
        (
            end,
            &pattern("burst: {connections: some}"),
            "wrong-type",
            "some",
        ),
        (
            end,
            &pattern("burst: {atempts: 4}"),
            "unknown-field",
            "atempts",
        ),
        (end, &pattern("drop_response: 3"), "wrong-type", "3"),
        (end, &pattern("timeout: 50"), "invalid-duration", "50"),
        (end, &pattern("cut_request: 100%"), "invalid-value", "100%"),
        (end, &pattern("cut_request: 5"), "invalid-value", "5"),
        (
            end,
            &pattern("cut_request: conect"),
            "invalid-value",
            "conect",
        ),
        (
            end,
            &pattern("cut_request: head 0%"),
            "invalid-value",
            "head 0%",
        ),
        (
            end,
            &pattern("cut_request: body 50%"),
            "invalid-value",
            "body 50%",
        ),
        (
            end,
            &pattern("cut_request: whole"),
            "invalid-value",
            "whole",
        ),
        (
            end,
            &pattern("cut_request: {at: connect, end: rst}"),
            "conflicting-fields",
            "end",
        ),
        (
            end,
            &pattern("cut_request: {end: silent}"),
            "invalid-value",
            "silent",
        ),
        (end, &pattern("cut_response: 0B"), "invalid-value", "0B"),
        (
            end,
            &pattern("cut_response: first_byte"),
            "invalid-value",
            "first_byte",
        ),
        (end, &pattern("blackhole"), "unknown-pattern", "blackhole"),
        (
            end,
            &pattern("reset: requested"),
            "invalid-value",
            "requested",
        ),
        (
            end,
            &pattern("reset: {end: rst, after: 10s}"),
            "slow-case",
            "reset",
        ),
        (
            end,
            &pattern("{replay: 2, name: x}"),
            "conflicting-fields",
            "name",
        ),
        (
            end,
            &pattern("mismatch: {json: {a: 1}}"),
            "not-supported-yet",
            "mismatch",
        ),
        (end, &pattern("replay: {name: a b}"), "invalid-name", "a b"),
        (
            end,
            &pattern("replay: {with: {json: {a: '${{ nothing }}'}}}"),
            "undefined-value",
            "nothing",
        ),
        (end, &pattern(""), "invalid-value", "[]"),
    ] {
        if let Err(other) = one_mistake(from, to, code, slice) {
            others.push(other);
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n\n"));
}

#[test]
fn hostile_files_are_refused_in_words() {
    let two_mib = FIRST.to_owned() + &"# \n".repeat(700_000);
    let bomb = (1..10).fold("a0: &a0 [1,1,1,1,1,1,1,1,1]\n".to_owned(), |text, level| {
        let below = format!("*a{},", level - 1).repeat(9);
        text + &format!("a{level}: &a{level} [{below}]\n")
    });
    let tabs = FIRST.replace("  ", "\t");
    for (name, text, code) in [
        ("empty", b"".to_vec(), "empty-file"),
        ("comment", b"# nothing\n".to_vec(), "empty-file"),
        ("2 MiB", two_mib.into_bytes(), "file-too-large"),
        ("latin-1", b"scenario: caf\xe9\n".to_vec(), "not-utf-8"),
        ("utf-16", b"\xff\xfes\0c\0".to_vec(), "not-utf-8"),
        ("tabs", tabs.into_bytes(), "tab-indent"),
        ("bomb", bomb.into_bytes(), "too-many-nodes"),
        ("brackets", vec![b'['; 100_000], "too-deep"),
        ("braces", vec![b'{'; 100_000], "too-deep"),
        ("nul", b"scenario: a\0b\n".to_vec(), "invalid-yaml"),
        ("list", b"- a\n- b\n".to_vec(), "wrong-type"),
        ("word", b"hello\n".to_vec(), "wrong-type"),
    ] {
        let given = Sources {
            scenarios: vec![file(name, text)],
            ..Sources::default()
        };
        let said = wrong(&given);
        assert_eq!(
            codes(&said),
            [code],
            "{name}: {}",
            said.render(Style::default())
        );
        let rendered = said.render(Style {
            color: true,
            ascii: false,
            width: 60,
        });
        assert!(rendered.contains(name), "{rendered}");
    }
    let unreadable = SourceFile {
        name: "gone.yaml".to_owned(),
        text: Err("no such file".to_owned()),
    };
    let given = Sources {
        scenarios: vec![unreadable],
        ..Sources::default()
    };
    assert_eq!(codes(&wrong(&given)), ["unreadable-file"]);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_shown_in_part_and_counted_in_full() {
    let wrong_fields: Vec<_> = (0..5000).map(|n| format!("wrong{n}: 1")).collect();
    let text = format!(
        "{FIRST}{}
",
        wrong_fields.join(
            "
"
        )
    );
    let said = wrong(&sources(&[("a.yaml", &text)]));
    assert_eq!(said.errors(), 5000);
    let rendered = said.render(Style::default());
    assert!(rendered.contains("… and 4900 more"));
    assert!(rendered.ends_with("5000 errors in 1 of 1 file, nothing was sent\n"));
}

#[test]
fn a_variable_that_is_not_set_stops_a_run_only() {
    let text = FIRST.replace("http://localhost:8080", "${{ env.SHOP_URL }}");
    let mut given = sources(&[("a.yaml", &text)]);
    assert_eq!(codes(&ok(&given).warnings), ["unset-environment-variable"]);
    given.settings.for_run = true;
    let said = wrong(&given);
    assert_eq!(
        (codes(&said), said.errors()),
        (vec!["unset-environment-variable"], 1)
    );
}

#[test]
fn two_files_cannot_have_one_scenario_name() {
    let said = wrong(&sources(&[("a.yaml", FIRST), ("b.yaml", FIRST)]));
    insta::assert_snapshot!("duplicate_scenario", said.render(Style::default()));
}

#[test]
fn an_environment_that_does_not_exist_is_said_once() {
    let mut given = full();
    given.settings.environment = Some("stagin".to_owned());
    let text = wrong(&given).render(Style::default());
    assert!(
        text.contains("error[unknown-environment]: there is no environment `stagin`"),
        "{text}"
    );
    assert!(text.contains("did you mean `staging`?"), "{text}");
    let mut given = sources(&[("a.yaml", FIRST)]);
    given.settings.environment = Some("staging".to_owned());
    assert_eq!(codes(&wrong(&given)), ["unknown-environment"]);
}

#[test]
fn files_that_use_each_other_are_an_error() {
    let mut given = sources(&[("a.yaml", &(FIRST.to_owned() + "use: [b.yaml]\n"))]);
    given
        .used
        .insert("b.yaml".to_owned(), file("b.yaml", "use: [c.yaml]\n"));
    given
        .used
        .insert("c.yaml".to_owned(), file("c.yaml", "use: [b.yaml]\n"));
    let said = wrong(&given);
    assert_eq!(codes(&said), ["invalid-value"]);
    assert!(
        said.render(Style::default())
            .contains("this closes a circle")
    );
}

#[test]
fn the_files_of_this_repository_load_without_a_word() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for folder in ["scenarios", "tests/targets"] {
        let mut files: Vec<_> = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        let given = Sources {
            scenarios: files
                .iter()
                .map(|path| file(&path.display().to_string(), std::fs::read(path).unwrap()))
                .collect(),
            ..Sources::default()
        };
        assert_eq!(ok(&given).warnings.render(Style::default()), "");
        for path in &files {
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(
                editor(SchemaKind::Scenario, &text),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_space_missing_after_a_colon_is_named_even_where_yaml_takes_it() {
    let text = "\
scenario: a
target: http://localhost
operation:
  request:POST /orders
effects:
  orders: { get: \"/orders?reference=${{ marker }}\", count: \"$[*]\" }
";
    insta::assert_snapshot!("missing_space", said(text));
}

#[test]
fn a_mistake_in_a_used_file_is_said_there() {
    let mut given = sources(&[("a.yaml", &(FIRST.to_owned() + "use: b.yaml\n"))]);
    given.used.insert(
        "b.yaml".to_owned(),
        file("b.yaml", "# shared\nbudget: { trails: 3 }\n"),
    );
    insta::assert_snapshot!("used_file", wrong(&given).render(Style::default()));
}

#[test]
fn a_needed_field_that_is_misspelt_is_one_mistake() {
    let mut given = Sources::default();
    given.scenarios.push(SourceFile {
        name: "a.yaml".to_owned(),
        text: Ok(b"scenario: a\ntarget: http://127.0.0.1:1\noperation:\n  request: POST /a\nefects:\n  a: { get: /a, count: $ }\n".to_vec()),
    });
    let said = load(&given).expect_err("it is misspelt");
    let codes: Vec<_> = said.rows().into_iter().map(|row| row.code).collect();
    assert_eq!(codes, ["unknown-field"]);
}
