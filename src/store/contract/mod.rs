//! One contract for every back end: each back end's tests say `contract_suite!(ItsWorld)`.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use crate::clock::ManualClock;
use crate::config::SealKey;
use crate::domain::ids::{CommitId, Partition, PartitionCount};
use crate::domain::uses::Use;

use super::backend::{
    Backend, HeldPut, LiveSource, LogEntry, Outcome, Owner, Range, RawLive, Rebase, Scored,
    WriteSet,
};
use super::checks::Checks;
use super::keys::{Key, Member};
use super::ledger::Ledger;
use super::reader::Reader;
use super::seal::Sealer;
use super::{Answer, Durability, StoreFault};

pub mod commits;
pub mod concurrency;
pub mod endings;
pub mod fixtures;
pub mod letters;
pub mod lists;
pub mod markers;
pub mod reconciling;
pub mod retention;
pub mod tampering;
pub mod templates;
pub mod time_travel;
pub mod uses;

/// A store of some back end that a test may also tamper with.
pub trait World: Sized + 'static {
    type Backend: Backend;
    type Source: LiveSource;

    /// An empty store, sealed with [`key`]`("k1", 1)`.
    fn fresh() -> impl Future<Output = Self>;
    /// The same store after all processes stopped.
    fn reopened(self) -> impl Future<Output = Self>;
    fn clock(&self) -> Arc<ManualClock>;
    fn backend(&self) -> Self::Backend;
    fn source(&self) -> Self::Source;
    fn get(&self, key: &Key) -> impl Future<Output = Option<Bytes>>;
    fn put(&self, key: &Key, value: Bytes) -> impl Future<Output = ()>;
    fn delete(&self, key: &Key) -> impl Future<Output = ()>;

    /// A gateway process of its own, with a memory of its own.
    fn process(&self) -> Process<Self> {
        self.process_with(&[key("k1", 1)])
    }

    fn process_with(&self, keys: &[SealKey]) -> Process<Self> {
        let sealer = Sealer::new(keys).expect("usable keys");
        let checks = Arc::new(Checks::new(sealer, PARTITIONS));
        let lose_reply = Arc::new(AtomicBool::new(false));
        let spoil = Arc::new(Mutex::new(None));
        let (inner, lost) = (self.backend(), lose_reply.clone());
        let losing = Arc::new(Losing::default());
        let read = Arc::new(AtomicUsize::new(0));
        let backend = Lossy {
            inner,
            lose_reply: lost,
            spoil: spoil.clone(),
            losing: losing.clone(),
            read: read.clone(),
        };
        let slow = Arc::new(Slow::default());
        let source = Held { inner: self.source(), slow: slow.clone() };
        Process {
            store: Ledger::new(backend, checks.clone(), self.clock()),
            reader: Reader::new(source, checks, self.clock()),
            lose_reply,
            spoil,
            losing,
            read,
            slow,
        }
    }
}

pub const PARTITIONS: PartitionCount = PartitionCount::DEFAULT;

pub fn key(id: &str, byte: u8) -> SealKey {
    SealKey { id: id.into(), bytes: [byte; 32].into() }
}

/// Reads what the gateway reads.
pub type ReaderOf<W> = Reader<Held<<W as World>::Source>>;

pub struct Process<W: World> {
    pub store: Ledger<Lossy<W::Backend>>,
    pub reader: ReaderOf<W>,
    lose_reply: Arc<AtomicBool>,
    spoil: Spoil,
    losing: Arc<Losing>,
    read: Arc<AtomicUsize>,
    pub slow: Arc<Slow>,
}

/// Plays a store whose commits can be lost.
#[derive(Default)]
struct Losing {
    can: AtomicBool,
    unsettled: AtomicBool,
}

/// What somebody did to the events of every log entry.
type Spoil = Arc<Mutex<Option<fn(&mut Vec<Bytes>)>>>;

impl<W: World> Process<W> {
    /// The next commit happens, but its reply is lost.
    pub fn lose_next_reply(&self) {
        self.lose_reply.store(true, Ordering::SeqCst);
    }

    /// From now on commits can be lost.
    pub fn may_lose_commits(&self) {
        self.losing.can.store(true, Ordering::SeqCst);
    }

