#include "tidemark/insight/book.h"

#include <criterion/criterion.h>
#include <math.h>

/* Days of one story: the period is (DAY(0), DAY(365)]. */
#define DAY(n) ((20000 + (n)) * TM_DAY)
#define MONEY(whole) ((tm_fixed)((whole)*1000000LL))

static const double MONTH = 30.4375; /* days: 365.25 / 12 */

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

static tm_book *book_of(tm_time from, tm_time at)
{
    tm_book *b = tm_book_new(&(tm_book_settings){from, at, tm_zone_utc()});
    cr_assert_not_null(b);
    return b;
}

static uint32_t account(tm_book *b, char name)
{
    uint32_t number = tm_book_account(b, (tm_slice){&name, 1});
    cr_assert_neq(number, UINT32_MAX);
    return number;
}

static tm_book_terms pays(tm_fixed mrr, const char *currency)
{
    return (tm_book_terms){.customer = true,
                           .mrr = mrr,
                           .seats = TM_FIXED_NONE,
                           .currency = tm_slice_of(currency),
                           .renewal = TM_BOOK_NO_DAY};
}

static void tell(tm_book *b, char name, tm_time t, tm_book_terms terms)
{
    cr_assert_eq(tm_book_record(b, account(b, name), t, &terms), TM_OK);
}

static void leave(tm_book *b, char name, tm_time t, const char *reason)
{
    tm_book_terms terms = {
        .mrr = MONEY(1), .seats = TM_FIXED_NONE, .reason = tm_slice_of(reason), .renewal = TM_BOOK_NO_DAY};
    terms.currency = TM_SLICE_LITERAL("EUR");
    tell(b, name, t, terms);
}

static void churned(tm_book *b, char name, tm_time t, const char *reason)
{
    cr_assert_eq(tm_book_churned(b, account(b, name), t, tm_slice_of(reason)), TM_OK);
}

static void close_book(tm_book *b)
{
    cr_assert_eq(tm_book_close(b), TM_OK);
}

enum { CURRENCIES = 4, PRODUCTS = 8 };

static uint32_t currency_of(const tm_book *b, const char *name)
{
    for (uint32_t i = 0; i < tm_book_currency_count(b); i++)
        if (!name ? !tm_book_currency(b, i).data : tm_slice_equal_text(tm_book_currency(b, i), name))
            return i;
    cr_assert(false, "no currency %s", name);
    return 0;
}

typedef struct whole {
    tm_book_customers customers;
    tm_book_money money[CURRENCIES];
} whole;

static whole whole_of(const tm_book *b, double margin)
{
    whole w;
    cr_assert_leq(tm_book_currency_count(b), CURRENCIES);
    cr_assert_eq(tm_book_figures(b, NULL, 1, margin, &w.customers, w.money), TM_OK);
    for (uint32_t i = 0; i < tm_book_currency_count(b); i++) {
        const tm_book_money *m = &w.money[i];
        cr_assert(near(m->closing,
                       m->opening + m->fresh + m->returned + m->expansion - m->contraction - m->churned + m->moved));
    }
    return w;
}

Test(book, accounts_are_numbered_and_known_once_they_have_a_record)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    cr_assert_eq(tm_book_find(b, TM_SLICE_LITERAL("a")), UINT32_MAX);
    cr_assert_eq(account(b, 'a'), 0);
    cr_assert_eq(account(b, 'b'), 1);
    cr_assert_eq(account(b, 'a'), 0);
    cr_assert_eq(tm_book_find(b, TM_SLICE_LITERAL("b")), 1);
    tell(b, 'a', DAY(1), pays(MONEY(1), "EUR"));
    churned(b, 'b', DAY(1), NULL);
    tell(b, 'c', DAY(365) + 1, pays(MONEY(1), "EUR")); /* later than the period */
    close_book(b);
    cr_assert_eq(tm_book_account_count(b), 3);
    cr_assert(tm_slice_equal_text(tm_book_account_key(b, 1), "b"));
    cr_assert(tm_book_known(b, 0));
    cr_assert_not(tm_book_known(b, 1), "an outcome is no record");
    cr_assert_not(tm_book_known(b, 2));
    cr_assert(tm_book_customer(b, 0));
    cr_assert_not(tm_book_customer(b, 1));
    cr_assert_not(tm_book_customer(b, 2));
    cr_assert_eq(whole_of(b, 1).customers.closing, 1);
    tm_book_free(b);
    tm_book_free(NULL);
}

