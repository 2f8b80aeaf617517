/* tidemark.yaml to a configuration: every key with its default, ${VAR} from the environment, !file for secrets, and
   every error at its line and column. The keys are listed in docs/configuration.md. */
#ifndef TIDEMARK_RULES_CONFIGFILE_H
#define TIDEMARK_RULES_CONFIGFILE_H

#include "tidemark/base/calendar.h"
#include "tidemark/base/heap.h"
#include "tidemark/rules/diagnostics.h"

typedef enum tm_history { TM_HISTORY_FIRST_RECORD, TM_HISTORY_COMPLETE, TM_HISTORY_DATE } tm_history;

typedef struct tm_config_pair {
    const char *name, *value;
    size_t name_at, value_at; /* bytes of the text: where to point when it turns out to be wrong */
} tm_config_pair;

/* Texts are terminated and, like everything here, live in `arena`. NULL: not given and without a default. */
typedef struct tm_configuration {
    tm_arena *arena;
    const char *group, *instance, *timezone, *rules;
    int64_t workers;
    tm_history history;
    int32_t history_day; /* with TM_HISTORY_DATE: days since 1970, a local day */
    const char *brokers;
    tm_config_pair *properties; /* kafka.properties, as they are */
    uint32_t property_count;
    const char *usage, *accounts; /* topics; accounts NULL: switched off */
    const char *churn_risk, *expansion, *advisories, *health, *dead_letters, *journal;
    const char *redis_url, *redis_prefix;
    const char *redis_username, *redis_password;                  /* NULL: those of the URL */
    const char *redis_ca_file, *redis_cert_file, *redis_key_file; /* relative to the configuration's folder */
    int64_t commit_interval, evaluate_every, grace, max_skew;     /* ms */
    int64_t dedup_window, dedup_entries;
    const char *key_mismatch;       /* "refuse" or "ignore" */
    const char *mapping;            /* native, cloudevents, segment, auto, or custom */
    tm_config_pair *mapping_fields; /* custom: event field ← path, one for each of a list; '=text' is a constant */
    uint32_t mapping_field_count;
    const char *http_listen; /* NULL: off */
    tm_slice http_token;     /* the secret's bytes; absent: none is asked for */
    size_t timezone_at, mapping_at, redis_url_at, http_listen_at, http_token_at; /* bytes of the text, 0: not given */
    tm_slice user_key;    /* the secret's bytes; absent: the default, which protects nothing (check warns) */
    int64_t memory_limit; /* bytes a shard; 0: none */
    const char *log_format, *log_level;
} tm_configuration;

/* What the reader may ask of the world. */
typedef struct tm_configfile_options {
    void *context;
    /* The value of an environment variable, NULL when it is not set. */
    const char *(*variable)(void *context, const char *name);
    /* Appends the contents of a file (of `!file`), relative to the configuration's folder. TM_OK, or TM_REJECT with an
     * error. */
    tm_status (*file)(void *context, const char *path, tm_buffer *out, tm_error *error);
    tm_diagnostics *diagnostics; /* where every error goes; zeroed by the caller; may be NULL */
} tm_configfile_options;

/* Reads a configuration. An empty text gives the defaults and errors for what has none (kafka.brokers, redis.url)
   unless `partial`. TM_OK with a configuration to be freed with tm_configuration_free; TM_REJECT (error: the first of
   the diagnostics); TM_FATAL without memory. */
tm_status tm_configfile_parse(tm_slice text, const char *file_name, bool partial, const tm_configfile_options *options,
                              tm_configuration **ret_configuration, tm_error *error);
void tm_configuration_free(tm_configuration *configuration); /* NULL is allowed */

/* The defaults as a list for `--help` and docs: dotted key, default text and one sentence each; NULL beyond the last.
 */
typedef struct tm_configuration_key {
    const char *key, *standard, *meaning;
} tm_configuration_key;
const tm_configuration_key *tm_configuration_key_at(uint32_t index);

#endif
