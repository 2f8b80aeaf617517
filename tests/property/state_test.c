/* Random accounts through their blob and back, whole and damaged. */
#include "tidemark/codec/state.h"

#include <criterion/criterion.h>

#include "support/stateaccount.h"
#include "tidemark/base/hash.h"

static tm_slice key = TM_SLICE_LITERAL("acme");

static void assert_same_values(const state_world *w, const tm_account *a, const tm_account *b)
{
    for (int i = 0; i < STATE_METRICS; i++) {
        for (int unit = 0; unit < 2; unit++) {
            int32_t reach = unit ? w->metrics[i].reach_hours : w->metrics[i].reach_days;
            for (int32_t length = 1; length <= reach; length += 3) {
                tm_window window = {(tm_window_unit)unit, length, reach - length};
                bool quiet, again;
                tm_value value = tm_series_window(a->series[i], &w->metrics[i], &window, &w->now, &quiet);
                cr_assert(
                    tm_value_same(value, tm_series_window(b->series[i], &w->metrics[i], &window, &w->now, &again)));
                cr_assert_eq(quiet, again);
            }
        }
        cr_assert(tm_value_same(tm_series_value(a->series[i], &w->metrics[i]),
                                tm_series_value(b->series[i], &w->metrics[i])));
        cr_assert_eq(tm_series_last_at(a->series[i]), tm_series_last_at(b->series[i]));
        cr_assert_eq(tm_series_first_at(a->series[i]), tm_series_first_at(b->series[i]));
    }
}

static void assert_same_episodes(const tm_account *a, const tm_account *b)
{
    cr_assert_eq(a->episode_count, b->episode_count);
    for (uint32_t i = 0; i < a->episode_count; i++) {
        const tm_episode *x = &a->episodes[i], *y = &b->episodes[i];
        cr_assert(x->rule == y->rule && x->state == y->state && x->severity == y->severity &&
                  x->severity_known == y->severity_known && x->published_severity == y->published_severity &&
                  x->published_type == y->published_type && x->kind == y->kind && x->since == y->since &&
                  x->raised_at == y->raised_at && x->signalled_at == y->signalled_at &&
                  x->cleared_at == y->cleared_at && x->sequence == y->sequence && x->marks == y->marks);
        cr_assert_eq(x->notes == NULL, y->notes == NULL);
        cr_assert(!x->notes || (x->notes->snoozed_until == y->notes->snoozed_until &&
                                x->notes->acknowledged_at == y->notes->acknowledged_at &&
                                tm_slice_equal(x->notes->acknowledged_by, y->notes->acknowledged_by)));
        cr_assert(!x->notes || (x->notes->raise_count == y->notes->raise_count &&
                                memcmp(x->notes->raises, y->notes->raises, sizeof x->notes->raises) == 0));
        cr_assert_eq(x->published_value, y->published_value);
        cr_assert(tm_slice_equal(x->rule_name, y->rule_name));
        cr_assert_eq(x->rule_name.data == NULL, y->rule_name.data == NULL);
    }
}

static void assert_same_stages(const tm_account *a, const tm_account *b)
{
    cr_assert_eq(a->stages.count, b->stages.count);
    for (uint32_t i = 0; i < a->stages.count; i++)
        cr_assert(a->stages.changes[i].stage == b->stages.changes[i].stage &&
                  a->stages.changes[i].at == b->stages.changes[i].at);
}

static void assert_same_scores(const tm_account *a, const tm_account *b)
{
    cr_assert_eq(a->tracks.count, b->tracks.count);
    for (uint32_t i = 0; i < a->tracks.count; i++) {
        const tm_track *x = &a->tracks.list[i], *y = &b->tracks.list[i];
        cr_assert(x->score == y->score && x->band == y->band && x->reach == y->reach &&
                  x->tenure_count == y->tenure_count && x->run_count == y->run_count);
        cr_assert(x->told == y->told && x->told_day == y->told_day);
        for (uint32_t k = 0; k < x->tenure_count; k++)
            cr_assert(x->tenures[k].card == y->tenures[k].card && x->tenures[k].stage == y->tenures[k].stage &&
                      x->tenures[k].version == y->tenures[k].version && x->tenures[k].day == y->tenures[k].day);
        for (uint32_t k = 0; k < x->run_count; k++)
            cr_assert(x->runs[k].tenths == y->runs[k].tenths &&
                      x->origin + x->runs[k].after == y->origin + y->runs[k].after);
    }
}

