/* Readers and writers of bytes: without memory they say so (TM_FATAL with a word), and never that the bytes are wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/journal_fixture.h"
#include "tidemark/codec/accountrecord.h"
#include "tidemark/codec/event.h"
#include "tidemark/codec/state.h"
#include "tidemark/pipeline/meta.h"
#include "tidemark/pipeline/outbox.h"
#include "tidemark/rules/configfile.h"
#include "tidemark/rules/packfile.h"
#include "tidemark/rules/testfile.h"
#include "torture.h"

/* What came of a call that may be short of memory. */
static const char *judged(tm_status status, const tm_error *error, const char *detail)
{
    if (status == TM_OK)
        return torture_refused() && detail ? detail : NULL;
    if (!torture_refused())
        return torture_say("nothing was refused: %s: %s", tm_status_name(status), error ? error->what : "");
    if (status != TM_FATAL)
        return torture_say("%s instead of fatal: %s %s", tm_status_name(status), error ? error->what : "",
                           detail ? detail : "");
    return error && !error->what[0] ? "fatal without a word" : NULL;
}

static char *text_of(const char *path)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", TIDEMARK_SOURCE_DIR, path);
    FILE *file = fopen(name, "rb");
    if (!file)
        exit(66);
    char *text = calloc(1, 1 << 20);
    if (!text || fread(text, 1, (1 << 20) - 1, file) == 0)
        exit(66);
    fclose(file);
    return text;
}

static char *rules, *configuration, *tests;
static tm_pack *pack;

static void read_texts(void)
{
    if (rules)
        return;
    tm_error error;
    rules = text_of("deploy/rules.yaml");
    configuration = text_of("deploy/tidemark.yaml");
    tests = text_of("deploy/rules-tests/churn.yaml");
    if (tm_packfile_parse(tm_slice_of(rules), "rules.yaml", NULL, &pack, &error) != TM_OK)
        exit(78);
}

static const char *run_pack(void)
{
    tm_pack *made = NULL;
    tm_error error = {0};
    tm_diagnostics diagnostics = {0};
    tm_packfile_options options = {.diagnostics = &diagnostics};
    torture_arm(true);
    tm_status status = tm_packfile_parse(tm_slice_of(rules), "rules.yaml", &options, &made, &error);
    torture_arm(false);
    const char *wrong = judged(status, &error, NULL);
    if (status == TM_OK && (made->rule_count != pack->rule_count || made->metric_count != pack->metric_count ||
                            made->program.node_count != pack->program.node_count))
        wrong = "another pack";
    tm_pack_free(made);
    return wrong;
}

static const char *no_variable(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOSTNAME") == 0 ? "here" : NULL;
}

static tm_status a_secret(void *context, const char *path, tm_buffer *out, tm_error *error)
{
    (void)context;
    (void)path;
    tm_buffer_append_text(out, "0123456789abcdef0123456789abcdef");
    return out->overflowed ? tm_fail(error, TM_FATAL, "out of memory") : TM_OK;
}

static const char *run_configuration(void)
{
    tm_configuration *made = NULL;
    tm_error error = {0};
    tm_diagnostics diagnostics = {0};
    tm_configfile_options options = {.variable = no_variable, .file = a_secret, .diagnostics = &diagnostics};
    torture_arm(true);
    tm_status status = tm_configfile_parse(tm_slice_of(configuration), "tidemark.yaml", false, &options, &made, &error);
    torture_arm(false);
    const char *wrong = judged(status, &error, NULL);
    if (status == TM_OK && (!made->brokers || !made->redis_url || made->user_key.length != 32))
        wrong = "half a configuration";
    tm_configuration_free(made);
    return wrong;
}

static const char *run_testfile(void)
{
    static uint32_t expected;
    tm_testfile *made = NULL;
    tm_error error = {0};
    tm_diagnostics diagnostics = {0};
    torture_arm(true);
    tm_status status = tm_testfile_parse(tm_slice_of(tests), "churn.yaml", &diagnostics, &made, &error);
    torture_arm(false);
    const char *wrong = judged(status, &error, NULL);
    if (status == TM_OK) {
        expected = expected ? expected : made->test_count;
        if (made->test_count != expected)
            wrong = "some tests are missing";
    }
    tm_testfile_free(made);
    return wrong;
}

