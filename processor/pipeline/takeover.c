/* Take-over of a shard: the table of ARCHITECTURE.md, row by row. Part of the room `ledger`. */
#include <string.h>

#include "ledgerroom.h"
#include "tidemark/base/crashpoint.h"
#include "tidemark/codec/state.h"
#include "tidemark/pipeline/journalend.h"
#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/report.h"

typedef struct loading {
    tm_holding *holding;
    const tm_pack *pack;
    tm_error *error;
    tm_outbox_extent extent;
    tm_time last;
} loading;

static tm_status load_account(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)commit;
    loading *l = context;
    tm_shard *shard = l->holding->shard;
    tm_account *account;
    tm_status status = tm_state_decode(tm_shard_heap(shard), l->pack, key, bytes, &account, l->error);
    if (status == TM_OK) {
        status = tm_shard_restore_account(shard, account);
        if (status == TM_REJECT) { /* a hash scan may show a field twice */
            tm_account_free(tm_shard_heap(shard), account);
            return TM_OK;
        }
        if (status != TM_OK)
            tm_fail(l->error, TM_FATAL, "no memory for the shard's accounts");
    }
    return status;
}

static tm_status load_fingerprint(void *context, tm_fingerprint fingerprint, tm_time at)
{
    loading *l = context;
    l->last = at;
    return tm_shard_restore_fingerprint(l->holding->shard, fingerprint, at);
}

static tm_status load_fingerprints(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)key;
    loading *l = context;
    tm_holding *holding = l->holding;
    l->last = TM_TIME_NONE;
    tm_status status = tm_fingerprints_decode(bytes, load_fingerprint, l);
    if (status != TM_OK)
        return tm_fail(l->error, status, "the fingerprints of commit %lld cannot be read", (long long)commit);
    status = tm_holding_note_span(holding, commit, l->last);
    return status == TM_OK ? TM_OK : tm_fail(l->error, status, "no memory for the shard's fingerprints");
}

static tm_status load_output(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)key;
    loading *l = context;
    tm_outbox_note(&l->extent, commit);
    tm_status status = tm_outbox_add_bytes(&l->holding->outbox, commit, bytes);
    return status == TM_OK ? TM_OK
                           : tm_fail(l->error, status, "an output of commit %lld cannot be taken from the store",
                                     (long long)commit);
}

static tm_status halt(tm_ledger *ledger, tm_holding *holding, tm_halt name, const tm_error *why)
{
    tm_ledger_halt(ledger, holding, name, why);
    return TM_OK;
}

/* Halts when the evidence so far says so. */
static bool judge(tm_ledger *ledger, tm_holding *holding, const tm_evidence *evidence, tm_row *ret_row)
{
    tm_verdict verdict;
    tm_verdict_of(evidence, holding->partition, &verdict);
    *ret_row = verdict.row;
    if (verdict.row == TM_ROW_HALT)
        (void)halt(ledger, holding, verdict.halt, &verdict.why);
    return verdict.row == TM_ROW_HALT;
}

/* Begins reading at R; the record at R - 1 is read again to see that it is still the same. Before `passed` there is
   nothing to read, whatever the log lost there. */
static tm_status start_input(tm_ledger *ledger, tm_holding *holding, int input, int64_t next, int64_t passed,
                             int64_t first, tm_error *error)
{
    tm_lane *lane = &holding->intake.lanes[input];
    int64_t begin = next;
    holding->expected[input].offset = -1;
    if (holding->marks[input].offset >= 0 && holding->marks[input].offset == next - 1 && next - 1 >= first) {
        holding->expected[input] = holding->marks[input];
        begin = next - 1;
    } else if (next < first && passed >= first) {
        begin = lane->passed = first;
    } else if (next < first) {
        tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                                 tm_log_slice("topic", holding->settings->topics[input]), tm_log_integer("from", next),
                                 tm_log_integer("to", first)};
        ledger->log->write(ledger->log->context, TM_LOG_ERROR, "records_gone",
                           "Retention removed records before they were read; reading goes on where the log begins",
                           fields, 4);
        begin = next = first;
        holding->gap |= input == TM_INPUT_USAGE && tm_shard_time(holding->shard) != TM_TIME_NONE;
    }
    lane->next = next;
    if (holding->settings->ends[input])
        lane->end = holding->settings->ends[input][holding->partition];
    lane->until = holding->settings->until;
    return ledger->source->start(ledger->source->context, (tm_input)input, holding->partition, begin, error);
}

