//! Deliberate bugs, so that the contract suite and the simulation can show that they catch them.
//!
//! Compiled only with the feature `mutants`; the environment variable `KEYFOLD_MUTANT` then names the one that is on.
//! Without the feature [`is_on`] is a constant `false`, and the compiler removes the branch.

/// A bug that a durable log must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Completions run before the barrier.
    AckBeforeBarrier,
    /// Created and renamed files are not made durable by their directory.
    SkipDirSync,
    /// A name that is created again starts at position 0.
    ReuseOffset,
    /// A restart loses what is known of producers.
    ForgetProducer,
    /// A segment that a live stream needs is given back.
    FreeNeeded,
    /// The end of a stream is given back before its beginning.
    FreeEnds,
    /// Stream numbers and positions are forgotten with the segments that told them.
    ForgetFloor,
    /// The engine answers refusals before what they rest on is durable.
    RefuseBeforeBarrier,
    /// A fork does not hold on to its source.
    LoseForkPin,
    /// Readers see records before the barrier; writers still wait for it.
    PublishBeforeBarrier,
    /// A barrier that failed is tried again, as if the disk still had what it was to write.
    RetryBarrier,
    /// A record counts as whole once its header is.
    TrustBody,
    /// Clustering forgets what is known of producers.
    ClusterWithoutProducers,
    /// Clustering leaves out deletions although what they deleted is still there.
    ForgetDeletesEarly,
    /// A backup takes what the server has written and not yet made durable.
    BackupAhead,
    /// A restore brings back what nobody needed any more, without what has become of it.
    RestoreFreed,
    /// What goes on after a restore gives out the offsets again that were cut off.
    RestoreInPlace,
}

impl Mutant {
    pub const ALL: [Self; 17] = [
        Self::AckBeforeBarrier,
        Self::SkipDirSync,
        Self::ReuseOffset,
        Self::ForgetProducer,
        Self::FreeNeeded,
        Self::FreeEnds,
        Self::ForgetFloor,
        Self::RefuseBeforeBarrier,
        Self::LoseForkPin,
        Self::PublishBeforeBarrier,
        Self::RetryBarrier,
        Self::TrustBody,
        Self::ClusterWithoutProducers,
        Self::ForgetDeletesEarly,
        Self::BackupAhead,
        Self::RestoreFreed,
        Self::RestoreInPlace,
    ];

    /// What `KEYFOLD_MUTANT` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeBarrier => "ack_before_barrier",
            Self::SkipDirSync => "skip_dir_sync",
            Self::ReuseOffset => "reuse_offset",
            Self::ForgetProducer => "forget_producer",
            Self::FreeNeeded => "free_needed",
            Self::FreeEnds => "free_ends",
            Self::ForgetFloor => "forget_floor",
            Self::RefuseBeforeBarrier => "refuse_before_barrier",
            Self::LoseForkPin => "lose_fork_pin",
            Self::PublishBeforeBarrier => "publish_before_barrier",
            Self::RetryBarrier => "retry_barrier",
            Self::TrustBody => "trust_body",
            Self::ClusterWithoutProducers => "cluster_without_producers",
            Self::ForgetDeletesEarly => "forget_deletes_early",
            Self::BackupAhead => "backup_ahead",
            Self::RestoreFreed => "restore_freed",
            Self::RestoreInPlace => "restore_in_place",
        }
    }
}

/// Environment variable that names the mutant that is on.
pub const VARIABLE: &str = "KEYFOLD_MUTANT";

#[cfg(feature = "mutants")]
pub fn is_on(mutant: Mutant) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(mutant.name())
}

#[cfg(not(feature = "mutants"))]
pub const fn is_on(_: Mutant) -> bool {
    false
}
