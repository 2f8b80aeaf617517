#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/file/writer.h"
#include "tidemark/codec/healthrecord.h"
#include "tidemark/codec/signal.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/feed.h"
#include "tidemark/commands/setup.h"

/* Lines of one instant, until the next begins: they come out ordered by account and rule, as made within these. */
typedef struct waiting_line {
    size_t account, account_length, rule_length, length; /* at `account`: account, rule name, then the JSON */
} waiting_line;

typedef struct ordered {
    tm_writer *writer; /* NULL: nobody wants them */
    tm_buffer texts;   /* of all waiting */
    waiting_line *waiting;
    size_t waiting_count, waiting_room;
    tm_time instant;
    uint64_t written;
} ordered;

typedef struct replay {
    const tm_command *command;
    tm_error *error;
    tm_buffer encoded; /* one line */
    ordered signals, health;
} replay;

static int order_lines(const void *a, const void *b, void *context)
{
    const waiting_line *x = a;
    const waiting_line *y = b;
    const tm_buffer *texts = context;
    const char *p = texts->data + x->account;
    const char *q = texts->data + y->account;
    int by = tm_slice_compare((tm_slice){p, x->account_length}, (tm_slice){q, y->account_length});
    if (by == 0)
        by = tm_slice_compare((tm_slice){p + x->account_length, x->rule_length},
                              (tm_slice){q + y->account_length, y->rule_length});
    if (by == 0) /* the order in which they were made */
        by = x->account < y->account ? -1 : x->account > y->account;
    return by;
}

static tm_status write_waiting(ordered *lines, tm_error *error)
{
    if (lines->waiting_count) /* qsort wants an array even of nothing */
        qsort_r(lines->waiting, lines->waiting_count, sizeof *lines->waiting, order_lines, &lines->texts);
    tm_status status = TM_OK;
    for (size_t i = 0; i < lines->waiting_count && status == TM_OK; i++) {
        const waiting_line *w = &lines->waiting[i];
        tm_slice line = {lines->texts.data + w->account + w->account_length + w->rule_length, w->length};
        status = tm_writer_line(lines->writer, line, error);
        lines->written++;
    }
    lines->waiting_count = 0;
    tm_buffer_reset(&lines->texts);
    return status;
}

/* What is in r->encoded, made at `time` about the account by the rule (absent: by none). */
static tm_status take_line(replay *r, ordered *lines, tm_time time, tm_slice account, tm_slice rule)
{
    if (time != lines->instant) {
        tm_status status = write_waiting(lines, r->error);
        if (status != TM_OK)
            return status;
        lines->instant = time;
    }
    if (lines->waiting_count == lines->waiting_room) {
        size_t wanted = lines->waiting_room ? lines->waiting_room * 2 : 256;
        waiting_line *bigger = realloc(lines->waiting, wanted * sizeof *bigger);
        if (!bigger)
            return tm_fail(r->error, TM_FATAL, "out of memory");
        lines->waiting = bigger;
        lines->waiting_room = wanted;
    }
    waiting_line w = {lines->texts.length, account.length, rule.length, r->encoded.length};
    tm_buffer_append_slice(&lines->texts, account);
    tm_buffer_append_slice(&lines->texts, rule);
    tm_buffer_append_slice(&lines->texts, tm_buffer_slice(&r->encoded));
    if (lines->texts.overflowed || r->encoded.overflowed)
        return tm_fail(r->error, TM_FATAL, "what one instant brings does not fit into memory");
    lines->waiting[lines->waiting_count++] = w;
    return TM_OK;
}

static tm_status take_signal(void *context, const tm_signal *signal)
{
    replay *r = context;
    static const tm_signal_origin nowhere; /* no group: a replay */
    tm_buffer_reset(&r->encoded);
    tm_signal_encode(signal, &nowhere, &r->encoded);
    return take_line(r, &r->signals, signal->time, signal->account->key, signal->rule_name);
}

static tm_status take_health(void *context, const tm_health_record *record)
{
    replay *r = context;
    tm_buffer_reset(&r->encoded);
    tm_health_record_encode(record, &r->encoded);
    return take_line(r, &r->health, record->at, record->account, (tm_slice){0});
}

static tm_status open_lines(ordered *lines, const char *path, tm_error *error)
{
    lines->instant = TM_TIME_NONE;
    tm_buffer_init(&lines->texts, SIZE_MAX / 4);
    return path ? tm_writer_open(path, &lines->writer, error) : TM_OK;
}

