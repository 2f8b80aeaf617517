#include "tidemark/core/agenda.h"

#include <criterion/criterion.h>

static tm_heap *heap;
static tm_agenda *agenda;

static void set_up(void)
{
    heap = tm_heap_new(0);
    agenda = tm_agenda_new(heap);
    cr_assert_not_null(agenda);
}

static void tear_down(void)
{
    tm_agenda_free(agenda);
    tm_agenda_free(NULL);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

TestSuite(agenda, .init = set_up, .fini = tear_down);

static tm_account account_of(uint64_t hash, const char *key)
{
    return (tm_account){.hash = hash, .key = tm_slice_of(key), .judge_at = TM_TIME_NEVER, .later_at = TM_TIME_NEVER};
}

static void put(tm_account *account, tm_time when)
{
    cr_assert_eq(tm_agenda_put(agenda, account, when), TM_OK);
}

static void expect(tm_account *account, tm_time when)
{
    tm_time found;
    cr_assert_eq(tm_agenda_next(agenda), when);
    cr_assert_null(tm_agenda_take(agenda, when - 1, &found));
    cr_assert_eq(tm_agenda_take(agenda, when, &found), account);
    cr_assert_eq(found, when);
    cr_assert_eq(account->judge_at, TM_TIME_NEVER);
}

Test(agenda, by_time_then_hash_then_key)
{
    tm_account a = account_of(3, "a"), b = account_of(1, "b"), c = account_of(2, "d"), e = account_of(2, "c");
    put(&a, 10);
    put(&c, 20);
    put(&b, 20);
    put(&e, 20);
    expect(&a, 10);
    expect(&b, 20);
    expect(&e, 20);
    expect(&c, 20);
    cr_assert_eq(tm_agenda_next(agenda), TM_TIME_NEVER);
}

Test(agenda, the_earliest_counts_and_only_once)
{
    tm_account a = account_of(1, "a");
    tm_time when;
    put(&a, 30);
    put(&a, 40);
    put(&a, 20);
    put(&a, 20);
    cr_assert_eq(a.judge_at, 20);
    expect(&a, 20);
    cr_assert_null(tm_agenda_take(agenda, 100, &when), "the later entry died");
    put(&a, 30);
    expect(&a, 30);
    cr_assert_null(tm_agenda_take(agenda, 100, &when));
}

Test(agenda, forgotten_accounts_leave_nothing)
{
    tm_account a = account_of(1, "a"), b = account_of(2, "b");
    tm_time when;
    for (tm_time t = 90; t > 0; t -= 10) {
        put(&a, t);
        put(&b, t + 5);
    }
    tm_agenda_forget(agenda, &a);
    a = (tm_account){0}; /* as freed memory would be */
    expect(&b, 15);
    cr_assert_null(tm_agenda_take(agenda, 1000, &when));
    put(&b, 7);
    tm_agenda_clear(agenda);
    cr_assert_eq(tm_agenda_next(agenda), TM_TIME_NEVER);
}

Test(agenda, like_a_list)
{
    enum { ACCOUNTS = 200 };
    static tm_account accounts[ACCOUNTS];
    static tm_time due[ACCOUNTS];
    uint64_t z = 3;
    for (int i = 0; i < ACCOUNTS; i++) {
        accounts[i] = account_of((uint64_t)(i * 37 % 50), "k");
        due[i] = TM_TIME_NEVER;
    }
    for (int round = 0; round < 5000; round++) {
        z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
        int i = (int)((z >> 33) % ACCOUNTS);
        tm_time when = (tm_time)((z >> 20) % 1000);
        switch ((z >> 45) % 8) {
        case 0:
            tm_agenda_forget(agenda, &accounts[i]);
            due[i] = TM_TIME_NEVER;
            break;
        case 1:
        case 2: {
            tm_time least = TM_TIME_NEVER, found;
            uint64_t hash = UINT64_MAX;
            for (int k = 0; k < ACCOUNTS; k++) {
                if (due[k] < least || (due[k] == least && due[k] != TM_TIME_NEVER && accounts[k].hash < hash)) {
                    least = due[k];
                    hash = accounts[k].hash;
                }
            }
            tm_account *taken = tm_agenda_take(agenda, when, &found);
            cr_assert_eq(taken != NULL, least <= when);
            if (taken) {
                cr_assert(found == least && taken->hash == hash);
                due[taken - accounts] = TM_TIME_NEVER;
            }
            break;
        }
        default:
            put(&accounts[i], when);
            due[i] = when < due[i] ? when : due[i];
        }
    }
}

Test(agenda, without_memory)
{
    tm_heap *small = tm_heap_new(1);
    cr_assert_null(tm_agenda_new(small));
    tm_heap_free_all(small);
    small = tm_heap_new(6000);
    tm_agenda *short_one = tm_agenda_new(small);
    cr_assert_not_null(short_one);
    static tm_account many[1000];
    tm_status status = TM_OK;
    int i = 0;
    for (; i < 1000 && status == TM_OK; i++) {
        many[i] = account_of((uint64_t)i, "k");
        status = tm_agenda_put(short_one, &many[i], 1);
    }
    cr_assert_eq(status, TM_FATAL);
    cr_assert_eq(many[i - 1].judge_at, TM_TIME_NEVER, "and it stands nowhere");
    tm_heap_free_all(small);
}
