/* Random records of small populations, and a plain shard that takes them one by one as semantics.md says: what the
   property tests compare the cleverer ways with. */
#ifndef TIDEMARK_TESTS_FEED_H
#define TIDEMARK_TESTS_FEED_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/signal.h"
#include "tidemark/codec/state.h"
#include "tidemark/pipeline/holding.h"
#include "tidemark/rules/packfile.h"

#define FEED_START INT64_C(1710028800000) /* 2024-03-10T00:00:00Z */

typedef struct feed_record {
    tm_input input;
    int32_t partition;
    int64_t offset;
    tm_time timestamp;
    char key[16];
    char value[240]; /* empty: no value */
} feed_record;

typedef struct feed {
    feed_record *records;
    uint32_t count;
    uint32_t partitions;
    int64_t ends[TM_INPUTS][8];
    tm_time greatest;
} feed;

typedef struct feed_random {
    uint64_t state;
} feed_random;

static inline uint64_t feed_next(feed_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline int64_t feed_below(feed_random *r, int64_t n)
{
    return (int64_t)(feed_next(r) % (uint64_t)n);
}

/* Rules that move fast, so that a few days show every row of the table. */
static const char feed_rules[] =
    "version: 1\n"
    "metrics:\n"
    "  events: {count: '*'}\n"
    "  users:  {distinct: user}\n"
    "  amount: {sum: value, event: buy}\n"
    "  mood:   {last: value, event: mood}\n"
    "rules:\n"
    "  - {name: held_back, kind: advisory, when: 'events[3h] >= 2', inhibited_by: [busy], inhibit_tail: 90m, "
    "clear_for: 20m}\n"
    "  - {name: busy, kind: expansion, when: 'events[2h] >= 4', for: 30m, clear: 'events[2h] <= 1', clear_for: 1h, "
    "cooldown: 2h, summary: 'Seen {{events[2h]}} times'}\n"
    "  - {name: quiet, kind: churn_risk, severity: \"if(age(events) >= 9h, 'critical', 'warn')\", "
    "when: 'age(events) >= 3h', value: 'age(events)', cooldown: 1h}\n"
    "  - {name: spend, kind: expansion, severity: \"if(amount[6h] > 60, 'high', null)\", when: 'amount[6h] >= 20', "
    "update_change: 0.1}\n"
    "  - {name: thin, kind: churn_risk, when: 'users[1d] < 2 and seats >= 3', for: 2h, scope: \"coalesce(status, "
    "'active') != 'left'\"}\n"
    "  - {name: sad, kind: churn_risk, severity: {high: critical, low: info, else: warn}, when: 'mood < 4', "
    "cooldown: once}\n";

static inline tm_pack *feed_pack(const char *text)
{
    tm_pack *pack = NULL;
    tm_error error;
    cr_assert_eq(tm_packfile_parse(tm_slice_of(text), "rules.yaml", NULL, &pack, &error), TM_OK, "%s", error.what);
    return pack;
}

static inline void feed_add(feed *f, tm_input input, int32_t partition, tm_time timestamp, const char *key,
                            const char *value)
{
    f->records = realloc(f->records, sizeof *f->records * (f->count + 1));
    feed_record *record = &f->records[f->count++];
    memset(record, 0, sizeof *record);
    record->input = input;
    record->partition = partition;
    record->offset = f->ends[input][partition]++;
    record->timestamp = timestamp;
    snprintf(record->key, sizeof record->key, "%s", key);
    snprintf(record->value, sizeof record->value, "%s", value);
    if (timestamp != TM_TIME_NONE && timestamp > f->greatest)
        f->greatest = timestamp;
}

/* `count` records over about `days` days. */
static inline void feed_make(feed *f, uint64_t seed, uint32_t partitions, uint32_t accounts, uint32_t count, int days)
{
    static const char *const names[] = {"login", "buy", "mood", "export"};
    feed_random r = {seed};
    *f = (feed){.partitions = partitions, .greatest = FEED_START};
    int64_t gap = days * TM_DAY / count;
    tm_time t = FEED_START + feed_below(&r, TM_HOUR);
    for (uint32_t i = 0; i < count; i++) {
        t += feed_below(&r, 10) == 0 ? feed_below(&r, 8 * gap) : feed_below(&r, 5) == 0 ? 0 : feed_below(&r, gap);
        if (feed_below(&r, 20) == 0)
            t = tm_time_ceil(t, TM_MINUTE); /* on the grid itself */
        uint32_t a = (uint32_t)feed_below(&r, accounts);
        int32_t partition = (int32_t)(a % partitions);
        char key[16], value[240];
        snprintf(key, sizeof key, "a%u", a);
        tm_time stamp = t;
        if (f->count > 4 * partitions) {
            if (feed_below(&r, 30) == 0)
                stamp = TM_TIME_NONE;
            else if (feed_below(&r, 20) == 0)
                stamp = t - feed_below(&r, 3 * TM_HOUR);
        }
        int64_t kind = feed_below(&r, 100);
        if (kind < 2) {
            feed_add(f, TM_INPUT_ACCOUNTS, partition, stamp, key, "");
        } else if (kind < 12) {
            snprintf(value, sizeof value, "{\"account\":\"%s\",\"seats\":%d,\"tier\":\"%s\",\"status\":\"%s\"}", key,
                     (int)feed_below(&r, 9), feed_below(&r, 2) ? "high" : "low", feed_below(&r, 5) ? "active" : "left");
            feed_add(f, TM_INPUT_ACCOUNTS, partition, stamp, key, value);
        } else if (kind < 14) {
            feed_add(f, TM_INPUT_USAGE, partition, stamp, key, "{\"no\": event");
        } else {
            tm_time at = t;
            int64_t shift = feed_below(&r, 40);
            if (shift == 0)
                at = t + TM_HOUR; /* future */
            else if (shift < 5)
                at = t - feed_below(&r, 2 * TM_DAY);
            /* Ids come again: some within the window of duplicates, some beyond it. */
            snprintf(value, sizeof value,
                     "{\"id\":\"%d\",\"account\":\"%s\",\"event\":\"%s\",\"at\":%" PRId64
                     ",\"user\":\"u%d\",\"value\":%d}",
                     (int)feed_below(&r, 60), key, names[feed_below(&r, 4)], at, (int)feed_below(&r, 3),
                     (int)feed_below(&r, 20));
            feed_add(f, TM_INPUT_USAGE, partition, stamp, key, value);
        }
    }
}

static inline void feed_done(feed *f)
{
    free(f->records);
    *f = (feed){0};
}

/* --- what came out --- */

typedef struct feed_out {
    char (*lines)[320];
    uint32_t count;
} feed_out;

static inline int feed_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static inline void feed_out_add(feed_out *out, const char *line)
{
    out->lines = realloc(out->lines, sizeof *out->lines * (out->count + 1));
    snprintf(out->lines[out->count++], sizeof *out->lines, "%s", line);
}

static inline void feed_out_done(feed_out *out)
{
    free(out->lines);
    *out = (feed_out){0};
}

/* Sorts, and asserts that nothing is there twice. */
static inline void feed_out_sort(feed_out *out, const char *what)
{
    if (out->count)
        qsort(out->lines, out->count, sizeof *out->lines, feed_compare);
    for (uint32_t i = 1; i < out->count; i++)
        cr_assert_str_neq(out->lines[i - 1], out->lines[i], "%s: twice: %s", what, out->lines[i]);
}

static inline void feed_out_same(feed_out *a, feed_out *b, const char *what)
{
    feed_out_sort(a, what);
    feed_out_sort(b, what);
    if (getenv("FEED_DUMP"))
        for (int side = 0; side < 2; side++)
            for (uint32_t i = 0; i < (side ? b : a)->count; i++)
                fprintf(stderr, "%c %s\n", "ab"[side], (side ? b : a) -> lines[i] + 37);
    for (uint32_t i = 0; i < a->count && i < b->count; i++)
        cr_assert_str_eq(a->lines[i], b->lines[i], "%s: %s | %s", what, a->lines[i], b->lines[i]);
    cr_assert_eq(a->count, b->count, "%s: %u and %u signals; first beyond: %s", what, a->count, b->count,
                 a->count > b->count ? a->lines[b->count] : b->lines[a->count]);
}

/* A sink: one line a signal with everything that identifies it, its id first. */
static inline tm_status feed_sink(void *context, const tm_signal *s)
{
    feed_out *out = context;
    char id[TM_SIGNAL_ID_TEXT], key[TM_EPISODE_KEY_MAX + 1];
    tm_buffer text;
    tm_buffer_init(&text, 1 << 16);
    tm_episode_key(s->account->key, s->rule_name, s->raised_at, &text);
    snprintf(key, sizeof key, "%s", tm_buffer_text(&text));
    tm_signal_id(tm_buffer_slice(&text), s->state, s->sequence, id);
    tm_buffer_reset(&text);
    tm_buffer_append_format(&text, "%s %s %u %s at %" PRId64 " severity %d reason %d value ", id, key, s->sequence,
                            tm_signal_state_name(s->state), s->time, (int)s->severity, (int)s->reason);
    tm_value_encode(s->value, &text);
    feed_out_add(out, tm_buffer_text(&text));
    tm_buffer_done(&text);
    return TM_OK;
}

/* --- readers --- */

typedef struct feed_reading {
    tm_reading reading;
    tm_mapping *mapping;
} feed_reading;

static inline tm_event_options feed_options(const tm_mapping *mapping)
{
    return (tm_event_options){.mapping = mapping, .user_key = tm_user_key_from(TM_SLICE_LITERAL("secret"))};
}

static inline void feed_reading_init(feed_reading *r)
{
    r->mapping = tm_mapping_native();
    tm_event_options options = feed_options(r->mapping);
    cr_assert_eq(tm_reading_init(&r->reading, &options), TM_OK);
}

static inline void feed_reading_done(feed_reading *r)
{
    tm_reading_done(&r->reading);
    tm_mapping_free(r->mapping);
}

static inline void feed_apply(feed_reading *r, tm_shard *shard, const feed_record *record)
{
    tm_dead_reason reason;
    char detail[TM_DEAD_DETAIL];
    tm_slice key = tm_slice_of(record->key);
    tm_slice value = record->value[0] ? tm_slice_of(record->value) : (tm_slice){0};
    tm_record out = {.input = record->input, .offset = record->offset, .timestamp = record->timestamp};
    if (record->input == TM_INPUT_USAGE) {
        out.kind = TM_RECORD_EVENT;
        out.event = r->reading.event;
        if (tm_event_read(r->reading.events, value, NULL, key, r->reading.event, &reason, detail) != TM_OK)
            out.kind = TM_RECORD_UNUSABLE;
    } else if (!value.data) {
        out.kind = TM_RECORD_ERASE;
        out.account = key;
    } else {
        cr_assert_eq(tm_account_record_read(r->reading.accounts, value, key, false, r->reading.record, &reason, detail),
                     TM_OK, "%s", detail);
        out.kind = TM_RECORD_FACTS;
        out.facts = &r->reading.record->facts;
        out.account = r->reading.record->account;
    }
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &out, &outcome), TM_OK);
}