/* What waits is written, and the file ended. */
static tm_status end_lines(ordered *lines, tm_error *error)
{
    tm_status status = write_waiting(lines, error);
    if (status == TM_OK && lines->writer) {
        status = tm_writer_close(lines->writer, error);
        lines->writer = NULL;
    }
    return status;
}

static void drop_lines(ordered *lines)
{
    (void)tm_writer_close(lines->writer, NULL);
    tm_buffer_done(&lines->texts);
    free(lines->waiting);
}

static tm_status feed_all(replay *r, tm_feed *feed, tm_shard *shard, tm_time *ret_last)
{
    *ret_last = TM_TIME_NONE;
    for (;;) {
        tm_record record;
        bool end;
        tm_status status = tm_feed_next(feed, &record, &end, r->error);
        if (status != TM_OK || end)
            return status;
        status = tm_feed_apply(feed, shard, &record, "replay, bytes", r->error);
        if (status != TM_OK)
            return status;
        *ret_last = record.timestamp;
    }
}

static void summarise(const replay *r, const tm_feed *feed, const tm_shard *shard)
{
    const tm_shard_counts *counts = tm_shard_counted(shard);
    fprintf(stderr,
            "%llu records: %llu events applied, %llu duplicates, %llu late, %llu beyond every reach, %llu account "
            "records, %llu erasures, %llu unusable\n",
            (unsigned long long)counts->records, (unsigned long long)counts->applied,
            (unsigned long long)counts->duplicates, (unsigned long long)counts->late,
            (unsigned long long)counts->beyond, (unsigned long long)counts->facts, (unsigned long long)counts->erasures,
            (unsigned long long)counts->unusable);
    for (int i = 1; i < TM_DEAD_REASONS; i++) {
        uint64_t dead = tm_feed_dead(feed, (tm_dead_reason)i);
        if (dead)
            fprintf(stderr, "  unusable: %s %llu\n", tm_dead_reason_name((tm_dead_reason)i), (unsigned long long)dead);
    }
    if (counts->shed)
        fprintf(stderr, "  %llu event ids were forgotten before dedup.window ended: raise dedup.entries\n",
                (unsigned long long)counts->shed);
    fprintf(stderr, "%u accounts, %llu signals, open now:", tm_shard_account_count(shard),
            (unsigned long long)r->signals.written);
    for (int kind = 0; kind < TM_KINDS; kind++)
        fprintf(stderr, " %s %lld", tm_kind_name((tm_kind)kind), (long long)tm_shard_open(shard, (tm_kind)kind));
    fputc('\n', stderr);
}

