//! The direction of dependencies: a module uses its own layer and those before it, and nothing else.
//!
//! Reads the source as text: comments, strings and what only tests compile are left out, then every path that leaves
//! its module for another one of the crate, whether it is written `crate::…` or `super::super::…`, is held against
//! the table of `src/lib.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules by layer, in the order of the table in `src/lib.rs`.
const LAYERS: [(&str, &[&str]); 6] = [
    ("rules", &["model", "stream", "registry", "subscription", "fold", "codegen"]),
    ("wire", &["protocol"]),
    ("durability", &["storage"]),
    ("motion", &["engine"]),
    ("edge", &["api", "client", "console", "webhook"]),
    ("program", &["cli", "server", "config", "telemetry", "main"]),
];

/// What a module does not use although it stands in an earlier layer, and why.
const NEVER: [(&str, &str, &str); 8] = [
    ("api", "storage", "the edge knows the engine, not how bytes are kept"),
    ("client", "storage", "the edge knows the engine, not how bytes are kept"),
    ("console", "storage", "the edge knows the engine, not how bytes are kept"),
    ("webhook", "storage", "the edge knows the engine, not how bytes are kept"),
    ("api", "client", "both sides of the wire share the protocol and nothing else"),
    ("client", "api", "both sides of the wire share the protocol and nothing else"),
    ("client", "engine", "a client is on another machine"),
    ("console", "engine", "pages use the API like everybody else"),
];

/// Words that a layer must not contain: what it never sees.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "rules",
        &[
            "tokio",
            "axum",
            "sled",
            "SystemTime",
            "Instant",
            "std::fs",
            "std::net",
            "derive(Serialize",
            "Serialize,",
            "Deserialize,",
        ],
    ),
    ("wire", &["tokio", "axum", "sled", "SystemTime", "Instant", "std::fs", "std::net"]),
    ("durability", &["axum", "hyper", "jsonschema", "HeaderMap"]),
    ("motion", &["axum", "hyper", "StatusCode", "HeaderName", "sled"]),
];

/// Who may ask for the time from outside; the rules and the wire are told it, and the API asks its engine.
const RUNTIME_USERS: [&str; 8] = ["storage", "engine", "client", "cli", "server", "config", "telemetry", "main"];

struct Source {
    path: PathBuf,
    /// Module path below the crate, such as `["api", "routes", "stream"]`.
    module: Vec<String>,
    /// Without comments, strings and tests; line breaks are kept.
    code: String,
}

