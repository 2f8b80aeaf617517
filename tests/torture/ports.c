/* Counters before the ports of a worker: the n-th call of all of them answers otherwise than it should. What may be
   answered is what the port's header allows. A lost answer is one of a call that was carried out. */
#include <string.h>

#include "torture.h"

#include "support/stage.h"

static tm_source source;
static tm_store store;
static tm_publisher publisher;
static tm_journal_source journal;

static uint64_t calls, refuse_at;
static uint32_t way_wanted, times_wanted;
static const char *refused;

void torture_refuse_call(uint64_t n, uint32_t way, uint32_t times)
{
    calls = 0;
    refuse_at = n;
    way_wanted = way;
    times_wanted = times;
    refused = NULL;
}

uint64_t torture_calls(void)
{
    return calls;
}

const char *torture_call_refused(void)
{
    return refused;
}

/* One way of a call to fail. */
typedef struct refusal {
    tm_status status;
    bool lost; /* it was carried out */
} refusal;

/* Whether this call fails, and how: `ways` are those it has. */
static const refusal *refuses(const char *name, const refusal *ways, uint32_t count)
{
    calls++;
    if (refuse_at == 0 || calls < refuse_at || way_wanted >= count)
        return NULL;
    if (calls == refuse_at)
        refused = torture_say("%s: %s%s, %u times", name, tm_status_name(ways[way_wanted].status),
                              ways[way_wanted].lost ? " though done" : "", times_wanted);
    /* Several times in a row, as long as it is this call that is made. */
    if (!refused || strncmp(refused, name, strlen(name)) != 0 || refused[strlen(name)] != ':' || times_wanted == 0)
        return NULL;
    if (calls > refuse_at && ways[way_wanted].status != TM_RETRY)
        return NULL;
    times_wanted--;
    return &ways[way_wanted];
}

static const refusal retry[] = {{TM_RETRY, false}};
static const refusal retry_lost[] = {{TM_RETRY, false}, {TM_RETRY, true}};
static const refusal retry_fatal[] = {{TM_RETRY, false}, {TM_FATAL, false}};
static const refusal all_ways[] = {{TM_RETRY, false}, {TM_REJECT, false}, {TM_FATAL, false}};

#define REFUSE(name, ways, call)                                                                                       \
    do {                                                                                                               \
        const refusal *r = refuses(name, ways, sizeof(ways) / sizeof *(ways));                                         \
        if (!r)                                                                                                        \
            return call;                                                                                               \
        if (r->lost)                                                                                                   \
            (void)call;                                                                                                \
        return tm_fail(error, r->status, "refused for a test");                                                        \
    } while (0)

static tm_status at_join(void *context, const tm_source_listener *listener, tm_error *error)
{
    REFUSE("source.join", retry_fatal, source.join(context, listener, error));
}

static tm_status at_poll(void *context, int64_t wait, tm_source_record *records, uint32_t capacity, uint32_t *count,
                         tm_error *error)
{
    *count = 0;
    REFUSE("source.poll", retry_fatal, source.poll(context, wait, records, capacity, count, error));
}

static tm_status at_start(void *context, tm_input input, int32_t partition, int64_t offset, tm_error *error)
{
    REFUSE("source.start", retry, source.start(context, input, partition, offset, error));
}

static tm_status at_pause(void *context, tm_input input, int32_t partition, bool paused, tm_error *error)
{
    REFUSE("source.pause", retry_lost, source.pause(context, input, partition, paused, error));
}

static tm_status at_bounds(void *context, tm_input input, int32_t partition, int64_t *first, int64_t *end,
                           int64_t *reached, tm_error *error)
{
    REFUSE("source.bounds", retry, source.bounds(context, input, partition, first, end, reached, error));
}

static tm_status at_committed(void *context, const int32_t *partitions, uint32_t count, tm_position *positions,
                              tm_error *error)
{
    REFUSE("source.committed", retry, source.committed(context, partitions, count, positions, error));
}

static tm_status at_claim(void *context, int32_t partition, int64_t generation, int64_t raise, tm_store_state *state,
                          tm_error *error)
{
    REFUSE("store.claim", all_ways, store.claim(context, partition, generation, raise, state, error));
}

