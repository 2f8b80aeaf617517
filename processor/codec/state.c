#include "stateroom.h"

#include <string.h>

#include "tidemark/base/hash.h"
#include "tidemark/core/bits.h"

enum { FLAG_FACTS = 1, FLAG_ACCOUNTS_INPUT = 2, FLAG_STAGES = 4, FLAG_SCORES = 8 };

/* Longest text read back anywhere in a blob: none of an account record is longer. */
enum { TEXT_MAX = TM_PROPERTY_TEXT_MAX > TM_FACT_TEXT_MAX ? TM_PROPERTY_TEXT_MAX : TM_FACT_TEXT_MAX };

/* TM_TIME_NONE is the least 64-bit number: as 0, with everything else one further from it. */
static void put_optional(tm_buffer *out, int64_t value)
{
    uint64_t bits =
        ((uint64_t)value << 1) ^ (uint64_t)(value >> 63); /* zigzag: the least number becomes the greatest */
    tm_buffer_put_varint(out, bits + 1);
}

static int64_t get_optional(tm_reader *in)
{
    uint64_t bits = tm_reader_varint(in) - 1;
    return (int64_t)(bits >> 1 ^ (0 - (bits & 1)));
}

/* A double as the millionths it mostly is, else as its bits. */
enum { NUMBER_FIXED = 0, NUMBER_BITS = 1 };

static void put_number(tm_buffer *out, double number)
{
    tm_fixed fixed;
    uint64_t bits, again_bits;
    memcpy(&bits, &number, sizeof bits);
    if (tm_fixed_from(number, &fixed) == TM_OK) {
        double again = tm_fixed_number(fixed);
        memcpy(&again_bits, &again, sizeof again_bits);
        if (bits == again_bits) {
            tm_buffer_put_u8(out, NUMBER_FIXED);
            tm_fixed_put(out, fixed);
            return;
        }
    }
    tm_buffer_put_u8(out, NUMBER_BITS);
    tm_buffer_put_u64(out, bits);
}

static double get_number(tm_reader *in)
{
    uint8_t form = tm_reader_u8(in);
    if (form == NUMBER_FIXED) {
        tm_fixed fixed = tm_fixed_get(in);
        in->failed = in->failed || fixed == TM_FIXED_NONE;
        return tm_fixed_number(fixed);
    }
    uint64_t bits = tm_reader_u64(in);
    double number;
    memcpy(&number, &bits, sizeof number);
    if (form != NUMBER_BITS || number - number != 0) /* not finite: no number of ours */
        in->failed = true;
    return number;
}

static void put_value(tm_buffer *out, tm_value value)
{
    tm_buffer_put_u8(out, value.type);
    switch (value.type) {
    case TM_TYPE_NUMBER:
    case TM_TYPE_DURATION:
        put_number(out, value.as.number);
        break;
    case TM_TYPE_STRING:
        tm_buffer_put_slice(out, value.as.string);
        break;
    case TM_TYPE_BOOLEAN:
        tm_buffer_put_u8(out, value.as.boolean);
        break;
    default:
        break;
    }
}

static tm_value get_value(tm_reader *in)
{
    switch (tm_reader_u8(in)) {
    case TM_TYPE_NULL:
        return tm_value_null();
    case TM_TYPE_NUMBER:
        return tm_value_number(get_number(in));
    case TM_TYPE_STRING: {
        tm_slice text = tm_reader_slice(in, TEXT_MAX);
        in->failed = in->failed || !text.data;
        return tm_value_string(text);
    }
    case TM_TYPE_BOOLEAN:
        return tm_value_boolean(tm_reader_u8(in) != 0);
    default:
        in->failed = true;
        return tm_value_null();
    }
}

/* A date is mostly the plain text of its day: then the day alone is kept. */
enum { DATE_ABSENT, DATE_DAY, DATE_DAY_TEXT, DATE_INSTANT };

