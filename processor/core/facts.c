#include "tidemark/core/facts.h"

#include <string.h>

/* A text inside the block: `offset` bytes from its start; ABSENT when there is none. */
typedef struct packed_text {
    uint32_t offset;
    uint16_t length;
} packed_text;

#define ABSENT UINT32_MAX

typedef struct packed_entry {
    uint32_t name_offset;
    uint16_t name_length;
    uint16_t text_length; /* of a string value */
    uint32_t text_offset;
    uint8_t type; /* tm_type */
    bool boolean;
} packed_entry;

typedef struct packed_product {
    tm_fixed seats, mrr;
    packed_text name;
} packed_product;

enum {
    TEXT_NAME,
    TEXT_PLAN,
    TEXT_CURRENCY,
    TEXT_TIER,
    TEXT_STATUS,
    TEXT_SUCCESS_PLAN,
    TEXT_START,
    TEXT_RENEWAL,
    TEXTS
};

/* One block: this head, then numbers of the entries, products, champions, entries (owners, goals, attributes), texts.
 */
struct tm_facts {
    uint32_t size; /* of the block */
    uint8_t owner_count, goal_count, attribute_count, product_count;
    uint16_t champion_count;
    bool start_is_instant, renewal_is_instant;
    int32_t start_day, renewal_day;
    tm_time at, start_instant, renewal_instant;
    tm_fixed seats, mrr, term_months;
    packed_text texts[TEXTS];
};

_Static_assert(sizeof(struct tm_facts) % sizeof(double) == 0, "what follows the head is aligned");
_Static_assert(sizeof(packed_product) % sizeof(double) == 0, "what follows the products is aligned");
_Static_assert(TM_FACT_LIST_MAX <= UINT8_MAX && TM_CHAMPIONS_MAX <= UINT16_MAX, "counts fit");

void tm_facts_draft_init(tm_facts_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    draft->at = TM_TIME_NONE;
    draft->seats = draft->mrr = draft->term_months = TM_FIXED_NONE;
}

static uint32_t entry_count(const tm_facts *facts)
{
    return (uint32_t)facts->owner_count + facts->goal_count + facts->attribute_count;
}

static const double *numbers_of(const tm_facts *facts)
{
    return (const double *)(facts + 1);
}

static const packed_product *products_of(const tm_facts *facts)
{
    return (const packed_product *)(const void *)(numbers_of(facts) + entry_count(facts));
}

static const uint64_t *champions_of(const tm_facts *facts)
{
    return (const uint64_t *)(const void *)(products_of(facts) + facts->product_count);
}

static const packed_entry *entries_of(const tm_facts *facts)
{
    return (const packed_entry *)(const void *)(champions_of(facts) + facts->champion_count);
}

static tm_slice text_at(const tm_facts *facts, uint32_t offset, uint16_t length)
{
    if (offset == ABSENT)
        return (tm_slice){NULL, 0};
    return (tm_slice){(const char *)facts + offset, length};
}

static tm_slice text_of(const tm_facts *facts, packed_text text)
{
    return text_at(facts, text.offset, text.length);
}

/* Sums up what the texts need; false when one is longer than a packed text can be. */
static bool measure(tm_slice text, size_t *sum)
{
    if (text.length > UINT16_MAX)
        return false;
    *sum += text.length;
    return true;
}

static bool measure_entries(const tm_fact_entry *entries, uint32_t count, size_t *sum)
{
    if (count > TM_FACT_LIST_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!measure(entries[i].name, sum) ||
            (entries[i].value.type == TM_TYPE_STRING && !measure(entries[i].value.as.string, sum)))
            return false;
    return true;
}

static void texts_of_draft(const tm_facts_draft *draft, tm_slice texts[static TEXTS])
{
    texts[TEXT_NAME] = draft->name;
    texts[TEXT_PLAN] = draft->plan;
    texts[TEXT_CURRENCY] = draft->currency;
    texts[TEXT_TIER] = draft->tier;
    texts[TEXT_STATUS] = draft->status;
    texts[TEXT_SUCCESS_PLAN] = draft->success_plan;
    texts[TEXT_START] = draft->contract_start.text;
    texts[TEXT_RENEWAL] = draft->renewal_at.text;
}

