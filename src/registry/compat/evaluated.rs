//! Which members and items a schema speaks of: what `unevaluated*` and the closed content models rest on.
//!
//! What is declared can depend on which branches hold. So each declaration is kept with its condition, and "undeclared
//! members are forbidden" becomes, for each name that only some branches declare, "absent, or one of them holds". Conditions are kept as references, because
//! a branch may lead back to where its declarations are asked for.

use std::collections::BTreeMap;

use jsonschema::Draft;
use serde_json::Value;

use super::compile::{Compiler, Scope, unclosed};
use super::node::*;

/// One keyword's declarations and when they count.
#[derive(Clone, Default)]
struct Part {
    /// The subschemas that must hold; none where it always counts.
    when: Vec<Id>,
    names: Vec<Name>,
    patterns: Vec<Name>,
    all_members: bool,
    /// Leading items.
    items: u64,
    all_items: bool,
    /// Items that belong to this.
    contains: Option<Id>,
}

/// All that a schema declares about one value.
#[derive(Default)]
pub(super) struct Declared {
    parts: Vec<Part>,
    /// Subschemas being looked at, to end at cycles.
    open: Vec<(usize, Vec<Id>)>,
    /// Something was not understood.
    lost: bool,
}

/// Conditional patterns whose combinations are told apart.
const PATTERNS_MAX: usize = 5;
/// Conditional `contains` whose combinations are told apart.
const CONTAINS_MAX: usize = 5;
const PARTS_MAX: usize = 2_000;

