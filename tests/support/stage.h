/* Workers on a memory world, each in a thread that runs only while it is its turn: every poll and every pause gives the
   turn back. So one seed is one order of things, time is what the test says, and nothing sleeps. */
#ifndef TIDEMARK_TESTS_STAGE_H
#define TIDEMARK_TESTS_STAGE_H

#include <pthread.h>

#include "support/feed.h"
#include "tidemark/adapters/memory/journal.h"
#include "tidemark/adapters/memory/publisher.h"
#include "tidemark/adapters/memory/source.h"
#include "tidemark/adapters/memory/store.h"
#include "tidemark/pipeline/worker.h"

enum { STAGE_WORKERS = 64, STAGE_MAIN = -1 };

struct stage;

typedef struct actor {
    struct stage *stage;
    int number;
    pthread_t thread;
    bool started, finished;
    tm_source inner; /* the world's source behind the one that gives the turn back */
    tm_worker_ports ports;
    tm_memory_journal journal;
    tm_worker_gauges gauges;
    atomic_bool stop;
    tm_pipeline_settings settings;
    tm_status status;
    tm_error error;
} actor;

typedef struct stage {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int turn;
    int64_t now; /* ms of the script */
    tm_time base;
    tm_world *world;
    tm_memory_state *state;
    tm_pack *pack;
    tm_mapping *mapping;
    tm_pipeline_settings settings;
    actor *actors[STAGE_WORKERS];
    int count;
    char halted[8][1400]; /* by partition: why it was */
    char codes[8][32];    /* … and its name */
    uint32_t rebuilt, differs, replayed;
    void (*on_worker)(bool begins); /* called in a worker's thread, before and after its run; NULL: not */
    uint32_t suspected, acquitted, poison, broken;
    char report[4096]; /* the last shard_broken: its fields as text */
} stage;

static inline void stage_yield(actor *a)
{
    stage *s = a->stage;
    pthread_mutex_lock(&s->mutex);
    s->turn = STAGE_MAIN;
    pthread_cond_broadcast(&s->changed);
    while (s->turn != a->number)
        pthread_cond_wait(&s->changed, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
}

/* Lets one worker run to its next poll or pause, or its end. */
static inline void stage_step(stage *s, actor *a)
{
    if (a->finished)
        return;
    pthread_mutex_lock(&s->mutex);
    s->turn = a->number;
    pthread_cond_broadcast(&s->changed);
    while (s->turn != STAGE_MAIN)
        pthread_cond_wait(&s->changed, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    if (a->finished && a->started) {
        pthread_join(a->thread, NULL);
        a->started = false;
    }
}

/* --- ports that give the turn back --- */

static inline tm_status actor_join(void *context, const tm_source_listener *listener, tm_error *error)
{
    actor *a = context;
    return a->inner.join(a->inner.context, listener, error);
}

static inline tm_status actor_poll(void *context, int64_t wait, tm_source_record *records, uint32_t capacity,
                                   uint32_t *count, tm_error *error)
{
    actor *a = context;
    stage_yield(a);
    a->stage->now += wait > 0 ? wait : 1;
    return a->inner.poll(a->inner.context, 0, records, capacity, count, error);
}

static void actor_release(void *context, tm_source_record *record)
{
    actor *a = context;
    a->inner.release(a->inner.context, record);
}

static uint32_t actor_headers(void *context, const tm_source_record *record,
                              tm_source_header headers[TM_SOURCE_HEADERS_MAX])
{
    actor *a = context;
    return a->inner.headers(a->inner.context, record, headers);
}

static inline tm_status actor_start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    actor *a = context;
    return a->inner.start(a->inner.context, input, partition, offset, error);
}

static inline tm_status actor_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    actor *a = context;
    return a->inner.pause(a->inner.context, input, partition, paused, error);
}

static inline tm_status actor_bounds(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                                     int64_t *reached, tm_error *error)
{
    actor *a = context;
    return a->inner.bounds(a->inner.context, input, partition, first, end, reached, error);
}

