/* Any bytes as a file of rule tests: one that can be run against a small pack, or errors at places inside the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/codec/signal.h"
#include "tidemark/rules/ruletest.h"

enum { OCCURRENCES_RUN = 2000, DAYS_RUN = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] = "version: 1\n"
                            "metrics: {events: {count: '*'}, users: {distinct: user}}\n"
                            "rules:\n"
                            "- {name: many, kind: expansion, when: 'events[1d] >= 5', for: 1h, summary: '{{seats}}'}\n"
                            "- {name: silent, kind: churn_risk, when: age(events) >= 2d, inhibited_by: many}\n";

static void require(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static tm_status zone(void *context, tm_slice name, const tm_zone **ret_zone, tm_error *error)
{
    (void)context;
    *ret_zone = tm_zone_utc();
    return name.data[0] == 'x' ? tm_fail(error, TM_REJECT, "no such zone") : TM_OK;
}

/* Short enough to be run thousands of times a minute. */
static bool is_small(const tm_test *test)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < test->event_count; i++) {
        const tm_test_events *e = &test->events[i];
        uint64_t times = e->every > 0 && e->end > e->at ? (uint64_t)((e->end - e->at) / e->every + 1) : 1;
        all += times * e->count * (e->users ? e->users : 1) * e->account_count;
    }
    return all <= OCCURRENCES_RUN && test->until - test->start <= DAYS_RUN * TM_DAY;
}

static void run(const tm_testfile *file, tm_diagnostics *found)
{
    tm_ruletest_world world = {NULL, zone, tm_summary_render};
    tm_ruletest *tests;
    tm_error error;
    tm_status status = tm_ruletest_new(file, TM_SLICE_LITERAL(rules), "rules", &world, found, &tests, &error);
    if (status != TM_OK) {
        require(status == TM_REJECT && found->count > 0, "refused without an error");
        return;
    }
    for (uint32_t i = 0; i < file->test_count; i++) {
        tm_ruletest_result result;
        if (!is_small(&file->tests[i]))
            continue;
        status = tm_ruletest_run(tests, i, &result, &error);
        require(status != TM_FATAL, "out of memory");
        tm_buffer out;
        tm_buffer_init(&out, 1 << 28);
        if (status == TM_OK)
            tm_ruletest_describe(&result, &out);
        require(!out.overflowed && (out.length > 0) == (status == TM_OK && result.difference_count > 0), "lines");
        tm_buffer_done(&out);
        tm_ruletest_result_free(&result);
    }
    tm_ruletest_free(tests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tm_diagnostics *found = calloc(1, sizeof *found);
    tm_testfile *file;
    tm_error error;
    tm_status status = tm_testfile_parse((tm_slice){(const char *)data, size}, "f", found, &file, &error);
    if (status == TM_OK) {
        require(found->count == 0, "taken with errors");
        run(file, found);
        tm_testfile_free(file);
    } else {
        require(status == TM_REJECT && found->count > 0 && !file, "refused without an error");
    }
    free(found);
    return 0;
}