static tm_status at_read(void *context, int32_t partition, tm_store_state *state, tm_error *error)
{
    REFUSE("store.read", retry, store.read(context, partition, state, error));
}

static tm_status at_commit(void *context, const tm_store_commit *commit, tm_error *error)
{
    static const refusal ways[] = {{TM_RETRY, false}, {TM_RETRY, true}, {TM_FATAL, false}};
    REFUSE("store.commit", ways, store.commit(context, commit, error));
}

static tm_status at_scan_accounts(void *context, int32_t partition, tm_store_visit visit, void *visited,
                                  tm_error *error)
{
    REFUSE("store.scan_accounts", retry_lost, store.scan_accounts(context, partition, visit, visited, error));
}

static tm_status at_scan_fingerprints(void *context, int32_t partition, tm_store_visit visit, void *visited,
                                      tm_error *error)
{
    REFUSE("store.scan_fingerprints", retry_lost, store.scan_fingerprints(context, partition, visit, visited, error));
}

static tm_status at_scan_outbox(void *context, int32_t partition, int64_t published, tm_store_visit visit,
                                void *visited, tm_error *error)
{
    REFUSE("store.scan_outbox", retry_lost, store.scan_outbox(context, partition, published, visit, visited, error));
}

static tm_status at_settle(void *context, const char *name, int64_t proposal, int64_t *value, tm_error *error)
{
    REFUSE("store.settle_group", retry_lost, store.settle_group(context, name, proposal, value, error));
}

static tm_status at_initialise(void *context, tm_error *error)
{
    static const refusal ways[] = {{TM_RETRY, false}, {TM_RETRY, true}, {TM_FATAL, false}};
    REFUSE("publisher.initialise", ways, publisher.initialise(context, error));
}

static tm_status at_begin(void *context, tm_error *error)
{
    REFUSE("publisher.begin", retry_lost, publisher.begin(context, error));
}

static tm_status at_send(void *context, const tm_output *output, tm_error *error)
{
    REFUSE("publisher.send", retry_fatal, publisher.send(context, output, error));
}

static tm_status at_publish(void *context, const int32_t *partitions, const tm_position *positions, uint32_t count,
                            tm_error *error)
{
    static const refusal ways[] = {{TM_RETRY, false}, {TM_RETRY, true}, {TM_FATAL, false}};
    REFUSE("publisher.commit", ways, publisher.commit(context, partitions, positions, count, error));
}

static tm_status at_abort(void *context, tm_error *error)
{
    REFUSE("publisher.abort", retry, publisher.abort(context, error));
}

static tm_status at_open(void *context, int32_t partition, int64_t back, bool *ret_whole, tm_error *error)
{
    REFUSE("journal.open", retry, journal.open(context, partition, back, ret_whole, error));
}

static tm_status at_next(void *context, tm_slice *line, tm_error *error)
{
    REFUSE("journal.next", retry, journal.next(context, line, error));
}

void torture_ports(actor *a)
{
    source = a->ports.source;
    store = a->ports.store;
    publisher = a->ports.publisher;
    journal = a->ports.journal;
    a->ports.source.join = at_join;
    a->ports.source.poll = at_poll;
    a->ports.source.start = at_start;
    a->ports.source.pause = at_pause;
    a->ports.source.bounds = at_bounds;
    a->ports.source.committed = at_committed;
    a->ports.store.claim = at_claim;
    a->ports.store.read = at_read;
    a->ports.store.commit = at_commit;
    a->ports.store.scan_accounts = at_scan_accounts;
    a->ports.store.scan_fingerprints = at_scan_fingerprints;
    a->ports.store.scan_outbox = at_scan_outbox;
    a->ports.store.settle_group = at_settle;
    a->ports.publisher.initialise = at_initialise;
    a->ports.publisher.begin = at_begin;
    a->ports.publisher.send = at_send;
    a->ports.publisher.commit = at_publish;
    a->ports.publisher.abort = at_abort;
    a->ports.journal.open = at_open;
    a->ports.journal.next = at_next;
}
