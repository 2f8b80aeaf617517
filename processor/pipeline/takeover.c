/* Take-over of a shard: the table of ARCHITECTURE.md, row by row. Part of the room `ledger`. */
#include <string.h>

#include "ledgerroom.h"
#include "tidemark/base/crashpoint.h"
#include "tidemark/codec/state.h"

#define PARTITIONS_CHANGED                                                                                             \
    "the number of partitions changed since the state was written: accounts have moved between shards"
#define PARTITIONS_HINT "set the topics' partitions back, or move to a new group and let it rebuild"

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
        return tm_fail(l->error, status == TM_REJECT ? TM_FATAL : status,
                       "the fingerprints of commit %lld cannot be read", (long long)commit);
    return tm_holding_note_span(holding, commit, l->last);
}

static tm_status load_output(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)key;
    loading *l = context;
    tm_outbox_extent *extent = &l->extent;
    if (extent->oldest == 0)
        extent->oldest = commit;
    else if (commit != extent->newest && commit != extent->newest + 1)
        extent->gap = true;
    extent->newest = commit;
    return tm_outbox_add_bytes(&l->holding->outbox, commit, bytes);
}

static tm_status halt(tm_ledger *ledger, tm_holding *holding, tm_halt name, const tm_error *why)
{
    tm_ledger_halt(ledger, holding, name, why);
    return TM_OK;
}

/* Halts with `what` and `hint`. */
static tm_status refuse(tm_ledger *ledger, tm_holding *holding, tm_halt name, const char *what, const char *hint)
{
    tm_error why;
    tm_fail(&why, TM_REJECT, "%s", what);
    tm_error_where(&why, "shard %d", (int)holding->partition);
    tm_error_hint(&why, "%s", hint);
    return halt(ledger, holding, name, &why);
}

/* Where reading begins; the record at R - 1 is read again to see that it is still the same. */
static tm_status start_inputs(tm_ledger *ledger, tm_holding *holding, bool fresh, tm_error *error, bool *ret_halted)
{
    const tm_source *source = ledger->source;
    *ret_halted = false;
    ledger->asked = TM_WAITING_INPUT;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        if (!lane->on)
            continue;
        int64_t first, end, reached;
        tm_status status =
            source->bounds(source->context, (tm_input)i, holding->partition, &first, &end, &reached, error);
        if (status != TM_OK)
            return status;
        tm_slice topic = holding->settings->topics[i];
        int64_t next = fresh || holding->stored.next[i] < 0 ? first : holding->stored.next[i];
        if (next > end) {
            tm_error why;
            tm_fail(&why, TM_REJECT,
                    "the state has read up to offset %lld, but the topic ends at %lld: it was recreated or cut",
                    (long long)next, (long long)end);
            tm_error_where(&why, "%.*s:%d", (int)topic.length, topic.data, (int)holding->partition);
            tm_error_hint(&why, "restore the topic, or remove the shard's state and the group's offsets to begin anew");
            *ret_halted = true;
            return halt(ledger, holding, TM_HALT_TOPIC_CUT, &why);
        }
        int64_t begin = next;
        holding->expected[i].offset = -1;
        if (!fresh && holding->marks[i].offset == next - 1 && next - 1 >= first) {
            holding->expected[i] = holding->marks[i];
            begin = next - 1;
        } else if (next < first) {
            tm_log_field fields[] = {tm_log_integer("partition", holding->partition), tm_log_slice("topic", topic),
                                     tm_log_integer("from", next), tm_log_integer("to", first)};
            ledger->log->write(ledger->log->context, TM_LOG_ERROR, "records_gone",
                               "Retention removed records before they were read; reading goes on where the log begins",
                               fields, 4);
            begin = next = first;
        }
        lane->next = next;
        if (holding->settings->ends[i])
            lane->end = holding->settings->ends[i][holding->partition];
        lane->until = holding->settings->until;
        status = source->start(source->context, (tm_input)i, holding->partition, begin, error);
        if (status != TM_OK)
            return status;
    }
    if (fresh) {
        for (int i = 0; i < TM_INPUTS; i++)
            holding->stored.next[i] = holding->intake.lanes[i].on ? holding->intake.lanes[i].next : -1;
        holding->published = holding->stored;
    }
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

/* Both ledgers are there: which row of the table is it? NULL: go on. */
static const char *compare(const tm_holding *holding, const tm_outbox_extent *l, tm_halt *ret_name,
                           const char **ret_hint)
{
    tm_position r = holding->stored, c = holding->published;
    *ret_hint = "look at both with 'tidemark explain'; if the offsets were moved by hand, move them back, or remove "
                "the shard's "
                "state to rebuild it";
    *ret_name = TM_HALT_OFFSETS_MOVED;
    if (c.commit == r.commit)
        return tm_position_equal(c, r)
                   ? NULL
                   : "the group's offsets were moved by hand: they name the same commit at another position";
    if (c.commit == 0 && l->oldest == 0)
        return NULL; /* the group's offsets expired after everything was published: established again by the next
                        publication */
    if (l->gap || l->oldest != c.commit + 1 || l->newest != r.commit) {
        *ret_name = c.commit == 0 ? TM_HALT_OFFSETS_EXPIRED : TM_HALT_OFFSETS_OLDER;
        *ret_hint = "if the group's offsets expired, reset the shard; nothing is published twice without your word";
        return "the group's offsets are older than the outputs the store still has: what lies between was published, "
               "or is lost";
    }
    return NULL;
}

