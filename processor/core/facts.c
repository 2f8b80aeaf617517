#include "tidemark/core/facts.h"

#include <string.h>

/* A text inside the block: `offset` bytes from its start; ABSENT when there is none. */
typedef struct packed_text {
    uint32_t offset;
    uint16_t length;
} packed_text;

#define ABSENT UINT32_MAX

typedef struct packed_entry {
    union {
        double number;
        packed_text text;
        bool boolean;
    } value;
    uint32_t name_offset;
    uint16_t name_length;
    uint8_t type; /* tm_type */
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

/* One block: this head, then products, champions, entries (owners, goals, attributes), texts. */
struct tm_facts {
    uint32_t size; /* of the block */
    uint8_t owner_count, goal_count, attribute_count, product_count;
    uint16_t champion_count;
    bool start_is_instant, renewal_is_instant;
    uint32_t text_offsets[TEXTS];
    uint16_t text_lengths[TEXTS];
    int64_t start, renewal; /* the instant, or the day */
    tm_time at;
    tm_fixed seats, mrr, term_months;
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

static const packed_product *products_of(const tm_facts *facts)
{
    return (const packed_product *)(const void *)(facts + 1);
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

static tm_slice head_text(const tm_facts *facts, int which)
{
    return text_at(facts, facts->text_offsets[which], facts->text_lengths[which]);
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

static void pack_entries(packer *to, const tm_fact_entry *from, uint32_t count, packed_entry **entry)
{
    for (uint32_t i = 0; i < count; i++) {
        packed_text name = pack_text(to, from[i].name);
        tm_value value = from[i].value;
        packed_entry *packed = (*entry)++;
        packed->name_offset = name.offset;
        packed->name_length = name.length;
        packed->type = value.type;
        if (value.type == TM_TYPE_NUMBER)
            packed->value.number = value.as.number;
        else if (value.type == TM_TYPE_STRING)
            packed->value.text = pack_text(to, value.as.string);
        else if (value.type == TM_TYPE_BOOLEAN)
            packed->value.boolean = value.as.boolean;
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
    size_t fixed_bytes = sizeof(tm_facts) + draft->product_count * sizeof(packed_product) +
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
    facts->start = draft->contract_start.is_instant ? draft->contract_start.instant : draft->contract_start.day;
    facts->renewal_is_instant = draft->renewal_at.is_instant;
    facts->renewal = draft->renewal_at.is_instant ? draft->renewal_at.instant : draft->renewal_at.day;
    facts->seats = draft->seats;
    facts->mrr = draft->mrr;
    facts->term_months = draft->term_months;

    packer to = {facts, (uint32_t)fixed_bytes};
    for (int i = 0; i < TEXTS; i++) {
        packed_text text = pack_text(&to, texts[i]);
        facts->text_offsets[i] = text.offset;
        facts->text_lengths[i] = text.length;
    }
    packed_product *product = (packed_product *)(void *)(facts + 1);
    uint64_t *champion = (uint64_t *)(void *)(product + draft->product_count);
    packed_entry *entry = (packed_entry *)(void *)(champion + draft->champion_count);
    pack_entries(&to, draft->owners, draft->owner_count, &entry);
    pack_entries(&to, draft->goals, draft->goal_count, &entry);
    pack_entries(&to, draft->attributes, draft->attribute_count, &entry);
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
        return tm_value_number(entry->value.number);
    case TM_TYPE_STRING:
        return tm_value_string(text_of(facts, entry->value.text));
    case TM_TYPE_BOOLEAN:
        return tm_value_boolean(entry->value.boolean);
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

static tm_contract_date date_of(const tm_facts *facts, int text, bool is_instant, int64_t number)
{
    tm_contract_date date = {.text = head_text(facts, text), .is_instant = is_instant};
    if (is_instant)
        date.instant = number;
    else
        date.day = (int32_t)number;
    return date;
}

void tm_facts_read(const tm_facts *facts, tm_facts_draft *ret_draft)
{
    tm_facts_draft_init(ret_draft);
    ret_draft->at = facts->at;
    ret_draft->name = head_text(facts, TEXT_NAME);
    ret_draft->plan = head_text(facts, TEXT_PLAN);
    ret_draft->currency = head_text(facts, TEXT_CURRENCY);
    ret_draft->tier = head_text(facts, TEXT_TIER);
    ret_draft->status = head_text(facts, TEXT_STATUS);
    ret_draft->success_plan = head_text(facts, TEXT_SUCCESS_PLAN);
    ret_draft->seats = facts->seats;
    ret_draft->mrr = facts->mrr;
    ret_draft->term_months = facts->term_months;
    ret_draft->contract_start = date_of(facts, TEXT_START, facts->start_is_instant, facts->start);
    ret_draft->renewal_at = date_of(facts, TEXT_RENEWAL, facts->renewal_is_instant, facts->renewal);
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

static tm_value optional_text(const tm_facts *facts, int which)
{
    tm_slice text = head_text(facts, which);
    return text.data ? tm_value_string(text) : tm_value_null();
}

static tm_value optional_number(tm_fixed number)
{
    return number == TM_FIXED_NONE ? tm_value_null() : tm_value_number(tm_fixed_number(number));
}

/* The local day of a contract date; false when the date is absent. */
static bool local_day(const tm_facts *facts, const tm_moment *now, int which, int32_t *ret_day)
{
    bool start = which == TEXT_START, is_instant = start ? facts->start_is_instant : facts->renewal_is_instant;
    int64_t number = start ? facts->start : facts->renewal;
    *ret_day = is_instant ? tm_zone_day(now->zone, number) : (int32_t)number;
    return facts->text_offsets[which] != ABSENT;
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
    if (!local_day(facts, now, TEXT_START, &start) || !local_day(facts, now, TEXT_RENEWAL, &renewal))
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
        return optional_text(facts, TEXT_NAME);
    case TM_FACT_PLAN:
        return optional_text(facts, TEXT_PLAN);
    case TM_FACT_CURRENCY:
        return optional_text(facts, TEXT_CURRENCY);
    case TM_FACT_TIER:
        return optional_text(facts, TEXT_TIER);
    case TM_FACT_STATUS:
        return optional_text(facts, TEXT_STATUS);
    case TM_FACT_SUCCESS_PLAN:
        return optional_text(facts, TEXT_SUCCESS_PLAN);
    case TM_FACT_SEATS:
        return optional_number(facts->seats);
    case TM_FACT_MRR:
        return optional_number(facts->mrr);
    case TM_FACT_TERM_MONTHS:
        return optional_number(facts->term_months);
    case TM_FACT_CONTRACT_START:
        return optional_text(facts, TEXT_START);
    case TM_FACT_RENEWAL_AT:
        return optional_text(facts, TEXT_RENEWAL);
    case TM_FACT_FIRST_TERM:
        return first_term(facts, now);
    case TM_FACT_CONTRACT_AGE:
        if (!local_day(facts, now, TEXT_START, &day))
            return tm_value_null();
        return tm_value_duration(now->day > day ? (double)(((int64_t)now->day - day) * TM_DAY) : 0);
    case TM_FACT_DAYS_TO_RENEWAL:
        if (!local_day(facts, now, TEXT_RENEWAL, &day))
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
