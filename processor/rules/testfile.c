/* Long because: each key of a test file is read in one place, and the keys of an account record are many. */
#include "tidemark/rules/testfile.h"

#include <stdlib.h>
#include <string.h>

#include "tidemark/base/limits.h"
#include "tidemark/rules/yaml.h"

#define ARENA_MAX ((size_t)512 << 20)
enum { NAME_SHOWN = 80, ALL_DAYS = 0x7f, TEXT_MAX = 4096 };

typedef struct reader {
    tm_testfile *file;
    tm_diagnostics *diagnostics;
    tm_test *test; /* being read */
    uint64_t occurrences;
    bool out_of_memory;
} reader;

#define ERROR_AT(r, node, ...)                                                                                         \
    tm_diagnostics_add((r)->diagnostics, &(r)->file->document, (node) ? (node)->start : 0, __VA_ARGS__)
#define HINT(r, ...) tm_diagnostics_hint((r)->diagnostics, __VA_ARGS__)

static const char *const field_names[] = {"kind",    "severity",    "value",    "threshold",      "clear_threshold",
                                          "summary", "reason",      "play",     "sequence",       "raised_at",
                                          "queue",   "responsible", "informed", "acknowledged_by"};

const char *tm_test_field_name(tm_test_field field)
{
    return field_names[field];
}

static int shown(tm_slice text)
{
    return text.length > NAME_SHOWN ? NAME_SHOWN : (int)text.length;
}

/* Room for `count` things (never none), zeroed. */
static void *take(reader *r, size_t size, uint32_t count)
{
    void *room = tm_arena_take(r->file->arena, size * (count ? count : 1));
    r->out_of_memory |= !room;
    return room;
}

static uint32_t line_of(const reader *r, const tm_yaml_node *node)
{
    uint32_t line = 1;
    for (size_t i = 0; i < node->start; i++)
        line += r->file->document.text.data[i] == '\n';
    return line;
}

/* --- scalars --- */

static tm_slice text_of(reader *r, const tm_yaml_node *node, const char *key, size_t maximum)
{
    if (node->kind != TM_YAML_SCALAR)
        ERROR_AT(r, node, "'%s' must be one value, not a %s", key, node->kind == TM_YAML_LIST ? "list" : "map");
    else if (node->text.length == 0)
        ERROR_AT(r, node, "'%s' is empty", key);
    else if (node->text.length > maximum)
        ERROR_AT(r, node, "'%s' has %zu bytes, at most %zu are taken", key, node->text.length, maximum);
    else
        return node->text;
    return (tm_slice){0};
}

static bool number_of(tm_slice text, double *ret_number)
{
    size_t i = text.length > 0 && text.data[0] == '-' ? 1 : 0;
    if (i == text.length || text.data[i] < '0' || text.data[i] > '9' || memchr(text.data, 'x', text.length) ||
        memchr(text.data, 'X', text.length))
        return false;
    char *end;
    *ret_number = strtod(text.data, &end); /* the arena's copy is terminated */
    return end == text.data + text.length;
}

static bool read_fixed(reader *r, const tm_yaml_node *node, const char *key, tm_fixed *ret_fixed)
{
    double number;
    tm_slice text = text_of(r, node, key, TM_NAME_MAX);
    if (text.data && number_of(text, &number) && tm_fixed_from(number, ret_fixed) == TM_OK)
        return true;
    if (text.data)
        ERROR_AT(r, node, "'%s' is a number within ±9e9", key);
    return false;
}

static bool read_count(reader *r, const tm_yaml_node *node, const char *key, uint32_t maximum, uint32_t *ret_count)
{
    tm_slice text = text_of(r, node, key, TM_NAME_MAX);
    double number = 0;
    if (!text.data)
        return false;
    if (!number_of(text, &number) || number < 1 || number > maximum || number != (double)(uint32_t)number) {
        ERROR_AT(r, node, "'%s' is a whole number from 1 to %u", key, maximum);
        return false;
    }
    *ret_count = (uint32_t)number;
    return true;
}

