#include "tidemark/pipeline/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/base/crashpoint.h"
#include "tidemark/codec/deadletter.h"
#include "tidemark/codec/journal.h"
#include "tidemark/codec/state.h"
#include "tidemark/pipeline/poison.h"
#include "tidemark/pipeline/proof.h"

/* Blobs of one commit: bounded by commit_accounts, and by this. */
#define BLOBS_MAX ((size_t)1 << 30)
#define META_MAX ((size_t)64 << 10)

void tm_ledger_init(tm_ledger *ledger, const tm_store *store, const tm_publisher *publisher, const tm_source *source,
                    const tm_log *log, const tm_clock *clock, uint64_t seed)
{
    *ledger =
        (tm_ledger){.store = store, .publisher = publisher, .source = source, .log = log, .clock = clock, .seed = seed};
    ledger->must_initialise = true;
    tm_buffer_init(&ledger->blobs, BLOBS_MAX);
    tm_buffer_init(&ledger->meta, META_MAX);
    tm_buffer_init(&ledger->fingerprints, BLOBS_MAX);
    tm_buffer_init(&ledger->letter, BLOBS_MAX);
}

void tm_ledger_done(tm_ledger *ledger)
{
    tm_buffer_done(&ledger->blobs);
    tm_buffer_done(&ledger->meta);
    tm_buffer_done(&ledger->fingerprints);
    tm_buffer_done(&ledger->letter);
    free(ledger->writes);
    *ledger = (tm_ledger){0};
}

void tm_ledger_halt(tm_ledger *ledger, tm_holding *holding, tm_halt halt, const tm_error *why)
{
    tm_error kept = *why; /* it may be the holding's own */
    char text[1200];
    tm_error_text(&kept, text, sizeof text);
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition), tm_log_text("code", tm_halt_code(halt)),
                             tm_log_text("reason", text)};
    ledger->log->write(ledger->log->context, TM_LOG_ERROR, "shard_halted", "This shard is halted; the others go on",
                       fields, 3);
    tm_holding_halt(holding, halt, &kept);
}

/* --- the end of a commit --- */

static tm_status add_journal(tm_holding *holding)
{
    tm_output output = {.topic = TM_TOPIC_JOURNAL,
                        .partition = holding->partition,
                        .value = tm_buffer_slice(&holding->reading->text),
                        .timestamp = holding->clock_begin};
    if (holding->reading->text.overflowed)
        return TM_FATAL;
    return tm_outbox_add(&holding->outbox, holding->next.commit, &output);
}

static tm_status tell_configuration(tm_holding *holding)
{
    const tm_pipeline_settings *settings = holding->settings;
    tm_shard_meta meta;
    tm_holding_meta(holding, &meta);
    tm_journal_configuration line = {.group = settings->group,
                                     .partition = holding->partition,
                                     .commit = holding->next.commit,
                                     .core_version = tm_slice_of(settings->version),
                                     .rules_version = holding->pack->version,
                                     .pack_hash = holding->pack->hash,
                                     .rules = holding->pack->text,
                                     .timezone = settings->timezone,
                                     .evaluate_every = settings->shard.evaluate_every,
                                     .grace = settings->grace,
                                     .max_skew = settings->shard.max_skew,
                                     .dedup_window = settings->shard.dedup_window,
                                     .dedup_entries = settings->shard.dedup_entries,
                                     .distinct_cap = TM_DISTINCT_CAP,
                                     .key_mismatch = settings->key_mismatch,
                                     .mapping = settings->mapping,
                                     .counting_start = holding->counting_start,
                                     .counting = meta.counting,
                                     .counting_count = meta.counting_count};
    tm_buffer_reset(&holding->reading->text);
    tm_journal_encode_configuration(&line, &holding->reading->text);
    return add_journal(holding);
}

