/* From files to parts: configuration, rules, zone and secrets as the commands need them. */
#ifndef TIDEMARK_COMMANDS_SETUP_H
#define TIDEMARK_COMMANDS_SETUP_H

#include "tidemark/adapters/redis/store.h"
#include "tidemark/codec/event.h"
#include "tidemark/commands/cli.h"
#include "tidemark/core/shard.h"
#include "tidemark/rules/configfile.h"
#include "tidemark/rules/packfile.h"

typedef struct tm_setup {
    char *configuration_path; /* NULL: none was read, all defaults */
    char *configuration_text, *rules_text;
    size_t configuration_length;
    tm_buffer advice;                                       /* a sentence a line on how secrets are kept */
    char *redis_ca_file, *redis_cert_file, *redis_key_file; /* as seen from here; NULL: none */
    tm_configuration *configuration;
    tm_pack *pack;
    const tm_zone *zone;
    tm_mapping *mapping;
    tm_user_key user_key;
    bool user_key_is_default; /* it protects nothing: everyone knows it */
    bool http_is_open;        /* http.listen is reachable by others, and there is no http.token */
    tm_shard_settings shard;
} tm_setup;

typedef struct tm_setup_options {
    const char *configuration;   /* path; NULL: defaults, nothing is required */
    const char *rules;           /* path that overrides the configuration's; NULL: the configuration's */
    bool without_rules;          /* an empty pack, unless `rules` says otherwise */
    bool offline;                /* no broker and no store are needed: a configuration without them is fine */
    bool values_only;            /* the rules are read and checked, then left out: nothing will be judged */
    const char *timezone;        /* these four override the configuration's; NULL: they do not */
    const char *history;         /* first-record, complete or a date */
    const char *evaluate_every;  /* a duration that divides one hour */
    const char *dedup_window;    /* a duration */
    tm_diagnostics *diagnostics; /* errors that point into a file go there and are not printed; NULL: printed */
    const tm_slice *expressions; /* compiled into the pack: what eval asks */
    uint32_t expression_count;
    uint32_t *ret_nodes;
} tm_setup_options;

/* Reads and checks everything; errors are printed with line, caret and hint. Returns 0, or the exit status: EX_CONFIG
   for a bad file, EX_NOINPUT for one that is not there. */
int tm_setup_load(const tm_command *command, const tm_setup_options *options, tm_setup *ret_setup);
void tm_setup_done(tm_setup *setup);

/* Where a group counts from, by the configuration's `history`, when its first record is at `first_record`
 * (TM_TIME_NONE: empty, then `now`). TM_TIME_NONE: complete. */
tm_time tm_setup_counting_start(const tm_setup *setup, tm_time first_record, tm_time now);
/* From when on no window of the node is null for want of history, when counting began at `counting_start`:
   TM_TIME_NONE: at once. */
tm_time tm_setup_answers_from(const tm_setup *setup, uint32_t node, tm_time counting_start);
/* The same for a counting start not yet known: whole days after it. */
int32_t tm_setup_answers_after_days(const tm_setup *setup, uint32_t node);
/* The date from which each rule can answer, printed for people. TM_TIME_NEVER: the start is not known yet. */
void tm_setup_print_answers(const tm_setup *setup, tm_time counting_start, FILE *stream);

/* Where the store is and as whom; borrows from the setup. */
tm_redis_store_options tm_setup_store(const tm_setup *setup);
/* Hands over, one by one, what is unwise about secrets and openness: files that everybody may read, a port that
   everybody reaches. */
void tm_setup_advice(const tm_setup *setup, void (*visit)(void *context, const tm_error *advice), void *context);
/* What the state means: whose days, and whose hashed users. */
uint64_t tm_setup_configuration_hash(const tm_setup *setup);
/* How the event reader is to read, for a configuration's Kafka topics or (`files`) for lines of files. */
tm_event_options tm_setup_reading(const tm_setup *setup, bool files);
/* RFC 3339, or whole milliseconds since 1970, as every command takes an instant. TM_OK or TM_REJECT. */
tm_status tm_setup_time(const char *text, tm_time *ret_time);

#endif