static void put_date(tm_buffer *out, const tm_contract_date *date)
{
    char plain[TM_TIME_TEXT];
    if (!date->text.data) {
        tm_buffer_put_u8(out, DATE_ABSENT);
        return;
    }
    if (date->is_instant) {
        tm_buffer_put_u8(out, DATE_INSTANT);
        tm_buffer_put_signed(out, date->instant);
        tm_buffer_put_slice(out, date->text);
        return;
    }
    tm_day_format(date->day, plain);
    bool is_plain = tm_slice_equal_text(date->text, plain);
    tm_buffer_put_u8(out, is_plain ? DATE_DAY : DATE_DAY_TEXT);
    tm_buffer_put_signed(out, date->day);
    if (!is_plain)
        tm_buffer_put_slice(out, date->text);
}

/* `plain` is where a text that was not kept is written again. */
static void get_date(tm_reader *in, tm_contract_date *date, char plain[static TM_TIME_TEXT])
{
    uint8_t form = tm_reader_u8(in);
    if (form == DATE_ABSENT)
        return;
    int64_t number = tm_reader_signed(in);
    date->is_instant = form == DATE_INSTANT;
    if (form > DATE_INSTANT || number < (date->is_instant ? DAY_MIN * TM_DAY : DAY_MIN) ||
        number > (date->is_instant ? TM_TIME_MAX : DAY_MAX)) {
        in->failed = true;
        return;
    }
    date->instant = date->is_instant ? number : 0;
    date->day = date->is_instant ? 0 : (int32_t)number;
    if (form == DATE_DAY) {
        tm_day_format(date->day, plain);
        date->text = tm_slice_of(plain);
        return;
    }
    date->text = tm_reader_slice(in, TEXT_MAX);
    in->failed = in->failed || !date->text.data;
}

static void put_entries(tm_buffer *out, const tm_fact_entry *entries, uint32_t count)
{
    tm_buffer_put_varint(out, count);
    for (uint32_t i = 0; i < count; i++) {
        tm_buffer_put_slice(out, entries[i].name);
        put_value(out, entries[i].value);
    }
}

static uint32_t get_entries(tm_reader *in, tm_fact_entry *entries)
{
    uint32_t count = tm_stateroom_get_count(in, TM_FACT_LIST_MAX);
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        entries[i].name = tm_reader_slice(in, TEXT_MAX);
        entries[i].value = get_value(in);
    }
    return count;
}

enum { HEAD_TEXTS = 6 };

static void put_facts(tm_buffer *out, const tm_facts *facts)
{
    tm_facts_draft draft;
    tm_facts_read(facts, &draft);
    put_optional(out, draft.at);
    const tm_slice texts[HEAD_TEXTS] = {draft.name, draft.plan,   draft.currency,
                                        draft.tier, draft.status, draft.success_plan};
    for (size_t i = 0; i < HEAD_TEXTS; i++)
        tm_buffer_put_slice(out, texts[i]);
    tm_fixed_put(out, draft.seats);
    tm_fixed_put(out, draft.mrr);
    tm_fixed_put(out, draft.term_months);
    put_date(out, &draft.contract_start);
    put_date(out, &draft.renewal_at);
    put_entries(out, draft.owners, draft.owner_count);
    put_entries(out, draft.goals, draft.goal_count);
    put_entries(out, draft.attributes, draft.attribute_count);
    tm_buffer_put_varint(out, draft.product_count);
    for (uint32_t i = 0; i < draft.product_count; i++) {
        tm_buffer_put_slice(out, draft.products[i].name);
        tm_fixed_put(out, draft.products[i].seats);
        tm_fixed_put(out, draft.products[i].mrr);
    }
    tm_buffer_put_varint(out, draft.champion_count);
    for (uint32_t i = 0; i < draft.champion_count; i++)
        tm_buffer_put_u64(out, draft.champions[i]);
}

