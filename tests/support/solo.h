/* One shard of a memory world in the test's own thread: the ports of a worker without its loop, so that holding, ledger
   and rebuild are called one by one. */
#ifndef TIDEMARK_TESTS_SOLO_H
#define TIDEMARK_TESTS_SOLO_H

#include "support/stage.h"
#include "tidemark/pipeline/rebuild.h"

/* Late enough for windows of hours: they begin on the counting start's day. */
#define SOLO_MORNING (FEED_START + 6 * TM_HOUR)
#define SOLO_WALL (SOLO_MORNING + TM_HOUR)

typedef struct solo {
    stage *stage;
    tm_source source;
    tm_publisher publisher;
    tm_store store;
    tm_log log;
    tm_clock clock;
    tm_reading reading;
    tm_ledger ledger;
    tm_holding *holding;
    uint32_t assigned, halts, rebuilt, differs, gone;
} solo;

static void solo_assigned(void *context, const int32_t *partitions, uint32_t count)
{
    (void)partitions;
    ((solo *)context)->assigned += count;
}

static void solo_revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    (void)context, (void)partitions, (void)count, (void)lost;
}

static void solo_log(void *context, tm_log_level level, const char *event, const char *message,
                     const tm_log_field *fields, uint32_t count)
{
    (void)level, (void)message, (void)fields, (void)count;
    solo *o = context;
    o->halts += strcmp(event, "shard_halted") == 0;
    o->rebuilt += strcmp(event, "rebuilt") == 0;
    o->differs += strcmp(event, "rebuild_differs") == 0;
    o->gone += strcmp(event, "records_gone") == 0;
}

static tm_time solo_wall(void *context)
{
    (void)context;
    return SOLO_WALL;
}

/* A member of the group that owns partition 0, with a holding that nothing was claimed for yet. */
static inline void solo_open(solo *o, stage *s, const char *instance)
{
    *o = (solo){.stage = s};
    tm_error error;
    o->log = (tm_log){o, solo_log};
    o->clock = (tm_clock){.context = o, .wall = solo_wall};
    cr_assert_eq(tm_memory_source_new(s->world, instance, &o->source, &error), TM_OK);
    cr_assert_eq(tm_memory_publisher_new(s->world, instance, &o->source, &o->publisher, &error), TM_OK);
    cr_assert_eq(tm_memory_store_open(s->state, &o->store, &error), TM_OK);
    tm_source_listener listener = {o, solo_assigned, solo_revoked};
    cr_assert_eq(o->source.join(o->source.context, &listener, &error), TM_OK);
    tm_source_record none;
    uint32_t count;
    cr_assert_eq(o->source.poll(o->source.context, 0, &none, 1, &count, &error), TM_OK);
    cr_assert_eq(o->assigned, tm_world_partitions(s->world));
    cr_assert_eq(tm_reading_init(&o->reading, &s->settings.reading), TM_OK);
    tm_ledger_init(&o->ledger, &o->store, &o->publisher, &o->source, &o->log, &o->clock, (uint64_t)instance);
    o->holding = tm_holding_new(&s->settings, &o->reading, &o->source, 0);
    cr_assert_not_null(o->holding);
}

static inline void solo_close(solo *o)
{
    tm_holding_free(o->holding);
    tm_ledger_done(&o->ledger);
    tm_reading_done(&o->reading);
    o->publisher.close(o->publisher.context);
    o->store.close(o->store.context);
    o->source.leave(o->source.context);
}

static inline tm_status solo_claim(solo *o, tm_error *error)
{
    return tm_ledger_claim(&o->ledger, o->holding, tm_memory_source_generation(&o->source), error);
}

/* Takes what the source has into the holding's intake; as a worker does, not what it has already. */
static inline void solo_poll(solo *o)
{
    tm_source_record records[64];
    uint32_t count;
    do {
        tm_error error;
        cr_assert_eq(o->source.poll(o->source.context, 0, records, 64, &count, &error), TM_OK, "%s", error.what);
        for (uint32_t i = 0; i < count; i++) {
            if (records[i].offset < o->holding->intake.lanes[records[i].input].next)
                o->source.release(o->source.context, &records[i]);
            else
                cr_assert_eq(tm_intake_push(&o->holding->intake, &records[i]), TM_OK);
        }
    } while (count > 0);
}

/* Begins a commit and applies all there is. Returns the number of records. */
static inline uint32_t solo_apply(solo *o, tm_time wall)
{
    uint32_t total = 0;
    tm_error error;
    tm_intake_answer answer = TM_INTAKE_UNKNOWN;
    solo_poll(o);
    tm_holding_begin(o->holding, wall);
    for (int i = 0; i < 100 && answer != TM_INTAKE_EMPTY; i++) {
        uint32_t count;
        if (answer == TM_INTAKE_UNKNOWN) {
            solo_poll(o);
            cr_assert_eq(tm_intake_confirm(&o->holding->intake, &error), TM_OK);
        }
        cr_assert_eq(tm_holding_apply(o->holding, 1000, &count, &answer, &error), TM_OK, "%s", error.what);
        total += count;
    }
    cr_assert_eq(answer, TM_INTAKE_EMPTY);
    return total;
}

static inline tm_status solo_commit(solo *o, tm_time wall, tm_error *error)
{
    return tm_ledger_commit(&o->ledger, o->holding, wall, wall - o->stage->settings.grace, error);
}

static inline tm_status solo_publish(solo *o, tm_error *error)
{
    return tm_ledger_publish(&o->ledger, &o->holding, 1, error);
}

/* C, as the group has it. */
static inline tm_position solo_committed(solo *o)
{
    tm_position position;
    tm_error error;
    int32_t partition = 0;
    cr_assert_eq(o->source.committed(o->source.context, &partition, 1, &position, &error), TM_OK);
    return position;
}

static inline uint32_t solo_signals(stage *s)
{
    feed_out out = {0};
    int64_t tombstones, letters;
    stage_signals(s, &out, &tombstones, &letters);
    feed_out_sort(&out, "published");
    uint32_t count = out.count;
    feed_out_done(&out);
    return count;
}

static inline void solo_append(stage *s, tm_input input, tm_time timestamp, const char *value)
{
    feed_record record = {.input = input, .timestamp = timestamp, .key = "a0"};
    snprintf(record.value, sizeof record.value, "%s", value);
    stage_append(s, &record);
}

/* A purchase of account a0 some minutes into the morning. */
static inline void solo_buy(stage *s, int64_t minute, const char *id)
{
    char value[240];
    tm_time at = SOLO_MORNING + minute * TM_MINUTE;
    snprintf(value, sizeof value,
             "{\"id\":\"%s\",\"account\":\"a0\",\"event\":\"buy\",\"at\":%" PRId64 ",\"user\":\"u\",\"value\":30}", id,
             at);
    solo_append(s, TM_INPUT_USAGE, at, value);
}

#endif
