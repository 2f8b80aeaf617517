/* The memory source and publisher, held to the contracts of their ports, and what they add. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/publisher_contract.h"
#include "contract/source_contract.h"
#include "tidemark/adapters/memory/publisher.h"
#include "tidemark/adapters/memory/source.h"

/* ---- The contracts ---- */

typedef struct memory_contract {
    tm_world *world;
} memory_contract;

static bool on_reset(void *context)
{
    memory_contract *self = context;
    tm_world_free(self->world);
    self->world = tm_world_new(CONTRACT_PARTITIONS);
    return self->world != NULL;
}

static tm_source on_source(void *context, uint32_t member)
{
    memory_contract *self = context;
    tm_source source;
    cr_assert_eq(tm_memory_source_new(self->world, member == 0 ? "a" : "b", &source, NULL), TM_OK);
    return source;
}

static tm_publisher on_publisher(void *context, uint32_t member, const tm_source *source)
{
    memory_contract *self = context;
    tm_publisher publisher;
    cr_assert_eq(tm_memory_publisher_new(self->world, member == 0 ? "pa" : "pb", source, &publisher, NULL), TM_OK);
    return publisher;
}

static int64_t on_append(void *context, tm_input input, int32_t partition, const char *key, const char *value,
                         tm_time timestamp)
{
    memory_contract *self = context;
    tm_world_record record = {.key = tm_slice_of(key), .value = tm_slice_of(value), .timestamp = timestamp};
    int64_t offset = -1;
    return tm_world_append(self->world, input, partition, &record, &offset) == TM_OK ? offset : -1;
}

static bool on_hold(void *context, tm_input input, int32_t partition, bool open)
{
    memory_contract *self = context;
    return tm_world_hold(self->world, input, partition, open) == TM_OK;
}

static int64_t on_output_count(void *context, tm_topic topic, int32_t partition)
{
    memory_contract *self = context;
    return tm_world_output_count(self->world, topic, partition);
}

static bool on_output(void *context, tm_topic topic, int32_t partition, int64_t number, char *text, size_t size)
{
    memory_contract *self = context;
    tm_world_record record;
    tm_buffer line;
    if (!tm_world_output(self->world, topic, partition, number, &record)) {
        return false;
    }
    tm_buffer_init(&line, size - 1);
    tm_buffer_append_slice(&line, record.key.data != NULL ? record.key : TM_SLICE_LITERAL("-"));
    tm_buffer_append_char(&line, '|');
    tm_buffer_append_slice(&line, record.value.data != NULL ? record.value : TM_SLICE_LITERAL("-"));
    tm_buffer_append_format(&line, "|%" PRId64 "|", record.timestamp);
    for (uint32_t i = 0; i < record.header_count; i++) {
        tm_buffer_append_text(&line, i > 0 ? "," : "");
        tm_buffer_append_slice(&line, record.headers[i].name);
        tm_buffer_append_char(&line, '=');
        tm_buffer_append_slice(&line, record.headers[i].value);
    }
    snprintf(text, size, "%s", tm_buffer_text(&line));
    tm_buffer_done(&line);
    return true;
}

static void run_contract(const contract_entry *entries, size_t count)
{
    memory_contract self = {NULL};
    const contract_world world = {.context = &self,
                                  .reset = on_reset,
                                  .source = on_source,
                                  .publisher = on_publisher,
                                  .append = on_append,
                                  .hold = on_hold,
                                  .output_count = on_output_count,
                                  .output = on_output};
    for (size_t i = 0; i < count; i++) {
        contract_report report = {""};
        cr_assert(on_reset(&self));
        bool passed = entries[i].test(&world, &report);
        cr_assert(passed, "%s: %s", entries[i].name, report.text);
    }
    tm_world_free(self.world);
}

Test(worker_memory, source_keeps_the_contract)
{
    run_contract(source_contract, sizeof(source_contract) / sizeof(source_contract[0]));
}

