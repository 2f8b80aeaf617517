#include "tidemark/codec/accountrecord.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/jsontext.h"

struct tm_account_record_reader {
    tm_user_key user_key;
    json_t *root;                /* of the last record: the slices point into it */
    char dates[2][TM_TIME_TEXT]; /* contract dates that were given in milliseconds, as text */
};

typedef struct judge {
    tm_account_record_reader *reader;
    char *detail;
    tm_dead_reason reason;
} judge;

tm_account_record_reader *tm_account_record_reader_new(const tm_user_key *user_key)
{
    tm_account_record_reader *reader = calloc(1, sizeof *reader);
    if (reader != NULL)
        reader->user_key = *user_key;
    return reader;
}

void tm_account_record_reader_free(tm_account_record_reader *reader)
{
    if (reader == NULL)
        return;
    json_decref(reader->root);
    explicit_bzero(&reader->user_key, sizeof reader->user_key);
    free(reader);
}

__attribute__((format(printf, 3, 4))) static bool refuse(judge *j, tm_dead_reason reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(j->detail, TM_DEAD_DETAIL, format, arguments);
    va_end(arguments);
    j->reason = reason;
    return false;
}

/* Where a value stands, as shown in a detail: "seats", "goals.reports", "products[3].mrr". */
typedef struct place {
    char text[96];
} place;

static place place_in(const char *parent, tm_slice name)
{
    place result;
    size_t length = name.length < 64 ? name.length : 64;
    if (length < name.length)
        while (length > 0 && ((unsigned char)name.data[length] & 0xC0) == 0x80)
            length--;
    snprintf(result.text, sizeof result.text, "%s.%.*s", parent, (int)length, name.data);
    return result;
}

static place place_at(const char *parent, size_t index, const char *name)
{
    place result;
    snprintf(result.text, sizeof result.text, "%s[%zu]%s%s", parent, index, name[0] != '\0' ? "." : "", name);
    return result;
}

