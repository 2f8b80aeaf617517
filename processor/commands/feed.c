#include "tidemark/commands/feed.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/file/lines.h"
#include "tidemark/adapters/file/writer.h"
#include "tidemark/base/check.h"
#include "tidemark/codec/deadletter.h"
#include "tidemark/codec/jsontext.h"
#include "tidemark/commands/cli.h"

enum { SETTLE_EVERY = 65536, PROGRESS_EVERY = 4096 };

/* A line kept for later: before the first timestamp of its file nobody knows what it counts as. */
typedef struct held_line {
    size_t start, length;
} held_line;

/* One file and its decoded line ahead. */
typedef struct side {
    tm_lines *lines;
    bool ended;
    tm_time clock;       /* running maximum; TM_TIME_NONE: none yet */
    uint64_t line_count; /* records so far: the offset of the next */

    tm_line line; /* the line ahead, which stays in the reader's memory */
    tm_record record;
    bool ready; /* line and record are filled in */

    char *held_bytes; /* the lines before the first timestamp, then that line itself stays in `line` */
    size_t held_length, held_capacity;
    held_line *held;
    size_t held_count, held_next, held_room;
    bool holding; /* the record ahead is held[held_next - 1] */
} side;

struct tm_feed {
    side sides[TM_INPUTS];
    tm_event_reader *events;
    tm_account_record_reader *accounts;
    tm_event event;
    tm_account_record account;
    const tm_mapping *mapping;
    tm_dead_reason reasons[TM_INPUTS]; /* of the records ahead */
    char details[TM_INPUTS][TM_DEAD_DETAIL];
    tm_time first_usage, first, until;
    uint64_t dead[TM_DEAD_REASONS];
    tm_writer *dead_letters;
    tm_buffer letter;
    const char *const *account_filter;
    uint32_t account_filter_count;
    int given; /* the side whose record was handed over last and must be read on; -1: none */
};

/* --- the time of a line that cannot be used --- */

static tm_time json_time(const json_t *value)
{
    tm_time t = TM_TIME_NONE;
    if (json_is_string(value)) {
        tm_slice text = {json_string_value(value), json_string_length(value)};
        return tm_time_parse(text, &t) == TM_OK ? t : TM_TIME_NONE;
    }
    if (!json_is_number(value))
        return TM_TIME_NONE;
    double number = json_number_value(value);
    if (!(number >= 0 && number <= (double)TM_TIME_MAX))
        return TM_TIME_NONE;
    t = (tm_time)number;
    return (double)t == number ? t : TM_TIME_NONE;
}

static const json_t *member_at(const json_t *root, tm_slice path)
{
    const json_t *at = root;
    while (path.length && at) {
        const char *dot = memchr(path.data, '.', path.length);
        size_t length = dot ? (size_t)(dot - path.data) : path.length;
        at = json_object_getn(at, path.data, length);
        size_t used = dot ? length + 1 : length;
        path = (tm_slice){path.data + used, path.length - used};
    }
    return at;
}

/* Slow and rare: the line was refused, but its `at` moves the clock all the same. A text that is refused as a whole has
   none. */
static tm_time refused_time(const tm_feed *feed, tm_input input, tm_slice text)
{
    json_t *root = NULL;
    tm_dead_reason reason;
    tm_time t = TM_TIME_NONE;
    if (!tm_json_is_object(text) || tm_json_load(text, false, &root, &reason) != TM_OK)
        return TM_TIME_NONE;
    if (input == TM_INPUT_ACCOUNTS) {
        t = json_time(json_object_get(root, "at"));
        goto out;
    }
    const tm_mapping_plan *plan = &feed->mapping->plans[0];
    if (feed->mapping->kind == TM_MAPPING_AUTO && !json_object_get(root, "specversion"))
        plan = &feed->mapping->plans[2];
    for (uint16_t i = plan->first[TM_TARGET_AT]; i < plan->first[TM_TARGET_AT + 1] && t == TM_TIME_NONE; i++) {
        if (plan->choices[i].origin == TM_ORIGIN_PATH)
            t = json_time(member_at(root, plan->choices[i].text));
    }
out:
    json_decref(root);
    return t;
}

/* --- reading ahead --- */