static tm_status tell_commit(tm_holding *holding, tm_time clock_end, bool advanced)
{
    const tm_pipeline_settings *settings = holding->settings;
    tm_journal_commit line = {.group = settings->group,
                              .partition = holding->partition,
                              .commit = holding->next.commit,
                              .epoch = holding->epoch,
                              .clock_begin = holding->clock_begin,
                              .clock_end = clock_end,
                              .drained = advanced,
                              .t_before = holding->t_before,
                              .t_after = tm_shard_time(holding->shard),
                              .judged = tm_shard_judged(holding->shard),
                              .rules_version = holding->pack->version,
                              .pack_hash = holding->pack->hash,
                              .count_from = holding->count_from,
                              .signals = holding->signals,
                              .signal_count = holding->signal_count,
                              .erasures = holding->erasures,
                              .erasure_count = holding->erasure_count,
                              .skips = holding->skips,
                              .skip_count = holding->skip_count};
    for (int i = 0; i < TM_INPUTS; i++) {
        if (!holding->intake.lanes[i].on)
            continue;
        line.from[i] = holding->from[i];
        line.to[i] = holding->next.next[i];
    }
    tm_buffer_reset(&holding->reading->text);
    tm_journal_encode_commit(&line, &holding->reading->text);
    return add_journal(holding);
}

static tm_status note_fingerprints(tm_holding *holding)
{
    tm_time forgotten = tm_shard_time(holding->shard);
    forgotten = forgotten == TM_TIME_NONE ? TM_TIME_NONE : forgotten - holding->semantics.dedup_window;
    uint32_t old = 0;
    while (old < holding->span_count && holding->spans[old].last <= forgotten)
        old++;
    holding->span_count -= old;
    for (uint32_t i = 0; i < holding->span_count; i++)
        holding->spans[i] = holding->spans[i + old];
    uint32_t accepted = tm_shard_accepted_count(holding->shard);
    if (accepted == 0)
        return TM_OK;
    tm_fingerprint last;
    tm_time at;
    tm_shard_accepted(holding->shard, accepted - 1, &last, &at);
    return tm_holding_note_span(holding, holding->next.commit, at);
}

/* Decides the end of the commit once: after this only the write is left, however often it is tried. */
static tm_status seal(tm_holding *holding, tm_time clock_end, tm_time advance_to)
{
    TM_CRASH_POINT("seal_begin");
    if (advance_to != TM_TIME_NONE) {
        tm_status status = tm_shard_advance(holding->shard, advance_to);
        if (status != TM_OK)
            return status;
    }
    TM_CRASH_POINT("seal_advanced");
    holding->next.commit = holding->stored.commit + 1;
    holding->next.claim = holding->epoch;
    for (int i = 0; i < TM_INPUTS; i++)
        holding->next.next[i] = holding->intake.lanes[i].on ? holding->intake.lanes[i].next : holding->stored.next[i];
    bool configuration = !holding->configuration_told;
    tm_status status = configuration ? tell_configuration(holding) : TM_OK;
    if (status == TM_OK)
        status = tell_commit(holding, clock_end, advance_to != TM_TIME_NONE);
    if (status == TM_OK)
        status = note_fingerprints(holding);
    if (status == TM_OK)
        status = tm_proof_seal(holding, configuration);
    holding->sealed = status == TM_OK;
    TM_CRASH_POINT("sealed");
    return status;
}

