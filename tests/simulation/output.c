/* The ports `publisher` and `journal` over the broker. What is sent lies with the broker at once; the end of a
   transaction may be lost, may go without an answer, or may come later than its sender waits for. */
#include <string.h>

#include "sim.h"

static sim_producer *producer_of(const sim_life *life)
{
    return &life->s->producers[life->producer];
}

static tm_status no_answer(tm_error *error, const char *what)
{
    return tm_fail(error, TM_RETRY, "%s: no answer", what);
}

/* TM_OK: this producer is the one of its id. */
static tm_status check_epoch(sim_life *life, tm_error *error)
{
    const sim_producer *producer = producer_of(life);
    if (producer->epoch == life->producer_epoch)
        return TM_OK;
    life->trouble_at = life->s->now;
    return producer->timed_out && producer->epoch == life->producer_epoch + 1
               ? tm_fail(error, TM_RETRY, "the transaction was open too long")
               : tm_fail(error, TM_FATAL, "another producer has this id");
}

static tm_status publisher_initialise(void *context, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_INITIALISE, -1, NULL);
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return no_answer(error, "initialise");
    sim_producer *producer = producer_of(life);
    sim_transaction_abort(s, producer);
    int64_t epoch = ++producer->epoch; /* another may initialise while the answer is on its way */
    producer->timed_out = false;
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    if (fate != SIM_FINE || !sim_pass(life, sim_below(&s->schedule, s->latency + 1)))
        return no_answer(error, "initialise");
    life->producer_epoch = epoch;
    return TM_OK;
}

static tm_status publisher_begin(void *context, tm_error *error)
{
    sim_life *life = context;
    if (sim_call(life, SIM_BEGIN, -1, NULL) != SIM_FINE)
        return no_answer(error, "begin");
    life->begun = true;
    return TM_OK;
}

static void open_transaction(sim_life *life)
{
    sim *s = life->s;
    sim_producer *producer = producer_of(life);
    if (producer->open)
        return;
    producer->open = true;
    producer->serial = ++s->serials;
    producer->opened = s->now;
    /* The broker looks every ten seconds. */
    int64_t at = s->now + SIM_TRANSACTION + sim_below(&s->schedule, 10000);
    sim_at(s, at, SIM_HAPPENS_TIMEOUT, life->producer, (int64_t)producer->serial, NULL);
}

static tm_slice headers_of(sim *s, const tm_output *output)
{
    tm_buffer text;
    tm_buffer_init(&text, 1 << 16);
    for (uint32_t i = 0; i < output->header_count; i++) {
        tm_buffer_append_text(&text, i ? "," : "");
        tm_buffer_append_text(&text, output->headers[i].name);
        tm_buffer_append_text(&text, "=");
        tm_buffer_append_slice(&text, output->headers[i].value);
    }
    tm_slice copy = sim_copy(s, tm_slice_of(tm_buffer_text(&text)));
    tm_buffer_done(&text);
    return copy;
}

static tm_status publisher_send(void *context, const tm_output *output, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_SEND, output->partition, NULL);
    if (fate == SIM_DEAD || fate == SIM_FAILS || !life->begun)
        return no_answer(error, "send");
    if (output->key.length + output->value.length > 1040000 && output->topic != TM_TOPIC_JOURNAL)
        return tm_fail(error, TM_REJECT, "a record that is too large");
    tm_status status = check_epoch(life, error);
    if (status != TM_OK)
        return status;
    open_transaction(life);
    sim_output staged = {.topic = output->topic,
                         .partition = output->partition >= 0 ? output->partition
                                                             : (int32_t)(tm_hash(output->key) % s->partitions),
                         .key = sim_copy(s, output->key),
                         .value = sim_copy(s, output->value),
                         .timestamp = output->timestamp};
    if (!life->judged)
        staged.headers = headers_of(s, output);
    sim_outputs_add(s, &producer_of(life)->staged, &staged);
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    return fate == SIM_FINE ? TM_OK : no_answer(error, "send");
}

static tm_status publisher_abort(void *context, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_ABORT, -1, NULL);
    life->begun = false;
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return no_answer(error, "abort");
    if (check_epoch(life, error) != TM_OK)
        return no_answer(error, "abort");
    sim_transaction_abort(s, producer_of(life));
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    return fate == SIM_FINE ? TM_OK : no_answer(error, "abort");
}

