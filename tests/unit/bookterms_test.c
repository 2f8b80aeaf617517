/* The book's terms and their renewals, and its products. */
#include <criterion/criterion.h>
#include <math.h>

#include "tidemark/insight/book.h"

/* The period is (DAY(0), DAY(365)]; DUE(n) is the local day that begins at DAY(n). */
#define DUE(n) (20000 + (n))
#define DAY(n) (DUE(n) * TM_DAY)
#define MONEY(whole) ((tm_fixed)((whole)*1000000LL))

static bool near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fmax(1, fabs(b));
}

static tm_book *book(void)
{
    tm_book *b = tm_book_new(&(tm_book_settings){DAY(0), DAY(365), tm_zone_utc()});
    cr_assert_not_null(b);
    return b;
}

static uint32_t account(tm_book *b, char name)
{
    return tm_book_account(b, (tm_slice){&name, 1});
}

static void tell(tm_book *b, char name, tm_time t, int32_t due, bool first_term)
{
    tm_book_terms terms = {.customer = true,
                           .first_term = first_term,
                           .mrr = MONEY(10),
                           .seats = TM_FIXED_NONE,
                           .currency = TM_SLICE_LITERAL("EUR"),
                           .renewal = due};
    cr_assert_eq(tm_book_record(b, account(b, name), t, &terms), TM_OK);
}

static void churned(tm_book *b, char name, tm_time t)
{
    cr_assert_eq(tm_book_churned(b, account(b, name), t, (tm_slice){0}), TM_OK);
}

static void renewed(tm_book *b, char name, tm_time t)
{
    cr_assert_eq(tm_book_renewed(b, account(b, name), t), TM_OK);
}

/* What became of an account: 'l' or 'r' and when, or '-'. */
static void decided(tm_book *b, char name, char wanted, tm_time when)
{
    bool lost = false;
    tm_time t = 0;
    bool any = tm_book_decision(b, account(b, name), &lost, &t);
    cr_assert_eq(any, wanted != '-', "%c", name);
    if (!any)
        return;
    cr_assert_eq(lost, wanted == 'l', "%c", name);
    cr_assert_eq(t, when, "%c: day %ld", name, (long)(t / TM_DAY - 20000));
}

Test(book_terms, renewed_lost_corrected_and_open)
{
    tm_book *b = book();
    tell(b, 'a', DAY(-10), DUE(100), false);
    renewed(b, 'a', DAY(90));
    tell(b, 'b', DAY(-10), DUE(100), false);
    tell(b, 'b', DAY(80), DUE(465), false); /* a later end renews */
    tell(b, 'c', DAY(-10), DUE(100), false);
    churned(b, 'c', DAY(120)); /* after its planned end, still nothing else is known of that term */
    tell(b, 'd', DAY(-10), DUE(100), false);
    tell(b, 'e', DAY(-10), DUE(400), false);
    tell(b, 'e', DAY(20), DUE(50), false); /* an earlier one corrects */
    tell(b, 'f', DAY(-10), DUE(100), false);
    tell(b, 'f', DAY(20), TM_BOOK_NO_DAY, false); /* none: it never had one */
    tell(b, 'g', DAY(-10), DUE(400), true);
    renewed(b, 'g', DAY(300)); /* decided within the period, due later */
    tell(b, 'h', DAY(-10), DUE(200), true);
    churned(b, 'h', DAY(150));
    tell(b, 'i', DAY(-10), DUE(0), false); /* due at the begin: before the period */
    renewed(b, 'i', DAY(1));
    tell(b, 'j', DAY(-10), DUE(365), false); /* due at its end */
    tell(b, 'k', DAY(-10), TM_BOOK_NO_DAY, false);
    renewed(b, 'k', DAY(50)); /* of no term */
    tell(b, 'l', DAY(-10), DUE(100), true);
    tell(b, 'l', DAY(20), TM_BOOK_NO_DAY, true);
    churned(b, 'l', DAY(180)); /* a customer is lost, and no term */
    cr_assert_eq(tm_book_close(b), TM_OK);
    tm_book_customers c;
    tm_book_money m;
    cr_assert_eq(tm_book_figures(b, NULL, 1, 1, &c, &m), TM_OK);
    cr_assert_eq(c.due, 7, "a b c d e h j, not %lu", (unsigned long)c.due);
    cr_assert_eq(c.renewed, 2, "a b");
    cr_assert_eq(c.lost, 2, "c h");
    cr_assert(near(c.renewal.value, 2.0 / 7));
    cr_assert_eq(c.renewal.of, 7);
    cr_assert_eq(c.first_decided, 2, "g h");
    cr_assert_eq(c.first_lost, 1);
    cr_assert_eq(c.first_churn.value, 0.5);
    cr_assert_eq(m.due, 70);
    cr_assert_eq(m.renewed, 20);
    cr_assert(near(m.renewal.value, 2.0 / 7));
    cr_assert_eq(m.renewal.of, 7);
    decided(b, 'a', 'r', DAY(100));
    decided(b, 'b', 'r', DAY(100));
    decided(b, 'c', 'l', DAY(120));
    decided(b, 'd', '-', 0);
    decided(b, 'g', '-', 0);
    decided(b, 'h', 'l', DAY(150));
    decided(b, 'i', '-', 0);
    decided(b, 'k', '-', 0);
    cr_assert(tm_book_churn_at(b, 1).first_term);
    cr_assert_not(tm_book_churn_at(b, 0).first_term);
    tm_book_free(b);
}

