//! The list of the contract.

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
            endings: until_when_a_subject_is_supervised_is_kept_with_it;
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
            templates: a_version_of_the_templates_is_that_of_its_epoch_and_no_older_store_passes_for_it;
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
