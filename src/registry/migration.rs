//! The steps that carry entities of one schema version over to another.
//!
//! Decides what becomes of one value ([`Plan::rewrite`]) and which steps may be declared at all ([`Plan::new`]). Which
//! entities there are, in what order they are rewritten and how that survives a crash is the engine's; what happened so
//! far is [`super::ledger`]'s.
//!
//! Invariants: a rewritten value is one of its collection in the new version and has the key it had; a step that finds
//! nothing to do does nothing, so that an entity in the new shape passes through.

use std::collections::BTreeMap;
use std::sync::Arc;

use json_patch::{Patch, PatchOperation};
use serde_json::{Map, Value};

use super::{Compiled, CompiledCollection, ValueFault};

/// Most steps of one collection, and operations of one patch.
pub const STEPS_MAX: usize = 100;

/// What is done to every entity of a collection, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Moves a member, of whatever object. Nothing where it is not there.
    Rename { from: Pointer, to: Pointer },
    /// Sets a member that is missing. Nothing where the object around it is missing as well.
    Default { path: Pointer, value: Value },
    /// Takes a member away. Nothing where it is not there.
    Drop(Pointer),
    /// All of its operations or none. Source: RFC 6902. Unlike the other steps it fails where it finds nothing.
    Patch(Patch),
}

/// Steps by collection name.
pub type Steps = BTreeMap<String, Vec<Step>>;

/// Names a member of an object, at any depth. Source: RFC 6901; never the whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    /// Unescaped.
    parents: Vec<String>,
    name: String,
}

/// Why steps cannot be declared. Nothing was written; the same call cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{collection}, step {step}: {message}")]
pub struct StepFault {
    pub collection: String,
    /// Which step, from 0.
    pub step: usize,
    pub message: String,
}

/// Steps that are held against the versions they lead from and to.
#[derive(Debug)]
pub struct Plan {
    to: Arc<Compiled>,
    /// By entity type.
    steps: BTreeMap<String, Vec<Step>>,
}

impl Pointer {
    /// A JSON pointer, or the plain name of a top-level member. `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = match text.strip_prefix('/') {
            Some(_) => text.to_owned(),
            None if text.is_empty() || text.contains(['/', '~']) => return None,
            None => format!("/{text}"),
        };
        let mut segments = whole[1..].split('/').map(unescaped).collect::<Option<Vec<_>>>()?;
        let name = segments.pop()?;
        Some(Self { text: whole, parents: segments, name })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The top-level member that it lies in.
    fn root(&self) -> &str {
        self.parents.first().unwrap_or(&self.name)
    }

    /// The object around the member. `None` where there is none; a fault where something else stands there.
    fn around<'v>(&self, value: &'v mut Value) -> Result<Option<&'v mut Map<String, Value>>, String> {
        let mut at = value;
        for parent in &self.parents {
            let Some(members) = at.as_object_mut() else { return Err(self.no_object()) };
            match members.get_mut(parent) {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        at.as_object_mut().map(Some).ok_or_else(|| self.no_object())
    }

    fn no_object(&self) -> String {
        format!("{} is not a member of an object here", self.text)
    }
}