/* The group's own check: by generation, not by partition. */
static bool is_member(const sim_life *life)
{
    const sim_member *member = &life->group_of->member;
    return member->inside && member->generation == life->s->generation;
}

static tm_status send_offsets(sim_life *life, const int32_t *partitions, const tm_position *positions, uint32_t count,
                              tm_error *error)
{
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_OFFSETS, partitions[0], NULL);
    if (fate == SIM_DEAD)
        return no_answer(error, "offsets");
    tm_status status = check_epoch(life, error);
    if (status != TM_OK)
        return status;
    sim_producer *producer = producer_of(life);
    if (fate == SIM_FAILS) { /* then the adapter aborts, if it can */
        if (sim_once_in(&s->schedule, 2))
            sim_transaction_abort(s, producer);
        return no_answer(error, "offsets");
    }
    open_transaction(life);
    if (!is_member(life)) {
        sim_transaction_abort(s, producer);
        return tm_fail(error, TM_REJECT, "not a member of generation %lld", (long long)s->generation);
    }
    for (uint32_t i = 0; i < count; i++) {
        producer->has_offsets[partitions[i]] = true;
        producer->offsets[partitions[i]] = positions[i];
    }
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    return fate == SIM_FINE ? TM_OK : no_answer(error, "offsets");
}

static tm_status publisher_commit(void *context, const int32_t *partitions, const tm_position *positions,
                                  uint32_t count, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    if (!life->begun)
        return tm_fail(error, TM_RETRY, "no transaction is open");
    life->begun = false;
    tm_status status = count ? send_offsets(life, partitions, positions, count, error) : TM_OK;
    if (status != TM_OK)
        return status;
    int64_t later = 0;
    sim_fate fate = sim_call(life, SIM_END, count ? partitions[0] : -1, &later);
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return no_answer(error, "end of a transaction");
    status = check_epoch(life, error);
    if (status != TM_OK)
        return status;
    if (fate == SIM_COMES_LATE || fate == SIM_TWICE)
        sim_at(s, s->now + later, SIM_HAPPENS_GHOST, life->producer, life->producer_epoch, NULL);
    if (fate != SIM_COMES_LATE)
        sim_transaction_commit(s, life->producer);
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    if (fate != SIM_FINE || !sim_pass(life, sim_below(&s->schedule, s->latency + 1)))
        return no_answer(error, "end of a transaction");
    return TM_OK;
}

static void publisher_close(void *context)
{
    (void)context; /* what is open is ended by the next producer of this id, or by the broker in its time */
}

tm_publisher sim_publisher_port(sim_life *life)
{
    return (tm_publisher){life,           publisher_initialise, publisher_begin,
                          publisher_send, publisher_commit,     publisher_abort,
                          publisher_close};
}

/* ---- The journal read back ---- */

static tm_status journal_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    sim_life *life = context;
    if (sim_call(life, SIM_JOURNAL_OPEN, partition, NULL) != SIM_FINE)
        return no_answer(error, "journal");
    const sim_outputs *journal = &life->s->outputs[TM_TOPIC_JOURNAL];
    life->journal_partition = partition;
    life->journal_at = life->journal_end = journal->count;
    *ret_whole = true;
    while (life->journal_at > 0) {
        if (journal->items[life->journal_at - 1].partition == partition && back-- == 0) {
            *ret_whole = false;
            break;
        }
        life->journal_at--;
    }
    return TM_OK;
}

static tm_status journal_next(void *context, tm_slice *ret_line, tm_error *error)
{
    sim_life *life = context;
    *ret_line = (tm_slice){0};
    if (sim_call(life, SIM_JOURNAL_NEXT, life->journal_partition, NULL) != SIM_FINE)
        return no_answer(error, "journal");
    const sim_outputs *journal = &life->s->outputs[TM_TOPIC_JOURNAL];
    while (life->journal_at < life->journal_end) {
        const sim_output *output = &journal->items[life->journal_at++];
        if (output->partition == life->journal_partition) {
            *ret_line = output->value;
            return TM_OK;
        }
    }
    return TM_OK;
}

static void journal_close(void *context)
{
    sim_life *life = context;
    life->journal_at = life->journal_end = 0;
}

tm_journal_source sim_journal_port(sim_life *life)
{
    return (tm_journal_source){life, journal_open, journal_next, journal_close};
}
