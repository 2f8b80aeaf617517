#include "tidemark/adapters/memory/store.h"

#include "contract/store_contract.h"

Test(store_memory, keeps_the_contract)
{
    tm_error error;
    tm_store a, b;
    tm_memory_state *state = tm_memory_state_new();
    cr_assert_eq(tm_memory_store_open(state, &a, &error), TM_OK);
    cr_assert_eq(tm_memory_store_open(state, &b, &error), TM_OK);
    store_contract(&a, &b);
    a.close(a.context);
    b.close(b.context);
    tm_memory_state_free(state);
    tm_memory_state_free(NULL);
}

Test(store_memory, while_not_reachable_nothing_happens)
{
    tm_error error = {0};
    tm_store a;
    tm_store_state found;
    tm_slice blob;
    int64_t value;
    sc_commit made;
    sc_found *list = sc_found_new();
    tm_memory_state *state = tm_memory_state_new();
    cr_assert_eq(tm_memory_store_open(state, &a, &error), TM_OK);
    int64_t epoch = sc_claim(&a, 1, 1);
    tm_memory_state_set_reachable(state, false);
    cr_assert_eq(a.claim(a.context, 1, 1, 1, &found, &error), TM_RETRY);
    cr_assert_eq(a.read(a.context, 1, &found, &error), TM_RETRY);
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 1), &error), TM_RETRY);
    cr_assert_eq(a.scan_accounts(a.context, 1, sc_visit, list, &error), TM_RETRY);
    cr_assert_eq(a.scan_fingerprints(a.context, 1, sc_visit, list, &error), TM_RETRY);
    cr_assert_eq(a.scan_outbox(a.context, 1, 0, sc_visit, list, &error), TM_RETRY);
    cr_assert_eq(a.get_account(a.context, 1, sc_text("x"), &blob, &error), TM_RETRY);
    cr_assert_eq(a.remove(a.context, 1, &error), TM_RETRY);
    cr_assert_eq(a.settle_group(a.context, "x", 1, &value, &error), TM_RETRY);
    cr_assert_eq(a.check(a.context, &error), TM_RETRY);
    tm_memory_state_set_reachable(state, true);
    cr_assert_eq(a.commit(a.context, sc_next(&made, 1, epoch, 1), &error), TM_OK);
    a.close(a.context);
    tm_memory_state_free(state);
    free(list);
}

Test(store_memory, a_copy_is_a_snapshot)
{
    tm_error error = {0};
    tm_store a, b;
    int64_t value;
    sc_commit made;
    tm_store_state found;
    const tm_store_write writes[] = {{sc_text("acme"), sc_text("1")}, {sc_text("other"), sc_text("2")}};
    const tm_slice outputs[] = {sc_text("output")};
    tm_memory_state *state = tm_memory_state_new();
    cr_assert_eq(tm_memory_store_open(state, &a, &error), TM_OK);
    int64_t epoch = sc_claim(&a, 1, 1);
    tm_store_commit *commit = sc_next(&made, 1, epoch, 1);
    commit->writes = writes;
    commit->write_count = 2;
    commit->outbox = outputs;
    commit->outbox_count = 1;
    commit->fingerprints = sc_text("prints");
    SC(a.commit(a.context, commit, SC_ERROR), TM_OK);
    SC(a.settle_group(a.context, "partitions", 6, &value, SC_ERROR), TM_OK);
    tm_memory_state *copy = tm_memory_state_copy(state);
    cr_assert_not_null(copy);
    SC(a.commit(a.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK);
    a.close(a.context);
    tm_memory_state_free(state);
    cr_assert_eq(tm_memory_store_open(copy, &b, &error), TM_OK);
    SC(b.read(b.context, 1, &found, SC_ERROR), TM_OK);
    cr_assert(found.present);
    cr_assert_eq(found.position.commit, 1);
    cr_assert(tm_slice_equal_text(found.meta, "meta 1"));
    cr_assert_eq(sc_count_accounts(&b, 1), 2);
    sc_found *list = sc_found_new();
    SC(b.scan_outbox(b.context, 1, 0, sc_visit, list, SC_ERROR), TM_OK);
    SC(b.scan_fingerprints(b.context, 1, sc_visit, list, SC_ERROR), TM_OK);
    cr_assert_eq(list->count, 2);
    SC(b.settle_group(b.context, "partitions", 7, &value, SC_ERROR), TM_OK);
    cr_assert_eq(value, 6);
    /* the tail can be written again */
    SC(b.commit(b.context, sc_next(&made, 1, epoch, 2), SC_ERROR), TM_OK);
    b.close(b.context);
    tm_memory_state_free(copy);
    free(list);
}