/* Reading begins, and the shard is live. One that never was begins where the group's offsets say (a reset put them
   there), or where the log begins. */
static tm_status go_live(tm_ledger *ledger, tm_holding *holding, const tm_evidence *evidence, tm_error *error)
{
    TM_CRASH_POINT("claim_compared");
    ledger->asked = TM_WAITING_INPUT;
    const tm_position *at = evidence->present ? &evidence->stored : &evidence->committed;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (!holding->intake.lanes[i].on)
            continue;
        int64_t next = at->next[i] < 0 ? evidence->first[i] : at->next[i];
        int64_t passed = evidence->present ? evidence->meta->passed[i] : -1;
        tm_status status = start_input(ledger, holding, i, next, passed, evidence->first[i], error);
        if (status != TM_OK)
            return status;
    }
    TM_CRASH_POINT("claim_started");
    if (!evidence->present) {
        for (int i = 0; i < TM_INPUTS; i++)
            holding->stored.next[i] = holding->intake.lanes[i].on ? holding->intake.lanes[i].next : -1;
        holding->published = holding->stored;
    }
    holding->state = TM_HOLDING_LIVE;
    return TM_OK;
}

tm_status tm_ledger_read_meta(tm_ledger *ledger, const tm_holding *holding, tm_shard_meta *ret_meta, tm_error *error)
{
    tm_store_state state;
    tm_status status = ledger->store->read(ledger->store->context, holding->partition, &state, error);
    if (status != TM_OK)
        return status;
    if (!state.present || state.epoch != holding->epoch || !tm_position_equal(state.position, holding->stored))
        return tm_fail(error, TM_REJECT, "shard %d: the store is no longer where this worker claimed it",
                       (int)holding->partition);
    return tm_meta_decode(state.meta, ret_meta, error);
}

tm_status tm_ledger_load(tm_ledger *ledger, tm_holding *holding, const tm_pack *pack, const tm_shard_meta *meta,
                         tm_outbox_extent *ret_extent, tm_error *error)
{
    const tm_store *store = ledger->store;
    loading l = {.holding = holding, .pack = pack, .error = error};
    TM_CRASH_POINT("load_begin");
    if (meta->evaluate_every > 0)
        (void)tm_holding_semantics(holding, meta->evaluate_every, meta->max_skew, meta->dedup_window,
                                   meta->dedup_entries);
    ledger->asked = TM_WAITING_STORE;
    if (tm_holding_make_shard(holding, pack, meta->counting_start, meta) != TM_OK)
        return tm_fail(error, TM_FATAL, "no memory for a shard");
    tm_status status = store->scan_accounts(store->context, holding->partition, load_account, &l, error);
    TM_CRASH_POINT("load_accounts");
    if (status == TM_OK)
        status = store->scan_fingerprints(store->context, holding->partition, load_fingerprints, &l, error);
    TM_CRASH_POINT("load_fingerprints");
    if (status == TM_OK && ret_extent)
        status =
            store->scan_outbox(store->context, holding->partition, holding->published.commit, load_output, &l, error);
    if (ret_extent)
        *ret_extent = l.extent;
    return status;
}

/* A group that knows no offsets never had any, or they expired: the journal's last line was published with the last
   ones that it had. */
static tm_status ask_journal(tm_ledger *ledger, tm_holding *holding, tm_position *committed, tm_error *error)
{
    bool on[TM_INPUTS];
    for (int i = 0; i < TM_INPUTS; i++)
        on[i] = holding->intake.lanes[i].on;
    ledger->asked = TM_WAITING_JOURNAL;
    if (!ledger->journal)
        return TM_OK;
    if (ledger->journal_taken)
        return tm_fail(error, TM_RETRY, "shard %d: the journal is being read for another", (int)holding->partition);
    tm_status status =
        tm_journal_end(ledger->journal, holding->settings->group, holding->partition, on, committed, error);
    if (status == TM_REJECT || status == TM_FATAL) {
        tm_halt name = status == TM_REJECT ? TM_HALT_JOURNAL_DAMAGED : TM_HALT_MEMORY;
        tm_error_where(error, "shard %d", (int)holding->partition);
        tm_halt_hint(name, holding->partition, error);
        return halt(ledger, holding, name, error);
    }
    if (status == TM_OK && committed->commit > 0) {
        tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                                 tm_log_integer("commit", committed->commit)};
        ledger->log->write(ledger->log->context, TM_LOG_WARNING, "offsets_expired",
                           "The group forgot its offsets of this shard: the journal says up to where it published",
                           fields, 2);
    }
    return status;
}

