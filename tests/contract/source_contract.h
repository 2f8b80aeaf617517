/* Contract of the port `source`, for any adapter. */
#ifndef TESTS_CONTRACT_SOURCE_CONTRACT_H
#define TESTS_CONTRACT_SOURCE_CONTRACT_H

#include "contract/contract.h"

typedef struct source_contract_seen {
    bool wrong;
    char text[256];
} source_contract_seen;

static inline void source_contract_compare(void *context, const tm_source *source, const tm_source_record *record)
{
    source_contract_seen *seen = context;
    char key[32];
    char value[32];
    (void)source;
    (void)snprintf(key, sizeof(key), "k%" PRId64, record->offset);
    (void)snprintf(value, sizeof(value), "v%" PRId64, record->offset);
    if (!tm_slice_equal_text(record->key, key) || !tm_slice_equal_text(record->value, value) ||
        record->timestamp != INT64_C(1700000000000) + record->offset) {
        seen->wrong = true;
        (void)snprintf(seen->text, sizeof(seen->text), "offset %" PRId64 ": key %.*s", record->offset,
                       (int)record->key.length, record->key.data != NULL ? record->key.data : "-");
    }
}

static inline bool source_contract_reads_in_order(const contract_world *world, contract_report *report)
{
    contract_member member = {.start_at_once = true};
    source_contract_seen seen = {false, ""};
    bool passed = false;
    int64_t first = -1;
    int64_t end = -1;
    int64_t reached = -1;
    member.visit = source_contract_compare;
    member.visit_context = &seen;
    CONTRACT_CHECK(contract_fill(world, 60), "filling");
    CONTRACT_CHECK(contract_join(&member, world->source(world->context, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_at(&member, 60), "%s", member.error.what);
    CONTRACT_CHECK(member.owned_count == CONTRACT_PARTITIONS && !member.twice && !member.gap, "owned %u gap %d",
                   member.owned_count, member.gap);
    CONTRACT_CHECK(!seen.wrong, "%s", seen.text);
    for (int input = 0; input < TM_INPUTS; input++) {
        for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
            CONTRACT_CHECK(member.count[input][p] == 60, "%" PRId64 " records", member.count[input][p]);
            CONTRACT_CHECK(member.source.bounds(member.source.context, (tm_input)input, p, &first, &end, &reached,
                                                &member.error) == TM_OK,
                           "%s", member.error.what);
            CONTRACT_CHECK(first == 0 && end == 60 && reached == 60, "%" PRId64 " %" PRId64 " %" PRId64, first, end,
                           reached);
        }
    }
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
        if (passed && (member.owned_count != 0 || member.revocations == 0)) {
            (void)snprintf(report->text, sizeof(report->text), "leave did not revoke");
            passed = false;
        }
    }
    return passed;
}

static inline void source_contract_absent(void *context, const tm_source *source, const tm_source_record *record)
{
    bool *right = context;
    (void)source;
    if (record->offset == 0) {
        right[0] = record->key.data == NULL && tm_slice_equal_text(record->value, "v");
    } else if (record->offset == 1) {
        right[1] = tm_slice_equal_text(record->key, "k") && record->value.data == NULL;
    } else {
        right[2] = tm_slice_equal_text(record->key, "") && tm_slice_equal_text(record->value, "");
    }
}

