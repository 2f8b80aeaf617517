#include "tidemark/codec/journal.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/journal_fixture.h"

#define S(text) TM_SLICE_LITERAL(text)

static tm_buffer out;

static void set_up(void)
{
    tm_buffer_init(&out, TM_JOURNAL_LINE_MAX + 16);
}

static void tear_down(void)
{
    tm_buffer_done(&out);
}

TestSuite(journal, .init = set_up, .fini = tear_down);

static tm_slice commit_bytes(const tm_journal_commit *line)
{
    tm_buffer_reset(&out);
    tm_journal_encode_commit(line, &out);
    cr_assert(!out.overflowed);
    return tm_buffer_slice(&out);
}

static tm_slice configuration_bytes(const tm_journal_configuration *line)
{
    tm_buffer_reset(&out);
    tm_journal_encode_configuration(line, &out);
    cr_assert(!out.overflowed);
    return tm_buffer_slice(&out);
}

static tm_journal_line *decoded(tm_slice bytes)
{
    tm_journal_line *line = NULL;
    tm_error error;
    tm_status status = tm_journal_decode(bytes, &line, &error);
    cr_assert_eq(status, TM_OK, "%s in %.*s", status == TM_OK ? "" : error.what, (int)bytes.length, bytes.data);
    cr_assert((line->commit == NULL) != (line->configuration == NULL));
    return line;
}

/* Refused with an error that has `names` in it; from an exact copy, so that reading beyond the end is seen. */
static void refused(tm_slice bytes, const char *names)
{
    tm_journal_line *line = (tm_journal_line *)1;
    tm_error error;
    char *copy = malloc(bytes.length > 0 ? bytes.length : 1);
    memcpy(copy, bytes.data, bytes.length);
    tm_error_clear(&error);
    cr_assert_eq(tm_journal_decode((tm_slice){copy, bytes.length}, &line, &error), TM_REJECT, "%.*s", (int)bytes.length,
                 bytes.data);
    cr_assert_eq(line, (tm_journal_line *)1, "not touched");
    cr_assert_neq(error.what[0], '\0');
    cr_assert_not_null(strstr(error.what, names), "'%s' does not speak of %s", error.what, names);
    free(copy);
}

static void refused_text(const char *text, const char *names)
{
    refused(tm_slice_of(text), names);
}

static void same_text(tm_slice a, tm_slice b)
{
    cr_assert(tm_slice_equal(a, b), "%.*s, not %.*s", (int)a.length, a.data, (int)b.length, b.data);
}

static void same_commit(const tm_journal_commit *a, const tm_journal_commit *b)
{
    same_text(a->group, b->group);
    cr_assert_eq(a->partition, b->partition);
    cr_assert_eq(a->commit, b->commit);
    cr_assert_eq(a->epoch, b->epoch);
    for (int i = 0; i < TM_INPUTS; i++) {
        cr_assert_eq(a->from[i], b->from[i]);
        cr_assert_eq(a->to[i], b->to[i]);
    }
    cr_assert_eq(a->clock_begin, b->clock_begin);
    cr_assert_eq(a->clock_end, b->clock_end);
    cr_assert_eq(a->drained, b->drained);
    cr_assert_eq(a->t_before, b->t_before);
    cr_assert_eq(a->t_after, b->t_after);
    cr_assert_eq(a->judged, b->judged);
    cr_assert_eq(a->rules_version, b->rules_version);
    cr_assert_eq(a->pack_hash, b->pack_hash);
    cr_assert_eq(a->signal_count, b->signal_count);
    cr_assert_eq(a->erasure_count, b->erasure_count);
    for (uint32_t i = 0; i < a->signal_count; i++) {
        same_text(a->signals[i].account, b->signals[i].account);
        same_text(a->signals[i].rule, b->signals[i].rule);
        cr_assert_eq(a->signals[i].raised_at, b->signals[i].raised_at);
        cr_assert_eq(a->signals[i].state, b->signals[i].state);
        cr_assert_eq(a->signals[i].sequence, b->signals[i].sequence);
        cr_assert_eq(a->signals[i].kind, b->signals[i].kind);
        cr_assert_eq(a->signals[i].severity, b->signals[i].severity);
        cr_assert_eq(a->signals[i].time, b->signals[i].time);
    }
    for (uint32_t i = 0; i < a->erasure_count; i++) {
        same_text(a->erasures[i].account, b->erasures[i].account);
        cr_assert_eq(a->erasures[i].at, b->erasures[i].at);
    }
    cr_assert_eq(a->count_from, b->count_from);
    cr_assert_eq(a->skip_count, b->skip_count);
    for (uint32_t i = 0; i < a->skip_count; i++) {
        cr_assert_eq(a->skips[i].input, b->skips[i].input);
        cr_assert_eq(a->skips[i].offset, b->skips[i].offset);
        same_text(a->skips[i].check, b->skips[i].check);
    }
}

