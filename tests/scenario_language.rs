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
