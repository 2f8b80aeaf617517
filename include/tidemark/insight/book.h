/* The book of business: who was a customer when and paid what, out of account records and outcomes, and what became of
   it in a period. Pure arithmetic over what it was told; sums of money are exact. docs/report.md has every formula. */
#ifndef TIDEMARK_INSIGHT_BOOK_H
#define TIDEMARK_INSIGHT_BOOK_H

#include "tidemark/base/calendar.h"
#include "tidemark/base/fixed.h"
#include "tidemark/base/statistics.h"
#include "tidemark/insight/names.h"

/* The period is (from, at]: what stood at `from` is the opening book, what stands at `at` the closing one. */
typedef struct tm_book_settings {
    tm_time from, at; /* from <= at; from may be TM_TIME_NONE: before everything */
    const tm_zone *zone;
} tm_book_settings;

#define TM_BOOK_NO_DAY INT32_MIN

typedef struct tm_book_product {
    tm_slice name;
    tm_fixed mrr; /* TM_FIXED_NONE counts as 0, as everywhere here */
} tm_book_product;

/* What one account record says that counts here. */
typedef struct tm_book_terms {
    bool customer; /* its status is active, or not given */
    bool first_term;
    tm_fixed mrr, seats;
    tm_slice currency, reason;       /* `reason`: why it is no customer any more, where the record says */
    int32_t renewal;                 /* local day; TM_BOOK_NO_DAY: none is known */
    const tm_book_product *products; /* each name once */
    uint32_t product_count;
} tm_book_terms;

typedef struct tm_book tm_book;

tm_book *tm_book_new(const tm_book_settings *settings); /* NULL without memory */
void tm_book_free(tm_book *book);                       /* NULL is allowed */

/* --- telling; what is later than the period is not told, or not heeded --- */
/* The number of an account, from 0; UINT32_MAX without memory. */
uint32_t tm_book_account(tm_book *book, tm_slice key);
uint32_t tm_book_find(const tm_book *book, tm_slice key); /* UINT32_MAX: never told of */
/* Records of an account in order of time; outcomes in any order. TM_OK or TM_FATAL. */
tm_status tm_book_record(tm_book *book, uint32_t account, tm_time t, const tm_book_terms *terms);
tm_status tm_book_churned(tm_book *book, uint32_t account, tm_time t, tm_slice reason);
tm_status tm_book_renewed(tm_book *book, uint32_t account, tm_time t);
/* It asked to be forgotten at `t`: what it was told of up to then was never there. */
void tm_book_erase(tm_book *book, uint32_t account, tm_time t);
/* All is told: works out what follows can be asked. Once. TM_OK or TM_FATAL. */
tm_status tm_book_close(tm_book *book);

/* --- asking --- */
uint32_t tm_book_account_count(const tm_book *book);
tm_slice tm_book_account_key(const tm_book *book, uint32_t account);
bool tm_book_known(const tm_book *book, uint32_t account);    /* has a record, and was not erased since */
bool tm_book_customer(const tm_book *book, uint32_t account); /* at the end of the period */
/* Currencies and products as they were met; index < count. An account without a currency has the absent one. */
uint32_t tm_book_currency_count(const tm_book *book);
tm_slice tm_book_currency(const tm_book *book, uint32_t index);
uint32_t tm_book_product_count(const tm_book *book);
tm_slice tm_book_product_name(const tm_book *book, uint32_t index); /* absent: what no product accounts for */

/* Customers of a group, in numbers. */
typedef struct tm_book_customers {
    uint64_t opening, closing;          /* at both ends */
    uint64_t fresh, returned;           /* beginnings in the period: of those never a customer before, and of others */
    uint64_t churned;                   /* endings in the period */
    uint64_t kept;                      /* of the opening ones, customers at the end too */
    uint64_t without_mrr;               /* of the closing ones, those whose record has no mrr */
    uint64_t due, renewed, lost;        /* terms whose planned end fell into the period, and what is known of them */
    uint64_t first_decided, first_lost; /* first terms renewed or lost in the period */
    double seats;                       /* of the closing ones */
    double months;                      /* customers times months of 365.25/12 days in the period */
    tm_estimate retention, renewal, first_churn; /* kept ÷ opening, renewed ÷ due, first_lost ÷ first_decided */
} tm_book_customers;

/* Money of a group in one currency: closing = opening + fresh + returned + expansion - contraction - churned + moved.
 */
typedef struct tm_book_money {
    bool any; /* something is not 0, or a customer's currency is this one at either end of the period */
    double opening, closing, fresh, returned, expansion, contraction, churned;
    double moved;            /* of customers that changed the currency they pay in */
    double net_new_existing; /* expansion - contraction - churned */
    tm_estimate gross, net;  /* of the opening money: kept without and with expansion, ÷ opening; of: who paid it */
    double due, renewed;     /* money of terms due, and of those of them that were renewed */
    tm_estimate renewal;     /* renewed ÷ due; of: terms */
    uint64_t customers;      /* at the end */
    uint64_t churns;
    double months;
    double average;             /* closing ÷ customers; NaN without */
    tm_estimate monthly_churn;  /* churns ÷ months; of: churns */
    tm_estimate lifetime_value; /* average × margin ÷ monthly_churn; NaN without churns */
} tm_book_money;

/* Figures by group: `group_of` has a number below `groups` for each account, or UINT32_MAX: in none; NULL: all are in
   group 0. `ret_customers` has room for one a group, `ret_money` (group × currencies + currency) for one a group and
   currency. `margin`: the share of revenue that counts as value. TM_OK or TM_FATAL. */
tm_status tm_book_figures(const tm_book *book, const uint32_t *group_of, uint32_t groups, double margin,
                          tm_book_customers *ret_customers, tm_book_money *ret_money);
/* The same by product: money only, (product × currencies + currency); `customers` are those with the product. */
tm_status tm_book_products(const tm_book *book, tm_book_money *ret_money);

/* Endings in the period, by account and time; index < count. */
typedef struct tm_book_churn {
    uint32_t account, currency;
    tm_time t;
    double mrr;
    tm_slice reason; /* absent: not told */
    bool first_term;
} tm_book_churn;
size_t tm_book_churn_count(const tm_book *book);
tm_book_churn tm_book_churn_at(const tm_book *book, size_t index);

/* What became of an account in the period: lost (at the last time), or else renewed (of several renewals the one with
   the number FNV-1a(key) modulo their count, from 0); false: neither. `ret_t`: when it was lost, or the planned end of
   the term that was renewed. */
bool tm_book_decision(const tm_book *book, uint32_t account, bool *ret_lost, tm_time *ret_t);

#endif
