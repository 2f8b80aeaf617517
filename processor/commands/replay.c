#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/file/writer.h"
#include "tidemark/codec/signal.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/feed.h"
#include "tidemark/commands/setup.h"

/* Signals of one instant, until the next begins: they come out ordered by account and rule, as made within these. */
typedef struct waiting_signal {
    size_t account, account_length, rule_length, length; /* at `account`: account, rule name, then the JSON */
} waiting_signal;

typedef struct sorter {
    const char *bytes;
} sorter;

typedef struct replay {
    const tm_command *command;
    tm_writer *signals;
    tm_error *error;
    tm_buffer encoded; /* one signal */
    tm_buffer texts;   /* of all waiting */
    waiting_signal *waiting;
    size_t waiting_count, waiting_room;
    tm_time instant;
    uint64_t written;
} replay;

static int order_signals(const void *a, const void *b, void *context)
{
    const waiting_signal *x = a;
    const waiting_signal *y = b;
    const sorter *texts = context;
    const char *p = texts->bytes + x->account;
    const char *q = texts->bytes + y->account;
    int by = tm_slice_compare((tm_slice){p, x->account_length}, (tm_slice){q, y->account_length});
    if (by == 0)
        by = tm_slice_compare((tm_slice){p + x->account_length, x->rule_length},
                              (tm_slice){q + y->account_length, y->rule_length});
    if (by == 0) /* the order in which they were made */
        by = x->account < y->account ? -1 : x->account > y->account;
    return by;
}

static tm_status write_waiting(replay *r)
{
    sorter texts = {r->texts.data};
    if (r->waiting_count) /* qsort wants an array even of nothing */
        qsort_r(r->waiting, r->waiting_count, sizeof *r->waiting, order_signals, &texts);
    tm_status status = TM_OK;
    for (size_t i = 0; i < r->waiting_count && status == TM_OK; i++) {
        const waiting_signal *w = &r->waiting[i];
        tm_slice line = {r->texts.data + w->account + w->account_length + w->rule_length, w->length};
        status = tm_writer_line(r->signals, line, r->error);
        r->written++;
    }
    r->waiting_count = 0;
    tm_buffer_reset(&r->texts);
    return status;
}

static tm_status take_signal(void *context, const tm_signal *signal)
{
    replay *r = context;
    if (signal->time != r->instant) {
        tm_status status = write_waiting(r);
        if (status != TM_OK)
            return status;
        r->instant = signal->time;
    }
    static const tm_signal_origin nowhere; /* no group: a replay */
    tm_buffer_reset(&r->encoded);
    tm_signal_encode(signal, &nowhere, &r->encoded);
    if (r->waiting_count == r->waiting_room) {
        size_t wanted = r->waiting_room ? r->waiting_room * 2 : 256;
        waiting_signal *bigger = realloc(r->waiting, wanted * sizeof *bigger);
        if (!bigger)
            return tm_fail(r->error, TM_FATAL, "out of memory");
        r->waiting = bigger;
        r->waiting_room = wanted;
    }
    waiting_signal w = {r->texts.length, signal->account->key.length, signal->rule_name.length, r->encoded.length};
    tm_buffer_append_slice(&r->texts, signal->account->key);
    tm_buffer_append_slice(&r->texts, signal->rule_name);
    tm_buffer_append_slice(&r->texts, tm_buffer_slice(&r->encoded));
    if (r->texts.overflowed || r->encoded.overflowed)
        return tm_fail(r->error, TM_FATAL, "the signals of one instant do not fit into memory");
    r->waiting[r->waiting_count++] = w;
    return TM_OK;
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
            (unsigned long long)r->written);
    for (int kind = 0; kind < TM_KINDS; kind++)
        fprintf(stderr, " %s %lld", tm_kind_name((tm_kind)kind), (long long)tm_shard_open(shard, (tm_kind)kind));
    fputc('\n', stderr);
}

static int replay_files(const tm_command *command, const tm_setup *setup, const tm_feed_options *files,
                        const char *signals)
{
    tm_error error;
    tm_error_clear(&error);
    replay r = {.command = command, .error = &error, .instant = TM_TIME_NONE};
    tm_buffer_init(&r.encoded, TM_SIGNAL_BYTES_MAX);
    tm_buffer_init(&r.texts, SIZE_MAX / 4);
    tm_feed *feed = NULL;
    tm_shard *shard = NULL;
    tm_status status = tm_feed_open(files, &feed, &error);
    int failed = status == TM_REJECT ? EX_NOINPUT : EX_OK;
    if (status == TM_OK) {
        status = tm_writer_open(signals, &r.signals, &error);
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
    tm_shard_begin(shard, TM_TIME_NEVER);
    if (first != TM_TIME_NONE && first <= files->until) {
        tm_time last;
        tm_shard_start(shard, first);
        status = feed_all(&r, feed, shard, &last);
        if (status == TM_OK)
            status = tm_shard_advance(shard, files->until == TM_TIME_NEVER ? last : files->until);
        (void)tm_feed_refused(shard, NULL, status, &error);
    }
    if (status == TM_OK)
        status = write_waiting(&r);
    tm_cli_progress_end();
    if (status == TM_OK) {
        status = tm_writer_close(r.signals, &error);
        r.signals = NULL;
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
    (void)tm_writer_close(r.signals, NULL);
    tm_shard_free(shard);
    tm_buffer_done(&r.encoded);
    tm_buffer_done(&r.texts);
    free(r.waiting);
    if (status == TM_OK)
        return EX_OK;
    int said = tm_cli_fail(command, status, &error);
    return failed ? failed : said;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.offline = true};
    const char *signals = "-";
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
    status = replay_files(command, &setup, &files, signals);
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