/* `meta` is the caller's room for what the bytes say: the evidence points at it from then on. */
static tm_status take_kept(tm_ledger *ledger, tm_holding *holding, tm_evidence *evidence, tm_slice bytes,
                           tm_shard_meta *meta, tm_error *error)
{
    tm_error why;
    if (tm_meta_decode(bytes, meta, &why) != TM_OK) {
        tm_error_where(&why, "shard %d", (int)holding->partition);
        tm_halt_hint(TM_HALT_STATE_DAMAGED, holding->partition, &why);
        return halt(ledger, holding, TM_HALT_STATE_DAMAGED, &why);
    }
    evidence->meta = meta;
    holding->stored.claim = meta->claim;
    tm_row row;
    if (judge(ledger, holding, evidence, &row))
        return TM_OK;
    holding->marks[0] = meta->marks[0];
    holding->marks[1] = meta->marks[1];
    holding->configuration_told =
        meta->pack_hash == holding->pack->hash && meta->reading_hash == tm_holding_reading_hash(holding);
    if (row == TM_ROW_TAIL_LOST) {
        holding->state = TM_HOLDING_REPLAYING;
        return TM_OK;
    }
    tm_status status = tm_ledger_load(ledger, holding, holding->pack, meta, &evidence->outbox, error);
    if (status == TM_OK || status == TM_REJECT) {
        /* It was read in several calls: it is one state only if the store is still where it was claimed. */
        tm_shard_meta still;
        if (tm_ledger_read_meta(ledger, holding, &still, &why) != TM_OK) {
            *error = why;
            return TM_RETRY;
        }
    }
    if (status == TM_BROKEN) {
        (void)tm_poison_tripped(holding, "what the store keeps was taken in", error);
        tm_report_broken(ledger, holding, error);
        return TM_OK;
    }
    if (status == TM_REJECT || status == TM_FATAL) {
        tm_halt name = status == TM_REJECT ? TM_HALT_STATE_DAMAGED : TM_HALT_MEMORY;
        tm_halt_hint(name, holding->partition, error);
        return halt(ledger, holding, name, error);
    }
    if (status != TM_OK)
        return status;
    TM_CRASH_POINT("load_outbox");
    evidence->outbox_known = true;
    if (judge(ledger, holding, evidence, &row))
        return TM_OK;
    /* What was judged and forgotten under another grid or dedup window stays so. */
    bool changed;
    status = tm_holding_settle_semantics(holding, &changed);
    if (status != TM_OK)
        return tm_fail(error, status, "no memory for a shard");
    holding->configuration_told &= !changed && meta->evaluate_every > 0;
    return go_live(ledger, holding, evidence, error);
}

/* True when the group knows no offsets of the shard: a group whose offsets expired, or that was deleted, is made anew,
   and its generations begin at 1 again. */
static bool group_is_new(const tm_ledger *ledger, const tm_holding *holding)
{
    tm_position committed;
    tm_error error;
    return ledger->source->committed(ledger->source->context, &holding->partition, 1, &committed, &error) == TM_OK &&
           committed.commit == 0 && committed.next[TM_INPUT_USAGE] < 0 && committed.next[TM_INPUT_ACCOUNTS] < 0;
}

/* So often refused and still assigned, the generation that the store knows is not that of a group that goes on: it is
   that of one before, and the store fell back to it. (Between two claims the group is polled, so that whom it left
   behind finds out; were it wrong here, two of them would claim from each other until then.) */
enum { REFUSALS = 10 };

/* By how much this claim raises the epoch. The seed alone would do; the clock is there for a machine that had no chance
   to give. */
static int64_t raise_of(tm_ledger *ledger, const tm_holding *holding)
{
    const tm_clock *clock = ledger->clock;
    int64_t drawn[] = {(int64_t)++ledger->claims, holding->partition, clock->wall(clock->context)};
    uint64_t hash = tm_hash_seeded((tm_slice){(const char *)drawn, sizeof drawn}, ledger->seed);
    return 1 + (int64_t)(hash % (uint64_t)TM_EPOCH_RAISE_MAX);
}

