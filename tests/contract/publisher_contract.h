/* Contract of the port `publisher`, together with committed() of its source, for any adapter. */
#ifndef TESTS_CONTRACT_PUBLISHER_CONTRACT_H
#define TESTS_CONTRACT_PUBLISHER_CONTRACT_H

#include "contract/contract.h"

typedef struct publisher_contract_pair {
    contract_member member;
    tm_publisher publisher;
    tm_error error;
} publisher_contract_pair;

static inline bool publisher_contract_open(const contract_world *world, uint32_t number, publisher_contract_pair *pair)
{
    pair->member.start_at_once = true;
    if (contract_join(&pair->member, world->source(world->context, number)) != TM_OK ||
        !contract_poll_until_owned(&pair->member, CONTRACT_PARTITIONS)) {
        return false;
    }
    pair->publisher = world->publisher(world->context, number, &pair->member.source);
    return pair->publisher.initialise(pair->publisher.context, &pair->error) == TM_OK;
}

static inline void publisher_contract_close(publisher_contract_pair *pair)
{
    if (pair->member.source.context != NULL) {
        pair->member.source.leave(pair->member.source.context);
    }
    if (pair->publisher.context != NULL) {
        pair->publisher.close(pair->publisher.context);
    }
}

static inline tm_status publisher_contract_send(publisher_contract_pair *pair, const char *value)
{
    tm_output output = {.topic = TM_TOPIC_CHURN_RISK,
                        .partition = 1,
                        .key = TM_SLICE_LITERAL("acme"),
                        .value = tm_slice_of(value),
                        .timestamp = 1700000000123};
    return pair->publisher.send(pair->publisher.context, &output, &pair->error);
}

/* A slow machine makes an adapter doubt a commit: then, as the port says, initialise and read C, which tells. */
static inline tm_status publisher_contract_commit(publisher_contract_pair *pair, int32_t partition,
                                                  tm_position position)
{
    tm_status status = pair->publisher.commit(pair->publisher.context, &partition, &position, 1, &pair->error);
    if (status == TM_RETRY && pair->publisher.initialise(pair->publisher.context, &pair->error) == TM_OK) {
        tm_position found;
        status = pair->member.source.committed(pair->member.source.context, &partition, 1, &found, &pair->error);
        if (status == TM_OK && !tm_position_equal(found, position)) {
            status = TM_RETRY;
        }
    }
    return status;
}

static inline bool publisher_contract_commits(const contract_world *world, contract_report *report)
{
    publisher_contract_pair pair = {0};
    const int32_t partitions[] = {0, 1, 2};
    tm_position found[3];
    char text[256];
    bool passed = false;
    tm_output output = {.topic = TM_TOPIC_JOURNAL, .partition = 2, .timestamp = 5};
    CONTRACT_CHECK(contract_fill(world, 9), "filling");
    CONTRACT_CHECK(publisher_contract_open(world, 0, &pair), "%s %s", pair.error.what, pair.member.error.what);
    CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, partitions, 3, found, &pair.error) == TM_OK,
                   "%s", pair.error.what);
    for (int i = 0; i < 3; i++) {
        CONTRACT_CHECK(found[i].next[0] == -1 && found[i].next[1] == -1 && found[i].commit == 0, "%" PRId64,
                       found[i].commit);
    }
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, "one") == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, NULL) == TM_OK, "%s", pair.error.what);
    output.value = TM_SLICE_LITERAL("line");
    output.headers[0].name = "a";
    output.headers[0].value = TM_SLICE_LITERAL("1");
    output.headers[1].name = "b";
    output.headers[1].value = TM_SLICE_LITERAL("");
    output.header_count = 2;
    CONTRACT_CHECK(pair.publisher.send(pair.publisher.context, &output, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(world->output_count(world->context, TM_TOPIC_CHURN_RISK, 1) == 0, "visible before the commit");
    CONTRACT_CHECK(publisher_contract_commit(&pair, 1, (tm_position){{7, 3}, 12}) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(world->output_count(world->context, TM_TOPIC_CHURN_RISK, 1) == 2, "not visible after the commit");
    CONTRACT_CHECK(world->output(world->context, TM_TOPIC_CHURN_RISK, 1, 0, text, sizeof(text)) &&
                       strcmp(text, "acme|one|1700000000123|") == 0,
                   "%s", text);
    CONTRACT_CHECK(world->output(world->context, TM_TOPIC_CHURN_RISK, 1, 1, text, sizeof(text)) &&
                       strcmp(text, "acme|-|1700000000123|") == 0,
                   "%s", text);
    CONTRACT_CHECK(world->output(world->context, TM_TOPIC_JOURNAL, 2, 0, text, sizeof(text)) &&
                       strcmp(text, "-|line|5|a=1,b=") == 0,
                   "%s", text);
    CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, partitions, 3, found, &pair.error) == TM_OK,
                   "%s", pair.error.what);
    CONTRACT_CHECK(found[1].next[0] == 7 && found[1].next[1] == 3 && found[1].commit == 12,
                   "%" PRId64 " %" PRId64 " %" PRId64, found[1].next[0], found[1].next[1], found[1].commit);
    CONTRACT_CHECK(found[0].commit == 0 && found[2].next[0] == -1, "%" PRId64, found[0].commit);
    /* Only time passed: the same offsets, another n; and an input of which nothing is known. */
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_commit(&pair, 1, (tm_position){{7, 3}, 13}) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_commit(&pair, 2, (tm_position){{4, -1}, 2}) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, partitions, 3, found, &pair.error) == TM_OK,
                   "%s", pair.error.what);
    CONTRACT_CHECK(found[1].next[0] == 7 && found[1].next[1] == 3 && found[1].commit == 13, "%" PRId64,
                   found[1].commit);
    CONTRACT_CHECK(found[2].next[0] == 4 && found[2].next[1] == -1 && found[2].commit == 2, "%" PRId64,
                   found[2].commit);
    passed = true;