/* What a plain word is, as JSON and durations would have it; a quoted one is always text. */
static tm_value plain_value(const tm_yaml_node *node)
{
    double number;
    int64_t ms;
    if (node->style != TM_YAML_PLAIN)
        return tm_value_string(node->text);
    if (tm_yaml_is_null(node))
        return tm_value_null();
    if (tm_slice_equal_text(node->text, "true") || tm_slice_equal_text(node->text, "false"))
        return tm_value_boolean(node->text.data[0] == 't');
    if (number_of(node->text, &number))
        return tm_value_number(number);
    if (tm_duration_parse(node->text, &ms) == TM_OK)
        return tm_value_duration((double)ms);
    return tm_value_string(node->text);
}

/* A duration, or several one after the other: "14d 9h". */
static bool durations(tm_slice text, int64_t *ret_ms)
{
    *ret_ms = 0;
    size_t i = 0;
    while (i < text.length) {
        size_t end = i;
        while (end < text.length && text.data[end] != ' ')
            end++;
        int64_t ms = 0;
        tm_slice word = {text.data + i, end - i};
        if (!tm_slice_equal_text(word, "0") && (tm_duration_parse(word, &ms) != TM_OK || ms < 0))
            return false;
        *ret_ms += ms;
        i = end + (end < text.length);
    }
    return text.length > 0 && text.data[text.length - 1] != ' ';
}

static bool read_span(reader *r, const tm_yaml_node *node, const char *key, int64_t *ret_ms)
{
    tm_slice text = text_of(r, node, key, TM_NAME_MAX);
    if (text.data && !durations(text, ret_ms)) {
        ERROR_AT(r, node, "'%s' is a duration", key);
        HINT(r, "a number and one of ms, s, m, h, d, w; several add up: 14d 9h");
        return false;
    }
    return text.data != NULL;
}

/* RFC 3339, or a duration after the test's start. */
static bool read_time(reader *r, const tm_yaml_node *node, const char *key, tm_time *ret_time)
{
    int64_t ms;
    tm_slice text = text_of(r, node, key, TM_NAME_MAX);
    if (!text.data)
        return false;
    if (tm_time_parse(text, ret_time) == TM_OK)
        return true;
    if (r->test->start != TM_TIME_NONE && durations(text, &ms) && r->test->start + ms <= TM_TIME_MAX) {
        *ret_time = r->test->start + ms;
        return true;
    }
    ERROR_AT(r, node, "'%s' is no time", key);
    HINT(r, "RFC 3339 with its zone (2026-01-05T10:00:00Z)%s",
         r->test->start == TM_TIME_NONE ? "" : ", or a duration after the start: 14d 9h");
    return false;
}

/* --- maps and lists --- */

static bool need(reader *r, const tm_yaml_node *node, tm_yaml_kind kind, const char *what)
{
    if (node->kind == kind)
        return true;
    ERROR_AT(r, node, "%s must be a %s", what, kind == TM_YAML_MAP ? "map of keys and values" : "list");
    return false;
}

static void check_keys(reader *r, const tm_yaml_node *map, const char *const *known, size_t count)
{
    for (const tm_yaml_node *entry = map->first; entry; entry = entry->next) {
        tm_nearest nearest;
        tm_nearest_init(&nearest, entry->key->text);
        bool found = false;
        for (size_t i = 0; i < count && !found; i++) {
            found = tm_slice_equal_text(entry->key->text, known[i]);
            tm_nearest_offer(&nearest, tm_slice_of(known[i]));
        }
        if (!found) {
            ERROR_AT(r, entry->key, "unknown key '%.*s'", shown(entry->key->text), entry->key->text.data);
            tm_diagnostics_suggest(r->diagnostics, &nearest);
        }
    }
}
#define CHECK_KEYS(r, map, ...)                                                                                        \
    do {                                                                                                               \
        static const char *const known_keys[] = {__VA_ARGS__};                                                         \
        check_keys((r), (map), known_keys, sizeof known_keys / sizeof *known_keys);                                    \
    } while (0)

/* A key that has to be there; NULL, with an error, when it is not. */
static const tm_yaml_node *needed(reader *r, const tm_yaml_node *map, const char *key, const char *what)
{
    const tm_yaml_node *node = tm_yaml_get(map, key);
    if (!node)
        ERROR_AT(r, map, "%s needs '%s'", what, key);
    return node;
}