static bool measure_draft(const tm_facts_draft *draft, const tm_slice texts[static TEXTS], size_t *ret_texts)
{
    for (int i = 0; i < TEXTS; i++)
        if (!measure(texts[i], ret_texts))
            return false;
    if (draft->product_count > TM_FACT_LIST_MAX || draft->champion_count > TM_CHAMPIONS_MAX)
        return false;
    for (uint32_t i = 0; i < draft->product_count; i++)
        if (!measure(draft->products[i].name, ret_texts))
            return false;
    return measure_entries(draft->owners, draft->owner_count, ret_texts) &&
           measure_entries(draft->goals, draft->goal_count, ret_texts) &&
           measure_entries(draft->attributes, draft->attribute_count, ret_texts);
}

/* Where the next text goes. */
typedef struct packer {
    tm_facts *facts;
    uint32_t offset;
} packer;

static packed_text pack_text(packer *to, tm_slice text)
{
    if (!text.data)
        return (packed_text){ABSENT, 0};
    packed_text packed = {to->offset, (uint16_t)text.length};
    if (text.length)
        memcpy((char *)to->facts + to->offset, text.data, text.length);
    to->offset += (uint32_t)text.length;
    return packed;
}

static void pack_entries(packer *to, const tm_fact_entry *from, uint32_t count, packed_entry **entry, double **number)
{
    for (uint32_t i = 0; i < count; i++) {
        packed_text name = pack_text(to, from[i].name);
        tm_value value = from[i].value;
        packed_text text = pack_text(to, value.type == TM_TYPE_STRING ? value.as.string : (tm_slice){NULL, 0});
        *(*entry)++ = (packed_entry){.name_offset = name.offset,
                                     .name_length = name.length,
                                     .text_offset = text.offset,
                                     .text_length = text.length,
                                     .type = value.type,
                                     .boolean = value.type == TM_TYPE_BOOLEAN && value.as.boolean};
        *(*number)++ = value.type == TM_TYPE_NUMBER ? value.as.number : 0;
    }
}

tm_facts *tm_facts_new(tm_heap *heap, const tm_facts_draft *draft)
{
    tm_slice texts[TEXTS];
    size_t text_bytes = 0;
    texts_of_draft(draft, texts);
    if (!measure_draft(draft, texts, &text_bytes))
        return NULL;
    uint32_t entries = draft->owner_count + draft->goal_count + draft->attribute_count;
    size_t fixed_bytes = sizeof(tm_facts) + entries * sizeof(double) + draft->product_count * sizeof(packed_product) +
                         draft->champion_count * sizeof(uint64_t) + entries * sizeof(packed_entry);
    tm_facts *facts = tm_heap_take(heap, fixed_bytes + text_bytes);
    if (!facts)
        return NULL;
    facts->size = (uint32_t)(fixed_bytes + text_bytes);
    facts->at = draft->at;
    facts->owner_count = (uint8_t)draft->owner_count;
    facts->goal_count = (uint8_t)draft->goal_count;
    facts->attribute_count = (uint8_t)draft->attribute_count;
    facts->product_count = (uint8_t)draft->product_count;
    facts->champion_count = (uint16_t)draft->champion_count;
    facts->start_is_instant = draft->contract_start.is_instant;
    facts->start_day = draft->contract_start.day;
    facts->start_instant = draft->contract_start.instant;
    facts->renewal_is_instant = draft->renewal_at.is_instant;
    facts->renewal_day = draft->renewal_at.day;
    facts->renewal_instant = draft->renewal_at.instant;
    facts->seats = draft->seats;
    facts->mrr = draft->mrr;
    facts->term_months = draft->term_months;

    packer to = {facts, (uint32_t)fixed_bytes};
    for (int i = 0; i < TEXTS; i++)
        facts->texts[i] = pack_text(&to, texts[i]);
    double *number = (double *)(facts + 1);
    packed_product *product = (packed_product *)(void *)(number + entries);
    uint64_t *champion = (uint64_t *)(void *)(product + draft->product_count);
    packed_entry *entry = (packed_entry *)(void *)(champion + draft->champion_count);
    pack_entries(&to, draft->owners, draft->owner_count, &entry, &number);
    pack_entries(&to, draft->goals, draft->goal_count, &entry, &number);
    pack_entries(&to, draft->attributes, draft->attribute_count, &entry, &number);
    for (uint32_t i = 0; i < draft->product_count; i++)
        product[i] =
            (packed_product){draft->products[i].seats, draft->products[i].mrr, pack_text(&to, draft->products[i].name)};
    if (draft->champion_count)
        memcpy(champion, draft->champions, draft->champion_count * sizeof *champion);
    return facts;
}

