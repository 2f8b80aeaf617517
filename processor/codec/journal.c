#include "tidemark/codec/journal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/codec/jsontext.h"
#include "tidemark/codec/signal.h"

/* A literal appended without measuring it. */
#define PUT(out, literal) tm_buffer_append((out), "" literal, sizeof(literal) - 1)

enum { LINE_VERSION = 1, HASH_DIGITS = 16 };

static const char *const input_names[TM_INPUTS] = {[TM_INPUT_USAGE] = "usage", [TM_INPUT_ACCOUNTS] = "accounts"};

/* ---- Encoding ---- */

static void put_name(tm_buffer *out, const char *name)
{
    PUT(out, ",\"");
    tm_buffer_append_text(out, name);
    PUT(out, "\":");
}

static void put_integer(tm_buffer *out, const char *name, int64_t value)
{
    put_name(out, name);
    tm_buffer_append_integer(out, value);
}

static void put_time(tm_buffer *out, const char *name, tm_time t)
{
    put_name(out, name);
    if (t == TM_TIME_NONE)
        PUT(out, "null");
    else
        tm_buffer_append_integer(out, t);
}

static void put_text(tm_buffer *out, const char *name, tm_slice text)
{
    put_name(out, name);
    tm_buffer_append_json_string(out, text);
}

static void put_boolean(tm_buffer *out, const char *name, bool value)
{
    put_name(out, name);
    tm_buffer_append_text(out, value ? "true" : "false");
}

static void append_hash(tm_buffer *out, uint64_t hash)
{
    char text[HASH_DIGITS];
    for (int i = HASH_DIGITS; i-- > 0; hash >>= 4)
        text[i] = "0123456789abcdef"[hash & 15];
    tm_buffer_append_char(out, '"');
    tm_buffer_append(out, text, sizeof(text));
    tm_buffer_append_char(out, '"');
}

static void put_hash(tm_buffer *out, const char *name, uint64_t hash)
{
    put_name(out, name);
    append_hash(out, hash);
}

static void append_signal(tm_buffer *out, const tm_journal_signal *signal)
{
    PUT(out, "{\"account\":");
    tm_buffer_append_json_string(out, signal->account);
    put_text(out, "rule", signal->rule);
    /* Its three parts one after the other: no byte of a part is escaped otherwise in the whole. */
    put_name(out, "episode");
    tm_buffer_append_char(out, '"');
    tm_buffer_append_json_text(out, signal->account);
    tm_buffer_append_char(out, '/');
    tm_buffer_append_json_text(out, signal->rule);
    tm_buffer_append_char(out, '/');
    tm_buffer_append_integer(out, signal->raised_at);
    tm_buffer_append_char(out, '"');
    put_text(out, "kind", tm_slice_of(tm_kind_name(signal->kind)));
    put_text(out, "state", tm_slice_of(tm_signal_state_name(signal->state)));
    put_text(out, "severity", tm_slice_of(tm_severity_name(signal->severity)));
    put_integer(out, "sequence", signal->sequence);
    put_integer(out, "time", signal->time);
    tm_buffer_append_char(out, '}');
}