static void assert_same_facts(const tm_account *a, const tm_account *b)
{
    static tm_facts_draft x, y;
    cr_assert_eq(a->facts == NULL, b->facts == NULL);
    if (!a->facts)
        return;
    tm_facts_read(a->facts, &x);
    tm_facts_read(b->facts, &y);
    cr_assert(x.at == y.at && x.seats == y.seats && x.mrr == y.mrr && x.term_months == y.term_months);
    cr_assert(tm_slice_equal(x.name, y.name) && tm_slice_equal(x.plan, y.plan) && tm_slice_equal(x.tier, y.tier) &&
              tm_slice_equal(x.status, y.status) && tm_slice_equal(x.currency, y.currency) &&
              tm_slice_equal(x.success_plan, y.success_plan));
    cr_assert_eq(x.name.data == NULL, y.name.data == NULL);
    cr_assert(tm_slice_equal(x.contract_start.text, y.contract_start.text) &&
              x.contract_start.day == y.contract_start.day && x.contract_start.instant == y.contract_start.instant &&
              x.contract_start.is_instant == y.contract_start.is_instant);
    cr_assert(tm_slice_equal(x.renewal_at.text, y.renewal_at.text) && x.renewal_at.day == y.renewal_at.day);
    cr_assert(x.owner_count == y.owner_count && x.goal_count == y.goal_count &&
              x.attribute_count == y.attribute_count && x.product_count == y.product_count &&
              x.champion_count == y.champion_count);
    for (uint32_t i = 0; i < x.attribute_count; i++) {
        cr_assert(tm_slice_equal(x.attributes[i].name, y.attributes[i].name));
        cr_assert(tm_value_same(x.attributes[i].value, y.attributes[i].value));
    }
    for (uint32_t i = 0; i < x.product_count; i++)
        cr_assert(tm_slice_equal(x.products[i].name, y.products[i].name) &&
                  x.products[i].seats == y.products[i].seats && x.products[i].mrr == y.products[i].mrr);
    for (uint32_t i = 0; i < x.champion_count; i++)
        cr_assert_eq(x.champions[i], y.champions[i]);
}

Test(state, what_is_decoded_equals_and_encodes_to_the_same_bytes)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        state_world w;
        tm_heap *heap = tm_heap_new(0);
        tm_buffer blob, again;
        tm_account *decoded;
        tm_error error;
        state_world_init(&w, seed);
        tm_account *account = state_account(&w, heap);
        if (seed % 3 == 0) /* time goes on before it is written */
            tm_moment_at(&w.now, tm_zone_utc(), w.now.t + state_below(&w, 20 * TM_DAY), &w.span);
        tm_buffer_init(&blob, 1 << 20);
        tm_buffer_init(&again, 1 << 20);
        tm_buffer_append_text(&blob, "before"); /* encoding appends */
        tm_state_encode(account, &w.pack, &w.now, &blob);
        tm_slice bytes = {blob.data + 6, blob.length - 6};
        cr_assert_eq(tm_state_decode(heap, &w.pack, key, bytes, &decoded, &error), TM_OK, "%s", error.what);
        cr_assert(!decoded->changed);
        cr_assert(tm_slice_equal(decoded->key, key));
        cr_assert_eq(decoded->hash, account->hash);
        cr_assert_eq(decoded->input, account->input);
        cr_assert_eq(decoded->input_offset, account->input_offset);
        assert_same_values(&w, account, decoded);
        assert_same_episodes(account, decoded);
        assert_same_stages(account, decoded);
        assert_same_scores(account, decoded);
        assert_same_facts(account, decoded);
        tm_state_encode(decoded, &w.pack, &w.now, &again);
        cr_assert(tm_slice_equal(bytes, tm_buffer_slice(&again)), "seed %llu", (unsigned long long)seed);
        tm_account_free(heap, account);
        tm_account_free(heap, decoded);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_buffer_done(&blob);
        tm_buffer_done(&again);
        tm_heap_free_all(heap);
    }
}

