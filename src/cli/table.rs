//! Tables: entities as rows, laid out for the terminal's width; tab-separated lines where nobody looks.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;
use super::output::Out;

/// Prints rows under a heading on a terminal, and as tab-separated lines without one into a pipe.
pub fn print<const N: usize>(
    out: &mut Out,
    heading: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<(), Failure> {
    match out.terminal() {
        Some((width, _)) => {
            let mut table = empty(width);
            table.set_header(heading.map(str::to_uppercase)).add_rows(rows);
            out.line(&trimmed(&table))?;
        }
        None => {
            for row in rows {
                out.line(&row.join("\t"))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// The fields that a table of entities shows beside the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(Vec<String>);

impl Columns {
    /// Widest cell; longer values are cut.
    const CELL_MAX: usize = 40;
    const GAP: usize = 2;
    /// What says most about an entity at a glance, first.
    const FIRST: [&str; 2] = ["status", "state"];

    /// The asked-for fields, or as many as fit: scalars, the telling ones first, those that repeat the key left out.
    pub fn choose(asked: &[String], rows: &[(&str, &Value)], width: u16) -> Self {
        if !asked.is_empty() {
            return Self(asked.to_vec());
        }
        let mut widths = BTreeMap::<&str, usize>::new();
        let mut telling = BTreeSet::new();
        for (key, value) in rows {
            for (field, content) in value.as_object().into_iter().flatten() {
                if content.is_object() || content.is_array() || content.is_null() {
                    continue;
                }
                let text = cell(content);
                let widest = widths.entry(field).or_insert(field.chars().count());
                *widest = (*widest).max(text.chars().count().min(Self::CELL_MAX));
                if text != *key {
                    telling.insert(field.as_str());
                }
            }
        }
        let mut left = usize::from(width).saturating_sub(key_width(rows) + 2 * Self::GAP + CHANGED_WIDTH);
        let (first, mut rest): (Vec<_>, Vec<_>) = telling.into_iter().partition(|field| Self::FIRST.contains(field));
        // Narrow ones before wide ones: more of them fit.
        rest.sort_by_key(|field| widths[field]);
        let fits = |field: &&str| {
            let needed = widths[field] + Self::GAP;
            let fits = needed <= left;
            left -= if fits { needed } else { 0 };
            fits
        };
        Self(first.into_iter().chain(rest).filter(fits).map(str::to_owned).collect())
    }
}

/// Width of the column that says when an entity changed.
const CHANGED_WIDTH: usize = 9;

fn key_width(rows: &[(&str, &Value)]) -> usize {
    rows.iter().map(|(key, _)| key.chars().count().min(Columns::CELL_MAX)).max().unwrap_or(0).max(3)
}

/// A table of entities. `changed` adds a column that says of each key when it changed.
pub fn entities(
    columns: &Columns,
    rows: &[(&str, &Value)],
    width: u16,
    changed: Option<&dyn Fn(&str) -> String>,
) -> String {
    let mut table = empty(width);
    let fields = columns.0.iter().map(|field| field.to_uppercase());
    let last = changed.map(|_| "CHANGED".to_owned());
    table.set_header(std::iter::once("KEY".to_owned()).chain(fields).chain(last));
    for (key, value) in rows {
        let contents = columns.0.iter().map(|field| cut(&value.get(field).map_or_else(String::new, cell)));
        let last = changed.map(|changed| changed(key));
        table.add_row(std::iter::once(cut(key)).chain(contents).chain(last));
    }
    trimmed(&table)
}

/// A value in a cell: text without quotes, nothing for null, all else as JSON. Line breaks would end a line.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(Columns::CELL_MAX) {
        Some(_) => text.chars().take(Columns::CELL_MAX - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

fn empty(width: u16) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(20));
    table.set_truncation_indicator("…");
    table
}

/// Without the blanks with which the table fills its last column.
fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_what_tells_most_and_fits() {
        let value = json!({"id": "a", "attempt": 1, "status": "running", "result": {"deep": 1}, "error": null,
                           "note": "x".repeat(60)});
        let rows = [("a", &value)];
        assert_eq!(Columns::choose(&[], &rows, 200).0, ["status", "attempt", "note"]);
        assert_eq!(Columns::choose(&[], &rows, 40).0, ["status", "attempt"]);
        assert_eq!(Columns::choose(&["note".into()], &rows, 40).0, ["note"]);
    }

    #[test]
    fn rows_stay_on_one_line_whatever_they_hold() {
        let value = json!({"text": "two\nlines", "long": "y".repeat(100)});
        let rows = [("k", &value)];
        let text = entities(&Columns::choose(&[], &rows, 120), &rows, 120, None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("two lines") && text.contains('…'), "{text}");
    }
}