static tm_status gather_writes(tm_ledger *ledger, const tm_holding *holding, uint32_t *ret_count)
{
    const tm_shard *shard = holding->shard;
    uint32_t changed = tm_shard_changed_count(shard);
    uint32_t erased = tm_shard_erased_count(shard);
    if (changed + erased > ledger->write_capacity) {
        uint32_t capacity = changed + erased + 1024;
        tm_store_write *writes = realloc(ledger->writes, sizeof *writes * capacity);
        if (!writes)
            return TM_FATAL;
        ledger->writes = writes;
        ledger->write_capacity = capacity;
    }
    tm_moment now;
    tm_day_span span = {0};
    tm_time t = tm_shard_time(shard);
    tm_moment_at(&now, holding->settings->shard.zone, t == TM_TIME_NONE ? 0 : t, &span);
    tm_buffer_reset(&ledger->blobs);
    for (uint32_t i = 0; i < changed; i++) {
        const tm_account *account = tm_shard_changed(shard, i);
        size_t offset = ledger->blobs.length;
        tm_state_encode(account, holding->pack, &now, &ledger->blobs);
        /* The buffer may still move: offsets now, addresses below. */
        ledger->writes[i] = (tm_store_write){account->key, {(const char *)offset, ledger->blobs.length - offset}};
    }
    if (ledger->blobs.overflowed)
        return TM_FATAL;
    for (uint32_t i = 0; i < changed; i++)
        ledger->writes[i].blob.data = ledger->blobs.data + (size_t)ledger->writes[i].blob.data;
    for (uint32_t i = 0; i < erased; i++)
        ledger->writes[changed + i] = (tm_store_write){tm_shard_erased(shard, i), {NULL, 0}};
    *ret_count = changed + erased;
    return tm_proof_writes(holding, ledger->writes, changed, &now, &ledger->meta); /* the meta is encoded later */
}

/* What became of a commit whose answer was lost: the store's own word. */
static tm_status settle(tm_ledger *ledger, const tm_holding *holding, tm_error *error)
{
    tm_store_state state;
    tm_error reading;
    TM_CRASH_POINT("settle_read");
    tm_status status = ledger->store->read(ledger->store->context, holding->partition, &state, &reading);
    TM_CRASH_POINT("settle_answered");
    if (status != TM_OK)
        return TM_RETRY;
    if (state.present && tm_position_equal(state.position, holding->next) && state.epoch == holding->epoch)
        return TM_OK;
    bool as_before = state.present ? tm_position_equal(state.position, holding->stored) : holding->stored.commit == 0;
    if (as_before && state.epoch == holding->epoch)
        return TM_RETRY;
    return tm_fail(error, TM_REJECT,
                   "shard %d: the store is at commit %lld of epoch %lld, this worker was at %lld of %lld",
                   (int)holding->partition, (long long)state.position.commit, (long long)state.epoch,
                   (long long)holding->stored.commit, (long long)holding->epoch);
}

/* Keeps the journal line of the commit that was written, which is its last output, for a report. */
static void remember_line(tm_holding *holding)
{
    tm_output line;
    if (!holding->publishing)
        return; /* what is replayed has its lines in the journal */
    (void)tm_outbox_read(&holding->outbox, holding->outbox.count - 1, &line);
    size_t kept = line.value.length < sizeof holding->last_line ? line.value.length : sizeof holding->last_line - 1;
    memcpy(holding->last_line, line.value.data, kept);
    holding->last_line[kept] = 0;
}

static tm_status end_failed(tm_holding *holding, tm_status status, tm_error *error)
{
    if (status == TM_BROKEN)
        return tm_poison_tripped(holding, "a commit was ended", error);
    return tm_fail(error, TM_FATAL, "shard %d: no memory is left to end a commit", (int)holding->partition);
}