    /// Whether what was committed is kept from now on.
    pub fn settles(&self, settles: bool) {
        self.losing.unsettled.store(!settles, Ordering::SeqCst);
    }

    /// How many records and members of sets were asked for meanwhile.
    pub async fn reads<T>(&self, doing: impl Future<Output = T>) -> (T, usize) {
        let before = self.read.load(Ordering::SeqCst);
        let done = doing.await;
        (done, self.read.load(Ordering::SeqCst) - before)
    }

    /// From now on the log reads as if somebody had edited it.
    pub fn spoil_events(&self, spoil: fn(&mut Vec<Bytes>)) {
        *self.spoil.lock().expect("not poisoned") = Some(spoil);
    }
}

/// A back end whose replies can be lost, whose log can be spoilt, and that counts what is read.
pub struct Lossy<B> {
    inner: B,
    lose_reply: Arc<AtomicBool>,
    spoil: Spoil,
    losing: Arc<Losing>,
    read: Arc<AtomicUsize>,
}

impl<B: Backend> Backend for Lossy<B> {
    fn get<'a>(&'a self, p: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        self.read.fetch_add(keys.len(), Ordering::SeqCst);
        self.inner.get(p, keys)
    }

    fn commit(&self, write: WriteSet) -> Answer<'_, Outcome> {
        Box::pin(async move {
            let outcome = self.inner.commit(write).await?;
            let lost = self.lose_reply.swap(false, Ordering::SeqCst);
            if lost { Err(StoreFault::Deadline) } else { Ok(outcome) }
        })
    }

    fn commit_at(&self, p: Partition, seq: u64) -> Answer<'_, Option<CommitId>> {
        self.inner.commit_at(p, seq)
    }

    fn log(&self, p: Partition, after: u64, limit: usize) -> Answer<'_, Vec<LogEntry>> {
        Box::pin(async move {
            let mut entries = self.inner.log(p, after, limit).await?;
            if let Some(spoil) = *self.spoil.lock().expect("not poisoned") {
                for entry in &mut entries {
                    spoil(&mut entry.events);
                }
            }
            Ok(entries)
        })
    }

    fn members<'a>(
        &'a self,
        p: Partition,
        set: &'a Key,
        range: Range,
        limit: usize,
    ) -> Answer<'a, Vec<Scored>> {
        Box::pin(async move {
            let members = self.inner.members(p, set, range, limit).await?;
            self.read.fetch_add(members.len(), Ordering::SeqCst);
            Ok(members)
        })
    }

    fn put_lazily(&self, p: Partition, key: Key, value: Bytes) -> Answer<'_, ()> {
        self.inner.put_lazily(p, key, value)
    }

    fn add_uses(&self, p: Partition, uses: Vec<(Key, Use)>) -> Answer<'_, ()> {
        self.inner.add_uses(p, uses)
    }

    fn hold(&self, p: Partition, key: Key, owner: Owner, life: Duration) -> Answer<'_, bool> {
        self.inner.hold(p, key, owner, life)
    }

    fn put_held(&self, put: HeldPut) -> Answer<'_, bool> {
        self.inner.put_held(put)
    }

    fn count_up(&self, p: Partition, key: Key) -> Answer<'_, u64> {
        self.inner.count_up(p, key)
    }

    fn swap(&self, p: Partition, key: Key, found: Option<Bytes>, value: Bytes) -> Answer<'_, bool> {
        self.inner.swap(p, key, found, value)
    }

    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.inner.moved()
    }

    fn can_lose_commits(&self) -> bool {
        self.losing.can.load(Ordering::SeqCst) || self.inner.can_lose_commits()
    }

    fn settle(&self, p: Partition) -> Answer<'_, Durability> {
        if self.losing.unsettled.load(Ordering::SeqCst) {
            return Box::pin(async { Ok(Durability::Unconfirmed) });
        }
        self.inner.settle(p)
    }

    fn trim(&self, p: Partition, up_to: u64) -> Answer<'_, ()> {
        self.inner.trim(p, up_to)
    }

    fn forget(&self, p: Partition, keys: Vec<Key>, places: Vec<(Key, Member)>) -> Answer<'_, ()> {
        self.inner.forget(p, keys, places)
    }

    fn rebase(&self, rebase: Rebase) -> Answer<'_, Option<u64>> {
        self.inner.rebase(rebase)
    }

    fn put_meta(&self, value: Bytes) -> Answer<'_, ()> {
        self.inner.put_meta(value)
    }

    fn announce(&self, message: Bytes) -> Answer<'_, ()> {
        self.inner.announce(message)
    }

    fn announcements(&self) -> broadcast::Receiver<Bytes> {
        self.inner.announcements()
    }
}