Test(book_terms, a_renewal_is_of_one_term_however_often_it_is_told)
{
    tm_book *b = book();
    tell(b, 'a', DAY(-10), DUE(100), true);
    renewed(b, 'a', DAY(90));
    renewed(b, 'a', DAY(91));
    tell(b, 'a', DAY(95), DUE(100), true);  /* nothing new */
    tell(b, 'a', DAY(99), DUE(200), false); /* the term it was renewed for */
    churned(b, 'a', DAY(150));
    tell(b, 'a', DAY(160), DUE(300), false); /* back, with a term of its own */
    cr_assert_eq(tm_book_close(b), TM_OK);
    tm_book_customers c;
    tm_book_money m;
    cr_assert_eq(tm_book_figures(b, NULL, 1, 1, &c, &m), TM_OK);
    cr_assert_eq(c.due, 3);
    cr_assert_eq(c.renewed, 1);
    cr_assert_eq(c.lost, 1);
    cr_assert_eq(c.first_decided, 1);
    cr_assert_eq(c.first_lost, 0);
    decided(b, 'a', 'l', DAY(150)); /* a loss counts before a renewal */
    tm_book_free(b);
}

Test(book_terms, the_last_of_several_losses)
{
    tm_book *b = book();
    for (int i = 0; i < 3; i++) {
        tell(b, 'a', DAY(10 + 100 * i), TM_BOOK_NO_DAY, false);
        churned(b, 'a', DAY(50 + 100 * i));
    }
    tell(b, 'a', DAY(300), TM_BOOK_NO_DAY, false);
    cr_assert_eq(tm_book_close(b), TM_OK);
    cr_assert_eq(tm_book_churn_count(b), 3);
    decided(b, 'a', 'l', DAY(250));
    tm_book_customers c;
    tm_book_money m;
    cr_assert_eq(tm_book_figures(b, NULL, 1, 1, &c, &m), TM_OK);
    cr_assert_eq(c.churned, 3);
    cr_assert_eq(c.returned, 3);
    cr_assert_eq(c.fresh, 1);
    tm_book_free(b);
}

/* FNV-1a, 32 bits: of "p" 4111221743, of "q" 4094444124, of "s" 4127999362, by another program. */
Test(book_terms, of_several_renewals_one_by_the_name)
{
    tm_book *b = book();
    static const char names[] = "pqs";
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < 4; i++)
            tell(b, names[n], DAY(50 * i), DUE(50 * i + 60), false); /* due on days 60, 110, 160 and, open, 210 */
    cr_assert_eq(tm_book_close(b), TM_OK);
    static const uint32_t hashes[] = {4111221743U, 4094444124U, 4127999362U};
    for (int n = 0; n < 3; n++)
        decided(b, names[n], 'r', DAY(60 + 50 * (int)(hashes[n] % 3)));
    tm_book_free(b);
}

Test(book_terms, the_end_of_a_term_is_a_local_day)
{
    /* RFC 8536: no transitions, one type of two hours east, named by four bytes, and the same in the footer. */
    tm_buffer tzif;
    tm_buffer_init(&tzif, 256);
    for (int block = 0; block < 2; block++) {
        static const char zeros[31];
        tm_buffer_append(&tzif, "TZif2", 5);
        tm_buffer_append(&tzif, zeros, 15 + 4 * 4);
        tm_buffer_append(&tzif, "\0\0\0\1\0\0\0\4\0\0\x1c\x20\0\0EET", 18);
    }
    tm_buffer_append_text(&tzif, "\nEET-2\n");
    tm_zone *zone = NULL;
    tm_error error;
    cr_assert_eq(tm_zone_parse(tm_buffer_slice(&tzif), "east", &zone, &error), TM_OK);
    tm_buffer_done(&tzif);
    tm_book *b = tm_book_new(&(tm_book_settings){DAY(0), DAY(365), zone});
    tell(b, 'a', DAY(-10), DUE(100), false);
    renewed(b, 'a', DAY(50));
    tell(b, 'b', DAY(-10), DUE(0), false); /* begins two hours before the period */
    renewed(b, 'b', DAY(50));
    cr_assert_eq(tm_book_close(b), TM_OK);
    decided(b, 'a', 'r', DAY(100) - 2 * TM_HOUR);
    decided(b, 'b', '-', 0);
    tm_book_free(b);
    tm_zone_free(zone);
}