/* One text or a list of them. */
static tm_slice *read_texts(reader *r, const tm_yaml_node *node, const char *key, size_t maximum, uint32_t *ret_count)
{
    bool list = node->kind == TM_YAML_LIST;
    tm_slice *texts = take(r, sizeof *texts, list ? node->count : 1);
    *ret_count = 0;
    if (list && node->count == 0)
        ERROR_AT(r, node, "'%s' names nothing", key);
    for (const tm_yaml_node *entry = list ? node->first : node; entry && texts; entry = list ? entry->next : NULL) {
        tm_slice text = text_of(r, entry, key, maximum);
        if (text.data)
            texts[(*ret_count)++] = text;
    }
    return texts;
}

/* --- events --- */

static int weekday_of(tm_slice name)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int i = 0; i < 7; i++)
        if (tm_slice_equal_text(name, days[i]))
            return i;
    return -1;
}

static void read_weekdays(reader *r, const tm_yaml_node *node, uint8_t *ret_days)
{
    uint32_t count;
    uint8_t days = 0;
    bool good = true;
    tm_slice *texts = read_texts(r, node, "weekdays", TM_NAME_MAX, &count);
    for (uint32_t i = 0; i < count && good; i++) {
        const char *dash = memchr(texts[i].data, '-', texts[i].length);
        size_t length = dash ? (size_t)(dash - texts[i].data) : texts[i].length;
        int from = weekday_of((tm_slice){texts[i].data, length});
        int to = dash ? weekday_of((tm_slice){dash + 1, texts[i].length - length - 1}) : from;
        good = from >= 0 && to >= from;
        for (int day = from; good && day <= to; day++)
            days |= (uint8_t)(1 << day);
    }
    if (!good) {
        ERROR_AT(r, node, "'weekdays' are mon, tue, wed, thu, fri, sat, sun");
        HINT(r, "one, a list, or a range such as mon-fri");
    }
    *ret_days = days;
}

static void read_properties(reader *r, const tm_yaml_node *node, tm_test_events *events)
{
    if (!need(r, node, TM_YAML_MAP, "'properties'"))
        return;
    if (node->count > TM_PROPERTIES_MAX) {
        ERROR_AT(r, node, "'properties' has more than %d entries", TM_PROPERTIES_MAX);
        return;
    }
    events->properties = take(r, sizeof *events->properties, node->count);
    for (const tm_yaml_node *entry = node->first; entry && events->properties; entry = entry->next) {
        if (entry->kind != TM_YAML_SCALAR || entry->text.length > TM_PROPERTY_TEXT_MAX ||
            entry->key->text.length > TM_PROPERTY_NAME_MAX) {
            ERROR_AT(r, entry, "a property is a number, a truth value or a text of at most %d bytes",
                     TM_PROPERTY_TEXT_MAX);
            continue;
        }
        tm_value value = plain_value(entry);
        tm_fixed fixed;
        if (value.type == TM_TYPE_NUMBER && tm_fixed_from(value.as.number, &fixed) == TM_OK)
            value = tm_value_number(tm_fixed_number(fixed));
        else if (value.type == TM_TYPE_NUMBER || value.type == TM_TYPE_DURATION)
            value = tm_value_string(entry->text);
        if (!tm_value_is_null(value)) /* as in records: null is absent */
            events->properties[events->property_count++] = (tm_property){entry->key->text, value};
    }
}

static void read_repetition(reader *r, const tm_yaml_node *node, tm_test_events *e)
{
    const tm_yaml_node *every = tm_yaml_get(node, "every");
    const tm_yaml_node *length = tm_yaml_get(node, "for");
    const tm_yaml_node *until = tm_yaml_get(node, "until");
    int64_t ms = 0;
    e->end = e->at + 1;
    if (every && read_span(r, every, "every", &e->every) && e->every < 1)
        ERROR_AT(r, every, "'every' must be at least 1ms");
    if ((length || until) && !every)
        ERROR_AT(r, length ? length->key : until->key, "'%s' needs an 'every'", length ? "for" : "until");
    else if (length && until)
        ERROR_AT(r, until->key, "'for' and 'until' say the same");
    else if (every && !length && !until)
        ERROR_AT(r, every->key, "'every' needs a 'for' or 'until'");
    else if (length && read_span(r, length, "for", &ms))
        e->end = e->at + ms;
    else if (until)
        read_time(r, until, "until", &e->end);
}