fn unescaped(segment: &str) -> Option<String> {
    let mut rest = segment.chars();
    let mut plain = String::with_capacity(segment.len());
    while let Some(c) = rest.next() {
        plain.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

impl Plan {
    /// Holds steps against both versions.
    pub fn new(steps: &Steps, from: &Compiled, to: &Arc<Compiled>) -> Result<Self, StepFault> {
        let mut by_type = BTreeMap::new();
        for (name, steps) in steps {
            let fault = |step, message: String| StepFault { collection: name.clone(), step, message };
            let Some(collection) = to.collection_named(name) else {
                let known: Vec<&str> = to.collections().map(|c| c.name.as_str()).collect();
                return Err(fault(0, format!("the new version has no such collection; it has {}", known.join(", "))));
            };
            if steps.len() > STEPS_MAX {
                return Err(fault(STEPS_MAX, format!("at most {STEPS_MAX} steps")));
            }
            let entity_type = collection.entity_type.as_str();
            let former = from.collection(entity_type).map(|former| former.primary_key.as_str());
            let keys = Keys { former, new: &collection.primary_key };
            for (nth, step) in steps.iter().enumerate() {
                keys.check(step).map_err(|message| fault(nth, message))?;
            }
            by_type.insert(entity_type.to_owned(), steps.clone());
        }
        Ok(Self { to: to.clone(), steps: by_type })
    }

    /// What an entity's value becomes; `None` where it stays as it is. Refused with what is wrong with it.
    ///
    /// No value grows beyond `nodes_max` on the way.
    pub fn rewrite(
        &self,
        entity_type: &str,
        key: &str,
        value: &Value,
        nodes_max: usize,
        faults_max: usize,
    ) -> Result<Option<Value>, Vec<ValueFault>> {
        let Some(collection) = self.to.collection(entity_type) else {
            return Err(vec![fault("/type", "enum", format!("the new version has no type {entity_type:?}"))]);
        };
        let mut rewritten = value.clone();
        for (nth, step) in self.steps.get(entity_type).into_iter().flatten().enumerate() {
            step.apply(&mut rewritten, nodes_max)
                .map_err(|(pointer, message)| vec![fault(&pointer, "step", format!("step {nth}: {message}"))])?;
        }
        let mut faults = collection.check(&rewritten, faults_max);
        if faults.is_empty() {
            faults.extend(key_fault(collection, &rewritten, key));
        }
        match faults.is_empty() {
            true => Ok((rewritten != *value).then_some(rewritten)),
            false => Err(faults),
        }
    }

    pub fn version_of(&self, entity_type: &str, value: &Value) -> Option<i128> {
        self.to.collection(entity_type)?.version_of(value)
    }
}

fn key_fault(collection: &CompiledCollection, value: &Value, key: &str) -> Option<ValueFault> {
    let pointer = format!("/{}", collection.primary_key.replace('~', "~0").replace('/', "~1"));
    match collection.key_of(value) {
        Ok(now) if now == key => None,
        Ok(now) => Some(fault(&pointer, "primaryKey", format!("the key {key:?} would become {now:?}"))),
        Err(why) => Some(fault(&pointer, "primaryKey", why.to_string())),
    }
}

fn fault(pointer: &str, keyword: &str, message: String) -> ValueFault {
    let (pointer, keyword, schema_location) = (pointer.to_owned(), keyword.to_owned(), String::new());
    ValueFault { pointer, keyword, schema_location, message }
}

/// The members that hold the key, in either version: an entity that had another key would be another entity.
struct Keys<'a> {
    former: Option<&'a str>,
    new: &'a str,
}

impl Keys<'_> {
    fn check(&self, step: &Step) -> Result<(), String> {
        let touches = |pointer: &Pointer| pointer.root() == self.new || self.former == Some(pointer.root());
        let refused = |pointer: &str| Err(format!("{pointer} is the entity's key, which no step may touch"));
        match step {
            // The key itself stays: only the member that holds it is called otherwise.
            Step::Rename { from, to }
                if self.former.is_some_and(|former| former != self.new && from.is_top(former))
                    && to.is_top(self.new) =>
            {
                Ok(())
            }
            Step::Rename { from, to } => match [from, to].into_iter().find(|pointer| touches(pointer)) {
                Some(pointer) => refused(pointer.as_str()),
                None if from.is_around(to) || to.is_around(from) => {
                    Err(format!("{} and {} lie in each other", from.as_str(), to.as_str()))
                }
                None => Ok(()),
            },
            Step::Default { path, .. } | Step::Drop(path) if touches(path) => refused(path.as_str()),
            Step::Default { .. } | Step::Drop(_) => Ok(()),
            Step::Patch(patch) if patch.len() > STEPS_MAX => Err(format!("at most {STEPS_MAX} operations")),
            Step::Patch(patch) => {
                let written = patch.iter().flat_map(written_by);
                let mut touching = written.filter(|place| place.is_empty() || self.is_key(place));
                match touching.next() {
                    Some(place) if place.is_empty() => Err("the whole value cannot be replaced".to_owned()),
                    Some(place) => refused(&place),
                    None => Ok(()),
                }
            }
        }
    }

    fn is_key(&self, pointer: &str) -> bool {
        let root = pointer.split('/').nth(1).and_then(unescaped);
        root.is_some_and(|root| root == self.new || self.former == Some(root.as_str()))
    }
}

impl Pointer {
    fn is_top(&self, name: &str) -> bool {
        self.parents.is_empty() && self.name == name
    }

    /// Whether it names the other member, or something around it.
    fn is_around(&self, other: &Self) -> bool {
        let mut place = self.parents.iter().chain([&self.name]);
        let mut others = other.parents.iter().chain([&other.name]);
        place.by_ref().all(|segment| others.next() == Some(segment))
    }
}