Test(worker_memory, publisher_keeps_the_contract)
{
    run_contract(publisher_contract, sizeof(publisher_contract) / sizeof(publisher_contract[0]));
}

/* ---- The group ---- */

static tm_source make_source(tm_world *world, const char *instance)
{
    tm_source source;
    cr_assert_eq(tm_memory_source_new(world, instance, &source, NULL), TM_OK);
    return source;
}

static tm_status poll_now(contract_member *member)
{
    tm_source_record records[16];
    uint32_t count = 0;
    tm_status status = member->source.poll(member->source.context, 0, records, 16, &count, &member->error);
    for (uint32_t i = 0; i < count; i++) {
        member->source.release(member->source.context, &records[i]);
    }
    return status;
}

Test(worker_memory, a_rebalance_waits_for_every_member)
{
    tm_world *world = tm_world_new(3);
    contract_member a = {0}, b = {0}, c = {0};
    contract_join(&a, make_source(world, NULL));
    cr_assert_eq(a.owned_count, 0, "assignments are told in poll only");
    cr_assert_eq(tm_memory_source_generation(&a.source), -1);
    cr_assert_eq(poll_now(&a), TM_OK);
    cr_assert_eq(a.owned_count, 3);
    cr_assert_eq(tm_memory_source_generation(&a.source), 1);
    contract_join(&b, make_source(world, NULL));
    contract_join(&c, make_source(world, NULL));
    cr_assert_eq(poll_now(&b), TM_OK);
    cr_assert_eq(poll_now(&c), TM_OK);
    cr_assert_eq(b.owned_count + c.owned_count, 0, "a still has everything");
    cr_assert_eq(a.owned_count, 3);
    cr_assert_eq(poll_now(&a), TM_OK); /* gives up, and as the last one that waited is told at once */
    cr_assert_eq(a.owned_count, 1);
    cr_assert_eq(poll_now(&b), TM_OK);
    cr_assert_eq(poll_now(&c), TM_OK);
    cr_assert_eq(b.owned_count, 1);
    cr_assert_eq(c.owned_count, 1);
    cr_assert_eq(tm_memory_source_generation(&c.source), 2);
    cr_assert_not(a.twice || b.twice || c.twice);
    /* more members than partitions: one has none */
    contract_member d = {0};
    contract_join(&d, make_source(world, NULL));
    for (int i = 0; i < 3; i++) {
        poll_now(&a), poll_now(&b), poll_now(&c), poll_now(&d);
    }
    cr_assert_eq(a.owned_count + b.owned_count + c.owned_count, 3);
    cr_assert_eq(d.owned_count, 0);
    /* one that no longer polls holds all up until it is expelled */
    d.source.leave(d.source.context);
    poll_now(&a), poll_now(&b), poll_now(&a), poll_now(&b);
    cr_assert_eq(a.owned_count + b.owned_count, 0);
    tm_world_expel(world, &c.source);
    poll_now(&a), poll_now(&b);
    cr_assert_eq(a.owned_count, 2);
    cr_assert_eq(b.owned_count, 1);
    cr_assert_eq(c.owned_count, 1, "c does not know yet");
    cr_assert_eq(tm_memory_source_generation(&c.source), -1);
    cr_assert_eq(poll_now(&c), TM_OK);
    cr_assert_eq(c.owned_count, 0);
    poll_now(&a), poll_now(&b), poll_now(&c), poll_now(&a), poll_now(&b), poll_now(&c);
    cr_assert_eq(a.owned_count + b.owned_count + c.owned_count, 3);
    a.source.leave(a.source.context);
    b.source.leave(b.source.context);
    c.source.leave(c.source.context);
    cr_assert_eq(a.owned_count + b.owned_count + c.owned_count, 0);
    tm_world_free(world);
}