static inline tm_status actor_committed(void *context, const int32_t *partitions, uint32_t count,
                                        tm_position *positions, tm_error *error)
{
    actor *a = context;
    return a->inner.committed(a->inner.context, partitions, count, positions, error);
}

static void actor_leave(void *context)
{
    actor *a = context;
    a->inner.leave(a->inner.context);
}

static int64_t actor_generation(void *context)
{
    actor *a = context;
    return tm_memory_source_generation(&a->inner);
}

static tm_time actor_wall(void *context)
{
    actor *a = context;
    return a->stage->base + a->stage->now;
}

static int64_t actor_steady(void *context)
{
    actor *a = context;
    return a->stage->now;
}

static void actor_wait(void *context, int64_t ms)
{
    actor *a = context;
    stage_yield(a);
    a->stage->now += ms;
}

static void actor_log(void *context, tm_log_level level, const char *event, const char *message,
                      const tm_log_field *fields, uint32_t count)
{
    (void)level;
    actor *a = context;
    const char *verbose = getenv("STAGE_LOG");
    if (verbose) {
        fprintf(stderr, "%6" PRId64 " worker %d: %s: %s", a->stage->now, a->number, event, message);
        for (uint32_t i = 0; i < count; i++) {
            if (fields[i].type == TM_LOG_INTEGER)
                fprintf(stderr, " %s=%" PRId64, fields[i].name, fields[i].integer);
            else
                fprintf(stderr, " %s=%.*s", fields[i].name, (int)fields[i].text.length, fields[i].text.data);
        }
        fprintf(stderr, "\n");
    }
    int64_t partition = -1;
    tm_slice text = {0}, code = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, "partition") == 0)
            partition = fields[i].integer;
        if (strcmp(fields[i].name, "reason") == 0 || strcmp(fields[i].name, "error") == 0)
            text = fields[i].text;
        if (strcmp(fields[i].name, "code") == 0)
            code = fields[i].text;
    }
    stage *s = a->stage;
    if (strcmp(event, "shard_halted") == 0 && partition >= 0 && partition < 8) {
        snprintf(s->halted[partition], sizeof s->halted[partition], "%.*s", (int)text.length, text.data);
        snprintf(s->codes[partition], sizeof s->codes[partition], "%.*s", (int)code.length, code.data);
    }
    s->suspected += strcmp(event, "record_suspected") == 0;
    s->acquitted += strcmp(event, "record_acquitted") == 0;
    s->poison += strcmp(event, "record_poison") == 0;
    if (strcmp(event, "shard_broken") == 0) {
        size_t at = 0;
        s->broken++;
        for (uint32_t i = 0; i < count && at < sizeof s->report; i++) {
            int wrote = fields[i].type == TM_LOG_INTEGER
                            ? snprintf(s->report + at, sizeof s->report - at, "%s=%" PRId64 "\n", fields[i].name,
                                       fields[i].integer)
                            : snprintf(s->report + at, sizeof s->report - at, "%s=%.*s\n", fields[i].name,
                                       (int)fields[i].text.length, fields[i].text.data);
            at += (size_t)wrote;
        }
    }
    s->rebuilt += strcmp(event, "rebuilt") == 0;
    s->replayed += strcmp(event, "replayed") == 0;
    s->differs += strcmp(event, "rebuild_differs") == 0;
}

