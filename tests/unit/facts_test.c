#include "tidemark/core/facts.h"

#include <criterion/criterion.h>

static const tm_slice none = {NULL, 0};

static tm_contract_date date(const char *text)
{
    tm_contract_date date = {.text = tm_slice_of(text)};
    cr_assert_eq(tm_day_parse(date.text, &date.day), TM_OK);
    return date;
}

static void fill(tm_facts_draft *draft)
{
    tm_facts_draft_init(draft);
    draft->at = 12345;
    draft->name = TM_SLICE_LITERAL("Acme");
    draft->plan = TM_SLICE_LITERAL("pro");
    draft->tier = TM_SLICE_LITERAL("");
    draft->seats = 40 * TM_FIXED_ONE;
    draft->term_months = 12 * TM_FIXED_ONE;
    draft->contract_start = date("2024-01-31");
    draft->renewal_at = date("2025-01-31");
    draft->owner_count = 2;
    draft->owners[0] = (tm_fact_entry){TM_SLICE_LITERAL("csm"), tm_value_string(TM_SLICE_LITERAL("ann@x"))};
    draft->owners[1] = (tm_fact_entry){TM_SLICE_LITERAL("sales"), tm_value_string(TM_SLICE_LITERAL(""))};
    draft->goal_count = 1;
    draft->goals[0] = (tm_fact_entry){TM_SLICE_LITERAL("reports"), tm_value_number(1200.5)};
    draft->attribute_count = 4;
    draft->attributes[0] = (tm_fact_entry){TM_SLICE_LITERAL("region"), tm_value_string(TM_SLICE_LITERAL("emea"))};
    draft->attributes[1] = (tm_fact_entry){TM_SLICE_LITERAL("size"), tm_value_number(3)};
    draft->attributes[2] = (tm_fact_entry){TM_SLICE_LITERAL("vip"), tm_value_boolean(true)};
    draft->attributes[3] = (tm_fact_entry){TM_SLICE_LITERAL("gone"), tm_value_null()};
    draft->product_count = 2;
    draft->products[0] = (tm_product){TM_SLICE_LITERAL("core"), 30 * TM_FIXED_ONE, TM_FIXED_NONE};
    draft->products[1] = (tm_product){TM_SLICE_LITERAL("extra"), TM_FIXED_NONE, 990 * TM_FIXED_ONE};
    draft->champion_count = 2;
    draft->champions[0] = 7;
    draft->champions[1] = UINT64_MAX;
}

static tm_moment moment_on(const char *day)
{
    tm_moment now;
    tm_day_span span = {0};
    int32_t number;
    cr_assert_eq(tm_day_parse(tm_slice_of(day), &number), TM_OK);
    tm_moment_at(&now, tm_zone_utc(), number * TM_DAY + 12 * TM_HOUR, &span);
    return now;
}

static tm_value value_of(const tm_facts *facts, tm_fact_field field, const char *name)
{
    tm_moment now = moment_on("2024-03-01");
    return tm_facts_value(facts, field, tm_slice_of(name), &now);
}

static bool is_text(tm_value value, const char *text)
{
    return value.type == TM_TYPE_STRING && tm_slice_equal_text(value.as.string, text);
}

