#include "tidemark/commands/shards.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/adapters/kafka/admin.h"
#include "tidemark/adapters/system/clock.h"
#include "tidemark/pipeline/journalend.h"

enum { CONNECT_MS = 15000 };

static tm_status ask_kafka(tm_shards *s, tm_error *error)
{
    tm_kafka_admin *admin = NULL;
    const char *const names[2] = {s->kafka.inputs[TM_INPUT_USAGE], s->kafka.outputs[TM_TOPIC_JOURNAL]};
    tm_kafka_topic topics[2] = {0};
    tm_status status = tm_kafka_config_check(&s->kafka, error);
    if (status == TM_OK)
        status = tm_kafka_admin_new(&s->kafka, &admin, error);
    if (status == TM_OK)
        status = tm_kafka_admin_connect(admin, CONNECT_MS, error);
    if (status == TM_OK)
        status = tm_kafka_admin_describe(admin, names, 2, topics, error);
    tm_kafka_admin_free(admin);
    s->partitions = topics[0].partitions;
    if (status == TM_OK && s->partitions == 0) {
        status = tm_fail(error, TM_REJECT, "topic '%s' is not there", s->kafka.inputs[TM_INPUT_USAGE]);
        tm_error_hint(error, "create it, or correct topics.usage");
    }
    if (status == TM_OK)
        status = tm_kafka_group_new(&s->kafka, &s->group, error);
    if (status == TM_OK && topics[1].partitions > 0)
        status = tm_kafka_journal_new(&s->kafka, &s->journal, error);
    if (status == TM_OK)
        status = tm_kafka_group_members(s->group, s->members, TM_SHARDS_MEMBERS, &s->member_count, error);
    return status;
}

tm_status tm_shards_open(const tm_setup *setup, tm_shards *ret_shards, tm_error *error)
{
    tm_shards *s = ret_shards;
    const tm_configuration *c = setup->configuration;
    *s = (tm_shards){.setup = setup, .clock = tm_system_clock()};
    tm_error_clear(error);
    s->properties = calloc(c->property_count + 1, sizeof *s->properties);
    if (!s->properties)
        return tm_fail(error, TM_FATAL, "out of memory");
    for (uint32_t i = 0; i < c->property_count; i++)
        s->properties[i] = (tm_kafka_property){c->properties[i].name, c->properties[i].value};
    s->kafka = (tm_kafka_config){
        .brokers = c->brokers,
        .group = c->group,
        .instance = c->instance,
        .inputs = {c->usage, c->accounts},
        .outputs = {c->churn_risk, c->expansion, c->advisories, c->health, c->dead_letters, c->journal},
        .properties = s->properties,
        .property_count = c->property_count,
        .clock = &s->clock};
    tm_status status = ask_kafka(s, error);
    if (status != TM_OK)
        return status;
    tm_redis_store_options options = tm_setup_store(setup);
    status = tm_redis_store_open(&options, &s->store, error);
    s->store_open = status == TM_OK;
    return status;
}

void tm_shards_close(tm_shards *shards)
{
    if (shards->store_open)
        shards->store.close(shards->store.context);
    tm_kafka_journal_free(shards->journal);
    tm_kafka_group_free(shards->group);
    free(shards->properties);
    *shards = (tm_shards){0};
}

static tm_status see_output(void *context, int64_t commit, tm_slice key, tm_slice bytes)
{
    (void)key;
    (void)bytes;
    tm_outbox_note(context, commit);
    return TM_OK;
}

static tm_status look_at_store(tm_shards *s, tm_shard_look *look, tm_error *error)
{
    tm_evidence *e = &look->evidence;
    tm_store_state state;
    tm_status status = s->store.read(s->store.context, look->partition, &state, error);
    if (status != TM_OK)
        return status;
    look->epoch = state.epoch;
    e->present = state.present;
    e->stored = state.present ? state.position : (tm_position){{-1, -1}, 0};
    if (!state.present)
        return TM_OK;
    tm_error why;
    if (tm_meta_decode(state.meta, &look->meta, &why) == TM_OK)
        e->meta = &look->meta;
    else
        look->meta_damaged = true;
    int64_t published = e->committed.commit > 0 ? e->committed.commit : 0;
    status = s->store.scan_outbox(s->store.context, look->partition, published, see_output, &e->outbox, error);
    e->outbox_known = status == TM_OK;
    return status;
}