static tm_status get_facts(tm_heap *heap, tm_reader *in, tm_facts **ret_facts)
{
    tm_facts_draft draft;
    char start[TM_TIME_TEXT], renewal[TM_TIME_TEXT];
    tm_facts_draft_init(&draft);
    draft.at = get_optional(in);
    tm_slice *texts[HEAD_TEXTS] = {&draft.name, &draft.plan,   &draft.currency,
                                   &draft.tier, &draft.status, &draft.success_plan};
    for (size_t i = 0; i < HEAD_TEXTS; i++)
        *texts[i] = tm_reader_slice(in, TEXT_MAX);
    draft.seats = tm_fixed_get(in);
    draft.mrr = tm_fixed_get(in);
    draft.term_months = tm_fixed_get(in);
    get_date(in, &draft.contract_start, start);
    get_date(in, &draft.renewal_at, renewal);
    draft.owner_count = get_entries(in, draft.owners);
    draft.goal_count = get_entries(in, draft.goals);
    draft.attribute_count = get_entries(in, draft.attributes);
    draft.product_count = tm_stateroom_get_count(in, TM_FACT_LIST_MAX);
    for (uint32_t i = 0; i < draft.product_count && !in->failed; i++) {
        draft.products[i].name = tm_reader_slice(in, TEXT_MAX);
        draft.products[i].seats = tm_fixed_get(in);
        draft.products[i].mrr = tm_fixed_get(in);
    }
    draft.champion_count = tm_stateroom_get_count(in, TM_CHAMPIONS_MAX);
    for (uint32_t i = 0; i < draft.champion_count && !in->failed; i++)
        draft.champions[i] = tm_reader_u64(in);
    if (in->failed)
        return TM_REJECT;
    *ret_facts = tm_facts_new(heap, &draft);
    return *ret_facts ? TM_OK : TM_FATAL;
}

enum { EPISODE_SEVERITY_KNOWN = 1, EPISODE_NAMED = 2, EPISODE_NOTED = 4, EPISODE_MARKS_AT = 3 }; /* the marks above */

/* u8: 1 snoozed, 2 acknowledged, 4 by somebody named, the number of raises above; then these in that order. */
enum { NOTES_SNOOZED = 1, NOTES_ACKNOWLEDGED = 2, NOTES_BY = 4, NOTES_RAISES_AT = 3 };

static void put_notes(tm_buffer *out, const tm_episode *episode)
{
    const tm_episode_notes *notes = episode->notes;
    tm_time after = episode->raised_at;
    bool snoozed = notes->snoozed_until != TM_TIME_NONE, acknowledged = notes->acknowledged_at != TM_TIME_NONE;
    tm_buffer_put_u8(out,
                     (uint8_t)((snoozed ? NOTES_SNOOZED : 0) | (acknowledged ? NOTES_ACKNOWLEDGED : 0) |
                               (notes->acknowledged_by.data ? NOTES_BY : 0) | notes->raise_count << NOTES_RAISES_AT));
    if (snoozed)
        tm_buffer_put_signed(out, notes->snoozed_until);
    if (acknowledged)
        tm_buffer_put_signed(out, notes->acknowledged_at);
    if (notes->acknowledged_by.data)
        tm_buffer_put_slice(out, notes->acknowledged_by);
    for (unsigned i = notes->raise_count; i-- > 0;) { /* the last first: mostly it is raised_at */
        tm_buffer_put_signed(out, after - notes->raises[i]);
        after = notes->raises[i];
    }
}

static tm_time get_instant(tm_reader *in)
{
    tm_time t = tm_reader_signed(in);
    in->failed = in->failed || t < -TM_TIME_MAX || t > TM_TIME_MAX;
    return in->failed ? 0 : t; /* callers add to it before they look */
}