Test(worker_memory, the_same_instance_takes_the_place)
{
    tm_world *world = tm_world_new(3);
    contract_member a = {0}, again = {0}, b = {0};
    contract_join(&a, make_source(world, "one"));
    contract_join(&b, make_source(world, "two"));
    poll_now(&a), poll_now(&b), poll_now(&a), poll_now(&b);
    cr_assert(a.owned[0] && a.owned[1] && b.owned[2]);
    int64_t generation = tm_memory_source_generation(&a.source);
    contract_join(&again, make_source(world, "one"));
    cr_assert_eq(poll_now(&again), TM_OK);
    cr_assert(again.owned[0] && again.owned[1]);
    cr_assert_eq(tm_memory_source_generation(&again.source), generation, "no rebalance");
    cr_assert_eq(poll_now(&b), TM_OK);
    cr_assert_eq(b.revocations, 0);
    cr_assert_eq(poll_now(&a), TM_FATAL);
    cr_assert_eq(a.owned_count, 0);
    cr_assert_eq(poll_now(&a), TM_FATAL);
    a.source.leave(a.source.context);
    cr_assert_eq(poll_now(&b), TM_OK);
    cr_assert_eq(b.revocations, 0, "who was fenced is not missed");
    again.source.leave(again.source.context);
    b.source.leave(b.source.context);
    tm_world_free(world);
}

/* ---- Commits ---- */

typedef struct settling {
    contract_member member;
    tm_publisher publisher;
    tm_status status;
} settling;

static void settle_on_revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    settling *self = context;
    tm_position position = {.next = {1, 1}, .commit = 1};
    contract_on_revoked(&self->member, partitions, count, lost);
    self->publisher.begin(self->publisher.context, &self->member.error);
    self->status = self->publisher.commit(self->publisher.context, &partitions[0], &position, 1, &self->member.error);
}

static void assigned_to_settling(void *context, const int32_t *partitions, uint32_t count)
{
    contract_on_assigned(&((settling *)context)->member, partitions, count);
}

Test(worker_memory, settling_in_revoke_is_accepted_and_a_zombie_is_not)
{
    tm_world *world = tm_world_new(2);
    settling a = {.status = TM_FATAL};
    contract_member b = {0};
    tm_position found;
    int32_t zero = 0;
    a.member.source = make_source(world, NULL);
    cr_assert_eq(tm_memory_publisher_new(world, "a", &a.member.source, &a.publisher, NULL), TM_OK);
    cr_assert_eq(a.publisher.begin(a.publisher.context, NULL), TM_RETRY, "before initialise");
    cr_assert_eq(a.publisher.initialise(a.publisher.context, NULL), TM_OK);
    const tm_source_listener listener = {&a, assigned_to_settling, settle_on_revoked};
    cr_assert_eq(a.member.source.join(a.member.source.context, &listener, NULL), TM_OK);
    poll_now(&a.member);
    contract_join(&b, make_source(world, NULL));
    poll_now(&a.member);
    cr_assert_eq(a.status, TM_OK, "its generation still holds while it settles");
    cr_assert_eq(a.member.owned_count, 1);
    a.member.source.committed(a.member.source.context, &zero, 1, &found, NULL);
    cr_assert_eq(found.commit, 1);
    /* expelled, and not knowing it: refused, nothing visible */
    tm_world_expel(world, &a.member.source);
    poll_now(&b);
    tm_output output = {.topic = TM_TOPIC_JOURNAL, .partition = 0, .value = TM_SLICE_LITERAL("zombie")};
    const tm_position position = {.next = {9, 9}, .commit = 9};
    tm_error error = {0};
    cr_assert_eq(a.publisher.begin(a.publisher.context, &error), TM_OK);
    cr_assert_eq(a.publisher.send(a.publisher.context, &output, &error), TM_OK);
    cr_assert_eq(a.publisher.commit(a.publisher.context, &zero, &position, 1, &error), TM_REJECT);
    cr_assert_eq(tm_world_output_count(world, TM_TOPIC_JOURNAL, 0), 0);
    b.source.committed(b.source.context, &zero, 1, &found, NULL);
    cr_assert_eq(found.commit, 1);
    /* and settling what was lost is refused as well */
    a.status = TM_OK;
    poll_now(&a.member);
    cr_assert_eq(a.status, TM_REJECT);
    a.member.source.leave(a.member.source.context);
    b.source.leave(b.source.context);
    /* the publisher outlives its source */
    cr_assert_eq(a.publisher.begin(a.publisher.context, &error), TM_OK);
    cr_assert_eq(a.publisher.commit(a.publisher.context, &zero, &position, 1, &error), TM_REJECT);
    a.publisher.close(a.publisher.context);
    tm_world_free(world);
}