static tm_status decode(tm_feed *feed, tm_input input, const tm_line *line, tm_record *record, tm_time *ret_at)
{
    tm_dead_reason *reason = &feed->reasons[input];
    char *detail = feed->details[input];
    *reason = TM_DEAD_NONE;
    *ret_at = TM_TIME_NONE;
    tm_status status;
    if (line->too_long) {
        *reason = TM_DEAD_TOO_LARGE;
        snprintf(detail, TM_DEAD_DETAIL, "more than %d bytes", TM_RECORD_MAX);
        record->kind = TM_RECORD_UNUSABLE;
        return TM_OK;
    }
    if (input == TM_INPUT_USAGE) {
        status = tm_event_read(feed->events, line->text, NULL, (tm_slice){0}, &feed->event, reason, detail);
        if (status == TM_OK) {
            record->kind = TM_RECORD_EVENT;
            record->event = &feed->event;
            record->account = feed->event.account;
            *ret_at = feed->event.at;
        }
    } else {
        status =
            tm_account_record_read(feed->accounts, line->text, (tm_slice){0}, true, &feed->account, reason, detail);
        if (status == TM_OK) {
            record->kind = feed->account.erase ? TM_RECORD_ERASE : TM_RECORD_FACTS;
            record->facts = &feed->account.facts;
            record->account = feed->account.account;
            *ret_at = feed->account.facts.at;
        }
    }
    if (status != TM_REJECT)
        return status;
    record->kind = TM_RECORD_UNUSABLE;
    if (*reason != TM_DEAD_DUPLICATE_KEY)
        *ret_at = refused_time(feed, input, line->text);
    return TM_OK;
}

static tm_status no_memory(tm_error *error)
{
    return tm_fail(error, TM_FATAL, "out of memory");
}

/* The next line that is not empty, decoded. */
static tm_status read_line(tm_feed *feed, tm_input input, tm_error *error)
{
    side *s = &feed->sides[input];
    for (;;) {
        bool end;
        tm_status status = tm_lines_next(s->lines, &s->line, &end, error);
        if (status != TM_OK)
            return status;
        if (end) {
            s->ended = true;
            return TM_OK;
        }
        if (s->line.too_long || tm_json_skip_blanks(s->line.text, 0) < s->line.text.length)
            break;
    }
    tm_time at;
    s->record = (tm_record){.input = input, .offset = (int64_t)s->line_count++};
    tm_status status = decode(feed, input, &s->line, &s->record, &at);
    if (status != TM_OK)
        return no_memory(error);
    if (at != TM_TIME_NONE && at > s->clock)
        s->clock = at; /* TM_TIME_NONE is less than every time */
    s->record.timestamp = s->clock;
    s->ready = true;
    return TM_OK;
}

/* Keeps the line ahead, which has no timestamp yet. */
static tm_status hold(side *s, tm_error *error)
{
    size_t length = s->line.text.length;
    if (s->held_length + length + TM_LINES_PADDING > s->held_capacity) {
        size_t wanted = (s->held_length + length + TM_LINES_PADDING) * 2;
        if (wanted > TM_FEED_HELD_MAX) {
            (void)tm_fail(error, TM_REJECT, "more than %d MiB of lines before the first that has a time",
                          TM_FEED_HELD_MAX >> 20);
            tm_error_where(error, "%s", tm_lines_name(s->lines));
            tm_error_hint(error, "give the records an `at`");
            return TM_REJECT;
        }
        char *bigger = realloc(s->held_bytes, wanted);
        if (!bigger)
            return no_memory(error);
        s->held_bytes = bigger;
        s->held_capacity = wanted;
    }
    if (s->held_count == s->held_room) {
        size_t wanted = s->held_room ? s->held_room * 2 : 64;
        held_line *bigger = realloc(s->held, wanted * sizeof *bigger);
        if (!bigger)
            return no_memory(error);
        s->held = bigger;
        s->held_room = wanted;
    }
    if (length)
        memcpy(s->held_bytes + s->held_length, s->line.text.data, length);
    memset(s->held_bytes + s->held_length + length, 0, TM_LINES_PADDING);
    s->held[s->held_count++] = (held_line){s->held_length, length};
    s->held_length += length;
    return TM_OK;
}

/* Reads up to the first line with a timestamp. */
static tm_status find_first(tm_feed *feed, tm_input input, tm_error *error)
{
    side *s = &feed->sides[input];
    for (;;) {
        tm_status status = read_line(feed, input, error);
        if (status != TM_OK || s->ended || s->record.timestamp != TM_TIME_NONE)
            return status;
        status = hold(s, error);
        if (status != TM_OK)
            return status;
    }
}