Test(facts, every_field_reads_as_given)
{
    tm_heap *heap = tm_heap_new(0);
    tm_facts_draft draft;
    fill(&draft);
    tm_facts *facts = tm_facts_new(heap, &draft);
    cr_assert(is_text(value_of(facts, TM_FACT_NAME, NULL), "Acme"));
    cr_assert(is_text(value_of(facts, TM_FACT_PLAN, NULL), "pro"));
    cr_assert(is_text(value_of(facts, TM_FACT_TIER, NULL), ""));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_CURRENCY, NULL)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_STATUS, NULL)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_SUCCESS_PLAN, NULL)));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_SEATS, NULL), tm_value_number(40)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_MRR, NULL)));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_TERM_MONTHS, NULL), tm_value_number(12)));
    cr_assert(is_text(value_of(facts, TM_FACT_CONTRACT_START, NULL), "2024-01-31"));
    cr_assert(is_text(value_of(facts, TM_FACT_RENEWAL_AT, NULL), "2025-01-31"));
    cr_assert(is_text(value_of(facts, TM_FACT_OWNER, "csm"), "ann@x"));
    cr_assert(is_text(value_of(facts, TM_FACT_OWNER, "sales"), ""));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_OWNER, "reports")));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_GOAL, "reports"), tm_value_number(1200.5)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_GOAL, "region")));
    cr_assert(is_text(value_of(facts, TM_FACT_ATTRIBUTE, "region"), "emea"));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_ATTRIBUTE, "size"), tm_value_number(3)));
    cr_assert(tm_value_is_true(value_of(facts, TM_FACT_ATTRIBUTE, "vip")));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_ATTRIBUTE, "gone")));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_ATTRIBUTE, "csm")));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_PRODUCT_SEATS, "core"), tm_value_number(30)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_PRODUCT_SEATS, "extra")));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_PRODUCT_MRR, "extra"), tm_value_number(990)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_PRODUCT_MRR, "none")));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_PRODUCT_SEATS, "none")));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_FIELDS, NULL)));
    cr_assert(tm_facts_champion(facts, 7));
    cr_assert(tm_facts_champion(facts, UINT64_MAX));
    cr_assert(!tm_facts_champion(facts, 8));
    cr_assert(!tm_facts_champion(facts, 0));
    cr_assert_gt(tm_facts_memory(facts), 0);
    tm_facts_free(heap, facts);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

Test(facts, no_record_yet_is_null_everywhere)
{
    for (int field = 0; field < TM_FACT_FIELDS; field++)
        cr_assert(tm_value_is_null(value_of(NULL, (tm_fact_field)field, "x")));
    cr_assert(!tm_facts_champion(NULL, 7));
    cr_assert_eq(tm_facts_memory(NULL), 0);
    tm_heap *heap = tm_heap_new(0);
    tm_facts_free(heap, NULL);
    tm_heap_free_all(heap);
}

static tm_value first_term(const char *start, int months, const char *renewal)
{
    tm_heap *heap = tm_heap_new(0);
    tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    if (start)
        draft.contract_start = date(start);
    if (renewal)
        draft.renewal_at = date(renewal);
    draft.term_months = months * TM_FIXED_ONE;
    tm_facts *facts = tm_facts_new(heap, &draft);
    tm_value value = value_of(facts, TM_FACT_FIRST_TERM, NULL);
    tm_heap_free_all(heap);
    return value;
}

