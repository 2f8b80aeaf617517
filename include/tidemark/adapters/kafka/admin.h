/* Looking at Kafka from outside the group: is it there, what are its topics like, where do they begin and end; and
   creating topics. For the checks at start, `init`, `demo`, the counting start and the end of `run --once`. */
#ifndef TIDEMARK_ADAPTERS_KAFKA_ADMIN_H
#define TIDEMARK_ADAPTERS_KAFKA_ADMIN_H

#include "tidemark/adapters/kafka/config.h"

typedef struct tm_kafka_admin tm_kafka_admin;

/* Uses `brokers`, `properties` and `log` of the configuration (and the topic names in tm_kafka_admin_check); `group`
   and `instance` may be NULL. TM_OK, TM_REJECT (configuration), TM_FATAL (out of memory). */
tm_status tm_kafka_admin_new(const tm_kafka_config *config, tm_kafka_admin **ret_admin, tm_error *error);
void tm_kafka_admin_free(tm_kafka_admin *admin); /* NULL is allowed */

/* Waits at most `timeout_ms` for a broker to answer. TM_OK; TM_RETRY: none did, the error says why. */
tm_status tm_kafka_admin_connect(tm_kafka_admin *admin, int64_t timeout_ms, tm_error *error);

/* ---- Topics as they are ---- */

typedef struct tm_kafka_topic {
    bool present;
    bool configured; /* the broker told its settings; false: the following, but partitions, are unknown (0) */
    bool compacted;  /* cleanup.policy contains "compact" */
    bool deleted;    /* cleanup.policy contains "delete" */
    uint32_t partitions;
    int64_t retention_ms;          /* -1: unlimited */
    int64_t retention_bytes;       /* -1: unlimited */
    int64_t min_compaction_lag_ms; /* how long a record is certain to be kept from compaction */
    int64_t message_max;           /* max.message.bytes */
} tm_kafka_topic;

/* Describes `count` topics by name into ret_topics[count]. An absent topic is no error (present == false). TM_OK;
   TM_RETRY: no answer; TM_REJECT: the broker refuses (authorisation). */
tm_status tm_kafka_admin_describe(tm_kafka_admin *admin, const char *const *names, uint32_t count,
                                  tm_kafka_topic *ret_topics, tm_error *error);

/* ---- Topics to be made ---- */

#define TM_KAFKA_UNSAID INT64_MIN /* leave it to the broker's default */

typedef struct tm_kafka_topic_plan {
    const char *name;
    uint32_t partitions;
    int32_t replication;           /* -1: the broker's default */
    bool compacted;                /* cleanup.policy: compact, else delete */
    int64_t retention_ms;          /* -1: unlimited; or TM_KAFKA_UNSAID */
    int64_t min_compaction_lag_ms; /* or TM_KAFKA_UNSAID */
    int64_t message_max;           /* max.message.bytes; 0: the broker's default */
} tm_kafka_topic_plan;

/* Creates the topics and waits until the broker knows their partitions. One that exists already is left as it is, and
   is no error. TM_OK; TM_RETRY: no answer; TM_REJECT: refused, the error names the topic and the reason. */
tm_status tm_kafka_admin_create(tm_kafka_admin *admin, const tm_kafka_topic_plan *plans, uint32_t count,
                                tm_error *error);

/* ---- Where a partition begins and ends ---- */

typedef struct tm_kafka_edge {
    int64_t first;    /* least offset kept */
    int64_t end;      /* last stable offset: the end as a read_committed reader sees it */
    tm_time earliest; /* timestamp of the first record in [first, end) that has one; TM_TIME_NONE: there is none */
    tm_time latest;   /* timestamp of the last one there */
    tm_time greatest; /* greatest timestamp of any record there (timestamps need not grow with the offset) */
} tm_kafka_edge;

/* Looks at partitions 0 … count−1 of a topic, outside any group, committed records only (transaction markers are no
   records). One answer a partition in ret_edges[count]. TM_OK; TM_RETRY: no answer within `timeout_ms`; TM_REJECT: no
   such topic or partition. */
tm_status tm_kafka_admin_edges(tm_kafka_admin *admin, const char *topic, uint32_t count, int64_t timeout_ms,
                               tm_kafka_edge *ret_edges, tm_error *error);

/* ---- The checks at start ---- */

/* One finding, as an error record: what, where (the topic), and what to do. `fatal`: `run` must not start with it. */
typedef void (*tm_kafka_finding)(void *context, bool fatal, const tm_error *finding);

/* Checks the configuration's topics, reporting every finding, not only the first:
   - `usage` there, `accounts` there unless switched off, with as many partitions as each other;
   - `accounts` compacted with min.compaction.lag.ms >= `compaction_lag_ms` (less lag is a warning: a rebuild after
     Redis lost its tail may use newer facts than the run before);
   - every output topic there, `health` compacted (a warning where it is not);
   - the journal with the inputs' number of partitions, policy delete, retention unlimited or at least that of `usage`,
     max.message.bytes of TM_JOURNAL_LINE_MAX (less is a warning).
     Absent, it is created so when `create_journal` is set and nothing else is fatal;
     otherwise it is a mild finding.
   ret_partitions: partitions of `usage` (0 when absent). TM_OK: no fatal finding; TM_REJECT: at least one was reported;
   TM_RETRY: the broker does not answer. */
tm_status tm_kafka_admin_check(tm_kafka_admin *admin, int64_t compaction_lag_ms, bool create_journal,
                               tm_kafka_finding report, void *report_context, uint32_t *ret_partitions,
                               tm_error *error);

#endif
