//! The runbook, inside the program: what to do about each rule, said in the message itself.

/// The whole runbook.
pub const RUNBOOK: &str = include_str!("../../alerts/runbook.md");

/// The first paragraph under a rule's heading; of the heading `other` for a rule without one.
#[must_use]
pub fn advice(rule: &str) -> String {
    paragraph(rule)
        .or_else(|| paragraph("other"))
        .unwrap_or_default()
}

fn paragraph(rule: &str) -> Option<String> {
    let mut lines = RUNBOOK.lines();
    lines.find(|line| line.strip_prefix("## ") == Some(rule))?;
    let lines: Vec<_> = lines
        .map(str::trim)
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty() && !line.starts_with("## "))
        .collect();
    Some(lines.join(" "))
}

/// Every heading that names a rule.
pub fn headings() -> impl Iterator<Item = &'static str> {
    RUNBOOK.lines().filter_map(|line| line.strip_prefix("## "))
}