Test(book, an_empty_book_has_no_figures)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    close_book(b);
    tm_book_customers customers[2];
    tm_book_money money;
    cr_assert_eq(tm_book_figures(b, NULL, 2, 1, customers, &money), TM_OK);
    for (int g = 0; g < 2; g++) {
        cr_assert_eq(customers[g].opening + customers[g].closing + customers[g].due, 0);
        cr_assert_eq(customers[g].months, 0);
        cr_assert(isnan(customers[g].retention.value) && isnan(customers[g].renewal.value) &&
                  isnan(customers[g].first_churn.value));
    }
    cr_assert_eq(tm_book_products(b, &money), TM_OK);
    cr_assert_eq(tm_book_currency_count(b) + tm_book_product_count(b) + tm_book_churn_count(b), 0);
    tm_book_free(b);
}

static tm_book *a_year(void)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    tell(b, 'a', DAY(-100), pays(MONEY(100), "EUR"));
    tell(b, 'a', DAY(50), pays(MONEY(150), "EUR"));
    tell(b, 'a', DAY(80), pays(MONEY(120), "EUR"));
    tell(b, 'b', DAY(-100), pays(MONEY(200), "EUR"));
    leave(b, 'b', DAY(100), "price");
    tell(b, 'c', DAY(10), pays(MONEY(70), "EUR"));
    tell(b, 'd', DAY(-200), pays(MONEY(30), "EUR"));
    churned(b, 'd', DAY(-150), "long ago");
    tell(b, 'd', DAY(20), pays(MONEY(40), "EUR"));
    tm_book_terms unknown = pays(TM_FIXED_NONE, "EUR");
    unknown.seats = MONEY(5) / 2;
    tell(b, 'e', DAY(-10), unknown);
    tell(b, 'f', DAY(-10), pays(MONEY(10), "EUR"));
    tell(b, 'f', DAY(200), pays(MONEY(12), "USD"));
    tell(b, 'g', DAY(5), pays(MONEY(9), "EUR"));
    churned(b, 'g', DAY(25), NULL);
    tell(b, 'h', DAY(0), pays(MONEY(5), "EUR"));       /* stands in the opening book */
    tell(b, 'h', DAY(365), pays(MONEY(6), "EUR"));     /* and in the closing one */
    tell(b, 'h', DAY(365) + 1, pays(MONEY(7), "EUR")); /* is not heeded */
    close_book(b);
    return b;
}