Test(worker_memory, doubt_and_outage)
{
    tm_world *world = tm_world_new(1);
    contract_member a = {.start_at_once = true};
    tm_publisher publisher;
    tm_error error = {0};
    int32_t zero = 0;
    tm_position position = {.next = {1, 0}, .commit = 1};
    tm_position found;
    int64_t bound[3];
    contract_join(&a, make_source(world, NULL));
    poll_now(&a);
    cr_assert_eq(tm_memory_publisher_new(world, "a", NULL, &publisher, NULL), TM_OK);
    cr_assert_eq(publisher.initialise(publisher.context, &error), TM_OK);
    cr_assert_eq(publisher.begin(publisher.context, &error), TM_OK);
    cr_assert_eq(publisher.begin(publisher.context, &error), TM_RETRY);
    tm_world_lose_answer(world);
    cr_assert_eq(publisher.commit(publisher.context, &zero, &position, 1, &error), TM_RETRY);
    cr_assert_eq(a.source.committed(a.source.context, &zero, 1, &found, &error), TM_OK);
    cr_assert(tm_position_equal(found, position), "it was done all the same");
    tm_world_set_reachable(world, false);
    cr_assert_eq(poll_now(&a), TM_RETRY);
    cr_assert_eq(a.source.committed(a.source.context, &zero, 1, &found, &error), TM_RETRY);
    cr_assert_eq(a.source.bounds(a.source.context, TM_INPUT_USAGE, 0, &bound[0], &bound[1], &bound[2], &error),
                 TM_RETRY);
    cr_assert_eq(publisher.initialise(publisher.context, &error), TM_RETRY);
    cr_assert_eq(publisher.begin(publisher.context, &error), TM_OK);
    cr_assert_eq(publisher.commit(publisher.context, &zero, &position, 1, &error), TM_RETRY);
    contract_member b = {0};
    tm_source late = make_source(world, NULL);
    cr_assert_eq(contract_join(&b, late), TM_RETRY);
    b.source.leave(b.source.context);
    tm_world_set_reachable(world, true);
    cr_assert_eq(poll_now(&a), TM_OK);
    position.commit = -1;
    tm_world_set_committed(world, 0, position);
    cr_assert_eq(a.source.committed(a.source.context, &zero, 1, &found, &error), TM_OK);
    cr_assert_eq(found.commit, -1);
    zero = 1;
    cr_assert_eq(a.source.committed(a.source.context, &zero, 1, &found, &error), TM_REJECT);
    cr_assert_eq(publisher.abort(publisher.context, &error), TM_OK);
    publisher.close(publisher.context);
    a.source.leave(a.source.context);
    tm_world_free(world);
}

/* ---- Records ---- */

