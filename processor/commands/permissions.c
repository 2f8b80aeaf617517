/* What an administrator has to allow, as commands that can be run: `check --permissions`. */
#include "tidemark/commands/permissions.h"

#include <string.h>

#include "tidemark/adapters/kafka/permissions.h"

/* Quoted for a shell where it needs it. */
static void append_word(tm_buffer *out, const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/,@-";
    if (word[0] && strspn(word, safe) == strlen(word)) {
        tm_buffer_append_text(out, word);
        return;
    }
    tm_buffer_append_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            tm_buffer_append_text(out, "'\\''");
        else
            tm_buffer_append_char(out, *word);
    }
    tm_buffer_append_char(out, '\'');
}

static const char *property(const tm_configuration *c, const char *name)
{
    for (uint32_t i = 0; i < c->property_count; i++) {
        if (strcmp(c->properties[i].name, name) == 0)
            return c->properties[i].value;
    }
    return NULL;
}

static void kafka_command(tm_buffer *out, const tm_configuration *c, const char *principal,
                          const tm_kafka_permission *one)
{
    tm_buffer_append_text(out, "kafka-acls.sh --bootstrap-server ");
    append_word(out, c->brokers ? c->brokers : "BROKER:9092");
    tm_buffer_append_text(out, " --command-config admin.properties --add --allow-principal ");
    append_word(out, principal);
    for (int i = 0; i < TM_KAFKA_OPERATIONS_MAX && one->operations[i]; i++)
        tm_buffer_append_format(out, " --operation %s", one->operations[i]);
    tm_buffer_append_format(out, " --%s ", tm_kafka_resource_name(one->resource));
    append_word(out, one->name);
    if (one->prefixed)
        tm_buffer_append_text(out, " --resource-pattern-type prefixed");
    tm_buffer_append_char(out, '\n');
}

void tm_permissions_print(const tm_setup *setup, bool json, tm_buffer *out)
{
    const tm_configuration *c = setup->configuration;
    tm_kafka_config kafka = {
        .group = c->group,
        .inputs = {c->usage, c->accounts},
        .outputs = {c->churn_risk, c->expansion, c->advisories, c->health, c->dead_letters, c->journal}};
    tm_kafka_permission list[TM_KAFKA_PERMISSIONS_MAX];
    uint32_t count = tm_kafka_permissions(&kafka, list);
    char principal[512];
    const char *name = property(c, "sasl.username");
    snprintf(principal, sizeof principal, "User:%s", name ? name : "tidemark");
    const char *user = c->redis_username ? c->redis_username : "tidemark";
    if (json) {
        tm_buffer_append_text(out, "{\"redis\":{\"user\":");
        tm_buffer_append_json_string(out, tm_slice_of(user));
        tm_buffer_append_text(out, ",\"rules\":");
        tm_buffer rules;
        tm_buffer_init(&rules, 4096);
        tm_redis_permissions(c->redis_prefix, &rules);
        tm_buffer_append_json_string(out, tm_buffer_slice(&rules));
        out->overflowed |= rules.overflowed;
        tm_buffer_done(&rules);
        tm_buffer_append_text(out, "},\"kafka\":[");
        for (uint32_t i = 0; i < count; i++) {
            for (int o = 0; o < TM_KAFKA_OPERATIONS_MAX && list[i].operations[o]; o++) {
                tm_buffer_append_format(out, "%s{\"principal\":", i || o ? "," : "");
                tm_buffer_append_json_string(out, tm_slice_of(principal));
                tm_buffer_append_format(out,
                                        ",\"resource\":\"%s\",\"name\":", tm_kafka_resource_name(list[i].resource));
                tm_buffer_append_json_string(out, tm_slice_of(list[i].name));
                tm_buffer_append_format(out, ",\"pattern\":\"%s\",\"operation\":\"%s\",\"for\":\"%s\"}",
                                        list[i].prefixed ? "prefixed" : "literal", list[i].operations[o],
                                        list[i].only_init ? "init" : "run");
            }
        }
        tm_buffer_append_text(out, "]}\n");
        return;
    }
    tm_buffer_append_text(out,
                          "# Redis, as an administrator (redis-cli); PASSWORD is that of redis.password\nACL SETUSER ");
    tm_buffer_append_text(out, user);
    tm_buffer_append_text(out, " reset on >PASSWORD ");
    tm_redis_permissions(c->redis_prefix, out);
    tm_buffer_append_text(out, "\n\n# Kafka, for `tidemark run` and all that looks\n");
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].only_init && i > 0 && !list[i - 1].only_init)
            tm_buffer_append_text(out, "\n# Kafka, for `tidemark init --topics` beyond that\n");
        kafka_command(out, c, principal, &list[i]);
    }
}