/* A pack that lost, gained, renumbered and resized metrics: what is still there is kept. */
Test(state, series_find_their_metric_in_another_pack)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        state_world w, other;
        tm_heap *heap = tm_heap_new(0);
        tm_buffer blob;
        tm_account *decoded;
        state_world_init(&w, seed);
        state_world_init(&other, seed);
        tm_account *account = state_account(&w, heap);
        for (int i = 0; i < STATE_METRICS; i++) {
            other.metrics[i] = w.metrics[STATE_METRICS - 1 - i];
            other.metrics[i].reach_days = i % 3 ? 5 : 60;
            other.metrics[i].reach_hours = i % 2 ? 0 : 3;
        }
        other.metrics[2].identity = 99;
        tm_buffer_init(&blob, 1 << 20);
        tm_state_encode(account, &w.pack, &w.now, &blob);
        cr_assert_eq(tm_state_decode(heap, &other.pack, key, tm_buffer_slice(&blob), &decoded, NULL), TM_OK);
        cr_assert_null(decoded->series[2]);
        for (int i = 0; i < STATE_METRICS; i++) {
            int j = STATE_METRICS - 1 - i;
            bool quiet;
            tm_window window = {TM_WINDOW_DAYS, 5, 0};
            if (i == 2 || j == 11) /* 11 kept no days */
                continue;
            cr_assert(tm_value_same(tm_series_window(account->series[j], &w.metrics[j], &window, &w.now, &quiet),
                                    tm_series_window(decoded->series[i], &other.metrics[i], &window, &w.now, &quiet)));
        }
        /* The same by adopting, as far back as both packs reach. */
        cr_assert_eq(tm_account_adopt(account, heap, &w.pack, &other.pack), TM_OK);
        for (int i = 0; i < STATE_METRICS; i++) {
            int32_t former = w.metrics[STATE_METRICS - 1 - i].reach_days, reach = other.metrics[i].reach_days;
            for (int32_t length = 1; length <= (former < reach ? former : reach); length++) {
                bool quiet;
                tm_window window = {TM_WINDOW_DAYS, length, 0};
                cr_assert(
                    tm_value_same(tm_series_window(account->series[i], &other.metrics[i], &window, &w.now, &quiet),
                                  tm_series_window(decoded->series[i], &other.metrics[i], &window, &w.now, &quiet)));
            }
        }
        tm_account_free(heap, account);
        tm_account_free(heap, decoded);
        cr_assert_eq(tm_heap_used(heap), 0);
        tm_buffer_done(&blob);
        tm_heap_free_all(heap);
    }
}

/* Damage anywhere: refused by the checksum; with the checksum made right, refused or read, never harmful. */
Test(state, damaged_bytes_are_refused)
{
    int refused = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        state_world w;
        tm_heap *heap = tm_heap_new(0);
        tm_buffer blob, broken, again;
        tm_account *decoded;
        tm_error error;
        state_world_init(&w, seed);
        tm_account *account = state_account(&w, heap);
        tm_buffer_init(&blob, 1 << 20);
        tm_buffer_init(&broken, 1 << 20);
        tm_buffer_init(&again, 1 << 20);
        tm_state_encode(account, &w.pack, &w.now, &blob);
        tm_account_free(heap, account);
        for (size_t length = 0; length < blob.length; length += 1 + length / 16)
            cr_assert_eq(tm_state_decode(heap, &w.pack, key, (tm_slice){blob.data, length}, &decoded, &error),
                         TM_REJECT);
        for (int i = 0; i < 200; i++) {
            tm_buffer_reset(&broken);
            tm_buffer_append(&broken, blob.data, blob.length - 4);
            size_t at = (size_t)state_below(&w, (int64_t)broken.length);
            broken.data[at] = (char)(broken.data[at] ^ (1 << state_below(&w, 8)));
            tm_buffer_append(&broken, blob.data + blob.length - 4, 4);
            cr_assert_eq(tm_state_decode(heap, &w.pack, key, tm_buffer_slice(&broken), &decoded, &error), TM_REJECT);
            cr_assert_null(decoded);
            if (i % 4 == 0) /* and shorter */
                broken.length = 4 + (size_t)state_below(&w, (int64_t)broken.length - 4);
            broken.length -= 4;
            tm_buffer_put_u32(&broken, tm_checksum(tm_buffer_slice(&broken)));
            tm_status status = tm_state_decode(heap, &w.pack, key, tm_buffer_slice(&broken), &decoded, &error);
            cr_assert(status == TM_OK || status == TM_REJECT);
            refused += status == TM_REJECT;
            if (status == TM_OK) {
                tm_buffer_reset(&again);
                tm_state_encode(decoded, &w.pack, &w.now, &again);
                tm_account_free(heap, decoded);
            }
            cr_assert_eq(tm_heap_used(heap), 0, "nothing is left of what was refused");
        }
        tm_buffer_done(&blob);
        tm_buffer_done(&broken);
        tm_buffer_done(&again);
        tm_heap_free_all(heap);
    }
    cr_assert_gt(refused, 1000);
}