static void same_configuration(const tm_journal_configuration *a, const tm_journal_configuration *b)
{
    same_text(a->group, b->group);
    cr_assert_eq(a->partition, b->partition);
    cr_assert_eq(a->commit, b->commit);
    same_text(a->core_version, b->core_version);
    cr_assert_eq(a->rules_version, b->rules_version);
    cr_assert_eq(a->pack_hash, b->pack_hash);
    same_text(a->rules, b->rules);
    same_text(a->timezone, b->timezone);
    cr_assert_eq(a->evaluate_every, b->evaluate_every);
    cr_assert_eq(a->grace, b->grace);
    cr_assert_eq(a->max_skew, b->max_skew);
    cr_assert_eq(a->dedup_window, b->dedup_window);
    cr_assert_eq(a->dedup_entries, b->dedup_entries);
    cr_assert_eq(a->distinct_cap, b->distinct_cap);
    same_text(a->key_mismatch, b->key_mismatch);
    same_text(a->mapping, b->mapping);
    cr_assert_eq(a->counting_start, b->counting_start);
    cr_assert_eq(a->counting_count, b->counting_count);
    for (uint32_t i = 0; i < a->counting_count; i++) {
        uint32_t found = 0;
        while (found < b->counting_count && b->counting[found].identity != a->counting[i].identity)
            found++;
        cr_assert_lt(found, b->counting_count);
        cr_assert_eq(a->counting[i].start, b->counting[found].start);
    }
}

Test(journal, a_commit_comes_back)
{
    tm_journal_commit line = journal_commit();
    tm_journal_line *back = decoded(commit_bytes(&line));
    same_commit(&line, back->commit);
    tm_journal_line_free(back);
}

Test(journal, a_commit_in_which_nothing_was)
{
    tm_journal_commit line = journal_commit();
    line.signal_count = line.erasure_count = line.skip_count = 0;
    line.clock_begin = line.clock_end = line.t_before = line.t_after = TM_TIME_NONE;
    line.drained = line.judged = false;
    line.from[0] = line.to[0] = line.from[1] = line.to[1] = 0;
    tm_journal_line *back = decoded(commit_bytes(&line));
    same_commit(&line, back->commit);
    tm_journal_line_free(back);
}

Test(journal, a_commit_at_its_bounds)
{
    tm_journal_commit line = journal_commit();
    line.partition = INT32_MAX;
    line.skip_count = 0;
    line.commit = line.epoch = line.rules_version = line.from[0] = line.to[0] = line.to[1] = INT64_MAX;
    line.pack_hash = UINT64_MAX;
    line.clock_begin = line.clock_end = line.t_after = TM_TIME_MAX;
    line.t_before = 0;
    tm_journal_line *back = decoded(commit_bytes(&line));
    same_commit(&line, back->commit);
    tm_journal_line_free(back);
}

Test(journal, a_configuration_comes_back)
{
    tm_journal_configuration line = journal_configuration();
    tm_journal_line *back = decoded(configuration_bytes(&line));
    same_configuration(&line, back->configuration);
    tm_journal_line_free(back);
    line.mapping = (tm_slice){NULL, 0};
    line.counting_start = TM_TIME_NONE;
    line.counting_count = 0;
    line.commit = 0;
    line.rules = S("");
    back = decoded(configuration_bytes(&line));
    same_configuration(&line, back->configuration);
    tm_journal_line_free(back);
}

Test(journal, texts_may_hold_a_nul)
{
    tm_journal_commit line = journal_commit();
    tm_journal_signal signal = line.signals[0];
    signal.account = S("a\0/b");
    line.signals = &signal;
    line.signal_count = 1;
    tm_journal_line *back = decoded(commit_bytes(&line));
    same_commit(&line, back->commit);
    tm_journal_line_free(back);
}

Test(journal, freeing_nothing)
{
    tm_journal_line_free(NULL);
}

Test(journal, every_cut_is_refused)
{
    tm_journal_commit commit = journal_commit();
    tm_journal_configuration configuration = journal_configuration();
    for (int kind = 0; kind < 2; kind++) {
        tm_slice bytes = kind ? configuration_bytes(&configuration) : commit_bytes(&commit);
        for (size_t length = 0; length < bytes.length; length++)
            refused((tm_slice){bytes.data, length}, "byte");
    }
}