static const char *run_mapping(void)
{
    static const tm_mapping_pair pairs[] = {
        {TM_SLICE_LITERAL("id"), TM_SLICE_LITERAL("meta.id"), {NULL, 0}},
        {TM_SLICE_LITERAL("account"), TM_SLICE_LITERAL("$key"), {NULL, 0}},
        {TM_SLICE_LITERAL("event"), TM_SLICE_LITERAL("what"), TM_SLICE_LITERAL("seen")},
        {TM_SLICE_LITERAL("at"), TM_SLICE_LITERAL("when"), {NULL, 0}},
        {TM_SLICE_LITERAL("user"), TM_SLICE_LITERAL("$header.user"), {NULL, 0}},
        {TM_SLICE_LITERAL("properties.plan"), TM_SLICE_LITERAL("context.plan"), TM_SLICE_LITERAL("none")}};
    tm_mapping *made = NULL, *named = NULL;
    tm_error error = {0};
    size_t pair;
    torture_arm(true);
    tm_status status = tm_mapping_custom(pairs, sizeof pairs / sizeof *pairs, &made, &pair, &error);
    if (status == TM_OK)
        status = tm_mapping_named(TM_SLICE_LITERAL("auto"), &named, &error);
    torture_arm(false);
    const char *wrong = judged(status, &error, NULL);
    tm_mapping_free(made);
    tm_mapping_free(named);
    return wrong;
}

static const char event_text[] =
    "{\"id\":\"e\\u00e91\",\"account\":\"acme\",\"event\":\"login\",\"at\":\"2024-05-02T14:37:21.5Z\",\"user\":\"u-1\","
    "\"value\":3.25,\"other\":{\"a\":[1,2,{\"b\":null}]},\"properties\":{\"plan\":\"pro "
    "\\\"x\\\"\",\"n\":4,\"ok\":true}}";

static const char *read_event(tm_event_reader *(*new_reader)(const tm_event_options *))
{
    tm_event_options options = {.user_key = tm_user_key_from(TM_SLICE_LITERAL("secret"))};
    tm_event event;
    tm_dead_reason reason = TM_DEAD_NONE;
    char detail[TM_DEAD_DETAIL] = "";
    const char *wrong = NULL;
    torture_arm(true);
    tm_mapping *mapping = tm_mapping_native();
    options.mapping = mapping;
    tm_event_reader *reader = mapping ? new_reader(&options) : NULL;
    for (int i = 0; i < 2 && reader && !wrong; i++) { /* once more, when it has its memory */
        tm_status status =
            tm_event_read(reader, tm_slice_of(event_text), NULL, TM_SLICE_LITERAL("acme"), &event, &reason, detail);
        torture_arm(false);
        if (status == TM_OK && (event.property_count != 3 || event.value != 3250000 || event.user_key == 0))
            wrong = "another event";
        if (!wrong)
            wrong = status == TM_REJECT ? torture_say("dead letter %s: %s", tm_dead_reason_name(reason), detail)
                                        : judged(status, NULL, NULL);
        torture_arm(true);
    }
    torture_arm(false);
    if (!reader && !torture_refused())
        wrong = "no reader";
    tm_event_reader_free(reader);
    tm_mapping_free(mapping);
    return wrong;
}

static const char *run_event(void)
{
    return read_event(tm_event_reader_simdjson_new);
}

static const char *run_event_jansson(void)
{
    return read_event(tm_event_reader_jansson_new);
}

static const char account_text[] =
    "{\"account\":\"acme\",\"at\":1714660641500,\"name\":\"Acme\",\"plan\":\"pro\",\"seats\":20,\"mrr\":12.5,"
    "\"currency\":\"EUR\",\"contract_start\":\"2024-01-01\",\"renewal_at\":\"2025-01-01\",\"term_months\":12,"
    "\"owners\":{\"csm\":\"zoe\"},\"champions\":[\"u-1\",\"u-2\"],\"products\":[{\"name\":\"core\",\"seats\":3}],"
    "\"goals\":{\"x\":4},\"attributes\":{\"region\":\"eu\",\"ok\":true}}";

static const char *run_account(void)
{
    tm_user_key key = tm_user_key_from(TM_SLICE_LITERAL("secret"));
    tm_account_record record;
    tm_dead_reason reason = TM_DEAD_NONE;
    char detail[TM_DEAD_DETAIL] = "";
    const char *wrong = NULL;
    torture_arm(true);
    tm_account_record_reader *reader = tm_account_record_reader_new(&key);
    tm_status status = reader ? tm_account_record_read(reader, tm_slice_of(account_text), TM_SLICE_LITERAL("acme"),
                                                       false, &record, &reason, detail)
                              : TM_FATAL;
    torture_arm(false);
    wrong = status == TM_REJECT ? torture_say("dead letter %s: %s", tm_dead_reason_name(reason), detail)
                                : judged(status, NULL, NULL);
    if (status == TM_OK && record.facts.champion_count != 2)
        wrong = "other facts";
    tm_account_record_reader_free(reader);
    return wrong;
}