/* The one atomic write: from `stored` to `next`. */
static tm_status write_commit(tm_ledger *ledger, tm_holding *holding, tm_error *error)
{
    uint32_t write_count = 0;
    tm_status status = gather_writes(ledger, holding, &write_count);
    TM_CRASH_POINT("commit_gathered");
    if (status != TM_OK)
        return end_failed(holding, status, error);

    tm_shard_meta meta;
    tm_holding_meta(holding, &meta);
    meta.claim = holding->next.claim;
    meta.published = holding->published.commit;
    meta.published_claim = holding->published.claim;
    tm_buffer_reset(&ledger->meta);
    tm_meta_encode(&meta, &ledger->meta);
    if (!ledger->meta.overflowed && tm_proof_meta(holding, &meta, tm_buffer_slice(&ledger->meta)) != TM_OK)
        return end_failed(holding, TM_BROKEN, error);
    tm_buffer_reset(&ledger->fingerprints);
    tm_fingerprints_encode(holding->shard, &ledger->fingerprints);
    uint32_t first = 0;
    while (first < holding->outbox.count && holding->outbox.entries[first].commit < holding->next.commit)
        first++;
    uint32_t outbox_count = holding->outbox.count - first;
    tm_slice *outbox = malloc(sizeof *outbox * (outbox_count + 1));
    if (!outbox || ledger->meta.overflowed || ledger->fingerprints.overflowed) {
        free(outbox);
        return tm_fail(error, TM_FATAL, "shard %d: no memory is left to end a commit", (int)holding->partition);
    }
    for (uint32_t i = 0; i < outbox_count; i++)
        outbox[i] = tm_outbox_bytes(&holding->outbox, first + i);
    tm_store_commit commit = {.partition = holding->partition,
                              .epoch = holding->epoch,
                              .expected = holding->stored,
                              .position = holding->next,
                              .meta = tm_buffer_slice(&ledger->meta),
                              .writes = ledger->writes,
                              .write_count = write_count,
                              .fingerprints = tm_buffer_slice(&ledger->fingerprints),
                              .fingerprints_from =
                                  holding->span_count ? holding->spans[0].commit : holding->next.commit + 1,
                              .outbox = outbox,
                              .outbox_count = outbox_count,
                              .outbox_published = holding->published.commit};
    TM_CRASH_POINT("store_commit_before");
    ledger->asked = TM_WAITING_STORE;
    status = ledger->store->commit(ledger->store->context, &commit, error);
    TM_CRASH_POINT("store_commit_after");
    free(outbox);
    if (status == TM_RETRY)
        status = settle(ledger, holding, error);
    if (status != TM_OK)
        return status;
    holding->stored = holding->next;
    holding->open = holding->sealed = false;
    holding->records = 0; /* a full commit makes room for the next */
    holding->count_from = 0;
    holding->configuration_told = true;
    TM_CRASH_POINT("commit_stored");
    tm_shard_settled(holding->shard);
    remember_line(holding);
    holding->trips = 0;
    return tm_proof_settled(holding) == TM_OK ? TM_OK : end_failed(holding, TM_BROKEN, error);
}

tm_status tm_ledger_commit(tm_ledger *ledger, tm_holding *holding, tm_time clock_end, tm_time advance_to,
                           tm_error *error)
{
    tm_status status = holding->sealed ? TM_OK : seal(holding, clock_end, advance_to);
    return status != TM_OK ? end_failed(holding, status, error) : write_commit(ledger, holding, error);
}

tm_status tm_ledger_install(tm_ledger *ledger, tm_holding *holding, tm_position position, tm_error *error)
{
    TM_CRASH_POINT("install_begin");
    holding->next = position;
    if (!holding->sealed && note_fingerprints(holding) != TM_OK)
        return tm_fail(error, TM_FATAL, "shard %d: no memory is left to end a commit", (int)holding->partition);
    holding->sealed = true;
    return write_commit(ledger, holding, error);
}

/* --- publication --- */

/* A new producer, and what the group's offsets say after it: nothing of an uncertain transaction is guessed. */
static tm_status renew(tm_ledger *ledger, tm_holding *const *holdings, uint32_t count, tm_error *error)
{
    TM_CRASH_POINT("renew_begin");
    tm_status status = ledger->publisher->initialise(ledger->publisher->context, error);
    TM_CRASH_POINT("renew_initialised");
    if (status != TM_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        tm_holding *holding = holdings[i];
        if (holding->state != TM_HOLDING_LIVE)
            continue;
        tm_position committed;
        TM_CRASH_POINT("renew_compare");
        status = ledger->source->committed(ledger->source->context, &holding->partition, 1, &committed, error);
        if (status != TM_OK)
            return status;
        if (committed.commit < holding->published.commit || committed.commit > holding->stored.commit)
            return tm_fail(error, TM_REJECT,
                           "shard %d: the group's offsets are at commit %lld, this worker published up to %lld of %lld",
                           (int)holding->partition, (long long)committed.commit, (long long)holding->published.commit,
                           (long long)holding->stored.commit);
        if (committed.commit > 0)
            holding->published = committed;
        tm_outbox_forget(&holding->outbox, holding->published.commit);
    }
    ledger->must_initialise = false;
    return TM_OK;
}

