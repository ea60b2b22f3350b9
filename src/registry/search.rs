//! Finding subjects by what they are called and what they hold.

use super::{CompiledCollection, Registered, Registry, SubjectName};

/// Which subjects are wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Stands, in any case, in the subject's name, a collection, an entity type, a title or a property at the top.
    pub text: Option<String>,
    /// What the subject's name begins with.
    pub prefix: Option<String>,
    /// A type of its entities.
    pub entity_type: Option<String>,
    pub collection: Option<String>,
    /// Some version of it is in this state.
    pub state: Option<String>,
    /// Also subjects and versions that are deleted.
    pub deleted: bool,
    /// Only subjects after this one, by name.
    pub after: Option<String>,
}

impl Search {
    /// The subjects that are wanted, by name. What is asked of their content is asked of their newest version.
    pub fn over<'r>(&'r self, registry: &'r Registry) -> impl Iterator<Item = &'r SubjectName> {
        let text = self.text.as_deref().map(str::to_lowercase);
        registry.all_subjects().filter(move |subject| {
            let name = subject.as_str();
            let after = self.after.as_deref().is_none_or(|after| name > after);
            let prefix = self.prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix));
            after && prefix && self.wants(registry, subject, text.as_deref())
        })
    }

    fn wants(&self, registry: &Registry, subject: &SubjectName, text: Option<&str>) -> bool {
        let mut shown = registry.all_versions(subject).filter(|registered| self.deleted || !registered.deleted);
        let Some(newest) = shown.next_back() else { return false };
        let is = |wanted: &Option<String>, fits: &dyn Fn(&CompiledCollection, &str) -> bool| {
            wanted.as_deref().is_none_or(|wanted| newest.compiled.collections().any(|c| fits(c, wanted)))
        };
        let in_state =
            |wanted: &str| newest.state.name() == wanted || shown.by_ref().any(|r| r.state.name() == wanted);
        is(&self.entity_type, &|collection, wanted| collection.entity_type.as_str() == wanted)
            && is(&self.collection, &|collection, wanted| collection.name == wanted)
            && text.is_none_or(|text| says(subject, newest, text))
            && self.state.as_deref().is_none_or(in_state)
    }
}

fn says(subject: &SubjectName, registered: &Registered, text: &str) -> bool {
    let holds = |word: &str| word.to_lowercase().contains(text);
    holds(subject.as_str())
        || registered.compiled.collections().any(|collection| {
            let title = collection.schema.get("title").and_then(serde_json::Value::as_str);
            let properties = collection.schema.get("properties").and_then(serde_json::Value::as_object);
            holds(&collection.name)
                || holds(collection.entity_type.as_str())
                || title.is_some_and(holds)
                || properties.is_some_and(|properties| properties.keys().any(|name| holds(name)))
        })
}