/// A source whose replies can be held back on their way.
pub struct Held<S> {
    inner: S,
    slow: Arc<Slow>,
}

#[derive(Default)]
pub struct Slow {
    next_waits: Mutex<bool>,
    waits: Notify,
    go_on: Notify,
}

impl Slow {
    /// The next reply is made, then waits for [`Slow::arrive`].
    pub fn hold_next(&self) {
        *self.next_waits.lock().expect("not poisoned") = true;
    }

    /// Until that reply was made.
    pub async fn held(&self) {
        self.waits.notified().await;
    }

    pub fn arrive(&self) {
        self.go_on.notify_one();
    }
}

impl<S: LiveSource> LiveSource for Held<S> {
    async fn live(&self, partition: Partition, live: &Key) -> Result<RawLive, StoreFault> {
        let reply = self.inner.live(partition, live).await;
        let waits = std::mem::take(&mut *self.slow.next_waits.lock().expect("not poisoned"));
        if waits {
            self.slow.waits.notify_one();
            self.slow.go_on.notified().await;
        }
        reply
    }

    async fn base(&self, partition: Partition) -> Result<RawLive, StoreFault> {
        self.inner.base(partition).await
    }

    async fn one(&self, partition: Partition, key: &Key) -> Result<Option<Bytes>, StoreFault> {
        self.inner.one(partition, key).await
    }

    async fn commit_at(&self, p: Partition, seq: u64) -> Result<Option<CommitId>, StoreFault> {
        self.inner.commit_at(p, seq).await
    }
}