Test(book, customers_of_a_year_counted_by_hand)
{
    tm_book *b = a_year();
    tm_book_customers c = whole_of(b, 1).customers;
    cr_assert_eq(c.opening, 5, "a b e f h");
    cr_assert_eq(c.closing, 6, "a c d e f h");
    cr_assert_eq(c.fresh, 2, "c g");
    cr_assert_eq(c.returned, 1, "d");
    cr_assert_eq(c.churned, 2, "b g");
    cr_assert_eq(c.kept, 4, "a e f h");
    cr_assert_eq(c.without_mrr, 1, "e");
    cr_assert_eq(c.seats, 2.5);
    /* a e f h the year, b 100 days, c 355, d 345, g 20. */
    cr_assert(near(c.months, (4 * 365 + 100 + 355 + 345 + 20) / MONTH), "%f", c.months);
    cr_assert_eq(c.retention.value, 0.8);
    cr_assert_eq(c.retention.of, 5);
    cr_assert_eq(c.retention.low, tm_estimate_proportion(4, 5).low);
    cr_assert_eq(c.due, 0);
    cr_assert(isnan(c.renewal.value));
    cr_assert_eq(tm_book_churn_count(b), 2);
    tm_book_churn churn = tm_book_churn_at(b, 0);
    cr_assert_eq(churn.account, tm_book_find(b, TM_SLICE_LITERAL("b")));
    cr_assert_eq(churn.t, DAY(100));
    cr_assert_eq(churn.mrr, 200, "what it paid last");
    cr_assert(tm_slice_equal_text(churn.reason, "price"));
    cr_assert_eq(churn.currency, currency_of(b, "EUR"));
    churn = tm_book_churn_at(b, 1);
    cr_assert_eq(churn.t, DAY(25));
    cr_assert_eq(churn.mrr, 9);
    cr_assert_null(churn.reason.data);
    tm_book_free(b);
}

Test(book, money_of_a_year_counted_by_hand)
{
    tm_book *b = a_year();
    whole w = whole_of(b, 0.7);
    const tm_book_money *m = &w.money[currency_of(b, "EUR")];
    cr_assert(m->any);
    cr_assert_eq(m->opening, 315, "100 200 0 10 5");
    cr_assert_eq(m->closing, 236, "120 70 40 0 6");
    cr_assert_eq(m->fresh, 79, "70 9");
    cr_assert_eq(m->returned, 40);
    cr_assert_eq(m->expansion, 51, "50 1");
    cr_assert_eq(m->contraction, 30);
    cr_assert_eq(m->churned, 209, "200 9");
    cr_assert_eq(m->moved, -10);
    cr_assert_eq(m->net_new_existing, 51 - 30 - 209);
    cr_assert(near(m->net.value, 126.0 / 315), "120 6 of 315");
    cr_assert(near(m->gross.value, 105.0 / 315), "100 5 of 315");
    cr_assert_eq(m->net.of, 5);
    cr_assert_eq(m->gross.of, 5);
    cr_assert(isnan(m->net.low) && isnan(m->gross.high), "money has no interval");
    cr_assert_eq(m->customers, 5);
    cr_assert_eq(m->churns, 2);
    double months = (3 * 365 + 100 + 355 + 345 + 20) / MONTH; /* f is among those that pay in USD */
    cr_assert(near(m->months, months));
    cr_assert(near(m->average, 236.0 / 5));
    tm_estimate churn = tm_estimate_rate(2, months);
    cr_assert(near(m->monthly_churn.value, 2 / months));
    cr_assert(near(m->monthly_churn.high, churn.high));
    cr_assert(near(m->lifetime_value.value, 236.0 / 5 * 0.7 * months / 2));
    cr_assert(near(m->lifetime_value.low, 236.0 / 5 * 0.7 / churn.high));
    cr_assert(near(m->lifetime_value.high, 236.0 / 5 * 0.7 / churn.low));
    cr_assert_eq(m->lifetime_value.of, 2);

    m = &w.money[currency_of(b, "USD")];
    cr_assert(m->any);
    cr_assert_eq(m->moved, 12);
    cr_assert_eq(m->closing, 12);
    cr_assert_eq(m->opening, 0);
    cr_assert_eq(m->customers, 1);
    cr_assert(isnan(m->net.value) && isnan(m->gross.value));
    cr_assert_eq(m->net.of, 0);
    cr_assert(near(m->months, 365 / MONTH));
    cr_assert_eq(m->monthly_churn.value, 0);
    cr_assert(isnan(m->lifetime_value.value) && isnan(m->lifetime_value.low) && isnan(m->lifetime_value.high));
    tm_book_free(b);
}