static void read_event(reader *r, const tm_yaml_node *node, tm_test_events *e)
{
    *e = (tm_test_events){.at = r->test->start, .count = 1, .weekdays = ALL_DAYS, .value = TM_FIXED_NONE};
    if (!need(r, node, TM_YAML_MAP, "an event"))
        return;
    CHECK_KEYS(r, node, "account", "event", "user", "users", "source", "id", "at", "arrives_after", "every", "for",
               "until", "weekdays", "count", "value", "properties");
    const tm_yaml_node *account = needed(r, node, "account", "an event");
    const tm_yaml_node *name = needed(r, node, "event", "an event");
    const tm_yaml_node *at = needed(r, node, "at", "an event");
    const tm_yaml_node *entry;
    if (!account || !name || !at)
        return;
    e->accounts = read_texts(r, account, "account", TM_ACCOUNT_ID_MAX, &e->account_count);
    e->name = text_of(r, name, "event", TM_EVENT_NAME_MAX);
    (void)read_time(r, at, "at", &e->at);
    if ((entry = tm_yaml_get(node, "user")))
        e->user = text_of(r, entry, "user", TM_USER_ID_MAX);
    if ((entry = tm_yaml_get(node, "users"))) {
        (void)read_count(r, entry, "users", TM_TEST_USERS_MAX, &e->users);
        if (e->user.data)
            ERROR_AT(r, entry->key, "'users' numbers them u1, u2, …: 'user' is given too");
    }
    if ((entry = tm_yaml_get(node, "source")))
        e->source = text_of(r, entry, "source", TM_SOURCE_MAX);
    if ((entry = tm_yaml_get(node, "id")))
        e->id = text_of(r, entry, "id", TM_EVENT_ID_MAX);
    if ((entry = tm_yaml_get(node, "arrives_after")))
        (void)read_span(r, entry, "arrives_after", &e->delay);
    if ((entry = tm_yaml_get(node, "count")))
        (void)read_count(r, entry, "count", TM_TEST_OCCURRENCES_MAX, &e->count);
    if ((entry = tm_yaml_get(node, "weekdays")))
        read_weekdays(r, entry, &e->weekdays);
    if ((entry = tm_yaml_get(node, "value")))
        (void)read_fixed(r, entry, "value", &e->value);
    if ((entry = tm_yaml_get(node, "properties")))
        read_properties(r, entry, e);
    read_repetition(r, node, e);
    uint64_t times = e->every > 0 && e->end > e->at ? (uint64_t)((e->end - e->at - 1) / e->every + 1) : 1;
    uint64_t at_once = (uint64_t)e->count * e->account_count * (e->users ? e->users : 1);
    bool many = times > TM_TEST_OCCURRENCES_MAX || at_once > TM_TEST_OCCURRENCES_MAX;
    r->occurrences += many ? TM_TEST_OCCURRENCES_MAX : times * at_once;
    if (many || r->occurrences > TM_TEST_OCCURRENCES_MAX) {
        ERROR_AT(r, node, "the test has more than %d events", TM_TEST_OCCURRENCES_MAX);
        r->occurrences = 0;
    }
}

/* --- account records --- */

static void read_entries(reader *r, const tm_yaml_node *node, const char *key, tm_type wanted, tm_fact_entry *entries,
                         uint32_t *ret_count)
{
    if (!need(r, node, TM_YAML_MAP, key))
        return;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        if (*ret_count == TM_FACT_LIST_MAX || entry->key->text.length > TM_FACT_TEXT_MAX) {
            ERROR_AT(r, entry, "'%s' takes %d entries with names of %d bytes", key, TM_FACT_LIST_MAX, TM_FACT_TEXT_MAX);
            return;
        }
        if (tm_yaml_is_null(entry))
            continue;
        tm_fact_entry *fact = &entries[*ret_count];
        tm_slice text = text_of(r, entry, key, TM_FACT_TEXT_MAX);
        tm_fixed fixed;
        if (!text.data)
            continue;
        fact->name = entry->key->text;
        fact->value = wanted == TM_TYPE_STRING ? tm_value_string(text) : plain_value(entry);
        if (wanted == TM_TYPE_NUMBER || fact->value.type == TM_TYPE_NUMBER) {
            if (!read_fixed(r, entry, key, &fixed))
                continue;
            fact->value = tm_value_number(tm_fixed_number(fixed));
        } else if (fact->value.type == TM_TYPE_DURATION) {
            fact->value = tm_value_string(text);
        }
        ++*ret_count;
    }
}