static void append_lists(tm_buffer *out, const tm_journal_commit *line)
{
    put_name(out, "signals");
    tm_buffer_append_char(out, '[');
    for (uint32_t i = 0; i < line->signal_count; i++) {
        if (i > 0)
            tm_buffer_append_char(out, ',');
        append_signal(out, &line->signals[i]);
    }
    tm_buffer_append_char(out, ']');
    put_name(out, "erasures");
    tm_buffer_append_char(out, '[');
    for (uint32_t i = 0; i < line->erasure_count; i++) {
        if (i > 0)
            tm_buffer_append_char(out, ',');
        PUT(out, "{\"account\":");
        tm_buffer_append_json_string(out, line->erasures[i].account);
        put_integer(out, "at", line->erasures[i].at);
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_char(out, ']');
    if (line->skip_count == 0)
        return;
    put_name(out, "skipped");
    tm_buffer_append_char(out, '[');
    for (uint32_t i = 0; i < line->skip_count; i++) {
        const tm_journal_skip *skip = &line->skips[i];
        tm_buffer_append_text(out, i > 0 ? ",{\"input\":\"" : "{\"input\":\"");
        tm_buffer_append_text(out, input_names[skip->input]);
        tm_buffer_append_char(out, '"');
        put_integer(out, "offset", skip->offset);
        put_text(out, "check", skip->check);
        tm_buffer_append_char(out, '}');
    }
    tm_buffer_append_char(out, ']');
}

void tm_journal_encode_commit(const tm_journal_commit *line, tm_buffer *out)
{
    PUT(out, "{\"v\":1,\"kind\":\"commit\"");
    put_text(out, "group", line->group);
    put_integer(out, "partition", line->partition);
    put_integer(out, "n", line->commit);
    put_integer(out, "epoch", line->epoch);
    for (int i = 0; i < TM_INPUTS; i++) {
        put_name(out, input_names[i]);
        tm_buffer_append_char(out, '[');
        tm_buffer_append_integer(out, line->from[i]);
        tm_buffer_append_char(out, ',');
        tm_buffer_append_integer(out, line->to[i]);
        tm_buffer_append_char(out, ']');
    }
    put_time(out, "clock_begin", line->clock_begin);
    put_time(out, "clock_end", line->clock_end);
    put_boolean(out, "drained", line->drained);
    put_time(out, "t_before", line->t_before);
    put_time(out, "t_after", line->t_after);
    put_boolean(out, "judged_at_t", line->judged);
    put_integer(out, "rules_version", line->rules_version);
    put_hash(out, "pack_hash", line->pack_hash);
    if (line->count_from > 0)
        put_integer(out, "count_from", line->count_from);
    append_lists(out, line);
    tm_buffer_append_char(out, '}');
}

void tm_journal_encode_configuration(const tm_journal_configuration *line, tm_buffer *out)
{
    PUT(out, "{\"v\":1,\"kind\":\"configuration\"");
    put_text(out, "group", line->group);
    put_integer(out, "partition", line->partition);
    put_integer(out, "n", line->commit);
    put_text(out, "core_version", line->core_version);
    put_integer(out, "rules_version", line->rules_version);
    put_hash(out, "pack_hash", line->pack_hash);
    put_text(out, "rules", line->rules);
    PUT(out, ",\"configuration\":{\"timezone\":");
    tm_buffer_append_json_string(out, line->timezone);
    put_integer(out, "evaluate_every_ms", line->evaluate_every);
    put_integer(out, "grace_ms", line->grace);
    put_integer(out, "max_skew_ms", line->max_skew);
    put_integer(out, "dedup_window_ms", line->dedup_window);
    put_integer(out, "dedup_max_entries", line->dedup_entries);
    put_integer(out, "distinct_cap", line->distinct_cap);
    put_text(out, "key_mismatch", line->key_mismatch);
    put_text(out, "mapping", line->mapping);
    tm_buffer_append_char(out, '}');
    put_time(out, "counting_start", line->counting_start);
    put_name(out, "counting_starts");
    tm_buffer_append_char(out, '{');
    for (uint32_t i = 0; i < line->counting_count; i++) {
        if (i > 0)
            tm_buffer_append_char(out, ',');
        append_hash(out, line->counting[i].identity);
        tm_buffer_append_char(out, ':');
        if (line->counting[i].start == TM_TIME_NONE)
            PUT(out, "null");
        else
            tm_buffer_append_integer(out, line->counting[i].start);
    }
    PUT(out, "}}");
}

/* ---- Decoding ---- */

/* A decoded line with what it points at: texts are the JSON tree's own. */
typedef struct decoded {
    tm_journal_line line; /* first: what the caller holds */
    json_t *root;
    tm_journal_commit commit;
    tm_journal_configuration configuration;
    tm_journal_signal *signals;
    tm_journal_erasure *erasures;
    tm_journal_skip *skips;
    tm_counting *counting;
} decoded;

/* Reads the fields of one object. The first wrong one fills in the error; reads after it give nothing. */
typedef struct fields {
    const json_t *object;
    const char *what; /* "signals[]" …: where the object stands */
    tm_error *error;
    tm_status status;
} fields;

static void wrong(fields *f, const char *name, const char *expected)
{
    if (f->status == TM_OK)
        f->status = tm_fail(f->error, TM_REJECT, "journal line: %s%s%s is not %s", f->what, *f->what ? "." : "", name,
                            expected);
}

static const json_t *get(const fields *f, const char *name)
{
    return f->status == TM_OK ? json_object_get(f->object, name) : NULL;
}

static int64_t integer_within(fields *f, const char *name, const json_t *value, int64_t least, int64_t greatest)
{
    if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > greatest) {
        wrong(f, name, "a whole number in its bounds");
        return 0;
    }
    return json_integer_value(value);
}

