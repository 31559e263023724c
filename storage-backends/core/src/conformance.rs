//! The conformance suite: what every [`Storage`] must do, as tests that any backend can run.
//!
//! A backend's tests implement [`Harness`] and name it to
//! [`conformance_tests!`](crate::conformance_tests), which makes one test of each case:
//!
//! ```
//! # // The macro makes tests, which a doctest does not run: the harness is run below instead.
//! use fanfare_storage::conformance::{self, Harness};
//! use fanfare_storage::{MemoryStorage, Storage, async_trait};
//! use std::sync::Arc;
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl Harness for Memory {
//!     async fn create(&self) -> Arc<dyn Storage> {
//!         Arc::new(MemoryStorage::new())
//!     }
//! }
//!
//! // In tests/conformance.rs of a backend's crate:
//! fanfare_storage::conformance_tests!(Memory);
//!
//! # conformance::run("pages_run_in_both_orders", Memory);
//! ```
//!
//! Cases that a store's capabilities rule out print a line that says so, past the capture of
//! test output, and pass. The suite works on times of its own; it never asks the clock. Every
//! case but the model's writes to a fresh store.

mod build;
pub mod crash;
mod entries;
mod expiry;
mod lifecycle;
mod messages;
mod model;
mod model_ops;
mod pages;
mod reactions;
mod schedules;
mod tokens;

use crate::{Durability, Storage};
use async_trait::async_trait;
use build::Subject;
use std::io::Write as _;
use std::sync::Arc;

/// Makes the stores that the suite examines.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// A store that nothing was written to.
    async fn create(&self) -> Arc<dyn Storage>;

    /// Opens the store last created again, after it was closed. Stores that claim more than
    /// [`Durability::Volatile`] must have this.
    async fn reopen(&self) -> Option<Arc<dyn Storage>> {
        None
    }

    /// How many random sequences of operations are compared with the model, each on a fresh
    /// store, where the environment's `PROPTEST_CASES` does not say. Fewer suit a slow store.
    fn model_cases(&self) -> u32 {
        128
    }

    /// Another node's handle on the store last created. Stores that claim to be
    /// [`shared`](crate::Capabilities::shared) must have this.
    async fn join(&self) -> Option<Arc<dyn Storage>> {
        None
    }
}

/// How a case ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store does what it must.
    Passed,
    /// The case does not apply, for this reason.
    Skipped(&'static str),
}

/// Runs one case on a runtime of its own.
///
/// # Panics
///
/// Where the store fails the case, and where there is no such case.
pub fn run(case: &str, harness: impl Harness) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the suite");
    let verdict = runtime.block_on(async {
        let subject = Subject::new(Arc::new(harness)).await;
        cases::run(case, subject).await
    });
    if let Verdict::Skipped(reason) = verdict {
        // Not `eprintln!`, which tests capture: a skipped case must be seen.
        let _ = writeln!(std::io::stderr(), "conformance case {case} skipped: {reason}");
    }
    verdict
}

/// Whether cases about surviving a restart apply.
fn persistence(subject: &Subject) -> Verdict {
    match subject.store.capabilities().durability {
        Durability::Volatile => Verdict::Skipped("the store is volatile"),
        _ => Verdict::Passed,
    }
}

/// Whether cases about several nodes apply.
fn sharing(subject: &Subject) -> Verdict {
    match subject.store.capabilities().shared {
        false => Verdict::Skipped("the store is not shared"),
        true => Verdict::Passed,
    }
}

/// Names the cases once, for the table here and for the tests that the macro makes.
macro_rules! cases {
    ($dollar:tt $($module:ident { $($case:ident)* })*) => {
        mod cases {
            use super::{Subject, Verdict};

            pub(super) async fn run(case: &str, subject: Subject) -> Verdict {
                match case {
                    $($(stringify!($case) => super::$module::$case(subject).await.into(),)*)*
                    _ => panic!("the conformance suite has no case {case}"),
                }
            }
        }

        /// The names of all cases.
        pub const CASES: &[&str] = &[$($(stringify!($case),)*)*];

        /// Makes a `#[test]` of every conformance case. The argument is an expression of a type
        /// that implements [`Harness`](crate::conformance::Harness), evaluated for each test.
        #[macro_export]
        macro_rules! conformance_tests {
            ($dollar harness:expr) => {
                $($(
                    #[test]
                    fn $case() {
                        $dollar crate::conformance::run(stringify!($case), $dollar harness);
                    }
                )*)*
            };
        }
    };
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Passed
    }
}

