/* Every shard as both ledgers and the log show it from outside, for `doctor` and `shard`. Looking claims nothing and
   writes nothing. */
#ifndef TIDEMARK_COMMANDS_SHARDS_H
#define TIDEMARK_COMMANDS_SHARDS_H

#include "tidemark/adapters/kafka/group.h"
#include "tidemark/adapters/kafka/journal.h"
#include "tidemark/commands/setup.h"
#include "tidemark/pipeline/verdict.h"
#include "tidemark/ports/store.h"

enum { TM_SHARDS_MEMBERS = 64 };

typedef struct tm_shards {
    const tm_setup *setup;
    tm_kafka_property *properties;
    tm_kafka_config kafka;
    tm_clock clock;
    tm_kafka_group *group;
    tm_kafka_journal *journal; /* NULL: there is none yet */
    tm_store store;
    bool store_open;
    uint32_t partitions; /* of the inputs now */
    tm_kafka_member members[TM_SHARDS_MEMBERS];
    uint32_t member_count; /* may be more than are named */
} tm_shards;

/* Connects to both and asks for the group's members. `setup` outlives it. TM_OK; TM_RETRY: something does not answer;
   TM_REJECT: it is not as it has to be. Ended with tm_shards_close, whatever it returned. */
tm_status tm_shards_open(const tm_setup *setup, tm_shards *ret_shards, tm_error *error);
void tm_shards_close(tm_shards *shards);

typedef struct tm_shard_look {
    int32_t partition;
    tm_evidence evidence; /* points into this struct: it is not copied */
    tm_shard_meta meta;
    bool meta_damaged;
    bool expired; /* C is the journal's: the group forgot it */
    int64_t epoch;
    tm_record_mark beyond[TM_INPUTS];
    tm_verdict verdict;
} tm_shard_look;

/* Looks at one shard. TM_OK; TM_RETRY: something does not answer; TM_REJECT: refused, or no such partition. */
tm_status tm_shards_look(tm_shards *shards, int32_t partition, tm_shard_look *ret_look, tm_error *error);

/* "usage/accounts:n", "-" for what is not there: a position for people. */
void tm_shards_position(tm_position position, char text[static 72]);

#endif