Test(facts, first_term_lasts_until_the_first_renewal)
{
    const struct {
        const char *start;
        int months;
        const char *renewal;
        bool expected;
    } cases[] = {
        {"2024-01-31", 12, "2025-01-31", true},  {"2024-01-31", 12, "2025-02-01", false},
        {"2024-01-31", 1, "2024-02-29", true},   {"2024-01-31", 1, "2024-03-01", false},
        {"2023-01-31", 1, "2023-02-28", true},   {"2023-01-31", 1, "2023-03-01", false},
        {"2024-10-31", 1, "2024-11-30", true},   {"2024-10-31", 1, "2024-12-01", false},
        {"2024-11-30", 1, "2024-12-30", true},   {"2024-11-30", 1, "2024-12-31", false},
        {"2024-12-15", 1, "2025-01-15", true},   {"2024-12-15", 1, "2025-01-16", false},
        {"2024-02-29", 48, "2028-02-29", true},  {"2024-02-29", 48, "2028-03-01", false},
        {"1970-01-01", 0, "1970-01-01", true},   {"1970-01-01", 0, "1970-01-02", false},
        {"1999-12-31", 2, "2000-02-29", true},   {"2099-12-31", 2, "2100-02-28", true},
        {"2099-12-31", 2, "2100-03-01", false},  {"2024-03-31", 11, "2025-02-28", true},
        {"2024-03-31", 11, "2025-03-01", false}, {"9990-06-30", 24, "9992-06-30", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tm_value value = first_term(cases[i].start, cases[i].months, cases[i].renewal);
        cr_assert(tm_value_same(value, tm_value_boolean(cases[i].expected)), "%s + %d, %s", cases[i].start,
                  cases[i].months, cases[i].renewal);
    }
    cr_assert(tm_value_is_null(first_term(NULL, 12, "2024-01-01")));
    cr_assert(tm_value_is_null(first_term("2024-01-01", 12, NULL)));
    cr_assert(tm_value_is_null(first_term("2024-01-01", -1, "2024-01-01")));
    cr_assert(tm_value_is_null(first_term("2024-01-01", 12001, "2024-01-01")));
}

Test(facts, contract_dates_count_local_days)
{
    tm_heap *heap = tm_heap_new(0);
    tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.contract_start = date("2024-02-20");
    draft.renewal_at = date("2024-02-27");
    tm_facts *facts = tm_facts_new(heap, &draft);
    cr_assert(tm_value_same(value_of(facts, TM_FACT_CONTRACT_AGE, NULL), tm_value_duration(10.0 * TM_DAY)));
    cr_assert(tm_value_same(value_of(facts, TM_FACT_DAYS_TO_RENEWAL, NULL), tm_value_number(-3)));
    cr_assert(tm_value_is_null(value_of(facts, TM_FACT_FIRST_TERM, NULL)));
    draft.contract_start = date("2024-03-02");
    draft.renewal_at = (tm_contract_date){.text = TM_SLICE_LITERAL("x"), .is_instant = true};
    cr_assert_eq(tm_time_parse(TM_SLICE_LITERAL("2024-03-05T00:30:00+02:00"), &draft.renewal_at.instant), TM_OK);
    tm_facts *later = tm_facts_new(heap, &draft);
    cr_assert(tm_value_same(value_of(later, TM_FACT_CONTRACT_AGE, NULL), tm_value_duration(0)));
    cr_assert(tm_value_same(value_of(later, TM_FACT_DAYS_TO_RENEWAL, NULL), tm_value_number(3)), "the day in UTC");
    draft.contract_start = draft.renewal_at;
    draft.contract_start.instant -= 30 * TM_DAY;
    draft.renewal_at = (tm_contract_date){.text = none};
    tm_facts *other = tm_facts_new(heap, &draft);
    cr_assert(tm_value_same(value_of(other, TM_FACT_CONTRACT_AGE, NULL), tm_value_duration(27.0 * TM_DAY)));
    cr_assert(tm_value_is_null(value_of(other, TM_FACT_DAYS_TO_RENEWAL, NULL)));
    tm_heap_free_all(heap);
}

Test(facts, reading_gives_back_what_was_packed)
{
    tm_heap *heap = tm_heap_new(0);
    tm_facts_draft draft, again, twice;
    fill(&draft);
    tm_facts *facts = tm_facts_new(heap, &draft);
    tm_facts_read(facts, &again);
    cr_assert_eq(again.at, 12345);
    cr_assert(tm_slice_equal_text(again.plan, "pro"));
    cr_assert_null(again.status.data);
    cr_assert_not_null(again.tier.data);
    cr_assert_eq(again.attribute_count, 4);
    cr_assert_eq(again.champions[1], UINT64_MAX);
    tm_facts *copy = tm_facts_new(heap, &again);
    tm_facts_read(copy, &twice);
    cr_assert_eq(tm_facts_memory(copy), tm_facts_memory(facts));
    for (int i = 0; i < 4; i++) {
        cr_assert(tm_slice_equal(twice.attributes[i].name, draft.attributes[i].name));
        cr_assert(tm_value_same(twice.attributes[i].value, draft.attributes[i].value));
    }
    for (int i = 0; i < 2; i++) {
        cr_assert(tm_slice_equal(twice.owners[i].name, draft.owners[i].name));
        cr_assert(tm_value_same(twice.owners[i].value, draft.owners[i].value));
        cr_assert(tm_slice_equal(twice.products[i].name, draft.products[i].name));
        cr_assert_eq(twice.products[i].seats, draft.products[i].seats);
        cr_assert_eq(twice.products[i].mrr, draft.products[i].mrr);
    }
    cr_assert(tm_value_same(twice.goals[0].value, draft.goals[0].value));
    cr_assert_eq(twice.contract_start.day, draft.contract_start.day);
    tm_heap_free_all(heap);
}

Test(facts, what_no_reader_lets_through_is_refused)
{
    static char big[70000];
    tm_heap *heap = tm_heap_new(0), *small = tm_heap_new(64);
    tm_slice huge = {big, sizeof big};
    tm_facts_draft draft;
    fill(&draft);
    cr_assert_null(tm_facts_new(small, &draft));
    draft.name = huge;
    cr_assert_null(tm_facts_new(heap, &draft));
    fill(&draft);
    draft.products[1].name = huge;
    cr_assert_null(tm_facts_new(heap, &draft));
    fill(&draft);
    draft.owners[1].value = tm_value_string(huge);
    cr_assert_null(tm_facts_new(heap, &draft));
    fill(&draft);
    draft.goal_count = TM_FACT_LIST_MAX + 1;
    cr_assert_null(tm_facts_new(heap, &draft));
    fill(&draft);
    draft.product_count = TM_FACT_LIST_MAX + 1;
    cr_assert_null(tm_facts_new(heap, &draft));
    fill(&draft);
    draft.champion_count = TM_CHAMPIONS_MAX + 1;
    cr_assert_null(tm_facts_new(heap, &draft));
    tm_heap_free_all(heap);
    tm_heap_free_all(small);
}

Test(facts, types_and_movement_are_known)
{
    cr_assert_eq(tm_fact_type(TM_FACT_PLAN), TM_TYPE_STRING);
    cr_assert_eq(tm_fact_type(TM_FACT_OWNER), TM_TYPE_STRING);
    cr_assert_eq(tm_fact_type(TM_FACT_SEATS), TM_TYPE_NUMBER);
    cr_assert_eq(tm_fact_type(TM_FACT_FIRST_TERM), TM_TYPE_BOOLEAN);
    cr_assert_eq(tm_fact_type(TM_FACT_CONTRACT_AGE), TM_TYPE_DURATION);
    cr_assert_eq(tm_fact_type(TM_FACT_ATTRIBUTE), TM_TYPE_ANY);
    for (int field = 0; field < TM_FACT_FIELDS; field++)
        cr_assert_eq(tm_fact_moves((tm_fact_field)field),
                     field == TM_FACT_CONTRACT_AGE || field == TM_FACT_DAYS_TO_RENEWAL);
}

Test(facts, a_term_of_no_whole_months_says_nothing)
{
    tm_heap *heap = tm_heap_new(0);
    tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.contract_start = date("2024-01-01");
    draft.renewal_at = date("2024-06-01");
    draft.term_months = 12 * TM_FIXED_ONE + 1;
    cr_assert(tm_value_is_null(value_of(tm_facts_new(heap, &draft), TM_FACT_FIRST_TERM, NULL)));
    tm_heap_free_all(heap);
}

Test(facts, a_text_that_is_too_long_is_refused_in_every_list)
{
    static char text[1 << 17];
    memset(text, 'x', sizeof text);
    tm_slice long_text = {text, sizeof text};
    tm_heap *heap = tm_heap_new(0);
    for (int list = 0; list < 4; list++) {
        tm_facts_draft draft;
        tm_facts_draft_init(&draft);
        tm_fact_entry *entry = list == 0 ? draft.owners : list == 1 ? draft.goals : draft.attributes;
        *(list == 0 ? &draft.owner_count : list == 1 ? &draft.goal_count : &draft.attribute_count) = 1;
        entry->name = list == 3 ? TM_SLICE_LITERAL("region") : long_text;
        entry->value = list == 3 ? tm_value_string(long_text) : tm_value_number(1);
        cr_assert_null(tm_facts_new(heap, &draft), "%d", list);
    }
    tm_heap_free_all(heap);
}