static bool listed(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* Removes and retypes every field of one object of a line, one at a time. */
/* The codec gives jansson memory of its own: what it made is given back the same way. */
static void release(char *text)
{
    json_malloc_t take;
    json_free_t give;
    json_get_alloc_funcs(&take, &give);
    give(text);
}

static void spoil(json_t *root, json_t *object)
{
    static const char *const nullable[] = {"clock_begin",    "clock_end",        "t_before",         "mapping",
                                           "counting_start", "5f0c1d9be47a2038", "00000000000000ab", NULL};
    static const char *const may_be_empty[] = {"rules", NULL};
    static const char *const may_miss[] = {"skipped", "5f0c1d9be47a2038", "00000000000000ab", NULL};
    static const char *const values[] = {"0.5", "-1", "[0,0,0]", "{\"x\":1}", "null", "\"\""};
    enum { REMOVED = sizeof(values) / sizeof(*values) };
    char names[32][32];
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) snprintf(names[count++], sizeof(*names), "%s", name);
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i <= REMOVED; i++) {
            json_t *changed = json_deep_copy(object);
            bool good = i == REMOVED        ? listed(names[n], may_miss)
                        : *values[i] == 'n' ? listed(names[n], nullable)
                                            : *values[i] == '"' && listed(names[n], may_be_empty);
            if (i < REMOVED)
                json_object_set_new(changed, names[n], json_loads(values[i], JSON_DECODE_ANY, NULL));
            else
                json_object_del(changed, names[n]);
            json_t *kept = json_deep_copy(object);
            json_object_clear(object);
            json_object_update(object, changed);
            char *text = json_dumps(root, JSON_COMPACT);
            if (good)
                tm_journal_line_free(decoded(tm_slice_of(text)));
            else
                refused_text(text, "journal line");
            json_object_clear(object);
            json_object_update(object, kept);
            release(text);
            json_decref(kept);
            json_decref(changed);
        }
}

Test(journal, every_field_is_looked_at)
{
    tm_journal_commit commit = journal_commit();
    tm_journal_configuration configuration = journal_configuration();
    for (int kind = 0; kind < 2; kind++) {
        tm_slice bytes = kind ? configuration_bytes(&configuration) : commit_bytes(&commit);
        json_t *root = json_loadb(bytes.data, bytes.length, 0, NULL);
        spoil(root, root);
        if (kind == 0) {
            spoil(root, json_array_get(json_object_get(root, "signals"), 0));
            spoil(root, json_array_get(json_object_get(root, "erasures"), 0));
            spoil(root, json_array_get(json_object_get(root, "skipped"), 0));
        } else {
            spoil(root, json_object_get(root, "configuration"));
            spoil(root, json_object_get(root, "counting_starts"));
        }
        json_decref(root);
    }
}