static int replay_files(const tm_command *command, const tm_setup *setup, const tm_feed_options *files,
                        const char *signals, const char *health)
{
    tm_error error;
    tm_error_clear(&error);
    replay r = {.command = command, .error = &error};
    tm_buffer_init(&r.encoded, TM_SIGNAL_BYTES_MAX);
    tm_feed *feed = NULL;
    tm_shard *shard = NULL;
    tm_status status = tm_feed_open(files, &feed, &error);
    int failed = status == TM_REJECT ? EX_NOINPUT : EX_OK;
    if (status == TM_OK) {
        status = open_lines(&r.signals, signals, &error);
        if (status == TM_OK)
            status = open_lines(&r.health, health, &error);
        failed = status == TM_REJECT ? EX_CANTCREAT : EX_OK;
    }
    if (status != TM_OK)
        goto out;
    tm_time first = tm_feed_first(feed);
    tm_time counting = tm_setup_counting_start(setup, tm_feed_first_usage(feed), TM_TIME_MAX);
    shard = tm_shard_new(&setup->shard, setup->pack, counting, NULL, 0);
    if (!shard) {
        status = tm_fail(&error, TM_FATAL, "out of memory");
        goto out;
    }
    tm_shard_set_sink(shard, take_signal, &r);
    if (r.health.writer)
        tm_shard_set_health_sink(shard, take_health);
    tm_shard_begin(shard, TM_TIME_NEVER);
    if (first != TM_TIME_NONE && first <= files->until) {
        tm_time last;
        tm_shard_start(shard, first);
        status = feed_all(&r, feed, shard, &last);
        if (status == TM_OK)
            status = tm_shard_advance(shard, files->until == TM_TIME_NEVER ? last : files->until);
        (void)tm_feed_refused(shard, NULL, status, &error);
    }
    tm_cli_progress_end();
    if (status == TM_OK) {
        status = end_lines(&r.signals, &error);
        if (status == TM_OK)
            status = end_lines(&r.health, &error);
        failed = status == TM_REJECT ? EX_IOERR : EX_OK;
    }
    if (status == TM_OK)
        summarise(&r, feed, shard);
out:
    if (status == TM_OK) {
        status = tm_feed_close(feed, &error);
        failed = status == TM_REJECT ? EX_IOERR : EX_OK;
    } else {
        (void)tm_feed_close(feed, NULL);
    }
    drop_lines(&r.signals);
    drop_lines(&r.health);
    tm_shard_free(shard);
    tm_buffer_done(&r.encoded);
    if (status == TM_OK)
        return EX_OK;
    int said = tm_cli_fail(command, status, &error);
    return failed ? failed : said;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.offline = true};
    const char *signals = "-";
    const char *health = NULL;
    const char *until = NULL;
    bool every_instant = false;
    tm_feed_options files = {.until = TM_TIME_NEVER};
    const tm_option table[] = {
        {"events", "FILE", "usage events, a JSON object a line; '-' standard input, .gz and .zst by name",
         TM_OPTION_TEXT, &files.events},
        {"accounts", "FILE", "account records, likewise", TM_OPTION_TEXT, &files.accounts},
        {"rules", "FILE", "the rules (default: those the configuration names)", TM_OPTION_TEXT, &options.rules},
        {"config", "FILE", "tidemark.yaml: time zone, grid, mapping and limits; no server is used", TM_OPTION_TEXT,
         &options.configuration},
        {"signals", "FILE", "where signals go (default '-', standard output)", TM_OPTION_TEXT, &signals},
        {"health", "FILE", "where records of health scores go (default: nowhere)", TM_OPTION_TEXT, &health},
        {"dead-letters", "FILE", "where records that cannot be used go (default: they are only counted)",
         TM_OPTION_TEXT, &files.dead_letters},
        {"until", "TIME", "read no record later than this and end exactly there", TM_OPTION_TEXT, &until},
        {"history", "WHAT", "since when events are complete: first-record, complete or a date", TM_OPTION_TEXT,
         &options.history},
        {"timezone", "NAME", "IANA name of the zone whose days count", TM_OPTION_TEXT, &options.timezone},
        {"evaluate-every", "DURATION", "the grid on which accounts are judged (1m)", TM_OPTION_TEXT,
         &options.evaluate_every},
        {"dedup-window", "DURATION", "how long an event's id is remembered (1h)", TM_OPTION_TEXT,
         &options.dedup_window},
        {"every-instant", NULL, "judge every account at every instant of the grid: the definition itself, slow",
         TM_OPTION_FLAG, &every_instant},
    };
    int status;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &status))
        return status;
    if (argc > 1)
        return tm_cli_say(command, EX_USAGE, "'%s' is not expected here: files are named by options", argv[1]);
    if (!files.events)
        return tm_cli_say(command, EX_USAGE, "--events is needed");
    if (!options.rules && !options.configuration)
        return tm_cli_say(command, EX_USAGE, "--rules is needed, or a --config that names them");
    if (files.accounts && strcmp(files.accounts, "-") == 0 && strcmp(files.events, "-") == 0)
        return tm_cli_say(command, EX_USAGE, "events and accounts cannot both come from standard input");
    if (until && tm_setup_time(until, &files.until) != TM_OK)
        return tm_cli_say(command, EX_USAGE, "--until takes a time such as 2026-01-31T08:00:00Z, not '%s'", until);
    tm_setup setup;
    status = tm_setup_load(command, &options, &setup);
    if (status)
        return status;
    setup.shard.max_skew = -1; /* files have no wall clock that an event could be ahead of */
    setup.shard.every_instant = every_instant;
    files.reading = tm_setup_reading(&setup, true);
    status = replay_files(command, &setup, &files, signals, health);
    tm_setup_done(&setup);
    return status;
}

const tm_command tm_command_replay = {
    .name = "replay",
    .summary = "events and account records out of files, signals into one: no Kafka, no Redis",
    .arguments = "",
    .text = "Replays files through the same machine that `run` uses and prints the signals as NDJSON, in order of\n"
            "time, account and rule. A record's time is its `at`; both files are merged by it.\n\n"
            "  tidemark replay --events usage.ndjson.zst --accounts accounts.ndjson --rules rules.yaml\n\n"
            "Exit status: 0 done, 64 wrong usage, 66 a file is not there or cannot be read, 73 an output cannot be\n"
            "created, 74 an output cannot be written, 78 the configuration or the rules are wrong.",
    .run = run,
};
