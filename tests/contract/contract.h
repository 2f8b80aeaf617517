/* What the contract tests of the ports stand on. They are the same for every adapter: an adapter's test gives them a
   world to act on and goes through the lists in source_contract.h and publisher_contract.h, one test a line. */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/ports/publisher.h"
#include "tidemark/ports/source.h"

enum { CONTRACT_PARTITIONS = 3 };

/* The world outside the port. Every call works for the topics and the group of the last `reset`. */
typedef struct contract_world {
    void *context;
    /* New empty inputs and outputs of CONTRACT_PARTITIONS partitions and a new group, before each test. */
    bool (*reset)(void *context);
    /* Member `member` of the group (0, 1), not yet joined; ended by its `leave`. */
    tm_source (*source)(void *context, uint32_t member);
    /* Its publisher, bound to that source, not yet initialised; ended by its `close`. */
    tm_publisher (*publisher)(void *context, uint32_t member, const tm_source *source);
    /* Appends a record to an input; NULL for an absent key or value. Its offset, or -1. */
    int64_t (*append)(void *context, tm_input input, int32_t partition, const char *key, const char *value,
                      tm_time timestamp);
    /* open: an upstream transaction puts one record into the partition and stays open. Otherwise: it is aborted. */
    bool (*hold)(void *context, tm_input input, int32_t partition, bool open);
    /* Committed records of an output: their number, or -1; and one of them as "key|value|timestamp|name=value,…" with
       "-" for what is absent. */
    int64_t (*output_count)(void *context, tm_topic topic, int32_t partition);
    bool (*output)(void *context, tm_topic topic, int32_t partition, int64_t number, char *text, size_t size);
} contract_world;

typedef struct contract_report {
    char text[2048];
} contract_report;

typedef bool (*contract_test)(const contract_world *world, contract_report *report);

typedef struct contract_entry {
    const char *name;
    contract_test test;
} contract_entry;

/* Ends a test (through its `out:` label) when the condition does not hold. */
#define CONTRACT_CHECK(condition, ...)                                                                                 \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            int said_ = snprintf(report->text, sizeof(report->text), "%s:%d: %s: ", __FILE__, __LINE__, #condition);   \
            if (said_ > 0 && (size_t)said_ < sizeof(report->text)) {                                                   \
                (void)snprintf(report->text + said_, sizeof(report->text) - (size_t)said_, __VA_ARGS__);               \
            }                                                                                                          \
            goto out;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- A member: a source, what it was given, and what it read ---- */

enum { CONTRACT_LOG = 65536, CONTRACT_POLLS = 9000, CONTRACT_WAIT_MS = 20 };

typedef struct contract_member {
    tm_source source;
    bool start_at_once; /* start every lane at `from` inside `assigned` */
    int64_t from[TM_INPUTS];
    bool owned[CONTRACT_PARTITIONS];
    uint32_t owned_count;
    uint32_t assignments, revocations;
    bool twice; /* a partition was given that it had already, or taken that it had not */
    int64_t next[TM_INPUTS][CONTRACT_PARTITIONS];  /* offset of the last record + 1, or where it was started */
    int64_t count[TM_INPUTS][CONTRACT_PARTITIONS]; /* records */
    bool gap; /* a record other than the next one of its lane: inputs without gaps only */
    tm_error error;
    /* Called for each record before it is released; may be NULL. */
    void (*visit)(void *context, const tm_source *source, const tm_source_record *record);
    void *visit_context;
} contract_member;

static inline tm_status contract_start(contract_member *member, tm_input input, int32_t partition, int64_t offset)
{
    member->next[input][partition] = offset;
    return member->source.start(member->source.context, input, partition, offset, &member->error);
}

static inline void contract_on_assigned(void *context, const int32_t *partitions, uint32_t count)
{
    contract_member *member = context;
    member->assignments++;
    for (uint32_t i = 0; i < count; i++) {
        member->twice = member->twice || member->owned[partitions[i]];
        member->owned[partitions[i]] = true;
        member->owned_count++;
        for (int input = 0; input < TM_INPUTS && member->start_at_once; input++) {
            (void)contract_start(member, (tm_input)input, partitions[i], member->from[input]);
        }
    }
}

static inline void contract_on_revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    contract_member *member = context;
    (void)lost;
    member->revocations++;
    for (uint32_t i = 0; i < count; i++) {
        member->twice = member->twice || !member->owned[partitions[i]];
        member->owned[partitions[i]] = false;
        member->owned_count--;
    }
}

static inline tm_status contract_join(contract_member *member, tm_source source)
{
    tm_source_listener listener = {member, contract_on_assigned, contract_on_revoked};
    member->source = source;
    return source.join(source.context, &listener, &member->error);
}

/* One poll; the number of records, or -1 when it failed. */
static inline int contract_poll(contract_member *member, uint32_t capacity)
{
    tm_source_record records[256];
    uint32_t count = 0;
    tm_status status = member->source.poll(member->source.context, CONTRACT_WAIT_MS, records,
                                           capacity < 256 ? capacity : 256, &count, &member->error);
    for (uint32_t i = 0; i < count; i++) {
        int64_t *next = &member->next[records[i].input][records[i].partition];
        member->gap = member->gap || records[i].offset != *next || !member->owned[records[i].partition];
        *next = records[i].offset + 1;
        member->count[records[i].input][records[i].partition]++;
        if (member->visit != NULL) {
            member->visit(member->visit_context, &member->source, &records[i]);
        }
        member->source.release(member->source.context, &records[i]);
    }
    return status == TM_OK ? (int)count : -1;
}

static inline bool contract_poll_until_owned(contract_member *member, uint32_t count)
{
    for (int i = 0; i < CONTRACT_POLLS && member->owned_count != count; i++) {
        if (contract_poll(member, 256) < 0) {
            return false;
        }
    }
    return member->owned_count == count;
}

/* Until every owned lane of both inputs stands at `end`. */
static inline bool contract_poll_until_at(contract_member *member, int64_t end)
{
    for (int i = 0; i < CONTRACT_POLLS; i++) {
        bool there = member->owned_count > 0;
        for (int input = 0; input < TM_INPUTS; input++) {
            for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
                there = there && (!member->owned[p] || member->next[input][p] >= end);
            }
        }
        if (there) {
            return true;
        }
        if (contract_poll(member, 256) < 0) {
            return false;
        }
    }
    return false;
}

/* Polls until a lane has certainly come to the end that bounds() gives. */
static inline bool contract_poll_until_drained(contract_member *member, tm_input input, int32_t partition)
{
    for (int i = 0; i < CONTRACT_POLLS; i++) {
        int64_t first;
        int64_t end;
        int64_t reached;
        if (member->source.bounds(member->source.context, input, partition, &first, &end, &reached, &member->error) ==
                TM_OK &&
            reached >= end) {
            return true;
        }
        if (contract_poll(member, 256) < 0) {
            return false;
        }
    }
    return false;
}

/* `count` records "k<i>" → "v<i>" at i ms after a base into every partition of both inputs. */
static inline bool contract_fill(const contract_world *world, int count)
{
    for (int i = 0; i < count; i++) {
        for (int input = 0; input < TM_INPUTS; input++) {
            for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
                char key[32];
                char value[32];
                (void)snprintf(key, sizeof(key), "k%d", i);
                (void)snprintf(value, sizeof(value), "v%d", i);
                if (world->append(world->context, (tm_input)input, p, key, value, INT64_C(1700000000000) + i) < 0) {
                    return false;
                }
            }
        }
    }
    return true;
}

#endif