static int64_t get_integer(fields *f, const char *name, int64_t least, int64_t greatest)
{
    return integer_within(f, name, get(f, name), least, greatest);
}

static tm_time get_time(fields *f, const char *name)
{
    return get_integer(f, name, 0, TM_TIME_MAX);
}

static tm_time get_time_or_null(fields *f, const char *name)
{
    const json_t *value = get(f, name);
    return json_is_null(value) ? TM_TIME_NONE : integer_within(f, name, value, 0, TM_TIME_MAX);
}

static bool get_boolean(fields *f, const char *name)
{
    const json_t *value = get(f, name);
    if (!json_is_boolean(value))
        wrong(f, name, "true or false");
    return json_is_true(value);
}

static tm_slice get_text(fields *f, const char *name, size_t least, size_t greatest)
{
    const json_t *value = get(f, name);
    size_t length = json_string_length(value); /* 0 for anything else */
    if (!json_is_string(value) || length < least || length > greatest) {
        wrong(f, name, "a text in its bounds");
        return (tm_slice){NULL, 0};
    }
    return (tm_slice){json_string_value(value), length};
}

static bool hash_of(const char *text, size_t length, uint64_t *ret_hash)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            hash = hash << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            hash = hash << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_hash = hash;
    return length == HASH_DIGITS;
}

static uint64_t get_hash(fields *f, const char *name)
{
    tm_slice text = get_text(f, name, HASH_DIGITS, HASH_DIGITS);
    uint64_t hash = 0;
    if (text.data != NULL && !hash_of(text.data, text.length, &hash))
        wrong(f, name, "16 hexadecimal digits");
    return hash;
}

static void get_interval(fields *f, tm_input input, tm_journal_commit *commit)
{
    const char *name = input_names[input];
    const json_t *pair = get(f, name);
    if (json_array_size(pair) != 2) { /* 0 for anything that is no array */
        wrong(f, name, "a pair of offsets");
        return;
    }
    commit->from[input] = integer_within(f, name, json_array_get(pair, 0), 0, INT64_MAX);
    commit->to[input] = integer_within(f, name, json_array_get(pair, 1), commit->from[input], INT64_MAX);
}

/* An array of objects and, when it has any, zeroed room for as many of `size` bytes. */
static const json_t *get_list(fields *f, const char *name, size_t size, void **ret_room, uint32_t *ret_count)
{
    const json_t *list = get(f, name);
    if (!json_is_array(list)) {
        wrong(f, name, "a list");
        return NULL;
    }
    *ret_count = (uint32_t)json_array_size(list); /* a line has fewer than 2^32 bytes */
    if (*ret_count > 0) {
        *ret_room = calloc(*ret_count, size);
        if (*ret_room == NULL)
            f->status = tm_fail(f->error, TM_FATAL, "no memory for a journal line");
    }
    return list;
}

