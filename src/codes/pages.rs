//! The pages behind the codes.

/// The page of a code or topic, as Markdown.
pub fn page(word: &str) -> Option<&'static str> {
    let _ = word;
    None
}

/// An example that goes with the page of this word.
pub fn example(word: &str) -> Option<&'static str> {
    let _ = word;
    None
}

/// Every word that has a page.
pub fn topics() -> Vec<&'static str> {
    Vec::new()
}
