use super::*;
use serde_json::json;

fn scope() -> Scope {
    let mut scope = Scope::new();
    scope
        .set("marker", "rt-1")
        .set("vars", json!({"amount": 1999, "deep": {"a": [1, 2]}}))
        .set("items", json!([1, 2]))
        .set("flag", true)
        .set("nothing", Value::Null);
    scope
}

fn render(text: &str) -> Result<String, RenderError> {
    Template(text.to_owned()).render(&scope(), Escape::None)
}

#[test]
fn a_value_that_is_exactly_one_expression_keeps_its_type() {
    let value = |text: &str| Template(text.to_owned()).value(&scope()).unwrap();
    assert_eq!(value("${{ vars.amount }}"), json!(1999));
    assert_eq!(value("${{ vars.amount / 2 }}"), json!(999.5));
    assert_eq!(value("${{ items }}"), json!([1, 2]));
    assert_eq!(value("${{ flag }}"), json!(true));
    assert_eq!(value("${{ vars.amount }} EUR"), json!("1999 EUR"));
    assert_eq!(value("plain"), json!("plain"));
}

#[test]
fn a_mixed_text_is_rendered() {
    assert_eq!(render("a ${{ marker }}-${{flag}}").unwrap(), "a rt-1-true");
    assert_eq!(render("${{ marker | upper }}").unwrap(), "RT-1");
    assert_eq!(render("${{ vars.deep.a[1] + 1 }}x").unwrap(), "3x");
}

#[test]
fn blocks_are_plain_text() {
    let text = "{% for x in y %}{{ x }}{% endfor %}";
    assert_eq!(render(text).unwrap(), text);
}

#[test]
fn an_undefined_name_is_an_error_that_names_it() {
    for (text, name) in [
        ("${{ order }}", "order"),
        ("${{ vars.x }}", "vars.x"),
        ("${{ vars.x + 1 }}", "vars.x"),
    ] {
        assert_eq!(
            render(text),
            Err(RenderError::Undefined {
                name: name.to_owned()
            })
        );
    }
}

#[test]
fn a_list_a_map_and_null_have_no_text() {
    for (text, found) in [
        ("x${{ items }}", "a list"),
        ("x${{ vars }}", "a map"),
        ("x${{ nothing }}", "null"),
    ] {
        match render(text) {
            Err(RenderError::NotText { found: is, .. }) => assert_eq!(is, found),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn an_absurd_expression_is_an_error() {
    let text = format!("${{{{ {} }}}}", "items|sort|reverse|".repeat(20) + "list");
    assert!(render(&format!("x{text}")).is_err());
    let deep = format!("x${{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(render(&deep).is_err());
}

#[test]
fn a_url_encodes_values_but_neither_the_text_nor_a_leading_expression() {
    let mut scope = Scope::new();
    scope
        .set("base", "http://a/b?c=d")
        .set("mail", "a b&c/ü@example.test");
    let url = |text: &str| {
        Template(text.to_owned())
            .render(&scope, Escape::UrlPart)
            .unwrap()
    };
    assert_eq!(
        url("${{ base }}&q=${{ mail }}"),
        "http://a/b?c=d&q=a%20b%26c%2F%C3%BC%40example.test"
    );
    assert_eq!(
        url("/x y?q=${{ base }}"),
        "/x y?q=http%3A%2F%2Fa%2Fb%3Fc%3Dd"
    );
}

#[test]
fn a_json_path_escapes_inside_quotes_and_refuses_outside() {
    let mut scope = Scope::new();
    scope.set("name", "O'Neil \\ \"x\"\n");
    let path = |text: &str| Template(text.to_owned()).render(&scope, Escape::JsonPathQuoted);
    assert_eq!(
        path("$[?@.a == '${{ name }}' && @.b == \"${{ name }}\"]").unwrap(),
        "$[?@.a == 'O\\'Neil \\\\ \"x\"\\u000a' && @.b == \"O'Neil \\\\ \\\"x\\\"\\u000a\"]"
    );
    assert!(matches!(
        path("$['a'].${{ name }}"),
        Err(RenderError::Unquoted { .. })
    ));
}

#[test]
fn resolving_puts_known_values_in_place_and_leaves_the_others() {
    let template =
        Template("${{ vars.amount }}/${{ secrets.x }}/${{ vars.amount + extra }}".into());
    assert_eq!(
        template.resolve(&scope(), Escape::None).unwrap().0,
        "1999/${{ secrets.x }}/${{ vars.amount + extra }}"
    );
    let json = JsonTemplate(json!({"b": "${{ vars.amount }}", "a": ["${{ other }}", 1]}));
    let resolved = json.resolve(&scope()).unwrap();
    assert_eq!(
        serde_json::to_string(&resolved.0).unwrap(),
        r#"{"b":1999,"a":["${{ other }}",1]}"#
    );
}

#[test]
fn a_value_that_looks_like_an_expression_stays_a_text() {
    let mut scope = Scope::new();
    scope
        .set("v", "${{ secrets.x }}")
        .set("half", "{{ secrets.x }}");
    for text in ["${{ v }}", "a ${{ v }} ${{ later }}", "$${{ half }}"] {
        let resolved = Template(text.to_owned())
            .resolve(&scope, Escape::None)
            .unwrap();
        assert!(
            resolved.names().iter().all(|name| name.name == "later"),
            "{resolved:?}"
        );
        let mut late = Scope::new();
        late.set("later", "z");
        let direct = {
            let mut all = scope.clone();
            all.set("later", "z");
            Template(text.to_owned())
                .render(&all, Escape::None)
                .unwrap()
        };
        assert_eq!(resolved.render(&late, Escape::None).unwrap(), direct);
    }
    let json = JsonTemplate(json!({"a": "${{ v }}"}))
        .resolve(&scope)
        .unwrap();
    assert_eq!(
        json.render(&Scope::new()).unwrap(),
        json!({"a": "${{ secrets.x }}"})
    );
}

#[test]
fn names_are_dotted_and_know_where_they_stand() {
    let template = Template("a ${{ vars.amount * n }} ${{ 'marker' ~ marker }}".into());
    let names: Vec<_> = template
        .names()
        .into_iter()
        .map(|name| (template.0[name.range].to_owned(), name.name))
        .collect();
    let same = |word: &str| (word.to_owned(), word.to_owned());
    assert_eq!(names, [same("vars.amount"), same("n"), same("marker")]);
}

#[test]
fn what_does_not_parse_is_found_with_its_place() {
    for (text, part) in [
        ("a ${{ x", "${{"),
        ("a ${{ }}", "${{ }}"),
        ("a ${{ 1 + }}", "1 +"),
        ("a ${{ x | nosuch }}", "x | nosuch"),
    ] {
        let error = Template::parse_check(text).unwrap_err();
        assert_eq!(&text[error.range], part, "{text}");
    }
    assert_eq!(
        Template::parse_check("${{ {'a': '}}'}.a }}").unwrap().len(),
        1
    );
}

#[test]
fn a_scope_falls_back_on_its_parent_member_by_member() {
    let mut child = Scope::within(Arc::new(scope()));
    child.set("marker", "rt-2").set_member("vars", "own", 1);
    assert_eq!(child.lookup("marker"), Some(&json!("rt-2")));
    assert_eq!(child.lookup("vars.own"), Some(&json!(1)));
    assert_eq!(child.lookup("vars.amount"), Some(&json!(1999)));
}