static inline bool source_contract_tells_absent_from_empty(const contract_world *world, contract_report *report)
{
    contract_member member = {.start_at_once = true};
    bool right[3] = {false, false, false};
    bool passed = false;
    member.visit = source_contract_absent;
    member.visit_context = right;
    /* Not in accounts: a compacted topic takes no record without a key. */
    CONTRACT_CHECK(world->append(world->context, TM_INPUT_USAGE, 0, NULL, "v", 1) == 0, "append");
    CONTRACT_CHECK(world->append(world->context, TM_INPUT_USAGE, 0, "k", NULL, 2) == 1, "append");
    CONTRACT_CHECK(world->append(world->context, TM_INPUT_USAGE, 0, "", "", 3) == 2, "append");
    CONTRACT_CHECK(contract_join(&member, world->source(world->context, 0)) == TM_OK, "%s", member.error.what);
    for (int i = 0; i < CONTRACT_POLLS && member.next[TM_INPUT_USAGE][0] < 3; i++) {
        CONTRACT_CHECK(contract_poll(&member, 256) >= 0, "%s", member.error.what);
    }
    CONTRACT_CHECK(right[0] && right[1] && right[2], "%d %d %d", right[0], right[1], right[2]);
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

static inline bool source_contract_starts_when_told(const contract_world *world, contract_report *report)
{
    contract_member member = {.start_at_once = false};
    bool passed = false;
    CONTRACT_CHECK(contract_fill(world, 30), "filling");
    CONTRACT_CHECK(contract_join(&member, world->source(world->context, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_owned(&member, CONTRACT_PARTITIONS), "%s", member.error.what);
    for (int i = 0; i < 20; i++) {
        CONTRACT_CHECK(contract_poll(&member, 256) == 0, "records of a lane that was not started");
    }
    for (int input = 0; input < TM_INPUTS; input++) { /* one after the other, the others go on undisturbed */
        for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
            int64_t from = 3 * p + 10 * input;
            CONTRACT_CHECK(contract_start(&member, (tm_input)input, p, from) == TM_OK, "%s", member.error.what);
            for (int i = 0; i < CONTRACT_POLLS && member.next[input][p] < 30; i++) {
                CONTRACT_CHECK(contract_poll(&member, 4) >= 0, "%s", member.error.what);
            }
            CONTRACT_CHECK(member.count[input][p] == 30 - from && !member.gap, "%" PRId64 " records, gap %d",
                           member.count[input][p], member.gap);
        }
    }
    CONTRACT_CHECK(contract_start(&member, TM_INPUT_USAGE, 1, 5) == TM_OK, "%s", member.error.what); /* again */
    CONTRACT_CHECK(contract_poll_until_at(&member, 30), "%s", member.error.what);
    CONTRACT_CHECK(member.count[TM_INPUT_USAGE][1] == 27 + 25 && !member.gap, "%" PRId64 " records, gap %d",
                   member.count[TM_INPUT_USAGE][1], member.gap);
    CONTRACT_CHECK(member.source.start(member.source.context, TM_INPUT_USAGE, CONTRACT_PARTITIONS + 7, 0,
                                       &member.error) == TM_REJECT,
                   "started what it does not own");
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

static inline bool source_contract_pauses_exactly(const contract_world *world, contract_report *report)
{
    enum { RECORDS = 400 };
    contract_member member = {.start_at_once = true};
    bool paused[TM_INPUTS][CONTRACT_PARTITIONS] = {{false}};
    uint32_t random = 12345;
    bool passed = false;
    CONTRACT_CHECK(contract_fill(world, RECORDS), "filling");
    CONTRACT_CHECK(contract_join(&member, world->source(world->context, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_owned(&member, CONTRACT_PARTITIONS), "%s", member.error.what);
    for (int round = 0; round < 300; round++) {
        int64_t before[TM_INPUTS][CONTRACT_PARTITIONS];
        random = random * 1664525u + 1013904223u;
        uint32_t input = (random >> 8) % TM_INPUTS;
        uint32_t p = (random >> 16) % CONTRACT_PARTITIONS;
        paused[input][p] = !paused[input][p];
        CONTRACT_CHECK(member.source.pause(member.source.context, (tm_input)input, (int32_t)p, paused[input][p],
                                           &member.error) == TM_OK,
                       "%s", member.error.what);
        memcpy(before, member.count, sizeof(before));
        CONTRACT_CHECK(contract_poll(&member, 1 + (random >> 24) % 13) >= 0, "%s", member.error.what);
        for (uint32_t i = 0; i < TM_INPUTS; i++) {
            for (uint32_t q = 0; q < CONTRACT_PARTITIONS; q++) {
                CONTRACT_CHECK(!paused[i][q] || member.count[i][q] == before[i][q], "records of a paused lane");
            }
        }
        CONTRACT_CHECK(!member.gap, "a record was skipped or repeated in round %d", round);
    }
    for (uint32_t i = 0; i < TM_INPUTS; i++) {
        for (uint32_t q = 0; q < CONTRACT_PARTITIONS; q++) {
            CONTRACT_CHECK(member.source.pause(member.source.context, (tm_input)i, (int32_t)q, false, &member.error) ==
                               TM_OK,
                           "%s", member.error.what);
        }
    }
    CONTRACT_CHECK(contract_poll_until_at(&member, RECORDS) && !member.gap, "gap %d %s", member.gap, member.error.what);
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

static inline bool source_contract_ends_before_open_transactions(const contract_world *world, contract_report *report)
{
    contract_member member = {.start_at_once = true};
    int64_t first = -1;
    int64_t end = -1;
    int64_t reached = -1;
    bool passed = false;
    CONTRACT_CHECK(contract_fill(world, 5), "filling");
    CONTRACT_CHECK(world->hold(world->context, TM_INPUT_USAGE, 1, true), "hold");
    CONTRACT_CHECK(world->append(world->context, TM_INPUT_USAGE, 1, "late", "late", 9) >= 0, "append");
    CONTRACT_CHECK(contract_join(&member, world->source(world->context, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_at(&member, 5), "%s", member.error.what);
    for (int i = 0; i < 10; i++) {
        CONTRACT_CHECK(contract_poll(&member, 256) == 0, "a record behind an open transaction");
    }
    CONTRACT_CHECK(
        member.source.bounds(member.source.context, TM_INPUT_USAGE, 1, &first, &end, &reached, &member.error) == TM_OK,
        "%s", member.error.what);
    /* Everything that can be read was read, and yet the input is not drained: more of it exists. */
    CONTRACT_CHECK(first == 0 && end > 5 && reached == 5, "%" PRId64 " %" PRId64 " %" PRId64, first, end, reached);
    CONTRACT_CHECK(world->hold(world->context, TM_INPUT_USAGE, 1, false), "release");
    CONTRACT_CHECK(contract_poll_until_drained(&member, TM_INPUT_USAGE, 1), "%s", member.error.what);
    CONTRACT_CHECK(member.count[TM_INPUT_USAGE][1] == 6, "%" PRId64 " records", member.count[TM_INPUT_USAGE][1]);
    /* What was aborted last leaves nothing to deliver, and yet the end is reached. */
    CONTRACT_CHECK(world->hold(world->context, TM_INPUT_USAGE, 2, true), "hold");
    CONTRACT_CHECK(world->hold(world->context, TM_INPUT_USAGE, 2, false), "release");
    CONTRACT_CHECK(contract_poll_until_drained(&member, TM_INPUT_USAGE, 2), "%s", member.error.what);
    CONTRACT_CHECK(member.count[TM_INPUT_USAGE][2] == 5, "%" PRId64 " records", member.count[TM_INPUT_USAGE][2]);
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

/* Two members share the partitions, and the one that stays gets all of them back. */
static inline bool source_contract_rebalances(const contract_world *world, contract_report *report)
{
    contract_member a = {.start_at_once = true};
    contract_member b = {.start_at_once = true};
    bool passed = false;
    CONTRACT_CHECK(contract_fill(world, 20), "filling");
    CONTRACT_CHECK(contract_join(&a, world->source(world->context, 0)) == TM_OK, "%s", a.error.what);
    CONTRACT_CHECK(contract_poll_until_at(&a, 20), "%s", a.error.what);
    CONTRACT_CHECK(contract_join(&b, world->source(world->context, 1)) == TM_OK, "%s", b.error.what);
    for (int i = 0; i < CONTRACT_POLLS && !(b.owned_count > 0 && a.owned_count > 0 && a.assignments > 1); i++) {
        CONTRACT_CHECK(contract_poll(&a, 256) >= 0, "%s", a.error.what);
        CONTRACT_CHECK(contract_poll(&b, 256) >= 0, "%s", b.error.what);
    }
    CONTRACT_CHECK(a.owned_count + b.owned_count == CONTRACT_PARTITIONS && b.owned_count > 0, "%u and %u",
                   a.owned_count, b.owned_count);
    for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
        CONTRACT_CHECK(a.owned[p] != b.owned[p], "partition %d", p);
    }
    CONTRACT_CHECK(contract_poll_until_at(&b, 20), "%s", b.error.what);
    CONTRACT_CHECK(!a.gap && !b.gap && !a.twice && !b.twice, "%d %d %d %d", a.gap, b.gap, a.twice, b.twice);
    b.source.leave(b.source.context);
    b.source.context = NULL;
    CONTRACT_CHECK(b.owned_count == 0, "%u", b.owned_count);
    CONTRACT_CHECK(contract_poll_until_owned(&a, CONTRACT_PARTITIONS), "%u: %s", a.owned_count, a.error.what);
    CONTRACT_CHECK(contract_poll_until_at(&a, 20) && !a.gap && !a.twice, "%s", a.error.what);
    passed = true;
out:
    if (a.source.context != NULL) {
        a.source.leave(a.source.context);
    }
    if (b.source.context != NULL) {
        b.source.leave(b.source.context);
    }
    return passed;
}

static const contract_entry source_contract[] = {
    {"source reads in order", source_contract_reads_in_order},
    {"source tells absent from empty", source_contract_tells_absent_from_empty},
    {"source starts when told", source_contract_starts_when_told},
    {"source pauses exactly", source_contract_pauses_exactly},
    {"source ends before open transactions", source_contract_ends_before_open_transactions},
    {"source rebalances", source_contract_rebalances},
};

#endif