cases! { $
    messages {
        a_new_store_is_empty
        messages_are_kept_byte_for_byte
        large_messages_are_kept
        batches_take_effect_in_order
        an_empty_batch_is_no_error
        ids_only_grow
        unstored_messages_count_as_ids
        channels_do_not_bleed_into_each_other
        repeats_are_dropped
        repeats_are_dropped_within_a_batch
        repeats_of_unstored_messages_are_dropped
        repeats_do_not_prolong_their_window
        repeats_outlive_their_message
        renewed_windows_survive_sweeps
        repeats_are_told_whatever_their_id
    }
    pages {
        pages_run_in_both_orders
        page_bounds_are_inclusive
        an_empty_range_is_an_empty_page
        pages_end_at_their_message_limit
        pages_end_at_their_byte_limit
        pages_follow_each_other_without_gap
        extreme_ids_are_found
    }
    expiry {
        expired_messages_never_show
        an_end_in_the_past_is_an_end
        gone_tells_what_expired
        gone_tells_what_was_swept
        gone_is_silent_where_nothing_is_missing
        gone_tells_what_a_page_passes
        gone_is_remembered_when_all_is_gone
        ids_do_not_go_back_when_all_is_gone
        channels_with_content_answer_for_themselves
        sweeps_end_at_their_limit
        sweeps_remove_only_what_expired
        sweeps_announce_entries_that_ask_for_it
        sweeps_do_not_announce_what_was_replaced
        expired_entries_are_announced_to_who_replaces_them
    }
    reactions {
        reactions_come_in_the_order_of_their_ids
        reactions_are_kept_byte_for_byte
        reactions_are_counted
        reactions_are_counted_in_either_order
        reactions_count_for_the_byte_limit_of_pages
        one_message_comes_with_so_many_reactions
        a_reaction_is_given_once
        only_own_reactions_are_removed
        reactions_need_their_message
        reactions_vanish_with_their_message
        reactions_per_message_are_limited
        reactions_per_user_are_limited
        reactions_take_ids_of_their_channel
        similar_reactions_are_told_apart
    }
    entries {
        entries_are_kept_byte_for_byte
        changes_tell_what_was_there
        equal_values_change_only_their_lifetime
        values_are_compared_as_json
        deep_values_do_not_exhaust_the_stack
        clearing_removes
        expired_entries_never_show
        expired_entries_do_not_count_as_former
        renewed_entries_live_on
        keys_are_limited
        expired_keys_make_room
        keys_are_counted_though_the_clock_goes_back
        entries_are_listed_by_key
        entries_are_listed_in_pages
    }
    schedules {
        schedules_are_kept_byte_for_byte
        schedules_are_listed_by_due_time
        schedules_are_listed_in_pages
        a_schedule_is_fulfilled_once
        fulfilling_is_for_good_whatever_the_outcome
        a_refused_id_keeps_its_schedule
        schedules_are_fulfilled_within_their_batch
        schedules_are_cancelled_once
        cancelling_and_fulfilling_exclude_each_other
        a_schedule_is_added_once
    }
    tokens {
        a_token_is_spent_once
        of_concurrent_uses_one_succeeds
        similar_tokens_are_told_apart
        spent_tokens_are_not_forgotten_before_they_expire
        looking_does_not_spend
        revocations_are_remembered
        revocations_are_replaced
        revocations_end
        high_water_follows_every_id
        high_water_is_raised_and_never_lowered
    }
    lifecycle {
        a_working_store_says_so
        concurrent_commits_are_all_applied
        commits_are_in_every_later_read
        readers_see_whole_batches
        dropped_commits_are_whole
        a_closed_store_refuses_everything
        calls_under_way_are_finished_by_closing
        everything_survives_reopening
        marks_survive_reopening
        expiry_survives_reopening
        only_shared_stores_are_fed
        other_nodes_are_heard
        other_nodes_share_tokens
    }
    model {
        random_operations_agree_with_the_model
    }
}
