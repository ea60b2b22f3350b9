//! Path globs: which stream paths a binding or a subscription means. Source: PROTOCOL.md §6.2.
//!
//! `*` is exactly one segment, `**` zero or more; among literals (`session-*`) a `*` is any text within the segment.
//! Everything else stands for itself. Matching is iterative and at most the product of the two lengths, because
//! patterns come from clients.

use std::fmt;
use std::sync::Arc;

/// A path glob: 1 to 1,024 bytes, no empty segment, `**` only as a whole segment and at most 8 of them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    #[error("the pattern is empty")]
    Empty,
    #[error("the pattern is longer than {} bytes", Pattern::BYTES_MAX)]
    TooLong,
    #[error("the pattern has an empty, `.` or `..` segment, which no stream path has")]
    Segment,
    #[error("the pattern has a control character, which no stream path has")]
    Control,
    #[error("`**` must be a segment of its own")]
    DoubleStar,
    #[error("the pattern has more than {} `**` segments", Pattern::DOUBLE_STARS_MAX)]
    TooManyDoubleStars,
}

/// How specific a pattern is; of the patterns that match a path, the greatest governs it. A pattern without wildcards
/// is above all others: its literal is the whole path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    exact: bool,
    literal_prefix_len: usize,
}

impl Pattern {
    pub const BYTES_MAX: usize = 1024;
    pub const DOUBLE_STARS_MAX: usize = 8;
    const DOUBLE_STAR: &'static str = "**";

    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(PatternFault::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternFault::Control);
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PatternFault::Segment);
        }
        if text.split('/').any(|segment| segment != Self::DOUBLE_STAR && segment.contains(Self::DOUBLE_STAR)) {
            return Err(PatternFault::DoubleStar);
        }
        if text.split('/').filter(|segment| *segment == Self::DOUBLE_STAR).count() > Self::DOUBLE_STARS_MAX {
            return Err(PatternFault::TooManyDoubleStars);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern names one path and nothing else.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Bytes before the first wildcard; all of them where there is none.
    pub fn literal_prefix_len(&self) -> usize {
        self.0.find('*').unwrap_or(self.0.len())
    }

    pub fn specificity(&self) -> Specificity {
        Specificity { exact: self.is_exact(), literal_prefix_len: self.literal_prefix_len() }
    }

    /// Whether a stream path matches.
    pub fn matches(&self, path: &str) -> bool {
        // The slash before a `**` belongs to it: `a/**` also matches `a`.
        let prefix = self.0[..self.literal_prefix_len()].trim_end_matches('/');
        if !path.starts_with(prefix) {
            return false;
        }
        let (mut glob, mut rest) = (first(&self.0), first(path));
        // Where to go on if the current attempt fails: behind the last `**`, which then takes one segment more. An
        // earlier `**` need never be tried again: whatever it could take, the last one can.
        let mut retry = None;
        loop {
            match (glob, rest) {
                (Some((Self::DOUBLE_STAR, globs)), _) => {
                    glob = globs.and_then(first);
                    retry = Some((glob, rest));
                }
                (Some((segment, globs)), Some((name, names))) if segment_matches(segment, name) => {
                    (glob, rest) = (globs.and_then(first), names.and_then(first));
                }
                (None, None) => return true,
                _ => match retry {
                    Some((globs, Some((_, names)))) => {
                        let names = names.and_then(first);
                        (glob, rest, retry) = (globs, names, Some((globs, names)));
                    }
                    _ => return false,
                },
            }
        }
    }

    /// Whether some path could match both. May say so where none does; never the reverse.
    pub fn intersects(&self, other: &Self) -> bool {
        let [ours, theirs] = [self, other].map(|pattern| pattern.0.split('/').collect::<Vec<_>>());
        overlap(&ours, &theirs, |segment| *segment == Self::DOUBLE_STAR, |a, b| segments_intersect(a, b))
    }
}

/// The first segment, and what follows its slash.
fn first(path: &str) -> Option<(&str, Option<&str>)> {
    match path.split_once('/') {
        Some((segment, rest)) => Some((segment, Some(rest))),
        None => Some((path, None)),
    }
}

/// The same walk within a segment: on a mismatch the last `*` takes one byte more.
fn segment_matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    let mut retry = None;
    loop {
        match (glob.get(g), name.get(n)) {
            (Some(b'*'), _) => {
                g += 1;
                retry = Some((g, n));
            }
            (Some(a), Some(b)) if a == b => (g, n) = (g + 1, n + 1),
            (None, None) => return true,
            _ => match retry {
                Some((behind, taken)) if taken < name.len() => {
                    (g, n, retry) = (behind, taken + 1, Some((behind, taken + 1)));
                }
                _ => return false,
            },
        }
    }
}

fn segments_intersect(a: &str, b: &str) -> bool {
    // Most segments are plain or a lone `*`.
    if a == "*" || b == "*" || a == b {
        return true;
    }
    overlap(a.as_bytes(), b.as_bytes(), |byte| *byte == b'*', |a, b| a == b)
}

