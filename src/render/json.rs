//! `report.json`: the report itself, one document, for programs and for `git
//! diff`.

use crate::report::Report;

pub(super) fn render(report: &Report) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(report)
        .expect("a report holds maps with text keys only, and memory takes every byte");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_ends_with_a_newline_and_reads_back() {
        let report = super::super::sample::report();
        let bytes = render(&report);
        assert_eq!(bytes.last(), Some(&b'\n'));
        assert_eq!(serde_json::from_slice::<Report>(&bytes).unwrap(), report);
    }
}