static const char *run_journal(void)
{
    const char *wrong = NULL;
    for (int kind = 0; kind < 2 && !wrong; kind++) {
        tm_journal_commit commit = journal_commit();
        tm_journal_configuration settings = journal_configuration();
        tm_journal_line *line = NULL;
        tm_error error = {0};
        tm_buffer text;
        tm_buffer_init(&text, 1 << 20);
        torture_arm(true);
        if (kind)
            tm_journal_encode_configuration(&settings, &text);
        else
            tm_journal_encode_commit(&commit, &text);
        bool whole = !text.overflowed;
        tm_status status = whole ? tm_journal_decode(tm_buffer_slice(&text), &line, &error) : TM_OK;
        torture_arm(false);
        if (whole)
            wrong = judged(status, &error, NULL);
        if (whole && status == TM_OK && !kind && line->commit->signal_count != commit.signal_count)
            wrong = "another line";
        tm_journal_line_free(line);
        tm_buffer_done(&text);
    }
    return wrong;
}

/* An account with all there is: facts, every metric of the default rules, an episode. */
static const char *run_state(void)
{
    static uint64_t expected;
    tm_moment now;
    tm_day_span span = {0};
    tm_buffer blob;
    tm_error error = {0};
    const char *wrong = NULL;
    tm_moment_at(&now, tm_zone_utc(), INT64_C(1714660641500), &span);
    tm_buffer_init(&blob, 1 << 20);
    torture_arm(true);
    tm_heap *heap = tm_heap_new(0);
    tm_account *account = heap ? tm_account_new(heap, pack, TM_SLICE_LITERAL("acme")) : NULL;
    tm_status status = account ? TM_OK : TM_FATAL;
    for (uint32_t m = 0; m < pack->metric_count && status == TM_OK; m++) {
        for (int i = 0; i < 40 && status == TM_OK; i++) {
            tm_sample sample = {.at = now.t - i * TM_DAY,
                                .day = now.day - i,
                                .hour = (int32_t)(now.t / TM_HOUR - i * 24),
                                .value = i * 1000000,
                                .member = (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15)};
            tm_counted counted;
            status = tm_series_apply(&account->series[m], heap, &pack->metrics[m], &now, &sample, &counted, NULL);
        }
    }
    if (status == TM_OK) {
        tm_episode *episode = tm_account_episode_make(account, heap, pack->rules[0].identity);
        status = episode ? tm_episode_set_name(episode, heap, pack->rules[0].name) : TM_FATAL;
    }
    tm_account *back = NULL;
    bool whole = false;
    if (status == TM_OK) {
        tm_state_encode(account, pack, &now, &blob);
        whole = !blob.overflowed;
        error = (tm_error){0};
        status = whole ? tm_state_decode(heap, pack, account->key, tm_buffer_slice(&blob), &back, &error) : TM_FATAL;
    }
    torture_arm(false);
    wrong = judged(status, whole ? &error : NULL, NULL);
    if (status == TM_OK) {
        uint64_t hash = tm_hash(tm_buffer_slice(&blob));
        expected = expected ? expected : hash;
        tm_buffer_reset(&blob);
        tm_state_encode(back, pack, &now, &blob);
        if (hash != expected || tm_hash(tm_buffer_slice(&blob)) != expected)
            wrong = "another state";
    }
    tm_heap_free_all(heap);
    tm_buffer_done(&blob);
    return wrong;
}

static const char *run_outbox(void)
{
    tm_outbox outbox;
    tm_output output = {.topic = TM_TOPIC_HEALTH,
                        .partition = -1,
                        .key = TM_SLICE_LITERAL("acme"),
                        .value = TM_SLICE_LITERAL("{}"),
                        .headers = {{"tidemark-kind", TM_SLICE_LITERAL("x")}},
                        .header_count = 1};
    tm_status status = TM_OK;
    const char *wrong = NULL;
    uint32_t added = 0;
    tm_outbox_init(&outbox, 1 << 20);
    torture_arm(true);
    for (; added < 300 && status == TM_OK; added++)
        status = tm_outbox_add(&outbox, added / 3 + 1, &output);
    torture_arm(false);
    wrong = judged(status, NULL, NULL);
    uint32_t kept = status == TM_OK ? added : added - 1;
    if (outbox.count != kept)
        wrong = "outputs are missing";
    for (uint32_t i = 0; i < outbox.count && !wrong; i++)
        if (tm_outbox_read(&outbox, i, &output) != TM_OK)
            wrong = "an output cannot be read";
    tm_outbox_done(&outbox);
    return wrong;
}

const torture_scenario torture_library[] = {
    {"pack", "the default rules compiled", 0, read_texts, run_pack},
    {"configuration", "tidemark.yaml read", 0, read_texts, run_configuration},
    {"testfile", "a file of rule tests read", 0, read_texts, run_testfile},
    {"mapping", "mappings compiled", 0, NULL, run_mapping},
    {"event", "an event read", 0, NULL, run_event},
    {"event-jansson", "the same by the reference reader", 0, NULL, run_event_jansson},
    {"account", "an account record read", 0, NULL, run_account},
    {"journal", "journal lines written and read", 0, NULL, run_journal},
    {"state", "an account's state made, written and read", 0, read_texts, run_state},
    {"outbox", "outputs kept", 0, NULL, run_outbox},
};
const uint32_t torture_library_count = sizeof torture_library / sizeof *torture_library;