Test(book, groups_divide_the_whole)
{
    tm_book *b = a_year();
    /* b and f; a; the others but e; e in none. */
    static const char names[] = "abcdefgh";
    uint32_t group_of[8];
    for (uint32_t i = 0; i < 8; i++) {
        char name = names[i];
        group_of[tm_book_find(b, (tm_slice){&name, 1})] = name == 'e'                  ? UINT32_MAX
                                                          : name == 'a'                ? 1
                                                          : name == 'b' || name == 'f' ? 0
                                                                                       : 2;
    }
    tm_book_customers c[3];
    tm_book_money m[3 * 2];
    cr_assert_eq(tm_book_currency_count(b), 2);
    cr_assert_eq(tm_book_figures(b, group_of, 3, 1, c, m), TM_OK);
    uint32_t eur = currency_of(b, "EUR");
    uint32_t usd = currency_of(b, "USD");
    cr_assert_eq(c[0].opening, 2);
    cr_assert_eq(c[0].closing, 1);
    cr_assert_eq(c[0].churned, 1);
    cr_assert_eq(c[1].kept, 1);
    cr_assert_eq(c[2].opening, 1);
    cr_assert_eq(c[2].fresh, 2);
    cr_assert_eq(c[0].without_mrr + c[1].without_mrr + c[2].without_mrr, 0);
    cr_assert_eq(m[0 * 2 + eur].opening, 210);
    cr_assert_eq(m[0 * 2 + eur].closing, 0);
    cr_assert_eq(m[0 * 2 + usd].closing, 12);
    cr_assert_eq(m[1 * 2 + eur].expansion, 50);
    cr_assert_eq(m[2 * 2 + eur].closing, 116);
    cr_assert_eq(m[2 * 2 + eur].churns, 1);
    cr_assert_not(m[1 * 2 + usd].any);
    cr_assert_not(m[2 * 2 + usd].any);
    tm_book_free(b);
}

/* Something is not 0, or a customer pays in it at an end of the period. */
Test(book, a_customer_without_money_is_one_all_the_same)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    tell(b, 'a', DAY(-10), pays(TM_FIXED_NONE, "EUR")); /* at the begin alone */
    churned(b, 'a', DAY(100), NULL);
    tell(b, 'b', DAY(10), pays(0, "USD")); /* at the end alone */
    tell(b, 'c', DAY(10), pays(0, "CHF")); /* only in between: its churn is not 0 */
    churned(b, 'c', DAY(20), NULL);
    tell(b, 'd', DAY(-50), pays(MONEY(5), NULL)); /* only before */
    churned(b, 'd', DAY(-20), NULL);
    close_book(b);
    whole w = whole_of(b, 1);
    cr_assert(w.money[currency_of(b, "EUR")].any);
    cr_assert_eq(w.money[currency_of(b, "EUR")].churns, 1);
    cr_assert(w.money[currency_of(b, "USD")].any);
    cr_assert(w.money[currency_of(b, "CHF")].any);
    cr_assert_eq(w.money[currency_of(b, "CHF")].churns, 1);
    cr_assert_not(w.money[currency_of(b, NULL)].any);
    tm_book_free(b);
}

Test(book, sums_are_exact)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    for (int i = 0; i < 60; i++)
        tell(b, (char)('0' + i), DAY(1), pays(100000, "EUR")); /* 0.1 */
    close_book(b);
    whole w = whole_of(b, 1);
    cr_assert_eq(w.money[0].closing, 6);
    cr_assert_eq(w.money[0].fresh, 6);
    tm_book_free(b);
}

