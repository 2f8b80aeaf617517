/* The book as its own sources see it. */
#ifndef TIDEMARK_INSIGHT_BOOKROOM_H
#define TIDEMARK_INSIGHT_BOOKROOM_H

#include "tidemark/insight/book.h"

enum { NONE = TM_NAMES_NONE };

typedef struct owned { /* a product as an account has it */
    uint32_t product;
    tm_fixed mrr;
} owned;

typedef enum kind { RECORD, RENEWED, CHURNED } kind; /* in the order in which they count at one instant */

/* What was told of an account at an instant. */
typedef struct entry {
    uint32_t account, order;
    tm_time t;
    kind kind;
    bool customer, first_term, has_mrr;
    uint32_t currency, reason, product_count;
    int32_t renewal;
    tm_fixed mrr, seats;
    owned *products;
} entry;

/* Money of an account in one currency over the period: of all it pays (product NONE), or of one product. */
typedef struct line {
    uint32_t account, currency, product;
    bool opening_customer, closing_customer;
    __int128 opening, closing, fresh, returned, expansion, contraction, churned, moved;
} line;

typedef enum fate { OPEN, WAS_RENEWED, WAS_LOST, VOID } fate;

typedef struct term {
    uint32_t account, currency;
    tm_time due, decided;
    fate fate;
    bool first;
    tm_fixed mrr;
} term;

typedef struct churn {
    uint32_t account, currency, reason;
    tm_time t;
    tm_fixed mrr;
    bool first_term;
} churn;

typedef struct customer {
    bool told, opening, closing, fresh, has_mrr;
    uint32_t returned, churned;
    uint32_t currency; /* of its last terms as a customer */
    tm_fixed seats;
    tm_time lived; /* ms as a customer in the period */
    size_t first_line, line_count;
    bool decided, lost;
    tm_time decided_at;
    tm_time erased_at;      /* TM_TIME_NONE: never */
    uint32_t erased_before; /* records told earlier than this are forgotten, and outcomes up to erased_at */
} customer;

struct tm_book {
    tm_book_settings settings;
    tm_heap *heap;
    tm_names accounts, currencies, products, reasons;
    customer *people;
    entry *entries;
    line *lines;
    term *terms;
    churn *churns;
    size_t people_room, entry_count, entry_room, line_count, line_room, term_count, term_room, churn_count, churn_room;
};

static inline bool within(const tm_book *book, tm_time t)
{
    return t > book->settings.from && t <= book->settings.at;
}

#endif