/* One text replaced in a good line. */
static void replaced(tm_slice good, const char *from, const char *to, const char *names)
{
    char *text = strndup(good.data, good.length);
    char *at = strstr(text, from);
    char *changed = NULL;
    cr_assert_not_null(at, "%s", from);
    cr_assert_gt(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
    refused_text(changed, names);
    free(changed);
    free(text);
}

Test(journal, what_contradicts_itself_is_refused)
{
    tm_journal_commit commit = journal_commit();
    tm_journal_configuration configuration = journal_configuration();
    tm_slice bytes = commit_bytes(&commit);
    replaced(bytes, "\"v\":1", "\"v\":2", "v");
    replaced(bytes, "\"kind\":\"commit\"", "\"kind\":\"other\"", "kind");
    replaced(bytes, "[81000,81235]", "[81000,80999]", "usage");
    replaced(bytes, "[17,18]", "[17,18,19]", "accounts");
    replaced(bytes, "[17,18]", "[-1,18]", "accounts");
    replaced(bytes, "\"offset\":81234", "\"offset\":81235", "skipped[].offset");
    replaced(bytes, "\"input\":\"usage\",\"offset\"", "\"input\":\"usages\",\"offset\"", "skipped[].input");
    replaced(bytes, "\"n\":42", "\"n\":0", "n is not");
    replaced(bytes, "\"partition\":3", "\"partition\":2147483648", "partition");
    replaced(bytes, "\"t_after\":1714660680000", "\"t_after\":1714660673999", "t_after");
    replaced(bytes, "9b2f6a3c51d04e77", "9B2f6a3c51d04e77", "pack_hash");
    replaced(bytes, "9b2f6a3c51d04e77", "9b2f6a3c51d04e7", "pack_hash");
    replaced(bytes, "\"rule\":\"usage_drop\"", "\"rule\":\"usage_dro\"", "signals[].episode");
    replaced(bytes, "\"account\":\"acme\"", "\"account\":\"acma\"", "signals[].episode");
    replaced(bytes, "usage_drop/1714660680000", "usage_drop/17146606800000000", "signals[].episode");
    replaced(bytes, "usage_drop/1714660680000", "usage_drop/99999999999999999999999999", "signals[].episode");
    replaced(bytes, "usage_drop/1714660680000", "usage_drop/171466068000x", "signals[].episode");
    replaced(bytes, "usage_drop/1714660680000", "usage_drop/", "signals[].episode");
    replaced(bytes, "usage_drop/1714660680000", "usage_drop_1714660680000", "signals[].episode");
    replaced(bytes, "acme/usage", "acme_usage", "signals[].episode");
    replaced(bytes, "\"time\":1714660680000", "\"time\":1714660679999", "signals[].time");
    replaced(bytes, "\"sequence\":1", "\"sequence\":4294967296", "signals[].sequence");
    replaced(bytes, "\"group\":", "\"group\":\"twice\",\"group\":", "duplicate");
    bytes = configuration_bytes(&configuration);
    replaced(bytes, "\"evaluate_every_ms\":60000", "\"evaluate_every_ms\":7000", "configuration.evaluate_every_ms");
    replaced(bytes, "5f0c1d9be47a2038", "events", "counting_starts");
    replaced(bytes, "5f0c1d9be47a2038", "5f0c1d9be47a203g", "counting_starts");
}

Test(journal, hostile_bytes)
{
    tm_error error;
    tm_journal_line *line;
    refused_text("", "byte");
    refused_text("null", "byte"); /* no object at all */
    refused_text("[]", "v");
    refused_text("{}", "v");
    refused_text("{\"v\":1}", "kind");
    refused_text("{\"v\":1,\"kind\":\"commit\"}x", "byte");
    refused(S("{\"v\":1,\"kind\":\"\xff\"}"), "byte");
    refused(S("\x00\x01\x02"), "byte");
    cr_assert_eq(tm_journal_decode((tm_slice){NULL, 0}, &line, &error), TM_REJECT);
    cr_assert_eq(tm_journal_decode((tm_slice){NULL, 0}, &line, NULL), TM_REJECT);
    cr_assert_eq(tm_journal_decode((tm_slice){"", (size_t)TM_JOURNAL_LINE_MAX + 1}, &line, &error), TM_REJECT);
    char *deep = malloc(100000);
    memset(deep, '[', 100000);
    refused((tm_slice){deep, 100000}, "byte");
    free(deep);
}

Test(journal, more_metrics_than_a_pack_has_are_refused)
{
    static tm_counting counting[TM_METRICS_MAX + 1];
    tm_journal_configuration line = journal_configuration();
    for (uint32_t i = 0; i <= TM_METRICS_MAX; i++)
        counting[i] = (tm_counting){i, (tm_time)i, 0, 0};
    line.counting = counting;
    line.counting_count = TM_METRICS_MAX;
    tm_journal_line *back = decoded(configuration_bytes(&line));
    same_configuration(&line, back->configuration);
    tm_journal_line_free(back);
    line.counting_count++;
    refused(configuration_bytes(&line), "counting_starts");
}

/* Whatever single byte is changed: an answer, and no leak. */
Test(journal, changed_bytes)
{
    tm_journal_commit commit = journal_commit();
    tm_slice bytes = commit_bytes(&commit);
    char *copy = malloc(bytes.length);
    srand(11);
    for (int i = 0; i < 5000; i++) {
        tm_journal_line *line = NULL;
        memcpy(copy, bytes.data, bytes.length);
        for (int n = rand() % 3; n >= 0; n--)
            copy[(size_t)rand() % bytes.length] = (char)rand();
        tm_status status = tm_journal_decode((tm_slice){copy, bytes.length}, &line, NULL);
        cr_assert(status == TM_OK || status == TM_REJECT);
        if (status == TM_OK)
            tm_journal_line_free(line);
    }
    free(copy);
}

Test(journal, from_when_on_metrics_count_is_told_where_records_are_gone)
{
    tm_journal_commit commit = journal_commit();
    cr_assert_null(memmem(commit_bytes(&commit).data, out.length, "count_from", 10), "mostly none are");
    commit.count_from = INT64_C(1714660674001);
    tm_journal_line *line = decoded(commit_bytes(&commit));
    same_commit(line->commit, &commit);
    tm_journal_line_free(line);
    char *text = memmem(out.data, out.length, "1714660674001", 13);
    cr_assert_not_null(text);
    memcpy(text, "0.14660674001", 13);
    refused(tm_buffer_slice(&out), "count_from");
}