void tm_facts_free(tm_heap *heap, tm_facts *facts)
{
    if (facts)
        tm_heap_give(heap, facts, facts->size);
}

size_t tm_facts_memory(const tm_facts *facts)
{
    return facts ? facts->size : 0;
}

static tm_slice entry_name(const tm_facts *facts, const packed_entry *entry)
{
    return text_at(facts, entry->name_offset, entry->name_length);
}

static tm_value entry_value(const tm_facts *facts, uint32_t index)
{
    const packed_entry *entry = entries_of(facts) + index;
    switch (entry->type) {
    case TM_TYPE_NUMBER:
        return tm_value_number(numbers_of(facts)[index]);
    case TM_TYPE_STRING:
        return tm_value_string(text_at(facts, entry->text_offset, entry->text_length));
    case TM_TYPE_BOOLEAN:
        return tm_value_boolean(entry->boolean);
    default:
        return tm_value_null();
    }
}

static void read_entries(const tm_facts *facts, uint32_t first, uint32_t count, tm_fact_entry *ret_entries)
{
    for (uint32_t i = 0; i < count; i++) {
        ret_entries[i].name = entry_name(facts, entries_of(facts) + first + i);
        ret_entries[i].value = entry_value(facts, first + i);
    }
}

void tm_facts_read(const tm_facts *facts, tm_facts_draft *ret_draft)
{
    tm_facts_draft_init(ret_draft);
    const packed_text *texts = facts->texts;
    ret_draft->at = facts->at;
    ret_draft->name = text_of(facts, texts[TEXT_NAME]);
    ret_draft->plan = text_of(facts, texts[TEXT_PLAN]);
    ret_draft->currency = text_of(facts, texts[TEXT_CURRENCY]);
    ret_draft->tier = text_of(facts, texts[TEXT_TIER]);
    ret_draft->status = text_of(facts, texts[TEXT_STATUS]);
    ret_draft->success_plan = text_of(facts, texts[TEXT_SUCCESS_PLAN]);
    ret_draft->seats = facts->seats;
    ret_draft->mrr = facts->mrr;
    ret_draft->term_months = facts->term_months;
    ret_draft->contract_start = (tm_contract_date){text_of(facts, texts[TEXT_START]), facts->start_is_instant,
                                                   facts->start_day, facts->start_instant};
    ret_draft->renewal_at = (tm_contract_date){text_of(facts, texts[TEXT_RENEWAL]), facts->renewal_is_instant,
                                               facts->renewal_day, facts->renewal_instant};
    ret_draft->owner_count = facts->owner_count;
    ret_draft->goal_count = facts->goal_count;
    ret_draft->attribute_count = facts->attribute_count;
    ret_draft->product_count = facts->product_count;
    ret_draft->champion_count = facts->champion_count;
    read_entries(facts, 0, facts->owner_count, ret_draft->owners);
    read_entries(facts, facts->owner_count, facts->goal_count, ret_draft->goals);
    read_entries(facts, (uint32_t)facts->owner_count + facts->goal_count, facts->attribute_count,
                 ret_draft->attributes);
    const packed_product *products = products_of(facts);
    for (uint32_t i = 0; i < facts->product_count; i++)
        ret_draft->products[i] = (tm_product){text_of(facts, products[i].name), products[i].seats, products[i].mrr};
    for (uint32_t i = 0; i < facts->champion_count; i++)
        ret_draft->champions[i] = champions_of(facts)[i];
}