tm_status tm_ledger_claim(tm_ledger *ledger, tm_holding *holding, int64_t generation, tm_error *error)
{
    tm_holding_drop(holding);
    tm_store_state state;
    const tm_store *store = ledger->store;
    TM_CRASH_POINT("claim_epoch");
    ledger->asked = TM_WAITING_STORE;
    int64_t raise = raise_of(ledger, holding);
    tm_status status = store->claim(store->context, holding->partition, generation, raise, &state, error);
    holding->refused = status == TM_REJECT ? holding->refused + 1 : 0;
    if (status == TM_REJECT && generation >= 0 && (group_is_new(ledger, holding) || holding->refused >= REFUSALS))
        status = store->claim(store->context, holding->partition, TM_GENERATION_ANEW, raise, &state, error);
    TM_CRASH_POINT("claim_epoch_raised");
    if (status != TM_OK)
        return status;
    if (ledger->must_initialise) {
        ledger->asked = TM_WAITING_PUBLISHER;
        status = ledger->publisher->initialise(ledger->publisher->context, error);
        if (status != TM_OK)
            return status;
        ledger->must_initialise = false;
    }
    TM_CRASH_POINT("claim_initialised");
    tm_position committed;
    ledger->asked = TM_WAITING_GROUP;
    status = ledger->source->committed(ledger->source->context, &holding->partition, 1, &committed, error);
    if (status != TM_OK)
        return status;
    if (tm_position_unknown(committed))
        status = ask_journal(ledger, holding, &committed, error);
    if (status != TM_OK || holding->state == TM_HOLDING_HALTED)
        return status;
    TM_CRASH_POINT("claim_committed");
    holding->epoch = state.epoch;
    holding->published = committed;
    holding->stored = state.present ? state.position : (tm_position){{-1, -1}, 0};
    tm_shard_meta meta;
    tm_evidence evidence = {.committed = committed,
                            .present = state.present,
                            .stored = holding->stored,
                            .end = {-1, -1},
                            .partitions = holding->settings->partitions,
                            .rules_version = holding->pack->version,
                            .configuration_hash = holding->settings->configuration_hash};
    const tm_source *source = ledger->source;
    ledger->asked = TM_WAITING_INPUT;
    for (int i = 0; i < TM_INPUTS; i++) {
        int64_t reached;
        if (!holding->intake.lanes[i].on)
            continue;
        evidence.topics[i] = holding->settings->topics[i];
        status = source->bounds(source->context, (tm_input)i, holding->partition, &evidence.first[i], &evidence.end[i],
                                &reached, error);
        if (status != TM_OK)
            return status;
    }
    tm_row row;
    if (state.present && committed.commit >= 0)
        return take_kept(ledger, holding, &evidence, state.meta, &meta, error);
    if (judge(ledger, holding, &evidence, &row))
        return TM_OK;
    TM_CRASH_POINT("claim_nothing_kept");
    /* A shard that is not there yet may be one of new partitions: then accounts of the others have moved. */
    ledger->asked = TM_WAITING_STORE;
    status = ledger->store->settle_group(ledger->store->context, "partitions", holding->settings->partitions,
                                         &evidence.partitions_kept, error);
    if (status != TM_OK)
        return status;
    if (judge(ledger, holding, &evidence, &row))
        return TM_OK;
    if (row == TM_ROW_STORE_EMPTY) {
        holding->state = TM_HOLDING_REPLAYING;
        return TM_OK;
    }
    if (tm_holding_make_shard(holding, holding->pack, holding->settings->counting_start, NULL) != TM_OK)
        return tm_fail(error, TM_FATAL, "no memory for a shard");
    if (committed.next[TM_INPUT_USAGE] > 0) {
        /* A reset left out what the log has, or had, before: what is counted is complete from tomorrow on. */
        tm_shard_count_from(holding->shard, ledger->clock->wall(ledger->clock->context));
        if (holding->pack->metric_count > 0)
            holding->counting_start = tm_shard_counting(holding->shard, 0).start;
    }
    status = go_live(ledger, holding, &evidence, error);
    TM_CRASH_POINT("claim_fresh");
    return status;
}