/// Whether two sequences with wildcards, each standing for any number of items, have a common instance.
fn overlap<T>(a: &[T], b: &[T], is_wild: impl Fn(&T) -> bool, meet: impl Fn(&T, &T) -> bool) -> bool {
    // `below[j]` says whether `a[i + 1..]` and `b[j..]` overlap, `row[j]` the same for `a[i..]`.
    let mut below: Vec<bool> = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(wild), _) if is_wild(wild) => below[j] || (j < b.len() && row[j + 1]),
                (_, Some(wild)) if is_wild(wild) => row[j + 1] || (i < a.len() && below[j]),
                (Some(ours), Some(theirs)) => below[j + 1] && meet(ours, theirs),
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|fault| panic!("{text:?}: {fault}"))
    }

    /// The definition, with no thought of cost.
    fn naive(globs: &[&str], names: &[&str]) -> bool {
        match (globs, names) {
            ([], []) => true,
            (["**", globs @ ..], names) => (0..=names.len()).any(|taken| naive(globs, &names[taken..])),
            ([glob, globs @ ..], [name, names @ ..]) => {
                naive_segment(glob.as_bytes(), name.as_bytes()) && naive(globs, names)
            }
            _ => false,
        }
    }

    fn naive_segment(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], []) => true,
            ([b'*', glob @ ..], name) => (0..=name.len()).any(|taken| naive_segment(glob, &name[taken..])),
            ([a, glob @ ..], [b, name @ ..]) => a == b && naive_segment(glob, name),
            _ => false,
        }
    }

    fn patterns() -> impl Strategy<Value = Pattern> {
        let segment = prop_oneof![Just("**".to_owned()), "[ab*]{1,4}"];
        prop::collection::vec(segment, 1..6)
            .prop_map(|s| s.join("/"))
            .prop_filter_map("sound", |t| Pattern::parse(&t).ok())
    }

    fn paths() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]{1,3}", 1..6).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn matching_agrees_with_the_definition(pattern in patterns(), path in paths()) {
            let (globs, names): (Vec<_>, Vec<_>) = (pattern.as_str().split('/').collect(), path.split('/').collect());
            prop_assert_eq!(pattern.matches(&path), naive(&globs, &names), "{} {}", pattern, path);
        }

        #[test]
        fn patterns_with_a_common_path_intersect(a in patterns(), b in patterns(), path in paths()) {
            prop_assert_eq!(a.intersects(&b), b.intersects(&a));
            if a.matches(&path) && b.matches(&path) {
                prop_assert!(a.intersects(&b), "{} {} {}", a, b, path);
            }
        }

        #[test]
        fn an_exact_pattern_intersects_what_it_matches(a in patterns(), path in paths()) {
            prop_assert_eq!(pattern(&path).intersects(&a), a.matches(&path));
        }
    }

    #[test]
    fn wildcards_stand_for_segments() {
        for (glob, path, expected) in [
            ("events/*", "events/a", true),
            ("events/*", "events/a/b", false),
            ("events/*", "events", false),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("a/**", "ab", false),
            ("**", "x", true),
            ("**/b", "b", true),
            ("a/**/b/**/c", "a/x/b/y/b/z/c", true),
            ("agents/session-*", "agents/session-7", true),
            ("agents/session-*", "agents/session-", true),
            ("agents/session-*", "agents/session-7/out", false),
            ("*/ä*", "x/äö", true),
        ] {
            assert_eq!(pattern(glob).matches(path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn disjoint_patterns_do_not_intersect() {
        for (a, b) in [("a/*/x", "a/*/y"), ("a/*-in", "a/*-out"), ("*", "*/*"), ("**/a", "**/b"), ("a*", "b*")] {
            assert!(!pattern(a).intersects(&pattern(b)), "{a} {b}");
        }
        for (a, b) in [("a/*", "*/b"), ("a/**", "**/b"), ("x*", "*y"), ("**", "a"), ("**/*", "*")] {
            assert!(pattern(a).intersects(&pattern(b)), "{a} {b}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_cheap() {
        let hostile = pattern(&format!("{}b", "*a".repeat(400)));
        assert!(!hostile.matches(&"a".repeat(1024)));
        let deep = pattern(&format!("{}b", "**/*a/".repeat(8)));
        assert!(!deep.matches(&vec!["a"; 512].join("/")));
        assert!(hostile.intersects(&hostile) && deep.intersects(&deep));
    }

    #[test]
    fn malformed_patterns_are_named() {
        for (text, fault) in [
            ("", PatternFault::Empty),
            ("/a", PatternFault::Segment),
            ("a//b", PatternFault::Segment),
            ("a/", PatternFault::Segment),
            ("a/../b", PatternFault::Segment),
            ("a**", PatternFault::DoubleStar),
            ("a/***", PatternFault::DoubleStar),
            ("a\n", PatternFault::Control),
            ("**/**/**/**/**/**/**/**/**", PatternFault::TooManyDoubleStars),
        ] {
            assert_eq!(Pattern::parse(text), Err(fault), "{text:?}");
        }
        assert_eq!(Pattern::parse(&"x".repeat(1025)), Err(PatternFault::TooLong));
    }

    #[test]
    fn longer_literals_are_more_specific_and_whole_paths_most() {
        assert!(pattern("a/b").specificity() > pattern("a/b/**").specificity());
        assert!(pattern("a/b*").specificity() > pattern("a/*").specificity());
        assert_eq!(pattern("a/*").specificity(), pattern("a/**").specificity());
    }
}
