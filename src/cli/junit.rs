//! The report of `keyfold schema check` as JUnit XML, which CI servers show beside a change.
//!
//! A suite per document; in it a case for the document itself, one per version that it was compared with, and one for
//! stored entities. Whatever a document holds, the text is well-formed.

use std::fmt::Write;

use super::check::{Checked, Compared, strictness, versions, violation_lines};

/// A case: its name, and what is wrong, one line each; empty where it passes.
struct Case {
    name: String,
    faults: Vec<String>,
}

pub fn report(all: &[Checked]) -> String {
    let suites: Vec<(&Checked, Vec<Case>)> = all.iter().map(|checked| (checked, cases(checked))).collect();
    let count = |cases: &[Case]| (cases.len(), cases.iter().filter(|case| !case.faults.is_empty()).count());
    let totals = suites.iter().map(|(_, cases)| count(cases)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"keyfold schema check\" tests=\"{}\" failures=\"{}\" errors=\"0\">\n",
        totals.0, totals.1
    );
    for (checked, cases) in &suites {
        let (tests, failures) = count(cases);
        let file = escaped(&checked.file);
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"0\">"
        );
        for case in cases {
            let head = format!("    <testcase classname=\"{file}\" name=\"{}\" time=\"0\"", escaped(&case.name));
            let _ = match case.faults.first() {
                None => writeln!(xml, "{head}/>"),
                Some(first) => writeln!(
                    xml,
                    "{head}>\n      <failure message=\"{}\" type=\"incompatible\">{}</failure>\n    </testcase>",
                    escaped(first),
                    escaped(&case.faults.join("\n"))
                ),
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

fn cases(checked: &Checked) -> Vec<Case> {
    let faults = checked.errors.iter().map(|fault| format!("{}: {} ({})", fault.pointer, fault.message, fault.code));
    let mut cases = vec![Case { name: "is a document".to_owned(), faults: faults.collect() }];
    checked.comparisons.iter().for_each(|compared| compare(compared, &mut cases));
    cases
}

fn compare(compared: &Compared, cases: &mut Vec<Case>) {
    let verdict = &compared.verdict;
    let against = compared.against.join(", ");
    for version in &verdict.compared {
        let violations = verdict.violations.iter().filter(|violation| violation.version == *version);
        cases.push(Case {
            name: format!("fits {against} version {version} ({})", strictness(verdict)),
            faults: violations.map(|violation| violation_lines(violation).join("\n")).collect(),
        });
    }
    if verdict.compared.is_empty() {
        cases.push(Case { name: versions(compared), faults: Vec::new() });
    }
    if let Some(live) = &verdict.live {
        let counted = format!("{} of {} stored entities would be refused", live.refused, live.checked);
        let first = live.first.iter().map(|entity| {
            let errors: Vec<String> =
                entity.errors.iter().map(|refusal| format!("{}: {}", refusal.pointer, refusal.message)).collect();
            format!("{} {} {}: {}", entity.stream, entity.r#type, entity.key, errors.join("; "))
        });
        let faults = std::iter::once(counted).chain(first).filter(|_| live.refused > 0).collect();
        cases.push(Case { name: format!("stored entities of {against}"), faults });
    }
}

/// Text of an attribute or an element. Characters that XML cannot carry are replaced.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => safe.push(c),
            _ => safe.push('\u{fffd}'),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::check::FaultLine;
    use super::*;

    #[test]
    fn whatever_a_document_holds_the_report_is_well_formed() {
        let hostile = "<a b=\"&\">\u{0}\u{1b}\u{ffff}\n]]>";
        let fault = FaultLine { pointer: hostile.into(), code: hostile.into(), message: hostile.into() };
        let checked =
            Checked { file: hostile.into(), compatible: false, errors: vec![fault], comparisons: Vec::new() };
        let text = report(&[checked]);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(!text.contains("<a") && !text.contains("]]>") && !text.contains('\u{ffff}'), "{text}");
        assert_eq!(text.matches("<testcase").count(), text.matches("</testcase>").count());
        assert!(text.contains("failures=\"1\""), "{text}");
    }
}