static tm_status get_notes(tm_episode *episode, tm_heap *heap, tm_reader *in)
{
    tm_time after = episode->raised_at;
    tm_episode_notes *notes = tm_episode_notes_make(episode, heap);
    if (!notes)
        return TM_FATAL;
    uint8_t head = tm_reader_u8(in);
    unsigned count = head >> NOTES_RAISES_AT;
    if (count > sizeof notes->raises / sizeof *notes->raises || (count && after == TM_TIME_NONE))
        return TM_REJECT;
    if (head & NOTES_SNOOZED)
        notes->snoozed_until = get_instant(in);
    tm_time at = head & NOTES_ACKNOWLEDGED ? get_instant(in) : TM_TIME_NONE;
    tm_slice by = head & NOTES_BY ? tm_reader_slice(in, TEXT_MAX) : (tm_slice){0};
    if (in->failed || (head & NOTES_BY && (!by.data || at == TM_TIME_NONE)))
        return TM_REJECT;
    for (unsigned i = count; i-- > 0;) {
        int64_t back = get_instant(in);
        notes->raises[i] = after -= back;
        if (in->failed || after < 0 || after > TM_TIME_MAX)
            return TM_REJECT;
    }
    notes->raise_count = (uint8_t)count;
    return tm_episode_set_acknowledged(episode, heap, at, by);
}

static void put_episode(tm_buffer *out, const tm_episode *episode)
{
    bool published = episode->published_type == TM_TYPE_NUMBER || episode->published_type == TM_TYPE_DURATION;
    tm_buffer_put_u64(out, episode->rule);
    tm_buffer_put_u8(out, episode->state);
    tm_buffer_put_u8(out, (uint8_t)(episode->kind << 4 | episode->severity << 2 | episode->published_severity));
    tm_buffer_put_u8(out, (uint8_t)((episode->severity_known ? EPISODE_SEVERITY_KNOWN : 0) |
                                    (episode->rule_name.data ? EPISODE_NAMED : 0) |
                                    (episode->notes ? EPISODE_NOTED : 0) | episode->marks << EPISODE_MARKS_AT));
    put_optional(out, episode->since);
    put_optional(out, episode->raised_at);
    put_optional(out, episode->signalled_at);
    put_optional(out, episode->cleared_at);
    tm_buffer_put_varint(out, episode->sequence);
    tm_buffer_put_u8(out, published ? episode->published_type : TM_TYPE_NULL);
    if (published)
        put_number(out, episode->published_value);
    if (episode->notes)
        put_notes(out, episode);
    if (episode->rule_name.data)
        tm_buffer_put_slice(out, episode->rule_name);
}

static tm_status get_episode(tm_account *account, tm_heap *heap, tm_reader *in)
{
    uint64_t rule = tm_reader_u64(in);
    if (in->failed || (account->episode_count && account->episodes[account->episode_count - 1].rule >= rule))
        return TM_REJECT;
    tm_episode *episode = tm_account_episode_make(account, heap, rule);
    if (!episode)
        return TM_FATAL;
    episode->state = tm_reader_u8(in);
    uint8_t grades = tm_reader_u8(in), flags = tm_reader_u8(in);
    episode->kind = grades >> 4;
    episode->severity = grades >> 2 & 3;
    episode->published_severity = grades & 3;
    episode->severity_known = flags & EPISODE_SEVERITY_KNOWN;
    episode->marks = flags >> EPISODE_MARKS_AT;
    episode->since = get_optional(in);
    episode->raised_at = get_optional(in);
    episode->signalled_at = get_optional(in);
    episode->cleared_at = get_optional(in);
    uint64_t sequence = tm_reader_varint(in);
    episode->sequence = (uint32_t)sequence;
    episode->published_type = tm_reader_u8(in);
    if (episode->published_type != TM_TYPE_NULL)
        episode->published_value = get_number(in);
    if (in->failed || sequence > UINT32_MAX || episode->state > TM_EPISODE_CLEARING || episode->kind >= TM_KINDS ||
        episode->published_type > TM_TYPE_DURATION || episode->marks > TM_EPISODE_MARKS)
        return TM_REJECT;
    tm_status status = flags & EPISODE_NOTED ? get_notes(episode, heap, in) : TM_OK;
    if (status != TM_OK || !(flags & EPISODE_NAMED))
        return status;
    tm_slice name = tm_reader_slice(in, TM_NAME_MAX);
    if (!name.data)
        return TM_REJECT;
    return tm_episode_set_name(episode, heap, name);
}