static tm_status take_kept(tm_ledger *ledger, tm_holding *holding, const tm_store_state *state, tm_error *error)
{
    const tm_pipeline_settings *settings = holding->settings;
    tm_shard_meta meta;
    tm_error why;
    if (tm_meta_decode(state->meta, &meta, &why) != TM_OK) {
        tm_error_where(&why, "shard %d", (int)holding->partition);
        return halt(ledger, holding, TM_HALT_STATE_DAMAGED, &why);
    }
    if (meta.partitions != settings->partitions)
        return refuse(ledger, holding, TM_HALT_PARTITIONS_CHANGED, PARTITIONS_CHANGED, PARTITIONS_HINT);
    if (meta.rules_version > holding->pack->version) {
        char what[160];
        tm_error versions;
        tm_fail(&versions, TM_REJECT, "the shard was last written under rules version %lld, this process has %lld",
                (long long)meta.rules_version, (long long)holding->pack->version);
        memcpy(what, versions.what, sizeof what - 1);
        what[sizeof what - 1] = 0;
        return refuse(ledger, holding, TM_HALT_RULES_OLDER, what,
                      "deploy the newer rules here too, or raise this file's version above it");
    }
    if (meta.configuration_hash != settings->configuration_hash)
        return refuse(ledger, holding, TM_HALT_CONFIGURATION_CHANGED,
                      "the time zone or the user key differs from the one the state was written with",
                      "set both back; day buckets and hashed users of the state mean nothing under others");
    holding->marks[0] = meta.marks[0];
    holding->marks[1] = meta.marks[1];
    holding->configuration_told = meta.pack_hash == holding->pack->hash;
    if (holding->published.commit > holding->stored.commit) {
        holding->state = TM_HOLDING_REPLAYING; /* the store lost its tail */
        return TM_OK;
    }
    tm_outbox_extent extent;
    tm_status status = tm_ledger_load(ledger, holding, holding->pack, &meta, &extent, error);
    if (status == TM_REJECT || status == TM_FATAL)
        return halt(ledger, holding, TM_HALT_STATE_DAMAGED, error);
    if (status != TM_OK)
        return status;
    TM_CRASH_POINT("load_outbox");
    const char *hint;
    tm_halt name;
    const char *what = compare(holding, &extent, &name, &hint);
    if (what)
        return refuse(ledger, holding, name, what, hint);
    TM_CRASH_POINT("claim_compared");
    bool halted;
    status = start_inputs(ledger, holding, false, error, &halted);
    TM_CRASH_POINT("claim_started");
    if (status == TM_OK && !halted)
        holding->state = TM_HOLDING_LIVE;
    return status;
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

tm_status tm_ledger_claim(tm_ledger *ledger, tm_holding *holding, int64_t generation, tm_error *error)
{
    tm_holding_drop(holding);
    tm_store_state state;
    const tm_store *store = ledger->store;
    TM_CRASH_POINT("claim_epoch");
    ledger->asked = TM_WAITING_STORE;
    tm_status status = store->claim(store->context, holding->partition, generation, &state, error);
    if (status == TM_REJECT && generation >= 0 && group_is_new(ledger, holding))
        status = store->claim(store->context, holding->partition, TM_GENERATION_ANEW, &state, error);
    TM_CRASH_POINT("claim_epoch_raised");
    if (status != TM_OK)
        return status;
    if (ledger->must_initialise) {
        TM_CRASH_POINT("claim_initialise");
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
    TM_CRASH_POINT("claim_committed");
    holding->epoch = state.epoch;
    holding->published = committed;
    holding->stored = state.present ? state.position : (tm_position){{-1, -1}, 0};
    if (committed.commit < 0)
        return refuse(ledger, holding, TM_HALT_OFFSETS_FOREIGN,
                      "the group has committed offsets that tidemark did not write: they name no commit",
                      "use a consumer group of its own for tidemark, or delete this group's offsets");
    if (state.present)
        return take_kept(ledger, holding, &state, error);
    TM_CRASH_POINT("claim_nothing_kept");
    /* A shard that is not there yet may be one of new partitions: then accounts of the others have moved. */
    int64_t partitions;
    ledger->asked = TM_WAITING_STORE;
    status = ledger->store->settle_group(ledger->store->context, "partitions", holding->settings->partitions,
                                         &partitions, error);
    if (status != TM_OK)
        return status;
    if (partitions != holding->settings->partitions)
        return refuse(ledger, holding, TM_HALT_PARTITIONS_CHANGED, PARTITIONS_CHANGED, PARTITIONS_HINT);
    if (committed.commit > 0) {
        holding->state = TM_HOLDING_REPLAYING;
        return TM_OK;
    }
    if (tm_holding_make_shard(holding, holding->pack, holding->settings->counting_start, NULL) != TM_OK)
        return tm_fail(error, TM_FATAL, "no memory for a shard");
    bool halted;
    status = start_inputs(ledger, holding, true, error, &halted);
    TM_CRASH_POINT("claim_fresh");
    if (status == TM_OK && !halted)
        holding->state = TM_HOLDING_LIVE;
    return status;
}