/* The time in an episode's key, which must be account/rule/time. */
static tm_time get_raised_at(fields *f, tm_slice account, tm_slice rule)
{
    tm_slice key = get_text(f, "episode", 1, TM_EPISODE_KEY_MAX);
    size_t head = account.length + rule.length + 2;
    tm_time t = 0;
    bool good = key.data != NULL && account.data != NULL && rule.data != NULL && key.length > head &&
                memcmp(key.data, account.data, account.length) == 0 && key.data[account.length] == '/' &&
                memcmp(key.data + account.length + 1, rule.data, rule.length) == 0 && key.data[head - 1] == '/';
    for (size_t i = head; good && i < key.length; i++) {
        good = key.data[i] >= '0' && key.data[i] <= '9' && t <= TM_TIME_MAX;
        t = t * 10 + (key.data[i] - '0');
    }
    if (!good || t > TM_TIME_MAX) {
        wrong(f, "episode", "account/rule/raised_at");
        return 0;
    }
    return t;
}

static tm_signal_state get_state(fields *f)
{
    tm_slice text = get_text(f, "state", 1, TM_NAME_MAX);
    for (int state = TM_SIGNAL_RAISED; state <= TM_SIGNAL_CLEARED; state++)
        if (tm_slice_equal_text(text, tm_signal_state_name((tm_signal_state)state)))
            return (tm_signal_state)state;
    wrong(f, "state", "raised, updated or cleared");
    return TM_SIGNAL_NONE;
}

static tm_status read_signal(const json_t *object, tm_journal_signal *ret_signal, tm_error *error)
{
    fields f = {object, "signals[]", error, TM_OK};
    ret_signal->account = get_text(&f, "account", 1, TM_ACCOUNT_ID_MAX);
    ret_signal->rule = get_text(&f, "rule", 1, TM_NAME_MAX);
    if (f.status == TM_OK)
        ret_signal->raised_at = get_raised_at(&f, ret_signal->account, ret_signal->rule);
    if (!tm_kind_parse(get_text(&f, "kind", 1, TM_NAME_MAX), &ret_signal->kind))
        wrong(&f, "kind", "churn_risk, expansion or advisory");
    ret_signal->state = get_state(&f);
    if (!tm_severity_parse(get_text(&f, "severity", 1, TM_NAME_MAX), &ret_signal->severity))
        wrong(&f, "severity", "info, warn, high or critical");
    ret_signal->sequence = (uint32_t)get_integer(&f, "sequence", 1, UINT32_MAX);
    ret_signal->time = get_integer(&f, "time", ret_signal->raised_at, TM_TIME_MAX);
    return f.status;
}

static tm_status read_erasure(const json_t *object, tm_journal_erasure *ret_erasure, tm_error *error)
{
    fields f = {object, "erasures[]", error, TM_OK};
    ret_erasure->account = get_text(&f, "account", 1, TM_ACCOUNT_ID_MAX);
    ret_erasure->at = get_time(&f, "at");
    return f.status;
}

static tm_status read_skip(const json_t *object, const tm_journal_commit *c, tm_journal_skip *ret_skip, tm_error *error)
{
    fields f = {object, "skipped[]", error, TM_OK};
    tm_slice input = get_text(&f, "input", 1, TM_NAME_MAX);
    ret_skip->input = tm_slice_equal_text(input, input_names[TM_INPUT_USAGE]) ? TM_INPUT_USAGE : TM_INPUT_ACCOUNTS;
    if (!tm_slice_equal_text(input, input_names[ret_skip->input]))
        wrong(&f, "input", "usage or accounts");
    ret_skip->offset = get_integer(&f, "offset", c->from[ret_skip->input], c->to[ret_skip->input] - 1);
    ret_skip->check = get_text(&f, "check", 1, TM_NAME_MAX);
    return f.status;
}