#[test]
fn modules_use_only_their_own_layer_and_those_before_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let from = source.module[0].as_str();
        for (line, to) in crate_modules_used(&source) {
            if let Some(reason) = refusal(from, &to) {
                wrong.push(format!("{}:{line}: {from} uses {to}: {reason}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_do_not_see_what_is_not_theirs() {
    let mut wrong = Vec::new();
    for source in sources() {
        let layer = layer_of(&source.module[0]).map_or("", |nth| LAYERS[nth].0);
        let words = FORBIDDEN.iter().filter(|(name, _)| *name == layer).flat_map(|(_, words)| words.iter());
        for word in words {
            for (nth, line) in source.code.lines().enumerate().filter(|(_, line)| holds_word(line, word)) {
                wrong.push(format!(
                    "{}:{}: {layer} must not know {word}: {}",
                    source.path.display(),
                    nth + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let known: BTreeSet<&str> = LAYERS.iter().flat_map(|(_, modules)| modules.iter().copied()).collect();
    let present: BTreeSet<String> = sources().into_iter().map(|source| source.module[0].clone()).collect();
    for module in &present {
        assert!(
            known.contains(module.as_str()) || matches!(module.as_str(), "runtime" | "lib"),
            "{module} has no layer"
        );
    }
}

fn refusal(from: &str, to: &str) -> Option<&'static str> {
    if from == to || matches!(from, "lib" | "main") {
        return None;
    }
    if to == "runtime" {
        return (!RUNTIME_USERS.contains(&from)).then_some("time is handed in, not asked for");
    }
    if from == "runtime" {
        return (to != "model").then_some("the clock knows what a moment is, and nothing else");
    }
    if let Some((_, _, reason)) = NEVER.iter().find(|(user, used, _)| (*user, *used) == (from, to)) {
        return Some(reason);
    }
    match (layer_of(from), layer_of(to)) {
        (Some(user), Some(used)) if used > user => Some("that is a later layer"),
        _ => None,
    }
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 50, "only {} files under {}", found.len(), root.display());
    let test_modules: BTreeSet<Vec<String>> = found.iter().flat_map(test_modules_of).collect();
    found.retain(|source| !test_modules.iter().any(|module| source.module.starts_with(module)));
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Vec<String> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            let code = without_tests(&without_comments(&std::fs::read_to_string(&path).unwrap()));
            let path = path.strip_prefix(root.parent().unwrap()).unwrap().to_owned();
            found.push(Source { path, module, code });
        }
    }
}

/// Blanks comments and the insides of strings and character literals; keeps line breaks.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(inside) = rest.strip_prefix("r#\"") {
            inside.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            string_length(rest)
        } else if let Some(length) = character_length(rest) {
            length
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().filter(|c| *c == '\n'));
        rest = &rest[length..];
    }
    out
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal; `None` for a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map(|end| end + 4);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// Blanks items under `#[cfg(test)]`, from the attribute to the end of the block that follows it.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let ends = item.find(';').unwrap_or(item.len());
        let length = match item.find('{') {
            Some(opens) if opens < ends => block_end(item, opens),
            _ => {
                // `mod name;`: kept, so that the file it names can be left out as well.
                out.push_str(&item[..item.len().min(ends + 1)]);
                rest = &item[item.len().min(ends + 1)..];
                continue;
            }
        };
        out.extend(item[..length].chars().filter(|c| *c == '\n'));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

fn block_end(code: &str, opens: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[opens..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return opens + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Modules that `source` declares under `#[cfg(test)]`, which live in files of their own.
fn test_modules_of(source: &Source) -> Vec<Vec<String>> {
    let declared = source.code.match_indices("#[cfg(test)]").filter_map(|(at, attribute)| {
        let item = source.code[at + attribute.len()..].split(';').next()?;
        let name = item.split_whitespace().skip_while(|word| *word != "mod").nth(1)?;
        Some([source.module.as_slice(), &[name.to_owned()]].concat())
    });
    declared.collect()
}

/// Which top-level modules a file names, with the line.
fn crate_modules_used(source: &Source) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    let code = &source.code;
    let line_of = |at: usize| code[..at].matches('\n').count() + 1;
    for (at, prefix) in code.match_indices("crate::") {
        used.extend(names_after(&code[at + prefix.len()..]).into_iter().map(|name| (line_of(at), name)));
    }
    // As many `super` as the module is deep lead to the crate's root.
    let root = "super::".repeat(source.module.len());
    for (at, prefix) in code.match_indices(&root) {
        if !code[..at].ends_with("super::") {
            used.extend(names_after(&code[at + prefix.len()..]).into_iter().map(|name| (line_of(at), name)));
        }
    }
    used
}

/// The first names of what follows a path: one, or those of a `{…}` group.
fn names_after(code: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = code.strip_prefix('{') else { return vec![name(code)] };
    let end = block_end(code, 0);
    let (mut depth, mut begins, mut names) = (0, true, Vec::new());
    for (at, c) in group[..end.saturating_sub(2)].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && (c.is_alphabetic() || c == '_') => {
                names.push(name(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn holds_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let goes_on = word.ends_with(inside) && line[at + word.len()..].starts_with(inside);
        !line[..at].ends_with(inside) && !goes_on
    })
}

#[test]
fn the_reader_finds_paths_and_leaves_out_comments_strings_and_tests() {
    let text = "use crate::{a::b, c::{d, e}, f}; // crate::no\nlet s = \"crate::no\"; x::<'a>(crate::g::h, '{');\n\
        #[cfg(test)]\nmod tests { use crate::no; }\nuse super::super::i;";
    let code = without_tests(&without_comments(text));
    let source = Source { path: PathBuf::new(), module: vec!["m".into(), "n".into()], code };
    let found: Vec<String> = crate_modules_used(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["a", "c", "f", "g", "i"]);
    assert_eq!(refusal("model", "engine"), Some("that is a later layer"));
    assert!(refusal("api", "storage").is_some() && refusal("engine", "storage").is_none());
}