tm_type tm_fact_type(tm_fact_field field)
{
    switch (field) {
    case TM_FACT_SEATS:
    case TM_FACT_MRR:
    case TM_FACT_TERM_MONTHS:
    case TM_FACT_DAYS_TO_RENEWAL:
    case TM_FACT_GOAL:
    case TM_FACT_PRODUCT_SEATS:
    case TM_FACT_PRODUCT_MRR:
        return TM_TYPE_NUMBER;
    case TM_FACT_FIRST_TERM:
        return TM_TYPE_BOOLEAN;
    case TM_FACT_CONTRACT_AGE:
        return TM_TYPE_DURATION;
    case TM_FACT_ATTRIBUTE:
        return TM_TYPE_ANY;
    default:
        return TM_TYPE_STRING;
    }
}

bool tm_fact_moves(tm_fact_field field)
{
    return field == TM_FACT_CONTRACT_AGE || field == TM_FACT_DAYS_TO_RENEWAL;
}

static tm_value optional_text(const tm_facts *facts, packed_text text)
{
    return text.offset == ABSENT ? tm_value_null() : tm_value_string(text_of(facts, text));
}

static tm_value optional_number(tm_fixed number)
{
    return number == TM_FIXED_NONE ? tm_value_null() : tm_value_number(tm_fixed_number(number));
}

/* Local days of the two contract dates; false when the date is absent. */
static bool start_day(const tm_facts *facts, const tm_moment *now, int32_t *ret_day)
{
    *ret_day = facts->start_is_instant ? tm_zone_day(now->zone, facts->start_instant) : facts->start_day;
    return facts->texts[TEXT_START].offset != ABSENT;
}

static bool renewal_day(const tm_facts *facts, const tm_moment *now, int32_t *ret_day)
{
    *ret_day = facts->renewal_is_instant ? tm_zone_day(now->zone, facts->renewal_instant) : facts->renewal_day;
    return facts->texts[TEXT_RENEWAL].offset != ABSENT;
}

typedef struct civil_date {
    int64_t year;
    int32_t month; /* 1..12 */
    int32_t day;   /* 1..31 */
} civil_date;

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from March, so that the leap
   day is the last one: a year then has 365 y + y/4 - y/100 + y/400 days before it, a month (153 m + 2) / 5. */