/* Makes the side's next record ready, if there is one. */
static tm_status look_ahead(tm_feed *feed, tm_input input, tm_error *error)
{
    side *s = &feed->sides[input];
    if (!s->lines)
        return TM_OK;
    if (s->held_next < s->held_count) {
        held_line *held = &s->held[s->held_next++];
        tm_line line = {.text = {s->held_bytes + held->start, held->length}};
        tm_time at;
        tm_record record = {.input = input, .offset = (int64_t)s->held_next - 1, .timestamp = feed->first};
        if (decode(feed, input, &line, &record, &at) != TM_OK)
            return no_memory(error);
        s->holding = true;
        s->record = record;
        s->ready = true;
        return TM_OK;
    }
    if (s->holding) {
        /* The line that had the first timestamp still is the reader's current one: it is decoded again. */
        s->holding = false;
        free(s->held_bytes);
        free(s->held);
        s->held_bytes = NULL;
        s->held = NULL;
        if (s->ended)
            return TM_OK;
        tm_time at;
        s->record = (tm_record){.input = input, .offset = (int64_t)s->held_count, .timestamp = s->clock};
        if (decode(feed, input, &s->line, &s->record, &at) != TM_OK)
            return no_memory(error);
        s->ready = true;
        return TM_OK;
    }
    return s->ended ? TM_OK : read_line(feed, input, error);
}

/* --- opening --- */

static tm_status open_side(tm_feed *feed, tm_input input, const char *path, tm_error *error)
{
    side *s = &feed->sides[input];
    s->clock = TM_TIME_NONE;
    if (!path) {
        s->ended = true;
        return TM_OK;
    }
    tm_status status = tm_lines_open(path, &s->lines, error);
    return status == TM_OK ? find_first(feed, input, error) : status;
}

tm_status tm_feed_open(const tm_feed_options *options, tm_feed **ret_feed, tm_error *error)
{
    tm_feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return no_memory(error);
    feed->given = -1;
    feed->mapping = options->reading.mapping;
    feed->until = options->until;
    feed->account_filter = options->account;
    feed->account_filter_count = options->account_count;
    tm_buffer_init(&feed->letter, (size_t)4 * TM_RECORD_MAX);
    feed->events = tm_event_reader_new(&options->reading);
    feed->accounts = tm_account_record_reader_new(&options->reading.user_key);
    tm_status status = feed->events && feed->accounts ? TM_OK : no_memory(error);
    if (status == TM_OK && options->dead_letters)
        status = tm_writer_open(options->dead_letters, &feed->dead_letters, error);
    if (status == TM_OK)
        status = open_side(feed, TM_INPUT_ACCOUNTS, options->accounts, error);
    if (status == TM_OK)
        status = open_side(feed, TM_INPUT_USAGE, options->events, error);
    if (status == TM_OK) {
        tm_time usage = feed->sides[TM_INPUT_USAGE].clock;
        tm_time accounts = feed->sides[TM_INPUT_ACCOUNTS].clock;
        feed->first_usage = usage;
        feed->first = usage == TM_TIME_NONE || (accounts != TM_TIME_NONE && accounts < usage) ? accounts : usage;
        for (int i = 0; i < TM_INPUTS && status == TM_OK; i++) {
            if (feed->sides[i].held_count)
                status = look_ahead(feed, (tm_input)i, error);
        }
    }
    if (status != TM_OK) {
        (void)tm_feed_close(feed, NULL);
        return status;
    }
    *ret_feed = feed;
    return TM_OK;
}

tm_status tm_feed_close(tm_feed *feed, tm_error *error)
{
    if (!feed)
        return TM_OK;
    tm_status status = tm_writer_close(feed->dead_letters, error);
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lines_close(feed->sides[i].lines);
        free(feed->sides[i].held_bytes);
        free(feed->sides[i].held);
    }
    tm_event_reader_free(feed->events);
    tm_account_record_reader_free(feed->accounts);
    tm_buffer_done(&feed->letter);
    free(feed);
    return status;
}

/* --- reading --- */

static tm_status note_dead(tm_feed *feed, const side *s, tm_input input, tm_error *error)
{
    feed->dead[feed->reasons[input]]++;
    if (!feed->dead_letters)
        return TM_OK;
    tm_slice value = s->line.text;
    if (s->holding) {
        const held_line *held = &s->held[s->held_next - 1];
        value = (tm_slice){s->held_bytes + held->start, held->length};
    }
    tm_dead_letter letter = {.reason = feed->reasons[input],
                             .detail = tm_slice_of(feed->details[input]),
                             .topic = tm_slice_of(tm_lines_name(s->lines)),
                             .offset = s->record.offset,
                             .timestamp = s->record.timestamp,
                             .value = value};
    tm_buffer_reset(&feed->letter);
    tm_dead_letter_encode(&letter, (size_t)2 * TM_RECORD_MAX, &feed->letter);
    return tm_writer_line(feed->dead_letters, tm_buffer_slice(&feed->letter), error);
}