Test(state, the_form_is_told)
{
    tm_heap *heap = tm_heap_new(0);
    tm_pack pack = {0};
    tm_moment now = {.t = 0};
    tm_buffer blob;
    tm_account *decoded, *account = tm_account_new(heap, &pack, key);
    tm_error error;
    tm_buffer_init(&blob, 1 << 20);
    tm_state_encode(account, &pack, &now, &blob);
    cr_assert_eq(blob.data[0], TM_STATE_FORM);
    blob.data[0]++;
    blob.length -= 4;
    tm_buffer_put_u32(&blob, tm_checksum(tm_buffer_slice(&blob)));
    cr_assert_eq(tm_state_decode(heap, &pack, key, tm_buffer_slice(&blob), &decoded, &error), TM_REJECT);
    cr_assert_str_eq(error.what, "account state has form 5, this program reads the forms up to 4");
    /* What the first form had is what the present one has without scores. */
    blob.data[0] = TM_STATE_FORM_FIRST;
    blob.length -= 4;
    tm_buffer_put_u32(&blob, tm_checksum(tm_buffer_slice(&blob)));
    cr_assert_eq(tm_state_decode(heap, &pack, key, tm_buffer_slice(&blob), &decoded, &error), TM_OK, "%s", error.what);
    tm_account_free(heap, decoded);
    blob.data[1] = 8;
    blob.length -= 4;
    tm_buffer_put_u32(&blob, tm_checksum(tm_buffer_slice(&blob)));
    cr_assert_eq(tm_state_decode(heap, &pack, key, tm_buffer_slice(&blob), &decoded, &error), TM_REJECT);
    tm_buffer_done(&blob);
    tm_account_free(heap, account);
    tm_heap_free_all(heap);
}

/* Memory that ends anywhere: TM_FATAL without a trace; a buffer that ends anywhere: overflowed. */
Test(state, memory_that_runs_out_is_told)
{
    state_world w;
    tm_heap *heap = tm_heap_new(0);
    tm_buffer blob, narrow;
    tm_account *decoded;
    tm_error error;
    int refused = 0;
    state_world_init(&w, 8);
    tm_account *account = state_account(&w, heap);
    state_facts(&w, account, heap);
    tm_buffer_init(&blob, 1 << 20);
    tm_state_encode(account, &w.pack, &w.now, &blob);
    for (size_t limit = 16;; limit += 64) {
        tm_heap *small = tm_heap_new(limit);
        tm_status status = tm_state_decode(small, &w.pack, key, tm_buffer_slice(&blob), &decoded, &error);
        if (status == TM_OK)
            tm_account_free(small, decoded);
        cr_assert_eq(tm_heap_used(small), 0);
        tm_heap_free_all(small);
        if (status == TM_OK)
            break;
        cr_assert_eq(status, TM_FATAL);
        refused++;
    }
    cr_assert_gt(refused, 10);
    for (size_t maximum = 0; maximum < blob.length; maximum += 7) {
        tm_buffer_init(&narrow, maximum);
        tm_state_encode(account, &w.pack, &w.now, &narrow);
        cr_assert(narrow.overflowed);
        tm_buffer_done(&narrow);
    }
    tm_account_free(heap, account);
    tm_buffer_done(&blob);
    tm_heap_free_all(heap);
}
