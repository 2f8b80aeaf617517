/* Any bytes as a configuration: one that hangs together, or errors at places inside the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/rules/configfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static const char *variable(void *context, const char *name)
{
    (void)context;
    return name[0] == 'H' ? "a value: with ${all} $$ 'of' \"it\"" : name[0] == 'E' ? "" : NULL;
}

static tm_status file(void *context, const char *path, tm_buffer *out, tm_error *error)
{
    (void)context;
    if (path[0] == 'x')
        return tm_fail(error, TM_REJECT, "no such file");
    tm_buffer_append(out, "sixteen bytes and\0more\r\n", 24);
    return TM_OK;
}

static void require_text(const char *text)
{
    require(text && text[0], "a text that is not there");
}

static void check(const tm_configuration *c, bool partial)
{
    const char *const texts[] = {c->group,      c->instance,  c->timezone,     c->rules,      c->usage,
                                 c->churn_risk, c->expansion, c->advisories,   c->health,     c->dead_letters,
                                 c->journal,    c->mapping,   c->key_mismatch, c->log_format, c->log_level};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        require_text(texts[i]);
    require(partial || (c->brokers && c->redis_url), "what is required is not there");
    require(c->workers >= 1 && c->workers <= 256 && c->dedup_entries >= 1000, "a count out of range");
    require(c->evaluate_every > 0 && TM_HOUR % c->evaluate_every == 0, "a grid that does not divide the hour");
    require(!c->user_key.data || c->user_key.length >= 16, "a short secret");
    for (uint32_t i = 0; i < c->property_count; i++)
        require(c->properties[i].name && c->properties[i].value, "half a property");
    require((strcmp(c->mapping, "custom") == 0) || c->mapping_field_count == 0, "fields of a named mapping");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool partial = size > 0 && (data[size - 1] & 1);
    tm_diagnostics *found = calloc(1, sizeof *found);
    tm_configfile_options options = {NULL, variable, file, found};
    tm_configuration *configuration;
    tm_error error;
    tm_status status =
        tm_configfile_parse((tm_slice){(const char *)data, size}, "f", partial, &options, &configuration, &error);
    if (status == TM_OK) {
        require(found->count == 0, "taken with errors");
        check(configuration, partial);
        tm_configuration_free(configuration);
    } else {
        require(status == TM_REJECT && found->count > 0 && !configuration, "refused without an error");
        tm_buffer out;
        tm_buffer_init(&out, 1 << 20);
        tm_diagnostics_print(found, &out);
        require(!out.overflowed, "errors without end");
        tm_buffer_done(&out);
    }
    free(found);
    return 0;
}
