/* Contract facts of an account: what its last account record said. */
#ifndef TIDEMARK_CORE_FACTS_H
#define TIDEMARK_CORE_FACTS_H

#include "tidemark/base/fixed.h"
#include "tidemark/base/heap.h"
#include "tidemark/base/limits.h"
#include "tidemark/core/moment.h"
#include "tidemark/core/value.h"

typedef struct tm_fact_entry {
    tm_slice name;
    tm_value value; /* owners: string; goals: number; attributes: number, string or boolean */
} tm_fact_entry;

typedef struct tm_product {
    tm_slice name;
    tm_fixed seats; /* TM_FIXED_NONE when absent, like every number here */
    tm_fixed mrr;
} tm_product;

/* A contract date: a local calendar day, or an instant whose local day counts. */
typedef struct tm_contract_date {
    tm_slice text;   /* as given; absent: data == NULL */
    bool is_instant; /* `instant` holds; else `day` */
    int32_t day;
    tm_time instant;
} tm_contract_date;

/* What a reader collects; slices point wherever the reader likes. Zero-initialise, then set numbers to TM_FIXED_NONE
   with tm_facts_draft_init. Absent texts have data == NULL. */
typedef struct tm_facts_draft {
    tm_time at; /* information only; TM_TIME_NONE when absent */
    tm_slice name, plan, currency, tier, status, success_plan;
    tm_fixed seats, mrr, term_months;
    tm_contract_date contract_start, renewal_at;
    uint32_t owner_count, goal_count, attribute_count, product_count, champion_count;
    tm_fact_entry owners[TM_FACT_LIST_MAX], goals[TM_FACT_LIST_MAX], attributes[TM_FACT_LIST_MAX];
    tm_product products[TM_FACT_LIST_MAX];
    uint64_t champions[TM_CHAMPIONS_MAX]; /* keyed hashes of user ids */
} tm_facts_draft;

void tm_facts_draft_init(tm_facts_draft *draft);

/* Facts packed into one block of a heap. */
typedef struct tm_facts tm_facts;

/* Copies the draft. NULL without memory (or when a count or text is beyond what a reader lets through). */
tm_facts *tm_facts_new(tm_heap *heap, const tm_facts_draft *draft);
void tm_facts_free(tm_heap *heap, tm_facts *facts); /* NULL is allowed */
size_t tm_facts_memory(const tm_facts *facts);      /* bytes of heap it holds; 0 for NULL */
/* Fills a draft whose slices point into `facts`: the inverse of tm_facts_new, for writing state. */
void tm_facts_read(const tm_facts *facts, tm_facts_draft *ret_draft);

/* Which fact an expression names. */
typedef enum tm_fact_field {
    TM_FACT_NAME,
    TM_FACT_PLAN,
    TM_FACT_CURRENCY,
    TM_FACT_TIER,
    TM_FACT_STATUS,
    TM_FACT_SUCCESS_PLAN,
    TM_FACT_SEATS,
    TM_FACT_MRR,
    TM_FACT_TERM_MONTHS,
    TM_FACT_CONTRACT_START,
    TM_FACT_RENEWAL_AT,      /* the text as given */
    TM_FACT_FIRST_TERM,      /* renewal_at's local day <= contract_start's + term_months calendar months (last day of a
                                shorter month); null without all three */
    TM_FACT_CONTRACT_AGE,    /* duration: whole local days since contract_start; never below 0 */
    TM_FACT_DAYS_TO_RENEWAL, /* number of local days, negative when past */
    TM_FACT_OWNER,
    TM_FACT_GOAL,
    TM_FACT_ATTRIBUTE,
    TM_FACT_PRODUCT_SEATS,
    TM_FACT_PRODUCT_MRR, /* with a name */
    TM_FACT_FIELDS
} tm_fact_field;

/* The static type of a field: number, duration, string, boolean, or any for attributes. */
tm_type tm_fact_type(tm_fact_field field);
/* True for contract_age and days_to_renewal: these change at local midnights without a record. */
bool tm_fact_moves(tm_fact_field field);
/* The value of a field at `now`; `name` is used by the last five. `facts` may be NULL (no record yet): everything is
 * null. */
tm_value tm_facts_value(const tm_facts *facts, tm_fact_field field, tm_slice name, const tm_moment *now);
/* Whether a user (keyed hash) is among the champions; 0 and NULL facts give false. */
bool tm_facts_champion(const tm_facts *facts, uint64_t user_key);

#endif