static tm_status read_commit(fields *f, decoded *d)
{
    tm_journal_commit *c = &d->commit;
    const json_t *signals;
    const json_t *erasures;
    c->group = get_text(f, "group", 1, TM_CONFIGURATION_TEXT_MAX);
    c->partition = (int32_t)get_integer(f, "partition", 0, INT32_MAX);
    c->commit = get_integer(f, "n", 1, INT64_MAX);
    c->epoch = get_integer(f, "epoch", 0, INT64_MAX);
    get_interval(f, TM_INPUT_USAGE, c);
    get_interval(f, TM_INPUT_ACCOUNTS, c);
    c->clock_begin = get_time_or_null(f, "clock_begin");
    c->clock_end = get_time_or_null(f, "clock_end");
    c->drained = get_boolean(f, "drained");
    c->t_before = get_time_or_null(f, "t_before");
    c->t_after = get_time_or_null(f, "t_after");
    if (c->t_after < c->t_before) /* TM_TIME_NONE is the least */
        wrong(f, "t_after", "at or after t_before");
    c->judged = get_boolean(f, "judged_at_t");
    c->rules_version = get_integer(f, "rules_version", 0, INT64_MAX);
    c->pack_hash = get_hash(f, "pack_hash");
    if (get(f, "count_from")) /* mostly none is lost */
        c->count_from = get_integer(f, "count_from", 1, TM_TIME_MAX);
    signals = get_list(f, "signals", sizeof(*d->signals), (void **)&d->signals, &c->signal_count);
    for (uint32_t i = 0; f->status == TM_OK && i < c->signal_count; i++)
        f->status = read_signal(json_array_get(signals, i), &d->signals[i], f->error);
    erasures = get_list(f, "erasures", sizeof(*d->erasures), (void **)&d->erasures, &c->erasure_count);
    for (uint32_t i = 0; f->status == TM_OK && i < c->erasure_count; i++)
        f->status = read_erasure(json_array_get(erasures, i), &d->erasures[i], f->error);
    if (f->status == TM_OK && json_object_get(f->object, "skipped")) { /* mostly nothing is */
        const json_t *skips = get_list(f, "skipped", sizeof(*d->skips), (void **)&d->skips, &c->skip_count);
        for (uint32_t i = 0; f->status == TM_OK && i < c->skip_count; i++)
            f->status = read_skip(json_array_get(skips, i), c, &d->skips[i], f->error);
    }
    c->signals = d->signals;
    c->erasures = d->erasures;
    c->skips = d->skips;
    d->line.commit = c;
    return f->status;
}

static void read_counting(fields *f, decoded *d)
{
    json_t *starts = f->status == TM_OK ? json_object_get(f->object, "counting_starts") : NULL;
    size_t count = json_object_size(starts);
    tm_journal_configuration *c = &d->configuration;
    const char *name;
    json_t *value;
    if (!json_is_object(starts) || count > TM_METRICS_MAX) {
        wrong(f, "counting_starts", "an object of at most 256 metrics");
        return;
    }
    if (count == 0)
        return;
    d->counting = calloc(count, sizeof(*d->counting));
    if (d->counting == NULL) {
        f->status = tm_fail(f->error, TM_FATAL, "no memory for a journal line");
        return;
    }
    c->counting = d->counting;
    json_object_foreach(starts, name, value)
    {
        tm_counting *counting = &d->counting[c->counting_count++];
        if (!hash_of(name, strlen(name), &counting->identity))
            wrong(f, "counting_starts", "keyed by metrics' identities, 16 hexadecimal digits each");
        counting->start =
            json_is_null(value) ? TM_TIME_NONE : integer_within(f, "counting_starts", value, 0, TM_TIME_MAX);
    }
}