/// The places that an operation changes.
fn written_by(operation: &PatchOperation) -> Vec<String> {
    match operation {
        PatchOperation::Add(add) => vec![add.path.to_string()],
        PatchOperation::Remove(remove) => vec![remove.path.to_string()],
        PatchOperation::Replace(replace) => vec![replace.path.to_string()],
        PatchOperation::Move(moved) => vec![moved.from.to_string(), moved.path.to_string()],
        PatchOperation::Copy(copied) => vec![copied.path.to_string()],
        PatchOperation::Test(_) => Vec::new(),
    }
}

impl Step {
    /// The place and what is wrong there, where it cannot be applied; the value is of no use then.
    fn apply(&self, value: &mut Value, nodes_max: usize) -> Result<(), (String, String)> {
        match self {
            Self::Rename { from, to } => rename(value, from, to).map_err(|m| (from.as_str().to_owned(), m)),
            Self::Default { path, value: default } => {
                let around = path.around(value).map_err(|m| (path.as_str().to_owned(), m))?;
                if let Some(members) = around {
                    members.entry(path.name.clone()).or_insert_with(|| default.clone());
                }
                Ok(())
            }
            Self::Drop(path) => {
                let around = path.around(value).map_err(|m| (path.as_str().to_owned(), m))?;
                around.and_then(|members| members.remove(&path.name));
                Ok(())
            }
            Self::Patch(patch) => {
                for operation in patch.iter() {
                    let place = operation.path().to_string();
                    json_patch::patch_unsafe(value, std::slice::from_ref(operation))
                        .map_err(|error| (place.clone(), error.to_string()))?;
                    // A value that is copied into itself doubles each time.
                    if matches!(operation, PatchOperation::Copy(_)) && nodes(value, nodes_max) > nodes_max {
                        return Err((place, "the value grows too large".to_owned()));
                    }
                }
                Ok(())
            }
        }
    }
}

fn rename(value: &mut Value, from: &Pointer, to: &Pointer) -> Result<(), String> {
    let Some(members) = from.around(value)? else { return Ok(()) };
    let Some(moved) = members.remove(&from.name) else { return Ok(()) };
    match to.around(value)? {
        Some(members) if members.contains_key(&to.name) => Err(format!("{} is there already", to.as_str())),
        Some(members) => {
            members.insert(to.name.clone(), moved);
            Ok(())
        }
        None => Err(format!("there is no object around {}", to.as_str())),
    }
}