/* A dead letter that its topic does not take is cut until it does: its record is still in the input. Any other output
   is never left out: it is waited for a topic that takes it. */
static tm_status send_cut(tm_ledger *ledger, tm_output *output, tm_error *error)
{
    tm_slice whole = output->value;
    size_t room = whole.length;
    tm_status status = TM_REJECT;
    while (status == TM_REJECT && room > 0) {
        room /= 2;
        tm_buffer_reset(&ledger->letter);
        if (!tm_dead_letter_cut(whole, room, &ledger->letter) || ledger->letter.overflowed)
            break;
        output->value = tm_buffer_slice(&ledger->letter);
        status = ledger->publisher->send(ledger->publisher->context, output, error);
    }
    return status;
}

static tm_status send_outbox(tm_ledger *ledger, const tm_holding *holding, tm_error *error)
{
    for (uint32_t i = 0; i < holding->outbox.count; i++) {
        if (holding->outbox.entries[i].commit > holding->stored.commit)
            break; /* of a commit that is still open */
        tm_output output;
        if (tm_outbox_read(&holding->outbox, i, &output) != TM_OK)
            return tm_fail(error, TM_FATAL, "shard %d: an output kept in the store cannot be read",
                           (int)holding->partition);
        tm_status status = ledger->publisher->send(ledger->publisher->context, &output, error);
        TM_CRASH_POINT("publish_output");
        if (status == TM_REJECT && output.topic == TM_TOPIC_DEAD_LETTERS)
            status = send_cut(ledger, &output, error);
        if (status != TM_OK)
            return status == TM_REJECT ? TM_RETRY : status;
    }
    return TM_OK;
}

tm_status tm_ledger_publish(tm_ledger *ledger, tm_holding *const *holdings, uint32_t count, tm_error *error)
{
    if (ledger->must_initialise) {
        ledger->asked = TM_WAITING_PUBLISHER;
        tm_status status = renew(ledger, holdings, count, error);
        if (status != TM_OK)
            return status;
    }
    uint32_t behind = 0;
    for (uint32_t i = 0; i < count; i++)
        behind += holdings[i]->state == TM_HOLDING_LIVE && holdings[i]->published.commit != holdings[i]->stored.commit;
    if (behind == 0)
        return TM_OK;
    int32_t *partitions = malloc(sizeof *partitions * behind);
    tm_position *positions = malloc(sizeof *positions * behind);
    if (!partitions || !positions) {
        free(partitions);
        free(positions);
        return tm_fail(error, TM_FATAL, "no memory to publish");
    }
    TM_CRASH_POINT("publish_begin");
    ledger->asked = TM_WAITING_PUBLISHER;
    tm_status status = ledger->publisher->begin(ledger->publisher->context, error);
    TM_CRASH_POINT("publish_begun");
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && status == TM_OK; i++) {
        const tm_holding *holding = holdings[i];
        if (holding->state != TM_HOLDING_LIVE || holding->published.commit == holding->stored.commit)
            continue;
        partitions[n] = holding->partition;
        positions[n++] = holding->stored;
        status = send_outbox(ledger, holding, error);
        if (status == TM_RETRY) {
            tm_error aborting;
            (void)ledger->publisher->abort(ledger->publisher->context, &aborting);
        }
    }
    TM_CRASH_POINT("publish_commit_before");
    if (status == TM_OK)
        status = ledger->publisher->commit(ledger->publisher->context, partitions, positions, n, error);
    TM_CRASH_POINT("publish_commit_after");
    free(partitions);
    free(positions);
    if (status != TM_OK) {
        /* Whatever it was, the next publication begins with a new producer and a look at C. */
        TM_CRASH_POINT("publish_failed");
        ledger->must_initialise = true;
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        tm_holding *holding = holdings[i];
        if (holding->state != TM_HOLDING_LIVE)
            continue;
        holding->published = holding->stored;
        tm_outbox_forget(&holding->outbox, holding->published.commit);
    }
    return TM_OK;
}