static void read_products(reader *r, const tm_yaml_node *node, tm_facts_draft *draft)
{
    if (!need(r, node, TM_YAML_LIST, "'products'"))
        return;
    for (const tm_yaml_node *entry = node->first; entry; entry = entry->next) {
        if (!need(r, entry, TM_YAML_MAP, "a product"))
            continue;
        CHECK_KEYS(r, entry, "name", "seats", "mrr");
        const tm_yaml_node *name = needed(r, entry, "name", "a product");
        const tm_yaml_node *seats = tm_yaml_get(entry, "seats");
        const tm_yaml_node *mrr = tm_yaml_get(entry, "mrr");
        if (draft->product_count == TM_FACT_LIST_MAX) {
            ERROR_AT(r, entry, "'products' has more than %d entries", TM_FACT_LIST_MAX);
            return;
        }
        tm_product *product = &draft->products[draft->product_count];
        *product = (tm_product){.seats = TM_FIXED_NONE, .mrr = TM_FIXED_NONE};
        if (!name)
            continue;
        product->name = text_of(r, name, "name", TM_FACT_TEXT_MAX);
        if (seats)
            (void)read_fixed(r, seats, "seats", &product->seats);
        if (mrr)
            (void)read_fixed(r, mrr, "mrr", &product->mrr);
        draft->product_count += product->name.data != NULL;
    }
}

static void read_date(reader *r, const tm_yaml_node *node, const char *key, tm_contract_date *ret_date)
{
    tm_slice text = text_of(r, node, key, TM_NAME_MAX);
    if (!text.data)
        return;
    ret_date->text = text;
    ret_date->is_instant = tm_day_parse(text, &ret_date->day) != TM_OK;
    if (ret_date->is_instant && tm_time_parse(text, &ret_date->instant) != TM_OK) {
        ERROR_AT(r, node, "'%s' is a date (2026-01-31) or RFC 3339", key);
        ret_date->text = (tm_slice){0};
    }
}

static void read_draft(reader *r, const tm_yaml_node *node, tm_facts_draft *d)
{
    const struct {
        const char *key;
        tm_slice *text;
    } texts[] = {{"name", &d->name}, {"plan", &d->plan},     {"currency", &d->currency},
                 {"tier", &d->tier}, {"status", &d->status}, {"success_plan", &d->success_plan}};
    const struct {
        const char *key;
        tm_fixed *number;
    } numbers[] = {{"seats", &d->seats}, {"mrr", &d->mrr}, {"term_months", &d->term_months}};
    const struct {
        const char *key;
        tm_type type;
        tm_fact_entry *entries;
        uint32_t *count;
    } maps[] = {{"owners", TM_TYPE_STRING, d->owners, &d->owner_count},
                {"goals", TM_TYPE_NUMBER, d->goals, &d->goal_count},
                {"attributes", TM_TYPE_ANY, d->attributes, &d->attribute_count}};
    const tm_yaml_node *entry;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if ((entry = tm_yaml_get(node, texts[i].key)))
            *texts[i].text = text_of(r, entry, texts[i].key, TM_FACT_TEXT_MAX);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if ((entry = tm_yaml_get(node, numbers[i].key)))
            (void)read_fixed(r, entry, numbers[i].key, numbers[i].number);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if ((entry = tm_yaml_get(node, maps[i].key)))
            read_entries(r, entry, maps[i].key, maps[i].type, maps[i].entries, maps[i].count);
    if ((entry = tm_yaml_get(node, "contract_start")))
        read_date(r, entry, "contract_start", &d->contract_start);
    if ((entry = tm_yaml_get(node, "renewal_at")))
        read_date(r, entry, "renewal_at", &d->renewal_at);
    if ((entry = tm_yaml_get(node, "products")))
        read_products(r, entry, d);
}

