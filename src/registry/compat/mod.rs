//! Whether one version of a schema takes everything another one took, with proof.
//!
//! Decided here: whether every instance of one JSON Schema is an instance of another ([`contained`]), and what that
//! says about two versions of a document under a [`Mode`] and a [`ContentModel`] ([`check_documents`]). Left to others:
//! which versions are compared, what a refusal does, stored entities (engine), wire forms (protocol).
//!
//! Invariant: [`Containment::Contained`] is only said where no instance tells the schemas apart, and a counterexample is
//! only shown after the validator that judges writes has accepted it for one schema and refused it for the other. What
//! cannot be decided within [`Bounds`] is [`Containment::Undecided`], never a guess. Work is counted in steps, not in
//! time: the same question has the same answer on every machine.

mod admit;
mod array;
mod compile;
mod documents;
mod evaluated;
mod format;
mod node;
mod number;
mod object;
mod question;
mod scalar;
mod search;
mod subsume;
mod text;

pub use documents::{Report, Violation, check_documents};

use serde_json::Value;

/// Which instances a schema's objects stand for when it does not say `additionalProperties`.
///
/// JSON Schema lets an object hold members nobody declared. Read so, a schema that gains an optional property is never
/// compatible with the one before: an old value could always have held that very member with another meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentModel {
    /// Producers write what they declared, consumers take more: the objects of the side whose instances are asked about
    /// hold only declared members, those of the other side anything. Adding or removing an optional property is
    /// compatible in every mode. The consequence: a producer that does write undeclared members can be refused later,
    /// when a version declares one of them with another type.
    #[default]
    OptionalFriendly,
    /// Both sides hold only what they declared. Adding an optional property is compatible backward, removing one is
    /// not; forward it is the other way around.
    Closed,
    /// JSON Schema to the letter: undeclared members may hold anything, on both sides. Adding an optional property is
    /// incompatible backward unless the earlier version forbade it.
    Open,
}

/// Which versions must contain which. Names are those of the Confluent registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is compared.
    None,
    /// Everything valid under the latest earlier version is valid under the candidate.
    #[default]
    Backward,
    /// As [`Mode::Backward`], against every earlier version.
    BackwardTransitive,
    /// Everything valid under the candidate is valid under the latest earlier version.
    Forward,
    /// As [`Mode::Forward`], against every earlier version.
    ForwardTransitive,
    /// Both directions, against the latest earlier version.
    Full,
    /// Both directions, against every earlier version.
    FullTransitive,
}

impl ContentModel {
    pub const ALL: &[Self] = &[Self::OptionalFriendly, Self::Closed, Self::Open];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptionalFriendly => "optional_friendly",
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|model| model.as_str() == text)
    }
}

impl Mode {
    pub const ALL: &[Self] = &[
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.as_str() == text)
    }

    /// Whether the candidate must take what the earlier versions took.
    pub fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether the earlier versions must take what the candidate takes.
    pub fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether every earlier version counts, not only the latest.
    pub fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

/// What one question may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Steps of one comparison of two schemas; beyond them the verdict is undecided. A step is about a microsecond.
    pub steps: u64,
    /// Deepest nesting of an instance that is looked for.
    pub depth: u32,
    /// Violations named per comparison, at least one.
    pub violations: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 400_000, depth: 64, violations: 20 }
    }
}

/// Whether every instance of one schema is an instance of another.
#[derive(Clone, Debug, PartialEq)]
pub enum Containment {
    /// It is.
    Contained,
    /// It is not.
    Refuted(Refutation),
    /// Not decided within the bounds. A caller that must choose takes it for refuted.
    Undecided {
        /// For a person.
        reason: String,
        /// JSON pointer into the outer schema: what could not be decided.
        path: String,
    },
}

/// Why one schema does not contain another: at least one difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Refutation {
    pub differences: Vec<Difference>,
}

/// One place where an instance of the inner schema is refused by the outer one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Stable, lower case with underscores; `docs/compatibility.md` lists them.
    pub kind: &'static str,
    /// JSON pointer into the outer schema.
    pub path: String,
    /// For a person.
    pub message: String,
    /// An instance of the inner schema that the outer one refuses; `None` only where the refusal is proven but no
    /// instance could be verified.
    pub counterexample: Option<Value>,
}

/// Whether every instance of `inner` is an instance of `outer`.
///
/// Both are schemas that a document may hold: sound, without remote references, look-around or back-references.
/// `format` is asserted as it is for writes.
pub fn contained(inner: &Value, outer: &Value, model: ContentModel, bounds: &Bounds) -> Containment {
    contained_where(inner, outer, None, model, bounds)
}

/// As [`contained`], asked only about instances of `given` as well, which is read to the letter.
fn contained_where(
    inner: &Value,
    outer: &Value,
    given: Option<&Value>,
    model: ContentModel,
    bounds: &Bounds,
) -> Containment {
    if inner == outer {
        return Containment::Contained;
    }
    let undecided =
        || Containment::Undecided { reason: "a schema that is not sound".to_owned(), path: String::new() };
    question::ask(inner, Some(outer), given, model, bounds, |question| question.contained()).unwrap_or_else(undecided)
}

/// Some instance of `schema` that is an instance of `given` as well.
fn instance(schema: &Value, given: &Value, model: ContentModel, bounds: &Bounds) -> Option<Value> {
    question::ask(schema, None, Some(given), model, bounds, |question| question.instance()).flatten()
}