/* --- products --- */

static void sell(tm_book *b, char name, tm_time t, const char *currency, int mrr, const tm_book_product *products,
                 uint32_t count)
{
    tm_book_terms terms = {.customer = true,
                           .mrr = MONEY(mrr),
                           .seats = TM_FIXED_NONE,
                           .currency = tm_slice_of(currency),
                           .renewal = TM_BOOK_NO_DAY,
                           .products = products,
                           .product_count = count};
    cr_assert_eq(tm_book_record(b, account(b, name), t, &terms), TM_OK);
}

static uint32_t product_of(const tm_book *b, const char *name)
{
    for (uint32_t i = 0; i < tm_book_product_count(b); i++)
        if (!name ? !tm_book_product_name(b, i).data : tm_slice_equal_text(tm_book_product_name(b, i), name))
            return i;
    cr_assert(false, "no product %s", name);
    return 0;
}

Test(book_products, a_change_is_contraction_of_one_and_expansion_of_the_other)
{
    const tm_book_product before[] = {{TM_SLICE_LITERAL("core"), MONEY(60)}, {TM_SLICE_LITERAL("chat"), MONEY(30)}};
    const tm_book_product after[] = {{TM_SLICE_LITERAL("core"), MONEY(60)}, {TM_SLICE_LITERAL("mail"), MONEY(40)}};
    const tm_book_product unpriced[] = {{TM_SLICE_LITERAL("core"), TM_FIXED_NONE}};
    tm_book *b = book();
    sell(b, 'a', DAY(-1), "EUR", 100, before, 2);
    sell(b, 'a', DAY(50), "EUR", 100, after, 2);
    sell(b, 'b', DAY(5), "EUR", 7, NULL, 0);
    sell(b, 'c', DAY(5), "EUR", 3, unpriced, 1);
    sell(b, 'd', DAY(-1), "EUR", 90, before, 2);
    churned(b, 'd', DAY(9));
    sell(b, 'e', DAY(-1), "EUR", 90, before, 2);
    sell(b, 'e', DAY(9), "USD", 100, after, 2);
    cr_assert_eq(tm_book_close(b), TM_OK);
    cr_assert_eq(tm_book_currency_count(b), 2);
    cr_assert_eq(tm_book_product_count(b), 4);
    tm_book_money m[8];
    cr_assert_eq(tm_book_products(b, m), TM_OK);
    static const struct {
        const char *name;
        double opening, closing, fresh, expansion, contraction, churned, moved;
        uint64_t customers, before;
    } wanted[] = {{NULL, 10, 10, 10, 0, 10, 0, 0, 2, 1},
                  {"core", 180, 60, 0, 0, 0, 60, -60, 2, 3},
                  {"chat", 90, 0, 0, 0, 30, 30, -30, 0, 3},
                  {"mail", 0, 40, 0, 40, 0, 0, 0, 1, 0}};
    for (size_t i = 0; i < 4; i++) {
        const tm_book_money *f = &m[(size_t)2 * product_of(b, wanted[i].name)]; /* in EUR, the first that was met */
        cr_assert(f->any);
        cr_assert_eq(f->opening, wanted[i].opening, "%zu: %f", i, f->opening);
        cr_assert_eq(f->closing, wanted[i].closing, "%zu: %f", i, f->closing);
        cr_assert_eq(f->fresh, wanted[i].fresh, "%zu: %f", i, f->fresh);
        cr_assert_eq(f->returned, 0);
        cr_assert_eq(f->expansion, wanted[i].expansion, "%zu", i);
        cr_assert_eq(f->contraction, wanted[i].contraction, "%zu", i);
        cr_assert_eq(f->churned, wanted[i].churned, "%zu", i);
        cr_assert_eq(f->moved, wanted[i].moved, "%zu", i);
        cr_assert_eq(f->customers, wanted[i].customers, "%zu", i);
        cr_assert_eq(f->net.of, wanted[i].before, "%zu", i);
    }
    const tm_book_money *usd = &m[(size_t)2 * product_of(b, "mail") + 1];
    cr_assert_eq(usd->moved, 40);
    cr_assert_eq(usd->closing, 40);
    cr_assert_not(m[(size_t)2 * product_of(b, NULL) + 1].any);
    tm_book_free(b);
}