/// How many values lie in a value, itself included; counting stops above `max`.
fn nodes(value: &Value, max: usize) -> usize {
    let (mut open, mut seen) = (vec![value], 0);
    while let Some(value) = open.pop() {
        seen += 1;
        if seen + open.len() > max {
            return max + 1;
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{any_json, document};
    use proptest::prelude::*;
    use serde_json::json;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap_or_else(|| panic!("{text:?} is no pointer"))
    }

    fn rename_step(from: &str, to: &str) -> Step {
        Step::Rename { from: pointer(from), to: pointer(to) }
    }

    fn patch(operations: Value) -> Step {
        Step::Patch(serde_json::from_value(operations).unwrap())
    }

    fn plan(steps: Vec<Step>, from: Value, to: Value) -> Result<Plan, StepFault> {
        let steps = Steps::from([("c".to_owned(), steps)]);
        Plan::new(&steps, document(from).compiled(), document(to).compiled())
    }

    fn rewritten(plan: &Plan, value: Value) -> Result<Option<Value>, Vec<ValueFault>> {
        plan.rewrite("t", "k", &value, 1_000, 10)
    }

    #[test]
    fn pointers_are_json_pointers_or_plain_names() {
        assert_eq!(pointer("a"), pointer("/a"));
        assert_eq!(pointer("/a~1b/~0").parents, ["a/b"]);
        assert_eq!(pointer("/a~1b/~0").name, "~");
        for text in ["", "a/b", "a~1b", "/a~2", "/~"] {
            assert_eq!(Pointer::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn steps_do_what_they_say_in_their_order() {
        let steps = vec![
            rename_step("first", "/name"),
            Step::Default { path: pointer("/size"), value: json!(1) },
            Step::Default { path: pointer("/deep/flag"), value: json!(true) },
            Step::Drop(pointer("/old")),
            patch(
                json!([{"op": "test", "path": "/size", "value": 1}, {"op": "replace", "path": "/size", "value": 2}]),
            ),
        ];
        let plan = plan(steps, json!({}), json!({"name": {"type": "string"}, "size": {"minimum": 2}})).unwrap();
        assert_eq!(
            rewritten(&plan, json!({"id": "k", "first": "x", "old": [1], "deep": {}})),
            Ok(Some(json!({"id": "k", "name": "x", "size": 2, "deep": {"flag": true}})))
        );
        let refused = rewritten(&plan, json!({"id": "k", "size": 7})).unwrap_err();
        assert_eq!((refused[0].pointer.as_str(), refused[0].keyword.as_str()), ("/size", "step"));
        let taken = rewritten(&plan, json!({"id": "k", "first": "x", "name": "y"})).unwrap_err();
        assert!(taken[0].message.contains("already"), "{taken:?}");
    }

    #[test]
    fn what_needs_no_step_is_left_as_it_is() {
        let steps = vec![rename_step("a", "b"), Step::Drop(pointer("c"))];
        let plan = plan(steps, json!({}), json!({"b": {"type": "integer"}})).unwrap();
        assert_eq!(rewritten(&plan, json!({"id": "k", "b": 1})), Ok(None));
        assert_eq!(rewritten(&plan, json!({"id": "k", "b": "x"})).unwrap_err()[0].pointer, "/b");
    }

    #[test]
    fn no_step_touches_the_key() {
        for step in [
            rename_step("id", "x"),
            rename_step("x", "/id"),
            rename_step("x", "/id/y"),
            Step::Drop(pointer("id")),
            Step::Default { path: pointer("id"), value: json!("x") },
            patch(json!([{"op": "remove", "path": "/id"}])),
            patch(json!([{"op": "move", "from": "/id", "path": "/x"}])),
            patch(json!([{"op": "replace", "path": "", "value": {}}])),
            rename_step("/a", "/a/b"),
        ] {
            assert!(plan(vec![step.clone()], json!({}), json!({})).is_err(), "{step:?}");
        }
        let copies = patch(json!([{"op": "copy", "from": "/id", "path": "/x"}]));
        let plan = plan(vec![copies], json!({}), json!({})).unwrap();
        assert_eq!(rewritten(&plan, json!({"id": "k"})), Ok(Some(json!({"id": "k", "x": "k"}))));
        assert_eq!(rewritten(&plan, json!({"id": "other"})).unwrap_err()[0].keyword, "primaryKey");
    }

    #[test]
    fn a_key_may_move_to_the_member_that_holds_it_from_now_on() {
        let to = json!({"collections": {"c": {"type": "t", "primaryKey": "uid", "schema": {
            "type": "object", "required": ["uid"], "properties": {"uid": {"type": "string"}}}}}});
        let to = crate::registry::testing::parse(&to).unwrap();
        let steps = Steps::from([("c".to_owned(), vec![rename_step("id", "uid")])]);
        let plan = Plan::new(&steps, document(json!({})).compiled(), to.compiled()).unwrap();
        assert_eq!(rewritten(&plan, json!({"id": "k"})), Ok(Some(json!({"uid": "k"}))));
    }

    #[test]
    fn a_value_that_is_copied_into_itself_is_stopped() {
        let copies: Vec<Value> =
            (0..40).map(|n| json!({"op": "copy", "from": "/x", "path": format!("/x/{n}")})).collect();
        let plan = plan(vec![patch(json!(copies))], json!({}), json!({})).unwrap();
        let refused = rewritten(&plan, json!({"id": "k", "x": {}})).unwrap_err();
        assert!(refused[0].message.contains("too large"), "{refused:?}");
    }

    proptest! {
        #[test]
        fn a_rewritten_value_fits_or_is_refused(
            mut value in any_json(), names in proptest::collection::vec("[a-c]", 4), default in any_json(),
        ) {
            if let Some(members) = value.as_object_mut() {
                members.insert("id".to_owned(), json!("k"));
            }
            let steps = vec![
                Step::Drop(pointer(&names[0])),
                Step::Default { path: pointer(&names[1]), value: default },
                Step::Rename { from: pointer(&format!("{}x", names[2])), to: pointer(&names[3]) },
            ];
            let properties = json!({"a": {"type": "string"}, "b": {"type": ["integer", "null"]}});
            let to = document(properties.clone());
            let plan = plan(steps, json!({}), properties).unwrap();
            let fits = |value: &Value| {
                let collection = to.compiled().collection("t").unwrap();
                collection.is_valid(value) && collection.key_of(value).is_ok_and(|key| key == "k")
            };
            match plan.rewrite("t", "k", &value, 10_000, 10) {
                Ok(Some(rewritten)) => prop_assert!(fits(&rewritten) && rewritten != value),
                Ok(None) => prop_assert!(fits(&value)),
                Err(faults) => prop_assert!(!faults.is_empty()),
            }
        }
    }
}