static bool wanted(const tm_feed *feed, const tm_record *record)
{
    if (!feed->account_filter || record->kind == TM_RECORD_UNUSABLE)
        return true;
    for (uint32_t i = 0; i < feed->account_filter_count; i++) {
        if (tm_slice_equal_text(record->account, feed->account_filter[i]))
            return true;
    }
    return false;
}

tm_status tm_feed_next(tm_feed *feed, tm_record *ret_record, bool *ret_end, tm_error *error)
{
    if (feed->given >= 0) {
        feed->sides[feed->given].ready = false;
        tm_status status = look_ahead(feed, (tm_input)feed->given, error);
        feed->given = -1;
        if (status != TM_OK)
            return status;
    }
    const side *usage = &feed->sides[TM_INPUT_USAGE];
    const side *accounts = &feed->sides[TM_INPUT_ACCOUNTS];
    *ret_end = !usage->ready && !accounts->ready;
    if (*ret_end)
        return TM_OK;
    bool account_first = accounts->ready && (!usage->ready || accounts->record.timestamp <= usage->record.timestamp);
    feed->given = account_first ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE;
    const side *s = &feed->sides[feed->given];
    if (s->record.timestamp > feed->until) {
        feed->given = -1; /* asked again, the answer is the same */
        *ret_end = true;
        return TM_OK;
    }
    *ret_record = s->record;
    if (s->record.kind == TM_RECORD_UNUSABLE)
        return note_dead(feed, s, (tm_input)feed->given, error);
    if (!wanted(feed, ret_record))
        ret_record->kind = TM_RECORD_UNUSABLE; /* it moves the time, nothing else */
    return TM_OK;
}

/* --- looking --- */

tm_time tm_feed_first_usage(const tm_feed *feed)
{
    return feed->first_usage;
}

tm_time tm_feed_first(const tm_feed *feed)
{
    return feed->first;
}

uint64_t tm_feed_dead(const tm_feed *feed, tm_dead_reason reason)
{
    return feed->dead[reason];
}

uint64_t tm_feed_dead_all(const tm_feed *feed)
{
    uint64_t all = 0;
    for (int i = 0; i < TM_DEAD_REASONS; i++)
        all += feed->dead[i];
    return all;
}

void tm_feed_progress(const tm_feed *feed, uint64_t *ret_done, uint64_t *ret_size)
{
    *ret_done = 0;
    *ret_size = 0;
    for (int i = 0; i < TM_INPUTS; i++) {
        uint64_t done = 0;
        uint64_t size = 0;
        if (feed->sides[i].lines)
            tm_lines_progress(feed->sides[i].lines, &done, &size);
        *ret_done += done;
        *ret_size += size;
    }
}

tm_status tm_feed_apply(const tm_feed *feed, tm_shard *shard, const tm_record *record, const char *what,
                        tm_error *error)
{
    tm_outcome outcome;
    tm_status status = tm_shard_apply(shard, record, &outcome);
    if (status != TM_OK)
        return tm_feed_refused(shard, record, status, error);
    uint64_t records = tm_shard_counted(shard)->records;
    if (records % SETTLE_EVERY == 0)
        tm_shard_settled(shard);
    if (what && records % PROGRESS_EVERY == 0) {
        uint64_t done, size;
        tm_feed_progress(feed, &done, &size);
        tm_cli_progress(what, done, size);
    }
    return TM_OK;
}

tm_status tm_feed_refused(tm_shard *shard, const tm_record *record, tm_status status, tm_error *error)
{
    const tm_check *check = tm_heap_tripped(tm_shard_heap(shard));
    if (error->what[0] || status == TM_OK)
        return status;
    if (status != TM_BROKEN || !check)
        return tm_fail(error, status, "the accounts do not fit into memory");
    (void)tm_fail(error, status, "the internal check %s (%s:%d) tripped", check->name, check->file, check->line);
    if (record)
        tm_error_where(error, "%s, line %lld", record->input == TM_INPUT_USAGE ? "events" : "accounts",
                       (long long)record->offset + 1);
    tm_error_hint(error, "this is a mistake of tidemark's: please report it with the record");
    return status;
}