static int64_t days_of(int64_t year, int32_t month, int32_t day)
{
    int64_t y = year - (month <= 2);
    int64_t m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static civil_date civil_of(int32_t days)
{
    /* A first guess that is never too late. */
    civil_date date = {.year = 1970 + (days < 0 ? days / 365 - 1 : days / 366), .month = 12};
    while (days_of(date.year + 1, 1, 1) <= days)
        date.year++;
    while (days_of(date.year, date.month, 1) > days)
        date.month--;
    date.day = (int32_t)(days - days_of(date.year, date.month, 1)) + 1;
    return date;
}

/* The same day of the month `months` later, or the last day of a shorter month. */
static int64_t add_months(int32_t days, int64_t months)
{
    civil_date date = civil_of(days);
    int64_t index = date.year * 12 + date.month - 1 + months;
    int64_t year = index / 12;
    int32_t month = (int32_t)(index % 12) + 1;
    int64_t first = days_of(year, month, 1);
    int64_t next = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
    int64_t sum = first + date.day - 1;
    return sum < next ? sum : next - 1;
}

enum { TERM_MONTHS_MAX = 12 * 1000 };

/* A term that is no whole number of months from 0 to a thousand years says nothing about renewals: null. */
static tm_value first_term(const tm_facts *facts, const tm_moment *now)
{
    int32_t start, renewal;
    if (!start_day(facts, now, &start) || !renewal_day(facts, now, &renewal))
        return tm_value_null();
    if (facts->term_months < 0 || facts->term_months % TM_FIXED_ONE != 0 ||
        facts->term_months / TM_FIXED_ONE > TERM_MONTHS_MAX)
        return tm_value_null();
    return tm_value_boolean(renewal <= add_months(start, facts->term_months / TM_FIXED_ONE));
}

static tm_value named_entry(const tm_facts *facts, uint32_t first, uint32_t count, tm_slice name)
{
    const packed_entry *entries = entries_of(facts);
    for (uint32_t i = first; i < first + count; i++)
        if (tm_slice_equal(entry_name(facts, entries + i), name))
            return entry_value(facts, i);
    return tm_value_null();
}

static const packed_product *named_product(const tm_facts *facts, tm_slice name)
{
    const packed_product *products = products_of(facts);
    for (uint32_t i = 0; i < facts->product_count; i++)
        if (tm_slice_equal(text_of(facts, products[i].name), name))
            return products + i;
    return NULL;
}

tm_value tm_facts_value(const tm_facts *facts, tm_fact_field field, tm_slice name, const tm_moment *now)
{
    const packed_product *product;
    int32_t day;
    if (!facts)
        return tm_value_null();
    switch (field) {
    case TM_FACT_NAME:
        return optional_text(facts, facts->texts[TEXT_NAME]);
    case TM_FACT_PLAN:
        return optional_text(facts, facts->texts[TEXT_PLAN]);
    case TM_FACT_CURRENCY:
        return optional_text(facts, facts->texts[TEXT_CURRENCY]);
    case TM_FACT_TIER:
        return optional_text(facts, facts->texts[TEXT_TIER]);
    case TM_FACT_STATUS:
        return optional_text(facts, facts->texts[TEXT_STATUS]);
    case TM_FACT_SUCCESS_PLAN:
        return optional_text(facts, facts->texts[TEXT_SUCCESS_PLAN]);
    case TM_FACT_SEATS:
        return optional_number(facts->seats);
    case TM_FACT_MRR:
        return optional_number(facts->mrr);
    case TM_FACT_TERM_MONTHS:
        return optional_number(facts->term_months);
    case TM_FACT_CONTRACT_START:
        return optional_text(facts, facts->texts[TEXT_START]);
    case TM_FACT_RENEWAL_AT:
        return optional_text(facts, facts->texts[TEXT_RENEWAL]);
    case TM_FACT_FIRST_TERM:
        return first_term(facts, now);
    case TM_FACT_CONTRACT_AGE:
        if (!start_day(facts, now, &day))
            return tm_value_null();
        return tm_value_duration(now->day > day ? (double)(((int64_t)now->day - day) * TM_DAY) : 0);
    case TM_FACT_DAYS_TO_RENEWAL:
        if (!renewal_day(facts, now, &day))
            return tm_value_null();
        return tm_value_number((double)day - (double)now->day);
    case TM_FACT_OWNER:
        return named_entry(facts, 0, facts->owner_count, name);
    case TM_FACT_GOAL:
        return named_entry(facts, facts->owner_count, facts->goal_count, name);
    case TM_FACT_ATTRIBUTE:
        return named_entry(facts, (uint32_t)facts->owner_count + facts->goal_count, facts->attribute_count, name);
    case TM_FACT_PRODUCT_SEATS:
        product = named_product(facts, name);
        return product ? optional_number(product->seats) : tm_value_null();
    case TM_FACT_PRODUCT_MRR:
        product = named_product(facts, name);
        return product ? optional_number(product->mrr) : tm_value_null();
    case TM_FACT_FIELDS:
        break;
    }
    return tm_value_null();
}

bool tm_facts_champion(const tm_facts *facts, uint64_t user_key)
{
    if (!facts || user_key == 0)
        return false;
    for (uint32_t i = 0; i < facts->champion_count; i++)
        if (champions_of(facts)[i] == user_key)
            return true;
    return false;
}