static tm_status look_at_log(tm_shards *s, tm_shard_look *look, tm_error *error)
{
    tm_evidence *e = &look->evidence;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (!s->kafka.inputs[i])
            continue;
        e->topics[i] = tm_slice_of(s->kafka.inputs[i]);
        tm_status status =
            tm_kafka_group_bounds(s->group, (tm_input)i, look->partition, &e->first[i], &e->end[i], error);
        if (status != TM_OK)
            return status;
        if (!e->meta || look->meta.marks[i].offset < 0)
            continue;
        tm_record_mark *found = &look->beyond[i];
        status = tm_kafka_group_record(s->group, (tm_input)i, look->partition, look->meta.marks[i].offset,
                                       &found->offset, &found->timestamp, &found->key_hash, error);
        if (status != TM_OK)
            return status;
        e->beyond[i] = found->offset >= 0 ? found : NULL;
    }
    return TM_OK;
}

tm_status tm_shards_look(tm_shards *shards, int32_t partition, tm_shard_look *ret_look, tm_error *error)
{
    tm_shard_look *look = ret_look;
    memset(look, 0, sizeof *look);
    look->partition = partition;
    look->evidence = (tm_evidence){.end = {-1, -1},
                                   .partitions = shards->partitions,
                                   .rules_version = shards->setup->pack->version,
                                   .configuration_hash = tm_setup_configuration_hash(shards->setup)};
    tm_status status = tm_kafka_group_committed(shards->group, partition, &look->evidence.committed, error);
    if (status == TM_OK && shards->journal && tm_position_unknown(look->evidence.committed)) {
        const bool on[TM_INPUTS] = {shards->kafka.inputs[0] != NULL, shards->kafka.inputs[1] != NULL};
        tm_journal_source journal = tm_kafka_journal_port(shards->journal);
        status =
            tm_journal_end(&journal, tm_slice_of(shards->kafka.group), partition, on, &look->evidence.committed, error);
        look->expired = look->evidence.committed.commit > 0;
    }
    if (status == TM_OK)
        status = look_at_store(shards, look, error);
    if (status == TM_OK)
        status = look_at_log(shards, look, error);
    if (status != TM_OK)
        return status;
    tm_verdict_of(&look->evidence, partition, &look->verdict);
    if (look->meta_damaged) {
        tm_error *why = &look->verdict.why;
        look->verdict.row = TM_ROW_HALT;
        look->verdict.halt = TM_HALT_STATE_DAMAGED;
        tm_fail(why, TM_REJECT, "the shard's meta record is damaged, or of a later version");
        tm_error_where(why, "shard %d", (int)partition);
        tm_halt_hint(TM_HALT_STATE_DAMAGED, partition, why);
    }
    return TM_OK;
}

void tm_shards_position(tm_position position, char text[static 72])
{
    char offsets[TM_INPUTS][24];
    for (int i = 0; i < TM_INPUTS; i++) {
        if (position.next[i] < 0)
            snprintf(offsets[i], sizeof offsets[i], "-");
        else
            snprintf(offsets[i], sizeof offsets[i], "%lld", (long long)position.next[i]);
    }
    if (position.next[TM_INPUT_USAGE] < 0 && position.next[TM_INPUT_ACCOUNTS] < 0 && position.commit == 0)
        snprintf(text, 72, "-");
    else if (position.commit < 0)
        snprintf(text, 72, "%s/%s:?", offsets[0], offsets[1]);
    else
        snprintf(text, 72, "%s/%s:%lld", offsets[0], offsets[1], (long long)position.commit);
}