/* Of a metric's identity 40 bits are kept: enough to tell a pack's 256 metrics apart but once in thirty million
   packs. */
static uint64_t short_identity(uint64_t identity)
{
    return identity & ((UINT64_C(1) << 40) - 1);
}

static void put_stages(tm_buffer *out, const tm_stage_path *path)
{
    tm_time before = 0;
    tm_buffer_put_varint(out, path->count);
    for (uint32_t i = 0; i < path->count; i++) {
        tm_stateroom_put_identity(out, path->changes[i].stage);
        tm_buffer_put_signed(out, path->changes[i].at - before);
        before = path->changes[i].at;
    }
}

static tm_status get_stages(tm_stage_path *path, tm_heap *heap, tm_reader *in)
{
    uint32_t count = tm_stateroom_get_count(in, TM_STAGE_CHANGES_MAX);
    tm_time at = 0;
    if (in->failed || count == 0)
        return TM_REJECT;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t stage = tm_stateroom_get_identity(in);
        int64_t step = tm_reader_signed(in);
        if (in->failed || step < (i > 0) || step > TM_TIME_MAX - at)
            return TM_REJECT;
        at += step;
        tm_status status = tm_stage_path_add(path, heap, stage, at);
        if (status != TM_OK)
            return status;
    }
    return TM_OK;
}

_Static_assert(TM_SEVERITIES == 4 && TM_KINDS <= 16, "severities and kinds share a byte");

void tm_state_encode(const tm_account *account, const tm_pack *pack, const tm_moment *now, tm_buffer *out)
{
    size_t start = out->length;
    uint32_t count = 0;
    tm_buffer_put_u8(out, TM_STATE_FORM);
    tm_buffer_put_u8(out,
                     (uint8_t)((account->facts ? FLAG_FACTS : 0) |
                               (account->input == TM_INPUT_ACCOUNTS ? FLAG_ACCOUNTS_INPUT : 0) |
                               (account->stages.count ? FLAG_STAGES : 0) | (account->tracks.count ? FLAG_SCORES : 0)));
    tm_buffer_put_signed(out, account->input_offset);
    for (uint32_t i = 0; i < account->series_count; i++)
        count += account->series[i] != NULL;
    tm_buffer_put_varint(out, count);
    for (uint32_t i = 0; i < account->series_count; i++) {
        if (!account->series[i])
            continue;
        tm_stateroom_put_identity(out, pack->metrics[i].identity);
        /* The length goes before the bytes, which are written first and moved: mostly its varint has one byte or
           two. */
        size_t at = out->length;
        tm_series_save(account->series[i], &pack->metrics[i], now, out);
        size_t length = out->length - at;
        tm_buffer_put_varint(out, length);
        if (out->overflowed)
            return;
        char head[10];
        size_t head_length = out->length - at - length;
        memcpy(head, out->data + at + length, head_length);
        memmove(out->data + at + head_length, out->data + at, length);
        memcpy(out->data + at, head, head_length);
    }
    tm_buffer_put_varint(out, account->episode_count);
    for (uint32_t i = 0; i < account->episode_count; i++)
        put_episode(out, &account->episodes[i]);
    if (account->facts)
        put_facts(out, account->facts);
    if (account->stages.count)
        put_stages(out, &account->stages);
    if (account->tracks.count)
        tm_stateroom_put_scores(out, &account->tracks);
    if (!out->overflowed)
        tm_buffer_put_u32(out, tm_checksum((tm_slice){out->data + start, out->length - start}));
}

/* The metric whose series this is: the next one in the pack's order, most of the time. UINT32_MAX: none. */
static uint32_t place_of(const tm_account *account, const tm_pack *pack, uint64_t identity, uint32_t guess)
{
    if (guess < pack->metric_count && short_identity(pack->metrics[guess].identity) == identity &&
        !account->series[guess])
        return guess;
    for (uint32_t i = 0; i < pack->metric_count; i++)
        if (short_identity(pack->metrics[i].identity) == identity && !account->series[i])
            return i;
    return UINT32_MAX;
}

