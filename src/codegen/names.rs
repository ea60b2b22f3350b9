//! Identifiers for whatever a document calls its parts: valid, told apart, and as close to the original as they can be.
//!
//! Only ASCII letters, digits and underscores are used: compilers compare other letters in ways of their own.

use std::collections::HashSet;

/// The identifiers of one scope.
#[derive(Clone, Debug)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// A scope in which these names mean something else already.
    pub fn without(reserved: &[&str]) -> Self {
        Self { taken: reserved.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// The name itself, or with the first number that nobody has.
    pub fn take(&mut self, name: String) -> String {
        // A number behind a digit would read as another number.
        let joint = if name.ends_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        let found = std::iter::once(name.clone())
            .chain((2..).map(|number| format!("{name}{joint}{number}")))
            .find(|candidate| !self.taken.contains(candidate))
            .expect("numbers do not end");
        self.taken.insert(found.clone());
        found
    }
}

/// `PascalCase`; `otherwise` where the text has no letter or digit of ASCII.
pub(super) fn pascal(text: &str, otherwise: &str) -> String {
    let name: String = words(text)
        .iter()
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + &letters.as_str().to_ascii_lowercase()
            })
        })
        .collect();
    begun(name, otherwise, otherwise)
}

/// `snake_case`; `otherwise` where the text has no letter or digit of ASCII.
pub(super) fn snake(text: &str, otherwise: &str) -> String {
    let name = words(text).join("_").to_ascii_lowercase();
    begun(name, otherwise, &format!("{otherwise}_"))
}

/// An identifier does not begin with a digit.
fn begun(name: String, otherwise: &str, prefix: &str) -> String {
    match name.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{prefix}{name}"),
        Some(_) => name,
    }
}

/// Runs of letters and digits; a capital begins a word behind a small letter, or before one.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let begins = letter.is_ascii_uppercase()
            && (before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || (before.is_some_and(|c| c.is_ascii_uppercase())
                    && letters.get(index + 1).is_some_and(char::is_ascii_lowercase)));
        if (begins || !letter.is_ascii_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_ascii_alphanumeric() {
            word.push(*letter);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_keep_their_words() {
        for (text, expected_pascal, expected_snake) in [
            ("auth-session", "AuthSession", "auth_session"),
            ("gitRepoURL", "GitRepoUrl", "git_repo_url"),
            ("HTTPServer2", "HttpServer2", "http_server2"),
            ("in flight/now", "InFlightNow", "in_flight_now"),
            ("2nd", "Other2nd", "other_2nd"),
            ("日本", "Other", "other"),
            ("", "Other", "other"),
        ] {
            assert_eq!(pascal(text, "Other"), expected_pascal);
            assert_eq!(snake(text, "other"), expected_snake);
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::without(&["Vec"]);
        let given: Vec<_> = ["A", "A", "A2", "Vec", "A"].iter().map(|name| names.take((*name).to_owned())).collect();
        assert_eq!(given, ["A", "A2", "A2_2", "Vec2", "A3"]);
    }

    proptest! {
        #[test]
        fn identifiers_are_valid_and_told_apart(texts in prop::collection::vec(".{0,12}|[a-cA-C_\\-2 ]{0,5}", 0..40)) {
            let (mut types, mut fields) = (Names::without(&["Type"]), Names::without(&["field"]));
            let mut seen = HashSet::new();
            for text in &texts {
                for name in [types.take(pascal(text, "Type")), fields.take(snake(text, "field")) + "."] {
                    let identifier = name.trim_end_matches('.');
                    prop_assert!(identifier.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", name);
                    prop_assert!(identifier.starts_with(|c: char| c.is_ascii_alphabetic()), "{}", name);
                    prop_assert!(seen.insert(name));
                }
            }
        }
    }
}
