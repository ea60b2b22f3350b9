//! Whatever the schemas: what is said of them is true.

use keyfold::registry::compat::{Bounds, Containment, ContentModel, contained};
use proptest::prelude::*;

use crate::corpus::validator;
use crate::random::{instance, schema};

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    /// "Contained" and every counterexample are held against instances and the validator.
    #[test]
    fn verdicts_are_true(inner in schema(), outer in schema(), instances in prop::collection::vec(instance(), 60)) {
        let (accepts, refuses) = (validator(&inner).unwrap(), validator(&outer).unwrap());
        let verdict = contained(&inner, &outer, ContentModel::Open, &Bounds::default());
        let between = instances.iter().find(|value| accepts.is_valid(value) && !refuses.is_valid(value));
        match &verdict {
            Containment::Contained => prop_assert!(between.is_none(), "{}", between.unwrap()),
            Containment::Refuted(refutation) => {
                for difference in &refutation.differences {
                    if let Some(value) = &difference.counterexample {
                        prop_assert!(accepts.is_valid(value) && !refuses.is_valid(value), "{value}");
                    }
                }
            }
            Containment::Undecided { reason, .. } => if std::env::var_os("KEYFOLD_PRINT").is_some() {
                println!("undecided: {reason} {inner} in {outer}");
            },
        }
    }

    /// A schema is contained in what it is made wider to, and in itself.
    #[test]
    fn wider_is_wider(inner in schema(), other in schema()) {
        let mut either = inner.clone();
        either["allOf"] = serde_json::json!([{"anyOf": [inner["allOf"][0], other["allOf"][0]]}]);
        let verdict = contained(&inner, &either, ContentModel::Open, &Bounds::default());
        // References to the root mean something else in each, so that a true difference is possible.
        if let Containment::Refuted(refutation) = verdict {
            let shown = refutation.differences.iter().find_map(|difference| difference.counterexample.clone());
            let value = shown.unwrap();
            prop_assert!(validator(&inner).unwrap().is_valid(&value) && !validator(&either).unwrap().is_valid(&value));
        }
        prop_assert_eq!(contained(&inner, &inner.clone(), ContentModel::Open, &Bounds::default()), Containment::Contained);
    }

    /// Closed readings only narrow: what holds for open producers holds for closed ones.
    #[test]
    fn closed_producers_are_producers(inner in schema(), outer in schema()) {
        let open = contained(&inner, &outer, ContentModel::Open, &Bounds::default());
        let friendly = contained(&inner, &outer, ContentModel::OptionalFriendly, &Bounds::default());
        if open == Containment::Contained {
            prop_assert!(!matches!(friendly, Containment::Refuted(_)), "{friendly:?}");
        }
        if let Containment::Refuted(refutation) = friendly {
            for value in refutation.differences.iter().filter_map(|difference| difference.counterexample.as_ref()) {
                prop_assert!(validator(&inner).unwrap().is_valid(value) && !validator(&outer).unwrap().is_valid(value));
            }
        }
    }

    /// Few steps make for fewer answers and never for other ones.
    #[test]
    fn bounds_hold_and_never_lie(inner in schema(), outer in schema(), steps in 0..3_000u64) {
        let sparse = Bounds { steps, depth: 4, violations: 1 };
        let (few, many) = (
            contained(&inner, &outer, ContentModel::Open, &sparse),
            contained(&inner, &outer, ContentModel::Open, &Bounds::default()),
        );
        match (few, many) {
            (Containment::Contained, Containment::Refuted(refutation)) => prop_assert!(false, "{refutation:?}"),
            (Containment::Refuted(refutation), Containment::Contained) => prop_assert!(false, "{refutation:?}"),
            _ => {}
        }
    }
}