static tm_status get_all_series(tm_account *account, tm_heap *heap, const tm_pack *pack, tm_reader *in)
{
    uint64_t count = tm_reader_varint(in);
    uint32_t guess = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t identity = tm_stateroom_get_identity(in), length = tm_reader_varint(in);
        tm_slice bytes = tm_reader_bytes(in, length);
        if (in->failed)
            return TM_REJECT;
        uint32_t place = place_of(account, pack, identity, guess);
        if (place == UINT32_MAX)
            continue;
        tm_reader own;
        tm_reader_init(&own, bytes);
        tm_status status = tm_series_load(heap, &pack->metrics[place], &own, &account->series[place]);
        if (status != TM_OK)
            return status;
        if (!tm_reader_at_end(&own))
            return TM_REJECT;
        guess = place + 1;
    }
    return in->failed ? TM_REJECT : TM_OK;
}

static tm_status get_account(tm_account *account, tm_heap *heap, const tm_pack *pack, unsigned form, tm_reader *in)
{
    uint8_t flags = tm_reader_u8(in);
    account->input_offset = tm_reader_signed(in);
    account->input = flags & FLAG_ACCOUNTS_INPUT ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE;
    if (in->failed || flags >= (form > TM_STATE_FORM_FIRST ? FLAG_SCORES << 1 : FLAG_SCORES) ||
        account->input_offset < -1)
        return TM_REJECT;
    tm_status status = get_all_series(account, heap, pack, in);
    uint64_t episodes = status == TM_OK ? tm_reader_varint(in) : 0;
    for (uint64_t i = 0; i < episodes && status == TM_OK; i++)
        status = get_episode(account, heap, in);
    if (status == TM_OK && flags & FLAG_FACTS)
        status = get_facts(heap, in, &account->facts);
    if (status == TM_OK && flags & FLAG_STAGES)
        status = get_stages(&account->stages, heap, in);
    if (status == TM_OK && flags & FLAG_SCORES)
        status = tm_stateroom_get_scores(&account->tracks, heap, form, in);
    if (status == TM_OK && !tm_reader_at_end(in))
        return TM_REJECT;
    return status;
}

tm_status tm_state_decode(tm_heap *heap, const tm_pack *pack, tm_slice key, tm_slice blob, tm_account **ret_account,
                          tm_error *error)
{
    enum { CHECKSUM = 4 };
    tm_reader in, tail;
    *ret_account = NULL;
    if (blob.length < 2 + CHECKSUM)
        return tm_fail(error, TM_REJECT, "account state of %zu bytes is cut short", blob.length);
    tm_slice body = {blob.data, blob.length - CHECKSUM};
    tm_reader_init(&tail, (tm_slice){blob.data + body.length, CHECKSUM});
    if (tm_reader_u32(&tail) != tm_checksum(body))
        return tm_fail(error, TM_REJECT, "account state of %zu bytes has a wrong checksum", blob.length);
    tm_reader_init(&in, body);
    unsigned form = tm_reader_u8(&in);
    if (form < TM_STATE_FORM_FIRST || form > TM_STATE_FORM) {
        tm_fail(error, TM_REJECT, "account state has form %u, this program reads the forms up to %d", form,
                TM_STATE_FORM);
        tm_error_hint(error, "run the version that wrote it, or rebuild the shard from the input");
        return TM_REJECT;
    }
    tm_account *account = tm_account_new(heap, pack, key);
    if (!account)
        return tm_fail(error, TM_FATAL, "no memory for the state of an account");
    tm_status status = get_account(account, heap, pack, form, &in);
    if (status == TM_OK) {
        account->changed = false;
        *ret_account = account;
        return TM_OK;
    }
    tm_account_free(heap, account);
    if (status == TM_FATAL)
        return tm_fail(error, TM_FATAL, "no memory for the state of an account");
    return tm_fail(error, TM_REJECT, "account state of %zu bytes is not well formed", blob.length);
}