Test(book, a_period_without_a_begin_or_without_length)
{
    tm_book *b = book_of(TM_TIME_NONE, DAY(10));
    tell(b, 'a', DAY(0), pays(MONEY(3), "EUR"));
    close_book(b);
    whole w = whole_of(b, 1);
    cr_assert_eq(w.customers.opening, 0);
    cr_assert_eq(w.customers.fresh, 1);
    cr_assert(near(w.customers.months, 10 / MONTH));
    tm_book_free(b);

    b = book_of(DAY(10), DAY(10));
    tell(b, 'a', DAY(10), pays(MONEY(3), "EUR"));
    close_book(b);
    w = whole_of(b, 1);
    cr_assert_eq(w.customers.opening, 1);
    cr_assert_eq(w.customers.closing, 1);
    cr_assert_eq(w.customers.fresh, 0);
    cr_assert_eq(w.customers.months, 0);
    cr_assert_eq(w.money[0].net.value, 1);
    cr_assert(isnan(w.money[0].monthly_churn.value));
    tm_book_free(b);
}

Test(book, outcomes_come_in_any_order_and_the_first_end_counts)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    churned(b, 'a', DAY(50), "told first");
    churned(b, 'b', DAY(50), "outcome");
    tell(b, 'a', DAY(-10), pays(MONEY(1), "EUR"));
    leave(b, 'a', DAY(60), "record");
    tell(b, 'b', DAY(-10), pays(MONEY(1), "EUR"));
    leave(b, 'b', DAY(40), "record");
    tell(b, 'c', DAY(-10), pays(MONEY(1), "EUR"));
    leave(b, 'c', DAY(40), NULL);
    churned(b, 'c', DAY(45), NULL);
    leave(b, 'c', DAY(47), "later record");
    tell(b, 'd', DAY(20), pays(MONEY(1), "EUR"));
    churned(b, 'd', DAY(20), NULL); /* at one instant the record comes first */
    close_book(b);
    static const struct {
        tm_time t;
        const char *reason;
    } wanted[] = {{DAY(50), "told first"}, {DAY(40), "outcome"}, {DAY(40), "later record"}, {DAY(20), NULL}};
    cr_assert_eq(tm_book_churn_count(b), 4);
    for (uint32_t i = 0; i < 4; i++) {
        tm_book_churn churn = tm_book_churn_at(b, i);
        cr_assert_eq(churn.account, i);
        cr_assert_eq(churn.t, wanted[i].t, "%u", i);
        if (wanted[i].reason)
            cr_assert(tm_slice_equal_text(churn.reason, wanted[i].reason), "%u: %.*s", i, (int)churn.reason.length,
                      churn.reason.data);
        else
            cr_assert_null(churn.reason.data);
    }
    tm_book_free(b);
}

Test(book, who_asked_to_be_forgotten_was_never_there)
{
    tm_book *b = book_of(DAY(0), DAY(365));
    tell(b, 'a', DAY(-10), pays(MONEY(1), "EUR"));
    tell(b, 'b', DAY(-10), pays(MONEY(2), "EUR"));
    tell(b, 'c', DAY(-10), pays(MONEY(4), "EUR"));
    churned(b, 'b', DAY(200), "afterwards"); /* told before, dated after */
    for (uint32_t i = 0; i < 3; i++)
        tm_book_erase(b, i, i == 2 ? DAY(365) + 1 : DAY(100));
    churned(b, 'a', DAY(50), "before"); /* told after, dated before */
    tell(b, 'b', DAY(150), pays(MONEY(8), "EUR"));
    close_book(b);
    cr_assert_not(tm_book_known(b, 0));
    cr_assert(tm_book_known(b, 1));
    cr_assert(tm_book_known(b, 2), "asked after the period");
    whole w = whole_of(b, 1);
    cr_assert_eq(w.customers.opening, 1);
    cr_assert_eq(w.customers.fresh, 1, "b, anew");
    cr_assert_eq(w.customers.returned, 0);
    cr_assert_eq(w.customers.closing, 1);
    cr_assert_eq(w.money[0].fresh, 8);
    cr_assert_eq(w.money[0].opening, 4);
    cr_assert_eq(tm_book_churn_count(b), 1);
    cr_assert(tm_slice_equal_text(tm_book_churn_at(b, 0).reason, "afterwards"));
    tm_book_free(b);
}