/* A member of an object; NULL when it is absent or null. */
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static bool take_text(judge *j, const json_t *value, const char *where, size_t maximum, bool may_be_empty,
                      tm_slice *ret_text)
{
    if (!json_is_string(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a string", where);
    tm_slice text = {json_string_value(value), json_string_length(value)};
    if (memchr(text.data, '\0', text.length) != NULL)
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: holds the character U+0000", where);
    if (text.length > maximum)
        return refuse(j, TM_DEAD_STRING_TOO_LONG, "%s: %zu bytes, at most %zu are allowed", where, text.length,
                      maximum);
    if (text.length == 0 && !may_be_empty)
        return refuse(j, TM_DEAD_STRING_EMPTY, "%s: is empty", where);
    *ret_text = text;
    return true;
}

static bool take_number(judge *j, const json_t *value, const char *where, bool may_be_negative, tm_fixed *ret_number)
{
    if (!json_is_number(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a number", where);
    if (tm_fixed_from(json_number_value(value), ret_number) != TM_OK)
        return refuse(j, TM_DEAD_NUMBER_OUT_OF_RANGE, "%s: beyond 9e9", where);
    if (*ret_number < 0 && !may_be_negative)
        return refuse(j, TM_DEAD_NUMBER_OUT_OF_RANGE, "%s: must not be negative", where);
    return true;
}

static bool take_milliseconds(judge *j, const json_t *value, const char *where, tm_time *ret_time)
{
    double number = json_number_value(value);
    if (!(number >= 0) || number > (double)TM_TIME_MAX || number != floor(number))
        return refuse(j, TM_DEAD_INVALID_TIME, "%s: no whole number of milliseconds from 1970 to 9999", where);
    *ret_time = (tm_time)number;
    return true;
}

static bool take_time(judge *j, const json_t *value, const char *where, tm_time *ret_time)
{
    if (json_is_number(value))
        return take_milliseconds(j, value, where, ret_time);
    if (!json_is_string(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a time as text, or milliseconds as a number", where);
    if (tm_time_parse((tm_slice){json_string_value(value), json_string_length(value)}, ret_time) != TM_OK)
        return refuse(j, TM_DEAD_INVALID_TIME, "%s: not RFC 3339 with a zone, from 1970 to 9999", where);
    return true;
}

static bool take_date(judge *j, const json_t *value, const char *where, char own[TM_TIME_TEXT],
                      tm_contract_date *ret_date)
{
    if (json_is_number(value)) {
        if (!take_milliseconds(j, value, where, &ret_date->instant))
            return false;
        tm_time_format(ret_date->instant, own);
        ret_date->text = tm_slice_of(own);
        ret_date->is_instant = true;
        return true;
    }
    if (!json_is_string(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a date or a time as text, or milliseconds as a number",
                      where);
    tm_slice text = {json_string_value(value), json_string_length(value)};
    /* A time with very many fraction digits is valid, but facts keep the text. */
    if (text.length > TM_FACT_TEXT_MAX)
        return refuse(j, TM_DEAD_STRING_TOO_LONG, "%s: %zu bytes, at most %d are allowed", where, text.length,
                      (int)TM_FACT_TEXT_MAX);
    ret_date->text = text;
    if (tm_day_parse(text, &ret_date->day) == TM_OK)
        return true;
    ret_date->is_instant = true;
    if (tm_time_parse(text, &ret_date->instant) != TM_OK)
        return refuse(j, TM_DEAD_INVALID_TIME, "%s: neither YYYY-MM-DD nor RFC 3339 with a zone, from 1970 to 9999",
                      where);
    return true;
}

static bool take_object(judge *j, const json_t *value, const char *where)
{
    if (!json_is_object(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be an object", where);
    if (json_object_size(value) > TM_FACT_LIST_MAX)
        return refuse(j, TM_DEAD_TOO_LARGE, "%s: %zu members, at most %d are allowed", where, json_object_size(value),
                      (int)TM_FACT_LIST_MAX);
    return true;
}

static bool take_array(judge *j, const json_t *value, const char *where, size_t maximum)
{
    if (!json_is_array(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a list", where);
    if (json_array_size(value) > maximum)
        return refuse(j, TM_DEAD_TOO_LARGE, "%s: %zu entries, at most %zu are allowed", where, json_array_size(value),
                      maximum);
    return true;
}

typedef enum entry_kind { ENTRY_TEXT, ENTRY_NUMBER, ENTRY_ANY } entry_kind;

static bool take_entry(judge *j, const json_t *value, const char *where, entry_kind kind, tm_value *ret_value)
{
    if (kind == ENTRY_ANY && json_is_boolean(value)) {
        *ret_value = tm_value_boolean(json_is_true(value));
        return true;
    }
    if (kind == ENTRY_TEXT || (kind == ENTRY_ANY && json_is_string(value))) {
        tm_slice text = {NULL, 0};
        if (!take_text(j, value, where, TM_FACT_TEXT_MAX, true, &text))
            return false;
        *ret_value = tm_value_string(text);
        return true;
    }
    if (kind == ENTRY_ANY && !json_is_number(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be a string, a number or a boolean", where);
    tm_fixed number = 0;
    if (!take_number(j, value, where, true, &number))
        return false;
    *ret_value = tm_value_number(tm_fixed_number(number));
    return true;
}

/* A flat object; null members count as absent. */
static bool take_entries(judge *j, const json_t *root, const char *name, entry_kind kind,
                         tm_fact_entry entries[TM_FACT_LIST_MAX], uint32_t *ret_count)
{
    const json_t *object = member(root, name);
    if (object == NULL)
        return true;
    if (!take_object(j, object, name))
        return false;
    /* jansson's iteration takes a plain pointer and changes nothing. */
    json_t *plain = json_object_get(root, name);
    for (void *at = json_object_iter(plain); at != NULL; at = json_object_iter_next(plain, at)) {
        const json_t *value = json_object_iter_value(at);
        tm_slice key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (json_is_null(value))
            continue;
        place where = place_in(name, key);
        if (key.length > TM_FACT_TEXT_MAX)
            return refuse(j, TM_DEAD_STRING_TOO_LONG, "%s…: a name of %zu bytes, at most %d are allowed", where.text,
                          key.length, (int)TM_FACT_TEXT_MAX);
        tm_fact_entry *entry = &entries[*ret_count];
        if (!take_entry(j, value, where.text, kind, &entry->value))
            return false;
        entry->name = key;
        ++*ret_count;
    }
    return true;
}

static bool take_champions(judge *j, const json_t *root, tm_facts_draft *facts)
{
    const json_t *list = member(root, "champions");
    if (list == NULL)
        return true;
    if (!take_array(j, list, "champions", TM_CHAMPIONS_MAX))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        tm_slice user;
        if (json_is_null(value))
            continue;
        if (!take_text(j, value, place_at("champions", i, "").text, TM_USER_ID_MAX, false, &user))
            return false;
        facts->champions[facts->champion_count++] = tm_hash_user(user, &j->reader->user_key);
    }
    return true;
}

static bool take_product(judge *j, const json_t *value, size_t index, tm_facts_draft *facts)
{
    static const char list[] = "products";
    tm_product *product = &facts->products[facts->product_count];
    if (!json_is_object(value))
        return refuse(j, TM_DEAD_WRONG_TYPE, "%s: must be an object", place_at(list, index, "").text);
    const json_t *name = member(value, "name");
    const json_t *seats = member(value, "seats");
    const json_t *mrr = member(value, "mrr");
    product->seats = product->mrr = TM_FIXED_NONE;
    if (name == NULL)
        return refuse(j, TM_DEAD_MISSING_FIELD, "%s: not there", place_at(list, index, "name").text);
    if (!take_text(j, name, place_at(list, index, "name").text, TM_FACT_TEXT_MAX, false, &product->name) ||
        (seats != NULL && !take_number(j, seats, place_at(list, index, "seats").text, false, &product->seats)) ||
        (mrr != NULL && !take_number(j, mrr, place_at(list, index, "mrr").text, true, &product->mrr)))
        return false;
    for (uint32_t i = 0; i < facts->product_count; i++)
        if (tm_slice_equal(facts->products[i].name, product->name))
            return refuse(j, TM_DEAD_DUPLICATE_KEY, "%s: a product of that name stands before it",
                          place_at(list, index, "name").text);
    facts->product_count++;
    return true;
}

static bool take_products(judge *j, const json_t *root, tm_facts_draft *facts)
{
    const json_t *list = member(root, "products");
    if (list == NULL)
        return true;
    if (!take_array(j, list, "products", TM_FACT_LIST_MAX))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_null(json_array_get(list, i)) && !take_product(j, json_array_get(list, i), i, facts))
            return false;
    return true;
}

static bool take_facts(judge *j, const json_t *root, tm_facts_draft *facts)
{
    const struct {
        const char *name;
        tm_slice *text;
    } texts[] = {{"name", &facts->name}, {"plan", &facts->plan},     {"currency", &facts->currency},
                 {"tier", &facts->tier}, {"status", &facts->status}, {"success_plan", &facts->success_plan}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *value = member(root, texts[i].name);
        if (value != NULL && !take_text(j, value, texts[i].name, TM_FACT_TEXT_MAX, true, texts[i].text))
            return false;
    }
    const struct {
        const char *name;
        tm_fixed *number;
        bool may_be_negative;
    } numbers[] = {
        {"seats", &facts->seats, false}, {"mrr", &facts->mrr, true}, {"term_months", &facts->term_months, false}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *value = member(root, numbers[i].name);
        if (value != NULL && !take_number(j, value, numbers[i].name, numbers[i].may_be_negative, numbers[i].number))
            return false;
    }
    const struct {
        const char *name;
        tm_contract_date *date;
    } dates[] = {{"contract_start", &facts->contract_start}, {"renewal_at", &facts->renewal_at}};
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        const json_t *value = member(root, dates[i].name);
        if (value != NULL && !take_date(j, value, dates[i].name, j->reader->dates[i], dates[i].date))
            return false;
    }
    return take_entries(j, root, "owners", ENTRY_TEXT, facts->owners, &facts->owner_count) &&
           take_champions(j, root, facts) && take_products(j, root, facts) &&
           take_entries(j, root, "goals", ENTRY_NUMBER, facts->goals, &facts->goal_count) &&
           take_entries(j, root, "attributes", ENTRY_ANY, facts->attributes, &facts->attribute_count);
}

static bool judge_record(judge *j, const json_t *root, tm_slice key, bool files, tm_account_record *record)
{
    const json_t *account = member(root, "account");
    const json_t *at = member(root, "at");
    const json_t *erase = files ? member(root, "erase") : NULL;
    if (account == NULL)
        return refuse(j, TM_DEAD_MISSING_FIELD, "account: not there");
    if (!take_text(j, account, "account", TM_ACCOUNT_ID_MAX, false, &record->account))
        return false;
    if (key.data != NULL && !tm_slice_equal(key, record->account))
        return refuse(j, TM_DEAD_ACCOUNT_MISMATCH, "account: is '%s', which is not the record's key",
                      json_string_value(account));
    if (at != NULL && !take_time(j, at, "at", &record->facts.at))
        return false;
    if (erase == NULL)
        return take_facts(j, root, &record->facts);
    if (!json_is_true(erase))
        return refuse(j, TM_DEAD_WRONG_TYPE, "erase: must be true, or not be there");
    if (at == NULL)
        return refuse(j, TM_DEAD_MISSING_FIELD, "at: not there, an erasure in a file needs it");
    record->erase = true;
    return true;
}

tm_status tm_account_record_read(tm_account_record_reader *reader, tm_slice value, tm_slice key, bool files,
                                 tm_account_record *ret_record, tm_dead_reason *ret_reason, char detail[TM_DEAD_DETAIL])
{
    judge j = {.reader = reader, .detail = detail};
    tm_status status = TM_REJECT;
    detail[0] = '\0';
    json_decref(reader->root);
    reader->root = NULL;
    ret_record->erase = false;
    ret_record->account = (tm_slice){NULL, 0};
    tm_facts_draft_init(&ret_record->facts);
    if (!files && key.data == NULL) {
        refuse(&j, TM_DEAD_NO_KEY, "an account record without a key");
    } else if (value.data == NULL && files) {
        refuse(&j, TM_DEAD_NO_VALUE, "an account record without a value");
    } else if (value.data == NULL) {
        /* The key is all there is, so it is judged like the field. */
        if (!tm_utf8_valid(key))
            refuse(&j, TM_DEAD_INVALID_UTF8, "the key is not UTF-8");
        else if (key.length == 0)
            refuse(&j, TM_DEAD_STRING_EMPTY, "the key is empty");
        else if (key.length > TM_ACCOUNT_ID_MAX)
            refuse(&j, TM_DEAD_STRING_TOO_LONG, "the key has %zu bytes, at most %d are allowed", key.length,
                   (int)TM_ACCOUNT_ID_MAX);
        else {
            ret_record->account = key;
            ret_record->erase = true;
            status = TM_OK;
        }
    } else if (value.length > TM_RECORD_MAX) {
        refuse(&j, TM_DEAD_TOO_LARGE, "%zu bytes, at most %d are allowed", value.length, (int)TM_RECORD_MAX);
    } else if (tm_json_is_object(value)) {
        status = tm_json_load(value, true, &reader->root, &j.reason);
        if (status == TM_REJECT)
            refuse(&j, j.reason, "%s", tm_json_reason_text(j.reason));
        else if (status == TM_OK && !judge_record(&j, reader->root, key, files, ret_record))
            status = TM_REJECT;
    } else {
        bool valid = tm_utf8_valid(value);
        refuse(&j, valid ? TM_DEAD_INVALID_JSON : TM_DEAD_INVALID_UTF8,
               valid ? "the value is not a JSON object" : "the value is not UTF-8");
    }
    *ret_reason = j.reason;
    return status;
}