static void *actor_work(void *context)
{
    actor *a = context;
    stage *s = a->stage;
    pthread_mutex_lock(&s->mutex);
    while (s->turn != a->number)
        pthread_cond_wait(&s->changed, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    if (s->on_worker)
        s->on_worker(true);
    a->status = tm_worker_run(&a->settings, &a->ports, &a->stop, &a->gauges, &a->error);
    if (s->on_worker)
        s->on_worker(false);
    pthread_mutex_lock(&s->mutex);
    a->finished = true;
    s->turn = STAGE_MAIN;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* A worker with the stage's present settings; it begins with its first step. */
static inline actor *stage_hire(stage *s, const char *instance)
{
    cr_assert(s->count < STAGE_WORKERS);
    actor *a = calloc(1, sizeof *a);
    a->stage = s;
    a->number = s->count;
    a->settings = s->settings;
    char id[32];
    snprintf(id, sizeof id, "t-%s", instance);
    tm_error error;
    cr_assert_eq(tm_memory_source_new(s->world, instance, &a->inner, &error), TM_OK);
    a->ports.source = (tm_source){a,           actor_join,   actor_poll,      actor_release, actor_headers, actor_start,
                                  actor_pause, actor_bounds, actor_committed, actor_leave,   NULL};
    cr_assert_eq(tm_memory_publisher_new(s->world, id, &a->inner, &a->ports.publisher, &error), TM_OK);
    cr_assert_eq(tm_memory_store_open(s->state, &a->ports.store, &error), TM_OK);
    a->ports.journal = tm_memory_journal_port(&a->journal, s->world);
    a->ports.clock = (tm_clock){a, actor_wall, actor_steady, actor_wait};
    a->ports.log = (tm_log){a, actor_log};
    a->ports.generation = actor_generation;
    a->ports.generation_context = a;
    s->actors[s->count++] = a;
    a->started = pthread_create(&a->thread, NULL, actor_work, a) == 0;
    cr_assert(a->started);
    return a;
}

/* Runs one worker to its end. */
static inline tm_status stage_finish(stage *s, actor *a)
{
    for (int i = 0; i < 200000 && !a->finished; i++)
        stage_step(s, a);
    cr_assert(a->finished, "a worker did not come to its end");
    return a->status;
}

static inline tm_status stage_stop(stage *s, actor *a)
{
    atomic_store(&a->stop, true);
    return stage_finish(s, a);
}

static inline void stage_append(stage *s, const feed_record *record)
{
    tm_world_record out = {.key = tm_slice_of(record->key),
                           .value = record->value[0] ? tm_slice_of(record->value) : (tm_slice){0},
                           .timestamp = record->timestamp};
    cr_assert_eq(tm_world_append(s->world, record->input, record->partition, &out, NULL), TM_OK);
}

/* Late enough for windows of hours: they begin on the counting start's day. */
#define STAGE_MORNING (FEED_START + 6 * TM_HOUR)

/* A purchase of 30 by the partition's account, so many minutes after the morning: into the feed, and into the world
   when that has begun. `more`: further members, each with a comma before it. */
static inline void stage_buy(stage *s, feed *f, int32_t partition, int64_t minute, const char *id, const char *more)
{
    char key[16], value[240];
    snprintf(key, sizeof key, "a%d", (int)partition);
    snprintf(value, sizeof value,
             "{\"id\":\"%s\",\"account\":\"%s\",\"event\":\"buy\",\"at\":%" PRId64 ",\"user\":\"u\",\"value\":30%s}",
             id, key, STAGE_MORNING + minute * TM_MINUTE, more);
    feed_add(f, TM_INPUT_USAGE, partition, STAGE_MORNING + minute * TM_MINUTE, key, value);
    if (s->world)
        stage_append(s, &f->records[f->count - 1]);
}

static inline void stage_init(stage *s, uint32_t partitions, const char *rules)
{
    *s = (stage){.mutex = PTHREAD_MUTEX_INITIALIZER,
                 .changed = PTHREAD_COND_INITIALIZER,
                 .turn = STAGE_MAIN,
                 .now = 1,
                 .base = FEED_START + 400 * TM_DAY};
    s->world = tm_world_new(partitions);
    s->state = tm_memory_state_new();
    s->pack = feed_pack(rules);
    s->mapping = tm_mapping_native();
    s->settings = (tm_pipeline_settings){.group = TM_SLICE_LITERAL("t"),
                                         .topics = {TM_SLICE_LITERAL("usage"), TM_SLICE_LITERAL("accounts")},
                                         .accounts_on = true,
                                         .partitions = partitions,
                                         .shard = feed_settings(),
                                         .grace = 10000,
                                         .commit_interval = 1000,
                                         .commit_records = 10000,
                                         .commit_accounts = 1000,
                                         .message_max = 1 << 20,
                                         .counting_start = FEED_START,
                                         .reading = feed_options(s->mapping),
                                         .pack = s->pack,
                                         .configuration_hash = 7,
                                         .timezone = TM_SLICE_LITERAL("UTC"),
                                         .key_mismatch = TM_SLICE_LITERAL("reject"),
                                         .mapping = TM_SLICE_LITERAL("native"),
                                         .version = "0",
                                         .final_time = TM_TIME_NONE,
                                         .until = TM_TIME_NEVER};
}

/* A run with an end: everything of the feed, which is in the world already. */
static inline void stage_once(stage *s, const feed *f)
{
    s->settings.once = true;
    s->settings.ends[0] = f->ends[0];
    s->settings.ends[1] = f->ends[1];
    s->settings.final_time = f->greatest;
}

static inline void stage_done(stage *s)
{
    for (int i = 0; i < s->count; i++) {
        if (!s->actors[i]->finished)
            (void)stage_stop(s, s->actors[i]);
        free(s->actors[i]);
    }
    tm_world_free(s->world);
    tm_memory_state_free(s->state);
    tm_pack_free(s->pack);
    tm_mapping_free(s->mapping);
}

/* --- what came of it --- */

/* The ids of all published signals; health tombstones and dead letters are counted. */
static inline void stage_signals(stage *s, feed_out *out, int64_t *ret_tombstones, int64_t *ret_dead)
{
    *ret_tombstones = *ret_dead = 0;
    for (int topic = 0; topic < TM_TOPICS; topic++) {
        for (int32_t p = 0; p < (int32_t)tm_world_partitions(s->world); p++) {
            int64_t count = tm_world_output_count(s->world, (tm_topic)topic, p);
            *ret_tombstones += topic == TM_TOPIC_HEALTH ? count : 0;
            *ret_dead += topic == TM_TOPIC_DEAD_LETTERS ? count : 0;
            for (int64_t i = 0; i < count && topic <= TM_TOPIC_ADVISORIES; i++) {
                tm_world_record record;
                cr_assert(tm_world_output(s->world, (tm_topic)topic, p, i, &record));
                const char *id = memmem(record.value.data, record.value.length, "\"id\":\"", 6);
                cr_assert_not_null(id);
                char line[40];
                snprintf(line, sizeof line, "%.36s", id + 6);
                feed_out_add(out, line);
            }
        }
    }
}

static inline tm_status stage_kept_account(void *context, int64_t commit, tm_slice key, tm_slice blob)
{
    (void)commit;
    struct {
        const tm_pack *pack;
        tm_time t;
        feed_out *lines;
    } *c = context;
    tm_heap *heap = tm_heap_new(0);
    tm_account *account;
    tm_error error;
    cr_assert_eq(tm_state_decode(heap, c->pack, key, blob, &account, &error), TM_OK, "%s", error.what);
    feed_account_line(account, c->pack, c->t, c->lines);
    tm_heap_free_all(heap);
    return TM_OK;
}

/* What the store keeps of a partition's accounts, as feed_shard_lines would say it. */
static inline void stage_kept(stage *s, int32_t partition, tm_time t, feed_out *lines)
{
    tm_store store;
    tm_error error;
    cr_assert_eq(tm_memory_store_open(s->state, &store, &error), TM_OK);
    struct {
        const tm_pack *pack;
        tm_time t;
        feed_out *lines;
    } context = {s->pack, t, lines};
    cr_assert_eq(store.scan_accounts(store.context, partition, stage_kept_account, &context, &error), TM_OK);
    store.close(store.context);
}

static inline tm_position stage_position(stage *s, int32_t partition, tm_shard_meta *ret_meta)
{
    tm_store store;
    tm_error error;
    tm_store_state state;
    cr_assert_eq(tm_memory_store_open(s->state, &store, &error), TM_OK);
    cr_assert_eq(store.read(store.context, partition, &state, &error), TM_OK);
    if (ret_meta && state.present)
        cr_assert_eq(tm_meta_decode(state.meta, ret_meta, &error), TM_OK, "%s", error.what);
    tm_position position = state.present ? state.position : (tm_position){{-1, -1}, 0};
    store.close(store.context);
    return position;
}

#endif
