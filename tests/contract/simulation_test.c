/* The simulated ports, held to the contracts of the real ones. */
#include <criterion/criterion.h>

#include "contract/publisher_contract.h"
#include "contract/source_contract.h"
#include "contract/store_contract.h"
#include "simulation/sim.h"

static bool on_reset(void *context)
{
    *(sim **)context = sim_bare(CONTRACT_PARTITIONS);
    return true;
}

static tm_source on_source(void *context, uint32_t member)
{
    return sim_source_port(sim_bare_life(*(sim **)context, (int)member));
}

static tm_publisher on_publisher(void *context, uint32_t member, const tm_source *source)
{
    sim_life *life = sim_bare_life(*(sim **)context, (int)member);
    life->group_of = source->context;
    return sim_publisher_port(life);
}

static int64_t on_append(void *context, tm_input input, int32_t partition, const char *key, const char *value,
                         tm_time timestamp)
{
    sim *s = *(sim **)context;
    sim_record *record = sim_take(s, sizeof *record);
    *record = (sim_record){.input = input,
                           .partition = partition,
                           .timestamp = timestamp,
                           .key = sim_copy(s, tm_slice_of(key)),
                           .value = sim_copy(s, tm_slice_of(value))};
    sim_append(s, record);
    return record->offset;
}

static bool on_hold(void *context, tm_input input, int32_t partition, bool open)
{
    if (open)
        sim_hold(*(sim **)context, input, partition, -1);
    else
        sim_release_hold(*(sim **)context, input, partition);
    return true;
}

static bool find(sim *s, tm_topic topic, int32_t partition, int64_t number, const sim_output **ret_output)
{
    for (uint32_t i = 0; i < s->outputs[topic].count; i++) {
        *ret_output = &s->outputs[topic].items[i];
        if ((*ret_output)->partition == partition && number-- == 0)
            return true;
    }
    return false;
}

static int64_t on_output_count(void *context, tm_topic topic, int32_t partition)
{
    const sim_output *output;
    int64_t count = 0;
    while (find(*(sim **)context, topic, partition, count, &output))
        count++;
    return count;
}

static bool on_output(void *context, tm_topic topic, int32_t partition, int64_t number, char *text, size_t size)
{
    const sim_output *o;
    if (!find(*(sim **)context, topic, partition, number, &o))
        return false;
    tm_slice key = o->key.data ? o->key : TM_SLICE_LITERAL("-"),
             value = o->value.data ? o->value : TM_SLICE_LITERAL("-");
    snprintf(text, size, "%.*s|%.*s|%" PRId64 "|%.*s", (int)key.length, key.data, (int)value.length, value.data,
             o->timestamp, (int)o->headers.length, o->headers.data);
    return true;
}

static void run_contract(const contract_entry *entries, size_t count)
{
    sim *s = NULL;
    const contract_world world = {&s,        on_reset, on_source,       on_publisher,
                                  on_append, on_hold,  on_output_count, on_output};
    for (size_t i = 0; i < count; i++) {
        contract_report report = {""};
        cr_assert(on_reset(&s));
        bool passed = entries[i].test(&world, &report);
        cr_assert(passed, "%s: %s", entries[i].name, report.text);
    }
    sim_end();
}

Test(simulation, source_keeps_the_contract)
{
    run_contract(source_contract, sizeof source_contract / sizeof *source_contract);
}

Test(simulation, publisher_keeps_the_contract)
{
    run_contract(publisher_contract, sizeof publisher_contract / sizeof *publisher_contract);
}

Test(simulation, store_keeps_the_contract)
{
    sim *s = sim_bare(CONTRACT_PARTITIONS);
    tm_store a = sim_store_port(sim_bare_life(s, 0)), b = sim_store_port(sim_bare_life(s, 1));
    store_contract(&a, &b);
    sim_end();
}