out:
    publisher_contract_close(&pair);
    return passed;
}

static inline bool publisher_contract_aborts(const contract_world *world, contract_report *report)
{
    publisher_contract_pair pair = {0};
    const int32_t partition = 1;
    tm_position found;
    tm_status status;
    bool passed = false;
    CONTRACT_CHECK(publisher_contract_open(world, 0, &pair), "%s %s", pair.error.what, pair.member.error.what);
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, "never") == TM_OK, "%s", pair.error.what);
    status = pair.publisher.abort(pair.publisher.context, &pair.error);
    CONTRACT_CHECK(status == TM_OK ||
                       (status == TM_RETRY && pair.publisher.initialise(pair.publisher.context, &pair.error) == TM_OK),
                   "%s", pair.error.what);
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, "once") == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_commit(&pair, partition, (tm_position){{0, 0}, 1}) == TM_OK, "%s",
                   pair.error.what);
    CONTRACT_CHECK(world->output_count(world->context, TM_TOPIC_CHURN_RISK, 1) == 1, "the aborted record is visible");
    CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, &partition, 1, &found, &pair.error) ==
                           TM_OK &&
                       found.commit == 1,
                   "%s", pair.error.what);
    passed = true;
out:
    publisher_contract_close(&pair);
    return passed;
}

/* A newer producer of the same id ends the older one's transaction and shuts it out. */
static inline bool publisher_contract_fences(const contract_world *world, contract_report *report)
{
    publisher_contract_pair pair = {0};
    publisher_contract_pair newer = {0};
    const int32_t partition = 1;
    const tm_position position = {{5, 5}, 5};
    tm_position found;
    tm_status status;
    bool passed = false;
    CONTRACT_CHECK(publisher_contract_open(world, 0, &pair), "%s %s", pair.error.what, pair.member.error.what);
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, "old") == TM_OK, "%s", pair.error.what);
    newer.publisher = world->publisher(world->context, 0, &pair.member.source);
    CONTRACT_CHECK(newer.publisher.initialise(newer.publisher.context, &newer.error) == TM_OK, "%s", newer.error.what);
    status = pair.publisher.commit(pair.publisher.context, &partition, &position, 1, &pair.error);
    CONTRACT_CHECK(status == TM_FATAL, "%s: %s", tm_status_name(status), pair.error.what);
    CONTRACT_CHECK(newer.publisher.begin(newer.publisher.context, &newer.error) == TM_OK, "%s", newer.error.what);
    CONTRACT_CHECK(publisher_contract_send(&newer, "new") == TM_OK, "%s", newer.error.what);
    newer.member.source = pair.member.source; /* borrowed, to read C */
    status = publisher_contract_commit(&newer, partition, (tm_position){{6, 6}, 6});
    newer.member.source = (tm_source){0};
    CONTRACT_CHECK(status == TM_OK, "%s: %s", tm_status_name(status), newer.error.what);
    CONTRACT_CHECK(world->output_count(world->context, TM_TOPIC_CHURN_RISK, 1) == 1, "the fenced record is visible");
    CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, &partition, 1, &found, &pair.error) ==
                           TM_OK &&
                       found.commit == 6,
                   "%" PRId64 " %s", found.commit, pair.error.what);
    passed = true;
out:
    publisher_contract_close(&newer);
    publisher_contract_close(&pair);
    return passed;
}

static inline bool publisher_contract_refuses_the_impossible(const contract_world *world, contract_report *report)
{
    static char large[4 << 20];
    publisher_contract_pair pair = {0};
    tm_output output = {.topic = TM_TOPIC_CHURN_RISK, .partition = -1, .timestamp = 1};
    tm_status status;
    bool passed = false;
    int64_t count = 0;
    CONTRACT_CHECK(publisher_contract_open(world, 0, &pair), "%s %s", pair.error.what, pair.member.error.what);
    CONTRACT_CHECK(publisher_contract_send(&pair, "x") == TM_RETRY, "sent outside a transaction");
    CONTRACT_CHECK(pair.publisher.begin(pair.publisher.context, &pair.error) == TM_OK, "%s", pair.error.what);
    memset(large, 'x', sizeof(large));
    output.value = (tm_slice){large, sizeof(large)};
    status = pair.publisher.send(pair.publisher.context, &output, &pair.error);
    CONTRACT_CHECK(status == TM_REJECT, "%s: %s", tm_status_name(status), pair.error.what);
    output.key = TM_SLICE_LITERAL("acme");
    output.value = TM_SLICE_LITERAL("small"); /* what was refused does not spoil the rest */
    CONTRACT_CHECK(pair.publisher.send(pair.publisher.context, &output, &pair.error) == TM_OK, "%s", pair.error.what);
    CONTRACT_CHECK(publisher_contract_commit(&pair, 0, (tm_position){{1, 1}, 1}) == TM_OK, "%s", pair.error.what);
    for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
        count += world->output_count(world->context, TM_TOPIC_CHURN_RISK, p);
    }
    CONTRACT_CHECK(count == 1, "%" PRId64, count);
    passed = true;
out:
    publisher_contract_close(&pair);
    return passed;
}

static const contract_entry publisher_contract[] = {
    {"publisher commits", publisher_contract_commits},
    {"publisher aborts", publisher_contract_aborts},
    {"publisher fences", publisher_contract_fences},
    {"publisher refuses the impossible", publisher_contract_refuses_the_impossible},
};

#endif
