//! The whole line over TLS: an own CA file, `--insecure`, and a certificate that
//! nobody vouches for. TLS ends right before the demo shop, so what is judged is
//! what was seen in the clear elsewhere.

use assert_cmd::Command;
use retrial::demo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A shop behind TLS; the CA certificate lies in `folder`. Returns its port.
async fn shop_behind_tls(folder: &Path, flaw: Option<demo::Flaw>) -> (demo::Shop, u16) {
    let mut options = demo::Options::new(([127, 0, 0, 1], 0).into());
    options.flaws = flaw.map(Into::into).into_iter().collect();
    let shop = demo::start(options).await.expect("the shop starts");
    let address = shop.addr;

    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .expect("a certificate can be made");
    fs::write(folder.join("ca.pem"), own.cert.pem()).expect("the folder can be written to");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("key and certificate belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let Ok(mut inside) = TcpStream::connect(address).await else {
                    return;
                };
                // Either side may go away at any time: that is what is tried.
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (shop, port)
}

/// Runs a scenario with these flags; exit code and what was said.
async fn run(folder: &Path, port: u16, flags: &[&str]) -> (i32, String) {
    let scenario = include_str!("../scenarios/order-once.yaml")
        .replace(
            "http://127.0.0.1:8080",
            &format!("https://localhost:{port}"),
        )
        .replace("trials: 20", "trials: 10");
    fs::write(folder.join("order.yaml"), scenario).expect("the folder can be written to");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
    command
        .current_dir(folder)
        .env_clear()
        .args(["run", "order.yaml", "--seed", "1"])
        .args(flags);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("waiting does not panic")
        .expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().expect("it was not killed"),
        String::from_utf8(said).expect("it is text"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_ca_file_is_enough_to_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let (shop, port) = shop_behind_tls(folder.path(), None).await;
    let (code, said) = run(folder.path(), port, &["--ca-file", "ca.pem"]).await;
    assert_eq!(code, 0, "{said}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_is_found_over_tls_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let flaw = demo::Flaw::find("check-then-act").expect("the flaw exists");
    let (shop, port) = shop_behind_tls(folder.path(), Some(flaw)).await;
    let (code, said) = run(folder.path(), port, &["--insecure"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("duplicate-effect-concurrent"), "{said}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_an_error_of_the_target() {
    let folder = tempfile::tempdir().expect("a folder");
    let (shop, port) = shop_behind_tls(folder.path(), None).await;
    let (code, said) = run(folder.path(), port, &[]).await;
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("target-unreachable"), "{said}");
    shop.stop().await;
}