impl Declared {
    /// "Members that are not declared are absent", for a value of `schema`. Where nothing is declared, anything goes.
    pub fn close<'a>(compiler: &mut Compiler<'a>, schema: &'a Value, scope: &Scope) -> Id {
        let mut declared = Self::default();
        let inside = compiler.inside(schema, scope);
        declared.collect(compiler, schema, &inside, &[], false);
        let says_nothing =
            declared.parts.iter().all(|part| part.names.is_empty() && part.patterns.is_empty() && !part.all_members);
        match says_nothing {
            true => TRUE,
            false => declared.members(compiler, FALSE),
        }
    }

    pub fn unevaluated_members<'a>(compiler: &mut Compiler<'a>, schema: &'a Value, scope: &Scope, then: Id) -> Id {
        let mut declared = Self::default();
        declared.collect(compiler, schema, scope, &[], true);
        declared.members(compiler, then)
    }

    pub fn unevaluated_items<'a>(compiler: &mut Compiler<'a>, schema: &'a Value, scope: &Scope, then: Id) -> Id {
        let mut declared = Self::default();
        declared.collect(compiler, schema, scope, &[], true);
        declared.items(compiler, then)
    }

    /// Collects from `schema`, whose scope is the one inside it. `own`: it is the one whose `unevaluated*` is read.
    fn collect<'a>(&mut self, compiler: &mut Compiler<'a>, schema: &'a Value, scope: &Scope, when: &[Id], own: bool) {
        let Some(members) = schema.as_object() else {
            return;
        };
        let address = (std::ptr::from_ref(schema).addr(), when.to_vec());
        if self.open.contains(&address) || self.parts.len() > PARTS_MAX {
            self.lost |= self.parts.len() > PARTS_MAX;
            return;
        }
        self.open.push(address);
        let since = |draft: Draft| scope.draft >= draft;
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            let found = compiler.lookup(target, scope);
            self.follow(compiler, found, when);
            if scope.draft <= Draft::Draft7 {
                self.open.pop();
                return;
            }
        }
        if let Some(target) = members.get("$dynamicRef").and_then(Value::as_str).filter(|_| since(Draft::Draft202012))
        {
            let found = compiler.dynamic_lookup(target, scope);
            self.follow(compiler, found, when);
        }
        if members.contains_key("$recursiveRef") && scope.draft == Draft::Draft201909 {
            let found = compiler.recursive_lookup(scope);
            self.follow(compiler, found, when);
        }
        let mut part = Part { when: when.to_vec(), ..Part::default() };
        let names = |keyword: &str| {
            let map = members.get(keyword).and_then(Value::as_object);
            map.into_iter().flat_map(|map| map.keys()).map(|name| Name::from(name.as_str())).collect()
        };
        part.names = names("properties");
        part.patterns = names("patternProperties");
        part.all_members = members.contains_key("additionalProperties")
            || (!own && since(Draft::Draft201909) && members.contains_key("unevaluatedProperties"));
        part.all_items = !own && since(Draft::Draft201909) && members.contains_key("unevaluatedItems");
        let prefix = |keyword: &str| members.get(keyword).and_then(Value::as_array).map(|items| items.len() as u64);
        if since(Draft::Draft202012) {
            part.items = prefix("prefixItems").unwrap_or(0);
            part.all_items |= members.contains_key("items");
        } else {
            part.items = prefix("items").unwrap_or(0);
            let listed = prefix("items").is_some();
            part.all_items |= members.contains_key("items") && (!listed || members.contains_key("additionalItems"));
        }
        if let Some(contains) = members.get("contains").filter(|_| since(Draft::Draft201909)) {
            part.contains = Some(compiler.refer(contains, unclosed(scope), ""));
        }
        self.parts.push(part);
        for branch in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let inside = compiler.inside(branch, scope);
            self.collect(compiler, branch, &inside, when, false);
        }
        for keyword in ["anyOf", "oneOf"] {
            for branch in members.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                let holds = compiler.refer(branch, scope.clone(), "");
                self.collect_when(compiler, branch, scope, when, holds);
            }
        }
        if let Some(condition) = members.get("if").filter(|_| since(Draft::Draft7)) {
            let holds = compiler.refer(condition, unclosed(scope), "");
            let fails = compiler.arena.not(holds);
            self.collect_when(compiler, condition, scope, when, holds);
            for (keyword, holds) in [("then", holds), ("else", fails)] {
                if let Some(branch) = members.get(keyword) {
                    self.collect_when(compiler, branch, scope, when, holds);
                }
            }
        }
        for keyword in ["dependentSchemas", "dependencies"] {
            let known = keyword == "dependencies" || since(Draft::Draft201909);
            for (name, branch) in
                members.get(keyword).filter(|_| known).and_then(Value::as_object).into_iter().flatten()
            {
                let (has, object) = (compiler.has(name), compiler.arena.kinds(OBJECT));
                let holds = compiler.arena.and([has, object]);
                self.collect_when(compiler, branch, scope, when, holds);
            }
        }
        self.open.pop();
    }

    fn collect_when<'a>(
        &mut self,
        compiler: &mut Compiler<'a>,
        schema: &'a Value,
        scope: &Scope,
        when: &[Id],
        holds: Id,
    ) {
        let inside = compiler.inside(schema, scope);
        let mut when = when.to_vec();
        if !when.contains(&holds) {
            when.push(holds);
        }
        self.collect(compiler, schema, &inside, &when, false);
    }

    fn follow<'a>(&mut self, compiler: &mut Compiler<'a>, found: Option<(&'a Value, Scope)>, when: &[Id]) {
        match found {
            Some((schema, scope)) => {
                let inside = compiler.inside(schema, &scope);
                self.collect(compiler, schema, &inside, when, false);
            }
            None => self.lost = true,
        }
    }

    /// Every member that is not declared is one of `then`.
    fn members(&self, compiler: &mut Compiler<'_>, then: Id) -> Id {
        if self.lost {
            return compiler.arena.add(Node::Unknown("what a schema declares is spread too widely"));
        }
        let always = |part: &&Part| part.when.is_empty();
        if then == TRUE || self.parts.iter().filter(always).any(|part| part.all_members) {
            return TRUE;
        }
        let mut whens: BTreeMap<&Name, Vec<Id>> = BTreeMap::new();
        for part in &self.parts {
            let when = compiler.arena.and(part.when.iter().copied());
            part.names.iter().for_each(|name| whens.entry(name).or_default().push(when));
        }
        let all_when = self.whens(compiler, |part| part.all_members);
        let mut patterns_when: BTreeMap<&Name, Vec<Id>> = BTreeMap::new();
        for part in &self.parts {
            let when = compiler.arena.and(part.when.iter().copied());
            part.patterns.iter().for_each(|pattern| patterns_when.entry(pattern).or_default().push(when));
        }
        let (free, bound): (Vec<_>, Vec<_>) = patterns_when.into_iter().partition(|(_, whens)| whens.contains(&TRUE));
        let free: Vec<Name> = free.into_iter().map(|(pattern, _)| pattern.clone()).collect();
        if bound.len() > PATTERNS_MAX {
            return compiler.arena.add(Node::Unknown("what a schema declares depends on too many patterns"));
        }
        let mut parts = Vec::new();
        for (name, own) in whens.iter().filter(|(_, own)| !own.contains(&TRUE)) {
            let mut either = all_when.clone();
            either.extend(own);
            let mut covered = false;
            for (pattern, whens) in
                free.iter().map(|pattern| (pattern, None)).chain(bound.iter().map(|(p, w)| (*p, Some(w))))
            {
                match (compiler.automata.is_match(pattern, name), whens) {
                    (Some(true), Some(whens)) => either.extend(whens),
                    (Some(true), None) => covered = true,
                    (Some(false), _) => {}
                    (None, _) => return compiler.arena.add(Node::Unknown("a pattern that no automaton reads")),
                }
            }
            if !covered {
                either.push(compiler.arena.add(Node::Member((*name).clone(), then)));
                parts.push(compiler.arena.or(either));
            }
        }
        // Each combination of the patterns that count only sometimes has its own conditions.
        for cell in 0..1u32 << bound.len() {
            let chosen = |index: usize| cell & (1 << index) != 0;
            let mut within = Vec::new();
            let mut without = free.clone();
            let mut cell_whens = all_when.clone();
            for (index, (pattern, whens)) in bound.iter().enumerate() {
                if chosen(index) {
                    within.push((*pattern).clone());
                    cell_whens.extend(whens);
                } else {
                    without.push((*pattern).clone());
                }
            }
            let except = whens.keys().map(|name| (*name).clone()).collect();
            let names = Names { within, without, except };
            cell_whens.push(compiler.arena.add(Node::Members(names.into(), then)));
            parts.push(compiler.arena.or(cell_whens));
        }
        compiler.arena.and(parts)
    }

    /// Every item that is not declared is one of `then`.
    fn items(&self, compiler: &mut Compiler<'_>, then: Id) -> Id {
        let counted: Vec<(Id, Id)> = self
            .parts
            .iter()
            .filter_map(|part| Some((compiler.arena.and(part.when.iter().copied()), part.contains?)))
            .collect();
        let (always, sometimes): (Vec<_>, Vec<_>) = counted.into_iter().partition(|(when, _)| *when == TRUE);
        if self.lost || sometimes.len() > CONTAINS_MAX {
            return compiler.arena.add(Node::Unknown("what a schema declares is spread too widely"));
        }
        let then = compiler.arena.or(always.into_iter().map(|(_, contains)| contains).chain([then]));
        // Whichever of the conditions hold: what they let through, or another one holds as well.
        let mut parts = Vec::new();
        for subset in 0..1u32 << sometimes.len() {
            let (holding, others): (Vec<_>, Vec<_>) =
                sometimes.iter().enumerate().partition(|(index, _)| subset & (1 << index) != 0);
            let then = compiler.arena.or(holding.into_iter().map(|(_, (_, contains))| *contains).chain([then]));
            let bound = self.items_bound(compiler, then);
            parts.push(compiler.arena.or(others.into_iter().map(|(_, (when, _))| *when).chain([bound])));
        }
        compiler.arena.and(parts)
    }

    fn items_bound(&self, compiler: &mut Compiler<'_>, then: Id) -> Id {
        let always = |part: &&Part| part.when.is_empty();
        if then == TRUE || self.parts.iter().filter(always).any(|part| part.all_items) {
            return TRUE;
        }
        let settled = self.parts.iter().filter(always).map(|part| part.items).max().unwrap_or(0);
        let furthest = self.parts.iter().map(|part| part.items).max().unwrap_or(0);
        let mut parts = Vec::new();
        for index in settled..furthest {
            let mut either = self.whens(compiler, |part| part.all_items || part.items > index);
            either.push(compiler.arena.add(Node::Item(index, then)));
            parts.push(compiler.arena.or(either));
        }
        let mut either = self.whens(compiler, |part| part.all_items);
        either.push(compiler.arena.add(Node::Rest(furthest, then)));
        parts.push(compiler.arena.or(either));
        compiler.arena.and(parts)
    }

    fn whens(&self, compiler: &mut Compiler<'_>, counts: impl Fn(&Part) -> bool) -> Vec<Id> {
        let parts = self.parts.iter().filter(|part| counts(part));
        parts.map(|part| compiler.arena.and(part.when.iter().copied())).collect()
    }
}