Test(worker_memory, headers_retention_and_bounds)
{
    tm_world *world = tm_world_new(2);
    contract_member a = {.start_at_once = true};
    tm_error error = {0};
    int64_t first, end, reached, offset;
    const tm_source_header headers[] = {{TM_SLICE_LITERAL("ce_id"), TM_SLICE_LITERAL("1")},
                                        {TM_SLICE_LITERAL("empty"), TM_SLICE_LITERAL("")},
                                        {TM_SLICE_LITERAL("absent"), {NULL, 0}}};
    const tm_world_record record = {
        .key = TM_SLICE_LITERAL("k"), .timestamp = TM_TIME_NONE, .headers = headers, .header_count = 3};
    cr_assert_eq(tm_world_append(world, TM_INPUT_ACCOUNTS, 1, &record, &offset), TM_OK);
    cr_assert_eq(offset, 0);
    cr_assert_eq(tm_world_append(world, TM_INPUT_ACCOUNTS, 2, &record, NULL), TM_REJECT);
    contract_join(&a, make_source(world, NULL));
    tm_source_record got[4];
    uint32_t count = 0;
    cr_assert_eq(a.source.poll(a.source.context, 0, got, 4, &count, &error), TM_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(got[0].timestamp, TM_TIME_NONE);
    cr_assert_eq(got[0].input, TM_INPUT_ACCOUNTS);
    tm_source_header found[TM_SOURCE_HEADERS_MAX];
    cr_assert_eq(a.source.headers(a.source.context, &got[0], found), 3);
    cr_assert(tm_slice_equal_text(found[0].name, "ce_id"));
    cr_assert(tm_slice_equal_text(found[0].value, "1"));
    cr_assert(found[1].value.data != NULL && found[1].value.length == 0);
    cr_assert_null(found[2].value.data);
    a.source.release(a.source.context, &got[0]);
    /* what retention took is not delivered, and bounds tell */
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(tm_world_append(world, TM_INPUT_USAGE, 0, &record, NULL), TM_OK);
    }
    tm_world_trim(world, TM_INPUT_USAGE, 0, 3);
    cr_assert_eq(a.source.poll(a.source.context, 0, got, 4, &count, &error), TM_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(a.source.bounds(a.source.context, TM_INPUT_USAGE, 0, &first, &end, &reached, &error), TM_OK);
    cr_assert(first == 3 && end == 5 && reached == -1, "it stands");
    cr_assert_eq(a.source.start(a.source.context, TM_INPUT_USAGE, 0, 4, &error), TM_OK);
    cr_assert_eq(a.source.poll(a.source.context, 0, got, 4, &count, &error), TM_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(got[0].offset, 4);
    cr_assert_eq(a.source.bounds(a.source.context, TM_INPUT_USAGE, 7, &first, &end, &reached, &error), TM_REJECT);
    cr_assert_eq(a.source.start(a.source.context, TM_INPUT_USAGE, -1, 0, &error), TM_REJECT);
    cr_assert_eq(a.source.pause(a.source.context, TM_INPUT_USAGE, 2, true, &error), TM_REJECT);
    a.source.leave(a.source.context);
    cr_assert_null(tm_world_new(0));
    cr_assert_null(tm_world_new(TM_WORLD_PARTITIONS_MAX + 1));
    tm_world_free(world);
    tm_world_free(NULL);
}

/* ---- Threads: members come and go while records come; every record is committed exactly once ---- */

enum { THREAD_RECORDS = 400, THREAD_PARTITIONS = 4, THREAD_WORKERS = 3 };

typedef struct thread_worker {
    tm_world *world;
    int number;
    tm_source source;
    tm_publisher publisher;
    tm_position standing[THREAD_PARTITIONS];
    bool owned[THREAD_PARTITIONS];
    bool open;
    int failures;
} thread_worker;

static void thread_assigned(void *context, const int32_t *partitions, uint32_t count)
{
    thread_worker *self = context;
    tm_position found[THREAD_PARTITIONS];
    self->source.committed(self->source.context, partitions, count, found, NULL);
    for (uint32_t i = 0; i < count; i++) {
        int32_t p = partitions[i];
        self->owned[p] = true;
        self->standing[p] = found[i];
        self->standing[p].next[0] = found[i].next[0] < 0 ? 0 : found[i].next[0];
        self->source.start(self->source.context, TM_INPUT_USAGE, p, self->standing[p].next[0], NULL);
    }
}

static void thread_revoked(void *context, const int32_t *partitions, uint32_t count, bool lost)
{
    thread_worker *self = context;
    (void)lost;
    for (uint32_t i = 0; i < count; i++) {
        self->owned[partitions[i]] = false;
    }
}

static bool all_done(tm_world *world)
{
    int64_t count = 0;
    for (int32_t p = 0; p < THREAD_PARTITIONS; p++) {
        count += tm_world_output_count(world, TM_TOPIC_JOURNAL, p);
    }
    return count == (int64_t)THREAD_RECORDS * THREAD_PARTITIONS;
}

static void *thread_run(void *argument)
{
    thread_worker *self = argument;
    tm_source_record records[7];
    uint32_t count = 0;
    int rounds = 0;
    const tm_source_listener listener = {self, thread_assigned, thread_revoked};
    self->publisher.initialise(self->publisher.context, NULL);
    self->source.join(self->source.context, &listener, NULL);
    /* the others leave half-way, so that partitions move under load */
    while (!all_done(self->world) && (self->number == 0 || rounds++ < 60 * self->number)) {
        if (self->source.poll(self->source.context, 5, records, 7, &count, NULL) != TM_OK) {
            self->failures++;
            break;
        }
        if (count == 0) {
            continue;
        }
        int32_t partitions[7];
        tm_position positions[7];
        uint32_t used = 0;
        self->publisher.begin(self->publisher.context, NULL);
        for (uint32_t i = 0; i < count; i++) {
            int32_t p = records[i].partition;
            if (!self->owned[p] || records[i].offset != self->standing[p].next[0]) {
                self->failures++;
            }
            self->standing[p].next[0] = records[i].offset + 1;
            self->standing[p].commit++;
            tm_output output = {.topic = TM_TOPIC_JOURNAL, .partition = p, .value = records[i].value};
            self->publisher.send(self->publisher.context, &output, NULL);
            uint32_t k = 0;
            while (k < used && partitions[k] != p) {
                k++;
            }
            used += k == used ? 1 : 0;
            partitions[k] = p;
            positions[k] = self->standing[p];
            self->source.release(self->source.context, &records[i]);
        }
        if (self->publisher.commit(self->publisher.context, partitions, positions, used, NULL) != TM_OK) {
            self->failures++;
        }
    }
    self->source.leave(self->source.context);
    self->publisher.close(self->publisher.context);
    return NULL;
}

Test(worker_memory, threads_share_the_world)
{
    tm_world *world = tm_world_new(THREAD_PARTITIONS);
    thread_worker workers[THREAD_WORKERS] = {0};
    pthread_t threads[THREAD_WORKERS];
    char value[32];
    for (int i = 0; i < THREAD_WORKERS; i++) {
        workers[i].world = world;
        workers[i].number = i;
        workers[i].source = make_source(world, NULL);
        snprintf(value, sizeof(value), "w%d", i);
        cr_assert_eq(tm_memory_publisher_new(world, value, &workers[i].source, &workers[i].publisher, NULL), TM_OK);
        pthread_create(&threads[i], NULL, thread_run, &workers[i]);
    }
    for (int k = 0; k < THREAD_RECORDS; k++) {
        for (int32_t p = 0; p < THREAD_PARTITIONS; p++) {
            snprintf(value, sizeof(value), "%d", k);
            tm_world_record record = {.value = tm_slice_of(value), .timestamp = k};
            cr_assert_eq(tm_world_append(world, TM_INPUT_USAGE, p, &record, NULL), TM_OK);
        }
    }
    for (int i = 0; i < THREAD_WORKERS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(workers[i].failures, 0, "worker %d: %d", i, workers[i].failures);
    }
    for (int32_t p = 0; p < THREAD_PARTITIONS; p++) {
        cr_assert_eq(tm_world_output_count(world, TM_TOPIC_JOURNAL, p), THREAD_RECORDS);
        for (int k = 0; k < THREAD_RECORDS; k++) {
            tm_world_record record;
            cr_assert(tm_world_output(world, TM_TOPIC_JOURNAL, p, k, &record));
            snprintf(value, sizeof(value), "%d", k);
            cr_assert(tm_slice_equal_text(record.value, value), "partition %d, %d", p, k);
        }
    }
    tm_world_free(world);
}