/* The two inputs of a partition in merged order: indices into f->records. The caller frees. */
static inline uint32_t *feed_merge(const feed *f, int32_t partition, uint32_t *ret_count, tm_time *ret_start)
{
    uint32_t *order = malloc(sizeof *order * (f->count + 1));
    uint32_t at[TM_INPUTS] = {0}, n = 0;
    tm_time now = TM_TIME_NEVER;
    for (int i = 0; i < TM_INPUTS; i++) {
        for (uint32_t k = 0; k < f->count; k++) {
            const feed_record *record = &f->records[k];
            if (record->input != (tm_input)i || record->partition != partition || record->timestamp == TM_TIME_NONE)
                continue;
            now = record->timestamp < now ? record->timestamp : now;
            break;
        }
    }
    *ret_start = now;
    for (;;) {
        int best = -1;
        tm_time when = 0;
        for (int i = 0; i < TM_INPUTS; i++) {
            while (at[i] < f->count &&
                   (f->records[at[i]].input != (tm_input)i || f->records[at[i]].partition != partition))
                at[i]++;
            if (at[i] == f->count)
                continue;
            tm_time stamp = f->records[at[i]].timestamp;
            tm_time t = stamp == TM_TIME_NONE || stamp < now ? now : stamp;
            if (best < 0 || t < when || (t == when && i == TM_INPUT_ACCOUNTS)) {
                best = i;
                when = t;
            }
        }
        if (best < 0)
            break;
        now = when;
        order[n++] = at[best]++;
    }
    *ret_count = n;
    return order;
}