static tm_status read_settings(const json_t *object, tm_journal_configuration *ret, tm_error *error)
{
    fields f = {object, "configuration", error, TM_OK};
    ret->timezone = get_text(&f, "timezone", 1, TM_CONFIGURATION_TEXT_MAX);
    ret->evaluate_every = get_integer(&f, "evaluate_every_ms", 1, TM_HOUR);
    if (ret->evaluate_every > 0 && TM_HOUR % ret->evaluate_every != 0)
        wrong(&f, "evaluate_every_ms", "a divisor of an hour");
    ret->grace = get_integer(&f, "grace_ms", 0, TM_TIME_MAX);
    ret->max_skew = get_integer(&f, "max_skew_ms", 0, TM_TIME_MAX);
    ret->dedup_window = get_integer(&f, "dedup_window_ms", 0, TM_TIME_MAX);
    ret->dedup_entries = get_integer(&f, "dedup_max_entries", 0, INT64_MAX);
    ret->distinct_cap = get_integer(&f, "distinct_cap", 1, INT64_MAX);
    ret->key_mismatch = get_text(&f, "key_mismatch", 1, TM_CONFIGURATION_TEXT_MAX);
    if (!json_is_null(get(&f, "mapping")))
        ret->mapping = get_text(&f, "mapping", 1, TM_PACK_FILE_MAX);
    return f.status;
}

static tm_status read_configuration(fields *f, decoded *d)
{
    tm_journal_configuration *c = &d->configuration;
    c->group = get_text(f, "group", 1, TM_CONFIGURATION_TEXT_MAX);
    c->partition = (int32_t)get_integer(f, "partition", 0, INT32_MAX);
    c->commit = get_integer(f, "n", 0, INT64_MAX);
    c->core_version = get_text(f, "core_version", 1, TM_CONFIGURATION_TEXT_MAX);
    c->rules_version = get_integer(f, "rules_version", 0, INT64_MAX);
    c->pack_hash = get_hash(f, "pack_hash");
    c->rules = get_text(f, "rules", 0, TM_PACK_FILE_MAX);
    if (f->status == TM_OK)
        f->status = read_settings(get(f, "configuration"), c, f->error);
    c->counting_start = get_time_or_null(f, "counting_start");
    read_counting(f, d);
    d->line.configuration = c;
    return f->status;
}

tm_status tm_journal_decode(tm_slice bytes, tm_journal_line **ret_line, tm_error *error)
{
    json_error_t syntax;
    bool exhausted;
    decoded *d = NULL;
    fields f = {NULL, "", error, TM_OK};
    tm_slice kind;
    if (bytes.data == NULL || bytes.length > TM_JOURNAL_LINE_MAX)
        return tm_fail(error, TM_REJECT, "journal line: %s",
                       bytes.data == NULL ? "a record without a value" : "longer than a line can be");
    d = calloc(1, sizeof(*d));
    if (d == NULL)
        return tm_fail(error, TM_FATAL, "no memory for a journal line");
    d->root = tm_json_parse(bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &syntax, &exhausted);
    if (d->root == NULL) {
        f.status = exhausted ? tm_fail(error, TM_FATAL, "no memory for a journal line")
                             : tm_fail(error, TM_REJECT, "journal line: %s at byte %d", syntax.text, syntax.position);
        goto out;
    }
    f.object = d->root;
    (void)get_integer(&f, "v", LINE_VERSION, LINE_VERSION);
    kind = get_text(&f, "kind", 1, TM_NAME_MAX);
    if (tm_slice_equal_text(kind, "commit"))
        f.status = read_commit(&f, d);
    else if (tm_slice_equal_text(kind, "configuration"))
        f.status = read_configuration(&f, d);
    else
        wrong(&f, "kind", "commit or configuration");
out:
    if (f.status != TM_OK) {
        tm_journal_line_free(&d->line);
        return f.status;
    }
    *ret_line = &d->line;
    return TM_OK;
}

void tm_journal_line_free(tm_journal_line *line)
{
    decoded *d = (decoded *)line; /* the line is its first member */
    if (d == NULL)
        return;
    json_decref(d->root);
    free(d->signals);
    free(d->erasures);
    free(d->skips);
    free(d->counting);
    free(d);
}