/// Runs every test of the contract against one back end.
macro_rules! contract_suite {
    ($world:ty) => {
        $crate::store::contract::contract_suite!($world:
            commits: what_was_committed_reads_back;
            commits: a_first_version_is_the_time_and_the_next_is_one_more;
            commits: a_commit_on_an_old_version_changes_nothing;
            commits: the_same_commit_id_is_written_once;
            commits: a_lost_reply_is_answered_by_the_retry;
            commits: a_retry_finds_its_answer_when_everything_has_moved_since;
            commits: a_retry_that_finds_its_commit_notices_when_it_is_lost;
            commits: an_idempotency_answer_holds_for_a_day;
            commits: a_commit_for_a_record_of_another_subject_is_refused;
            commits: events_come_in_order_and_whole;
            commits: a_sink_finds_its_place_again;
            commits: every_commit_tells_which_partition_moved;
            commits: a_sequence_grows_by_one_for_all_processes;
            commits: a_named_record_is_loaded_also_when_it_is_over;
            endings: a_grant_stops_counting_at_exactly_its_end;
            endings: an_unconfirmed_grant_does_not_count;
            endings: a_scheduled_grant_counts_from_its_start;
            endings: a_revocation_leaves_a_tombstone_for_a_day;
            endings: ending_one_grant_leaves_the_others;
            endings: a_subject_holds_at_most_sixty_four_grants;
            endings: grants_past_their_end_make_room;
            endings: a_timer_is_due_once_and_gone_when_it_fired;
            endings: a_timer_set_again_moves;
            endings: a_look_for_due_timers_reads_only_what_is_due;
            markers: a_kill_hits_old_grants_and_not_new_ones;
            markers: an_order_that_was_carried_out_spares_what_was_granted_since;
            markers: whom_a_kill_hit_is_found_among_what_is_open;
            markers: a_commit_made_under_an_older_generation_is_refused;
            markers: deleted_markers_are_a_fault;
            markers: edited_markers_are_a_fault;
            markers: older_markers_put_back_close_the_partition;
            markers: a_head_whose_epoch_the_markers_do_not_confirm_is_a_fault;
            tampering: an_old_live_value_put_back_is_noticed;
            tampering: the_value_of_a_revoked_grant_put_back_is_noticed;
            tampering: a_value_copied_to_another_subject_is_invalid;
            tampering: an_edited_cut_or_garbage_value_is_invalid;
            tampering: a_well_sealed_value_in_no_known_format_is_invalid;
            tampering: a_wrong_seal_key_reads_nothing;
            tampering: a_rotated_key_still_verifies;
            tampering: a_deleted_live_value_is_no_grant;
            tampering: an_older_request_put_back_is_noticed_by_every_process;
            tampering: an_edited_timer_is_left_out_and_holds_up_nothing;
            tampering: more_broken_timers_than_a_page_hold_up_nothing;
            tampering: an_edited_grant_holds_up_no_sweep;
            tampering: edited_events_are_a_fault;
            tampering: an_edited_request_is_a_fault_in_every_way_to_read_it;
            templates: what_was_made_reads_back_and_is_not_read_twice;
            templates: a_template_and_its_event_are_one_commit_of_nobody_else;
            templates: a_template_that_cannot_be_trusted_is_not_there_and_hides_no_other;
            templates: an_older_template_put_back_is_not_believed;
            templates: a_deleted_template_keeps_its_number;
            time_travel: an_older_head_closes_the_partition_until_its_epoch_is_raised;
            time_travel: the_base_of_a_partition_is_believed_like_every_read;
            time_travel: another_head_at_the_same_place_closes_the_partition;
            time_travel: a_commit_of_another_gateway_after_a_roll_back_is_noticed;
            time_travel: a_commit_into_a_store_gone_back_is_refused;
            time_travel: commits_of_another_gateway_are_no_roll_back;
            time_travel: an_answer_that_was_overtaken_is_no_roll_back;
            time_travel: a_missing_head_is_a_fault;
            time_travel: everything_is_there_after_all_processes_stopped;
            reconciling: what_was_revoked_before_a_roll_back_stays_revoked;
            reconciling: revocations_are_made_again_also_where_head_and_markers_are_gone;
            reconciling: an_empty_store_takes_up_where_the_gateways_remember_it;
            reconciling: a_kill_that_the_store_forgot_binds_again;
            reconciling: markers_that_nobody_remembers_end_everything;
            reconciling: an_old_live_value_does_not_come_back_with_a_new_epoch;
            reconciling: forged_and_replayed_answers_are_not_heard;
            reconciling: a_new_base_needs_the_head_that_was_found;
            reconciling: a_retry_says_confirmed_only_when_its_commit_is_kept;
            letters: dead_letters_are_found_again_by_every_process;
            letters: changes_of_dead_letters_at_once_are_all_kept;
            letters: edited_dead_letters_are_a_fault;
            lists: a_list_merges_partitions_newest_first;
            lists: a_cursor_goes_on_where_the_page_ended;
            lists: filters_leave_out_what_does_not_fit;
            lists: a_decided_request_is_no_longer_pending_in_the_list;
            lists: the_status_of_a_partition_counts_what_it_holds;
            retention: the_log_loses_what_is_old_and_taken_by_every_sink;
            retention: the_newest_entries_stay_however_old_they_are;
            retention: a_trim_is_no_roll_back_and_hides_none;
            retention: trimming_never_takes_what_is_young_or_undelivered;
            retention: an_edited_entry_does_not_keep_the_log_for_ever;
            retention: what_is_over_for_long_is_forgotten_and_nothing_else;
            retention: a_request_that_owes_a_review_is_never_forgotten;
            retention: a_request_stays_as_long_as_its_grants;
            retention: an_edited_record_is_not_forgotten_and_holds_up_nothing;
            retention: more_than_a_page_is_forgotten_page_by_page;
            uses: uses_of_several_gateways_add_up;
            uses: a_counter_that_cannot_be_read_begins_anew_and_holds_up_no_other;
            uses: what_is_known_of_the_use_of_a_grant_goes_with_it;
            concurrency: of_fifty_writers_on_one_version_exactly_one_wins;
            concurrency: fifty_writers_that_reload_all_succeed;
        );
    };
    ($world:ty: $($module:ident: $test:ident;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                // As the cores of the gateway run.
                let test = $crate::store::contract::$module::$test::<$world>();
                tokio::task::LocalSet::new().run_until(test).await;
            }
        )*
    };
}
pub(crate) use contract_suite;