static inline tm_shard_settings feed_settings(void)
{
    return (tm_shard_settings){.zone = tm_zone_utc(),
                               .evaluate_every = TM_MINUTE,
                               .max_skew = 5 * TM_MINUTE,
                               .dedup_window = TM_HOUR,
                               .dedup_entries = 1000};
}

/* A partition's records applied in one go, to the end at `until`. */
static inline tm_shard *feed_run(const feed *f, feed_reading *r, const tm_shard_settings *settings, const tm_pack *pack,
                                 int32_t partition, tm_time until, feed_out *out)
{
    tm_shard *shard = tm_shard_new(settings, pack, FEED_START, NULL, 0);
    cr_assert_not_null(shard);
    tm_shard_set_sink(shard, feed_sink, out);
    uint32_t count;
    tm_time start;
    uint32_t *order = feed_merge(f, partition, &count, &start);
    tm_shard_begin(shard, TM_TIME_NEVER);
    if (count)
        tm_shard_start(shard, start);
    for (uint32_t i = 0; i < count; i++)
        feed_apply(r, shard, &f->records[order[i]]);
    cr_assert_eq(tm_shard_advance(shard, until), TM_OK);
    free(order);
    return shard;
}

/* Everything kept of an account, as bytes at one moment, in hexadecimal: two shards with equal lines are equal. */
static inline void feed_account_line(const tm_account *account, const tm_pack *pack, tm_time t, feed_out *ret_lines)
{
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), t, &span);
    tm_buffer blob;
    tm_buffer_init(&blob, 1 << 20);
    tm_state_encode(account, pack, &now, &blob);
    tm_fingerprint f = tm_fingerprint_of(account->key, (tm_slice){0}, tm_buffer_slice(&blob));
    char line[320];
    snprintf(line, sizeof line, "%.*s %zu bytes %016" PRIx64 "%016" PRIx64, (int)account->key.length, account->key.data,
             blob.length, f.high, f.low);
    feed_out_add(ret_lines, line);
    tm_buffer_done(&blob);
}

static inline void feed_shard_lines(const tm_shard *shard, const tm_pack *pack, tm_time t, feed_out *ret_lines)
{
    for (uint32_t i = 0; i < tm_shard_account_count(shard); i++)
        feed_account_line(tm_shard_account_at(shard, i), pack, t, ret_lines);
}

#endif