/* The users are hashed with the key the run gives its events. */
static void read_champions(reader *r, const tm_yaml_node *node, const tm_user_key *key, tm_facts_draft *draft)
{
    uint32_t count;
    tm_slice *users = read_texts(r, node, "champions", TM_USER_ID_MAX, &count);
    if (count > TM_CHAMPIONS_MAX) {
        ERROR_AT(r, node, "'champions' has more than %d entries", TM_CHAMPIONS_MAX);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        draft->champions[draft->champion_count++] = tm_hash_user(users[i], key);
}

static void read_facts(reader *r, const tm_yaml_node *node, tm_test_facts *facts)
{
    *facts = (tm_test_facts){.at = r->test->start};
    if (!need(r, node, TM_YAML_MAP, "an account record"))
        return;
    CHECK_KEYS(r, node, "account", "at", "erase", "name", "plan", "seats", "mrr", "currency", "contract_start",
               "renewal_at", "term_months", "tier", "status", "success_plan", "owners", "champions", "products",
               "goals", "attributes");
    const tm_yaml_node *account = needed(r, node, "account", "an account record");
    const tm_yaml_node *at = tm_yaml_get(node, "at");
    const tm_yaml_node *erase = tm_yaml_get(node, "erase");
    const tm_yaml_node *champions = tm_yaml_get(node, "champions");
    if (account)
        facts->account = text_of(r, account, "account", TM_ACCOUNT_ID_MAX);
    if (at)
        (void)read_time(r, at, "at", &facts->at);
    facts->erase = erase != NULL;
    if (erase && !(erase->kind == TM_YAML_SCALAR && tm_slice_equal_text(erase->text, "true")))
        ERROR_AT(r, erase, "'erase' can only be true");
    facts->draft = take(r, sizeof *facts->draft, 1);
    if (!facts->draft)
        return;
    tm_facts_draft_init(facts->draft);
    read_draft(r, node, facts->draft);
    tm_user_key key = tm_test_user_key();
    if (champions)
        read_champions(r, champions, &key, facts->draft);
}

/* --- what is expected --- */

static void read_expected(reader *r, const tm_yaml_node *node, tm_test_expected *expected)
{
    *expected = (tm_test_expected){.line = line_of(r, node)};
    if (!need(r, node, TM_YAML_MAP, "an expected signal"))
        return;
    CHECK_KEYS(r, node, "account", "rule", "state", "at", "kind", "severity", "value", "threshold", "clear_threshold",
               "summary", "reason", "play", "sequence", "raised_at", "queue", "responsible", "informed",
               "acknowledged_by");
    const tm_yaml_node *account = needed(r, node, "account", "an expected signal");
    const tm_yaml_node *rule = needed(r, node, "rule", "an expected signal");
    const tm_yaml_node *state = needed(r, node, "state", "an expected signal");
    const tm_yaml_node *at = needed(r, node, "at", "an expected signal");
    if (!account || !rule || !state || !at)
        return;
    expected->account = text_of(r, account, "account", TM_ACCOUNT_ID_MAX);
    expected->rule = text_of(r, rule, "rule", TM_NAME_MAX);
    expected->rule_at = rule->start;
    tm_slice word = text_of(r, state, "state", TM_NAME_MAX);
    for (int s = TM_SIGNAL_RAISED; s <= TM_SIGNAL_CLEARED; s++)
        if (tm_slice_equal_text(word, tm_signal_state_name((tm_signal_state)s)))
            expected->state = (tm_signal_state)s;
    if (word.data && expected->state == TM_SIGNAL_NONE)
        ERROR_AT(r, state, "'state' is raised, updated or cleared");
    (void)read_time(r, at, "at", &expected->at);
    for (int f = 0; f < TM_TEST_FIELDS; f++) {
        const tm_yaml_node *entry = tm_yaml_get(node, field_names[f]);
        tm_time time;
        if (!entry)
            continue;
        expected->given |= 1U << f;
        if (entry->kind != TM_YAML_SCALAR)
            (void)text_of(r, entry, field_names[f], TEXT_MAX);
        else if (f == TM_TEST_RAISED_AT && read_time(r, entry, field_names[f], &time))
            expected->fields[f] = tm_value_number((double)time);
        else if (f == TM_TEST_VALUE || f == TM_TEST_THRESHOLD || f == TM_TEST_CLEAR_THRESHOLD ||
                 f == TM_TEST_SEQUENCE || tm_yaml_is_null(entry))
            expected->fields[f] = plain_value(entry);
        else if (f != TM_TEST_RAISED_AT)
            expected->fields[f] = tm_value_string(entry->text);
    }
}

/* One entry of `values` holds several expressions; they are counted before. */
static void read_checks(reader *r, const tm_yaml_node *node)
{
    if (!need(r, node, TM_YAML_MAP, "an entry of 'values'"))
        return;
    CHECK_KEYS(r, node, "account", "at", "are");
    const tm_yaml_node *account = needed(r, node, "account", "an entry of 'values'");
    const tm_yaml_node *at = needed(r, node, "at", "an entry of 'values'");
    const tm_yaml_node *are = needed(r, node, "are", "an entry of 'values'");
    if (!account || !at || !are || !need(r, are, TM_YAML_MAP, "'are'"))
        return;
    tm_test_check check = {.account = text_of(r, account, "account", TM_ACCOUNT_ID_MAX), .at = r->test->start};
    if (read_time(r, at, "at", &check.at) && check.at > r->test->until)
        ERROR_AT(r, at, "'at' is after the test's end");
    for (tm_yaml_node *entry = are->first; entry; entry = entry->next) {
        if (entry->kind != TM_YAML_SCALAR) {
            (void)text_of(r, entry, "are", TEXT_MAX);
            continue;
        }
        check.line = line_of(r, entry->key);
        check.value = plain_value(entry);
        check.expression = r->file->expression_count;
        r->file->expressions[r->file->expression_count] = entry->key->text;
        r->file->expression_nodes[r->file->expression_count++] = entry->key;
        r->test->checks[r->test->check_count++] = check;
    }
}

static uint32_t checks_in(const tm_yaml_node *values)
{
    uint32_t count = 0;
    for (const tm_yaml_node *entry = values ? values->first : NULL; entry; entry = entry->next) {
        const tm_yaml_node *are = tm_yaml_get(entry, "are");
        count += are ? are->count : 0;
    }
    return count;
}

/* --- a test --- */

static void read_history(reader *r, const tm_yaml_node *node)
{
    if (node->kind == TM_YAML_SCALAR && tm_slice_equal_text(node->text, "complete"))
        r->test->counting_start = TM_TIME_NONE;
    else
        (void)read_time(r, node, "history", &r->test->counting_start);
}

/* The list under a key and room for its entries; NULL when there is none. */
static const tm_yaml_node *list_of(reader *r, const tm_yaml_node *map, const char *key, size_t size, void **ret_room)
{
    const tm_yaml_node *list = tm_yaml_get(map, key);
    if (!list || tm_yaml_is_null(list) || !need(r, list, TM_YAML_LIST, key))
        return NULL;
    *ret_room = take(r, size, list->count);
    return *ret_room ? list->first : NULL;
}

static void read_test(reader *r, const tm_yaml_node *node, tm_test *test)
{
    r->test = test;
    r->occurrences = 0;
    test->start = TM_TIME_NONE;
    test->line = line_of(r, node);
    test->timezone = TM_SLICE_LITERAL("UTC");
    if (!need(r, node, TM_YAML_MAP, "a test"))
        return;
    CHECK_KEYS(r, node, "name", "timezone", "start", "until", "history", "accounts", "events", "rules", "expect",
               "values");
    const tm_yaml_node *name = needed(r, node, "name", "a test");
    const tm_yaml_node *start = needed(r, node, "start", "a test");
    const tm_yaml_node *until = needed(r, node, "until", "a test");
    const tm_yaml_node *zone = tm_yaml_get(node, "timezone");
    const tm_yaml_node *history = tm_yaml_get(node, "history");
    const tm_yaml_node *rules = tm_yaml_get(node, "rules");
    const tm_yaml_node *entry;
    if (name)
        test->name = text_of(r, name, "name", TEXT_MAX);
    if (zone)
        test->timezone = text_of(r, zone, "timezone", TM_NAME_MAX);
    if (!start || !read_time(r, start, "start", &test->start) || !until || !read_time(r, until, "until", &test->until))
        return;
    if (test->until <= test->start)
        ERROR_AT(r, until, "'until' is not after the start");
    test->counting_start = test->start;
    if (history)
        read_history(r, history);
    if (rules) {
        test->rules = read_texts(r, rules, "rules", TM_NAME_MAX, &test->rule_count);
        test->rules_at = rules->start;
    }
    for (entry = list_of(r, node, "accounts", sizeof *test->facts, (void **)&test->facts); entry; entry = entry->next)
        read_facts(r, entry, &test->facts[test->facts_count++]);
    for (entry = list_of(r, node, "events", sizeof *test->events, (void **)&test->events); entry; entry = entry->next)
        read_event(r, entry, &test->events[test->event_count++]);
    for (entry = list_of(r, node, "expect", sizeof *test->expected, (void **)&test->expected); entry;
         entry = entry->next)
        read_expected(r, entry, &test->expected[test->expected_count++]);
    void *ignored;
    entry = list_of(r, node, "values", 1, &ignored);
    test->checks = take(r, sizeof *test->checks, checks_in(tm_yaml_get(node, "values")));
    for (; entry && test->checks; entry = entry->next)
        read_checks(r, entry);
}

static void read_root(reader *r, const tm_yaml_node *root)
{
    tm_testfile *file = r->file;
    if (!root) {
        ERROR_AT(r, root, "the file is empty");
        return;
    }
    if (!need(r, root, TM_YAML_MAP, "a file of rule tests"))
        return;
    CHECK_KEYS(r, root, "rules", "evaluate_every", "tests");
    const tm_yaml_node *rules = tm_yaml_get(root, "rules");
    const tm_yaml_node *grid = tm_yaml_get(root, "evaluate_every");
    const tm_yaml_node *tests = needed(r, root, "tests", "a file of rule tests");
    if (rules)
        file->rules = text_of(r, rules, "rules", TEXT_MAX);
    if (grid && read_span(r, grid, "evaluate_every", &file->evaluate_every) &&
        (file->evaluate_every < 1 || TM_HOUR % file->evaluate_every != 0))
        ERROR_AT(r, grid, "'evaluate_every' has to divide one hour");
    if (!tests || !need(r, tests, TM_YAML_LIST, "'tests'"))
        return;
    if (tests->count == 0 || tests->count > TM_TESTS_MAX) {
        ERROR_AT(r, tests, "a file holds 1 to %d tests", TM_TESTS_MAX);
        return;
    }
    uint32_t checks = 0;
    for (const tm_yaml_node *entry = tests->first; entry; entry = entry->next)
        checks += checks_in(tm_yaml_get(entry, "values"));
    file->expressions = take(r, sizeof *file->expressions, checks);
    file->expression_nodes = take(r, sizeof(tm_yaml_node *), checks);
    file->tests = take(r, sizeof *file->tests, tests->count);
    if (r->out_of_memory)
        return;
    for (const tm_yaml_node *entry = tests->first; entry && !r->out_of_memory; entry = entry->next)
        read_test(r, entry, &file->tests[file->test_count++]);
}

tm_user_key tm_test_user_key(void)
{
    return tm_user_key_from(TM_SLICE_LITERAL("tidemark rule tests"));
}

tm_status tm_testfile_parse(tm_slice text, const char *file_name, tm_diagnostics *diagnostics, tm_testfile **ret_file,
                            tm_error *error)
{
    *ret_file = NULL;
    tm_error_clear(error);
    tm_arena *arena = tm_arena_new(ARENA_MAX);
    tm_testfile *file = arena ? tm_arena_take(arena, sizeof *file) : NULL;
    text.length = text.length > TM_PACK_FILE_MAX ? TM_PACK_FILE_MAX + 1 : text.length;
    char *copy = file ? tm_arena_copy(arena, text.data ? text.data : "", text.length) : NULL;
    char *name = copy ? tm_arena_copy(arena, file_name, strlen(file_name)) : NULL;
    if (!name) {
        tm_arena_free_all(arena);
        return tm_fail(error, TM_FATAL, "out of memory while reading %s", file_name);
    }
    *file = (tm_testfile){.arena = arena, .document = {name, {copy, text.length}, false}, .evaluate_every = TM_MINUTE};
    reader r = {.file = file, .diagnostics = diagnostics};
    tm_yaml_node *root;
    tm_status status = tm_yaml_parse(arena, &file->document, diagnostics, &root);
    if (status == TM_OK)
        read_root(&r, root);
    if (status == TM_FATAL || r.out_of_memory) {
        status = tm_fail(error, TM_FATAL, "out of memory while reading %s", file_name);
    } else {
        tm_diagnostics_sort(diagnostics);
        status = tm_diagnostics_status(diagnostics, error);
    }
    if (status != TM_OK) {
        tm_arena_free_all(arena);
        return status;
    }
    *ret_file = file;
    return TM_OK;
}

void tm_testfile_free(tm_testfile *file)
{
    if (file)
        tm_arena_free_all(file->arena);
}
